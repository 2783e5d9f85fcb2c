"""The job that keeps the GPUs of a node busy while it is measured: `python -m barq.commissioning.load matmul`.

`busy-loop` is for simulated GPUs, which draw what the processor time of a job makes of them. `matmul` multiplies
matrices on every GPU that the job was given, and needs PyTorch.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from barq.job import Job

STEPS: Final = 10**9  #: it ends by its time limit, or because somebody ends it
_BUSY_S, _IDLE_S = 0.02, 0.02  #: of each step: half of one core, so that it is busy where others are too
_SIZE: Final = 8192
_PRODUCTS: Final = 20  #: in one step: some 0.1 s on a large GPU


class Nothing:
    """The state of this job: there is none to lose."""

    def save(self, path: Path) -> None:
        """Write the file `path`."""
        path.write_bytes(b"commissioning")

    def load(self, path: Path) -> None:
        """Look at what was saved in the file `path`."""
        path.read_bytes()


def busy_loop() -> None:
    """Use a part of one core."""
    end_s = time.monotonic() + _BUSY_S
    while time.monotonic() < end_s:
        pass
    time.sleep(_IDLE_S)


def matmul() -> Callable[[], None]:
    """One step of products on every GPU. Exits with a line that says what is missing."""
    try:
        import torch
    except ModuleNotFoundError:
        sys.exit(
            "barq commission: PyTorch is missing on this node; install it for the Python that runs `barq`"
        )
    if not torch.cuda.is_available():
        sys.exit("barq commission: PyTorch finds no GPU here; see `barq doctor`")
    devices = [torch.device("cuda", i) for i in range(torch.cuda.device_count())]
    factors = [torch.randn(_SIZE, _SIZE, dtype=torch.bfloat16, device=device) for device in devices]

    def step() -> None:
        for _ in range(_PRODUCTS):
            for factor in factors:
                factor @ factor
        for device in devices:
            torch.cuda.synchronize(device)

    return step


def main(work: str) -> None:
    """Work until told to leave."""
    job = Job.from_environment()
    step = matmul() if work == "matmul" else busy_loop
    for _ in job.steps(job.resume(Nothing()), STEPS):
        step()


if __name__ == "__main__":
    main(*sys.argv[1:])
