"""Digests of signed data that counted, on disk: a scheduler that starts anew knows what was told before.

One digest a line, the newest last. A disk that fails costs this memory, and no target.
"""

from __future__ import annotations

import logging
from pathlib import Path

from scheduler.dsx.targets import REMEMBERED

log = logging.getLogger(__name__)

_HEX = 64  #: characters of a digest
_MOST_LINES = 4 * REMEMBERED  #: before the file is written anew


class Seen:
    """The file of one source."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = 0

    def read(self) -> list[bytes]:
        """All that are remembered, each where it was told last; none if that cannot be read."""
        try:
            text = self._path.read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return []
        except OSError as error:
            log.warning("what was signed before cannot be read, and may be told again: %s", error)
            return []
        told = [bytes.fromhex(line) for line in text.splitlines() if _is_digest(line)]
        self._lines = len(told)
        kept = list(dict.fromkeys(reversed(told)))[:REMEMBERED][::-1]
        if self._lines > _MOST_LINES:
            self._rewrite(kept)
        return kept

    def add(self, digest: bytes) -> None:
        """This counts from now on."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="ascii") as file:
                file.write(f"{digest.hex()}\n")
        except OSError as error:
            log.warning("what was signed cannot be noted, and may be told again after a start: %s", error)

    def _rewrite(self, kept: list[bytes]) -> None:
        temporary = self._path.with_name(f"{self._path.name}.tmp")
        try:
            temporary.write_text("".join(f"{digest.hex()}\n" for digest in kept), encoding="ascii")
            temporary.replace(self._path)
        except OSError as error:
            log.warning("what was signed before cannot be written anew: %s", error)


def _is_digest(line: str) -> bool:
    """Whether it is a whole one: the last may have been cut off."""
    return len(line) == _HEX and all(c in "0123456789abcdef" for c in line)
