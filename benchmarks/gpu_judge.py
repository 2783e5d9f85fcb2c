"""What the GPUs of a machine draw, seen by a process that is no part of the site: a line each tenth of a second.

    python -m benchmarks.gpu_judge FILE                 NVML's newest samples of all GPUs, in sum
    python -m benchmarks.gpu_judge FILE --group DIR     what the guard of a simulated node says of its GPUs

`Judge` starts such a process and reads its file. Instants are of CLOCK_REALTIME.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.job_watch import wait_for

EVERY_S = 0.1
MB = 1_000_000
FREE_BYTES = 200 * MB  #: of what a process held, the context's tables and all: no more than this is left


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look: the draw, the devices' own counter, memory in use, and the processes that NVML names."""

    at_s: float
    draw_w: float
    energy_j: float = 0.0
    used_bytes: int = 0
    pids: tuple[int, ...] = ()


class Judge:
    """Reads what a judging process writes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    @contextmanager
    def at_work(cls, path: Path, group: Path, *, simulated: bool) -> Iterator[Judge]:
        """A judge inside the `with`, once it has written its first line."""
        words = ["--group", str(group)] if simulated else []
        judging = subprocess.Popen([sys.executable, "-m", "benchmarks.gpu_judge", str(path), *words])
        judge = cls(path)
        try:
            wait_for(lambda: 1.0 if judge.since(0.0) else None, "a first reading of the judge")
            yield judge
        finally:
            judging.terminate()
            judging.wait()

    def since(self, at_s: float) -> list[Sample]:
        """All samples taken at or after an instant."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        samples = [Sample(**json.loads(line)) for line in lines if line.endswith("}")]
        return [s for s in samples if s.at_s >= at_s]


def below_s(samples: Sequence[Sample], *, watts: float, since_s: float) -> float | None:
    """Until the draw was at or under `watts` for the first time; None if it never was."""
    return next((s.at_s - since_s for s in samples if s.draw_w <= watts), None)


def kept_s(samples: Sequence[Sample], *, watts: float, since_s: float) -> float | None:
    """Until the draw was at or under `watts` for good; None if the last sample is above."""
    return _for_good([s.draw_w <= watts for s in samples], samples, since_s)


def freed_s(samples: Sequence[Sample], *, since_s: float) -> float | None:
    """Until nearly nothing was left of the memory that was in use, for good; None if there is yet."""
    least = min(s.used_bytes for s in samples)
    return _for_good([s.used_bytes <= least + FREE_BYTES for s in samples], samples, since_s)


def _for_good(holds: Sequence[bool], samples: Sequence[Sample], since_s: float) -> float | None:
    first = max((i + 1 for i, held in enumerate(holds) if not held), default=0)
    return samples[first].at_s - since_s if first < len(samples) else None


def _real() -> Callable[[], Sample]:
    import pynvml

    pynvml.nvmlInit()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
    instant = [(pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_POWER_SCOPE_GPU)]

    def look() -> Sample:
        return Sample(
            at_s=time.time(),
            draw_w=sum(pynvml.nvmlDeviceGetFieldValues(h, instant)[0].value.uiVal for h in handles) / 1000,
            energy_j=sum(pynvml.nvmlDeviceGetTotalEnergyConsumption(h) for h in handles) / 1000,
            used_bytes=sum(int(pynvml.nvmlDeviceGetMemoryInfo(h).used) for h in handles),
            pids=tuple(p.pid for h in handles for p in pynvml.nvmlDeviceGetComputeRunningProcesses(h)),
        )

    return look


def _simulated(group: Path) -> Callable[[], Sample]:
    from barq.site.guard_line import ask

    def look() -> Sample:
        report = ask(group, {"op": "report"}, timeout_s=5.0)["report"]
        return Sample(at_s=time.time(), draw_w=sum(gpu["draw_w"] for gpu in report["gpus"]))

    return look


def main(arguments: Sequence[str] | None = None) -> int:
    """Look until it is ended."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_judge", description=__doc__.splitlines()[0]
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--group", type=Path, help="the directory of a simulated node's guard")
    options = parser.parse_args(arguments)
    look = _simulated(options.group) if options.group else _real()
    with options.file.open("a", buffering=1) as file:
        due_s = time.monotonic()
        while True:
            file.write(json.dumps(asdict(look())) + "\n")
            due_s = max(due_s + EVERY_S, time.monotonic())
            time.sleep(max(0.0, due_s - time.monotonic()))


if __name__ == "__main__":
    sys.exit(main())
