"""One JSON line per step, so that runs can be compared bit for bit and steps done twice can be counted."""

from __future__ import annotations

import json
import os
from pathlib import Path


def output_dir(wanted: str | None, name: str) -> Path:
    """Return a directory that exists: the one asked for, else the one Barq gives, else `out/<name>`."""
    path = Path(wanted or os.environ.get("BARQ_OUTPUT_DIR") or f"out/{name}")
    path.mkdir(parents=True, exist_ok=True)
    return path


class StepLog:
    """Appends to `steps.jsonl` in one directory; a line that is written has left this process."""

    def __init__(self, directory: Path, attempt: str) -> None:
        self._path = directory / "steps.jsonl"
        self._attempt = attempt

    def append(self, step: int, loss: float) -> None:
        """Write what step `step` cost; a float in JSON is exact, so two runs may be compared bit for bit."""
        record = {"step": step, "loss": loss, "attempt": self._attempt}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
