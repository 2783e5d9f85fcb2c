"""The caps that GPUs had before Barq set its first: whoever uses them after Barq finds them as they were.

A cap outlives a guard, and it should: attempts do so too. It is put back only where everything was ended on purpose.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from barq.contract import write_atomically
from scheduler.core.orders import GpuReading
from workers.wire import WireError, decode, encode

log = logging.getLogger("barq.guard")


class FoundCaps:
    """By GPU, W; in a file, since a guard may end and start again in between."""

    def __init__(self, path: Path) -> None:
        """Know what `path` holds; a file that cannot be read or makes no sense is as good as none."""
        self._path = path
        self._found_w = self._load()

    def note(self, readings: Sequence[GpuReading]) -> None:
        """Remember the cap of each GPU that is seen for the first time.

        What a disk does not take is remembered by this guard alone: no disk may keep it from setting caps.
        """
        new_w = {r.gpu_id: r.cap_w for r in readings if r.gpu_id not in self._found_w and not r.lost}
        if not new_w:
            return
        self._found_w |= new_w
        try:
            write_atomically(self._path, encode(self._found_w), durable=True)
        except OSError as error:
            log.warning("the caps that GPUs had before are not remembered over a restart: %s", error)

    def put_back(self, readings: Sequence[GpuReading], set_cap: Callable[[str, float], float]) -> None:
        """Each GPU that nobody computes on gets the cap it had; of the others the log says how they stay."""
        left_w: dict[str, float] = {}
        for reading in readings:
            found_w = self._found_w.get(reading.gpu_id)
            if found_w is None:
                continue
            why = f"{reading.processes} processes compute on it" if reading.processes else None
            try:
                if why is None:
                    set_cap(reading.gpu_id, found_w)
            except OSError as error:
                why = str(error)
            if why is not None:
                left_w[reading.gpu_id] = found_w
                log.warning(
                    "GPU %s stays at its cap of %.0f W, it had %.0f W before: %s",
                    reading.gpu_id, reading.cap_w, found_w, why,
                )  # fmt: skip
        self._forget_all_but(left_w)

    def _forget_all_but(self, left_w: dict[str, float]) -> None:
        self._found_w = left_w
        if left_w:
            write_atomically(self._path, encode(left_w), durable=True)
        else:
            self._path.unlink(missing_ok=True)

    def _load(self) -> dict[str, float]:
        try:
            known: dict[str, float] = decode(dict[str, float], self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, WireError) as error:
            log.warning("which caps the GPUs had is forgotten: %s cannot be read: %s", self._path, error)
            return {}
        return known
