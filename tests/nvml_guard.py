"""A guard on a machine with two fake A100: `python -m tests.nvml_guard --config group.json`.

GPU n is lost while there is a file `lost-n` beside group.json.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pynvml

from tests.fake_nvml import FakeLibrary, gpus, installed
from workers.guard import main


class LostWhile(dict[str, int]):
    """The faults of a GPU that is off the bus as long as a file exists."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def get(self, key: str, default: Any = None) -> Any:
        return pynvml.NVML_ERROR_GPU_IS_LOST if key == "*" and self._path.exists() else default


if __name__ == "__main__":
    here = Path(sys.argv[2]).parent
    library = FakeLibrary(*gpus(2))
    for i, gpu in enumerate(library.gpus):
        gpu.faults = LostWhile(here / f"lost-{i}")
    with installed(library):
        code = main()
    raise SystemExit(code)
