"""Classify a data set of shapes in chunks; each result is written exactly once, however often it is paused.

By hand:

    python configs/jobs/examples/classify_batch.py --steps 50 --model out/image_classifier/model.pt
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from barq.job import Job
from device import own_device
from shapes import SHAPES, ShapeClassifier, draw, train_step
from step_log import StepLog, output_dir

CHUNK = 256
WARM_UP_STEPS = 30


class Results:
    """A file that only grows; a commit remembers how long it was, and what came after is done again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._committed_bytes = 0

    def open(self) -> None:
        """Cut off what no commit vouches for. Raises ValueError if some of what was committed is gone."""
        self._file = self._path.open("ab")
        if self._file.tell() < self._committed_bytes:
            message = (
                f"{self._path} has {self._file.tell()} bytes, but {self._committed_bytes} were committed"
            )
            raise ValueError(f"{message}; give this attempt the same output directory as the one before")
        self._file.truncate(self._committed_bytes)

    def append(self, first_item: int, scores: Tensor) -> None:
        """Write one line for each item of a chunk."""
        for item, shape in enumerate(scores.argmax(dim=1).tolist(), start=first_item):
            self._file.write(json.dumps({"item": item, "shape": SHAPES[shape]}).encode() + b"\n")

    def state_dict(self) -> dict[str, Any]:
        """Return how long the file is, once that much of it is on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return {"bytes": self._file.tell()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Remember how much of the file counts."""
        self._committed_bytes = state["bytes"]


def trained_model(path: str | None) -> nn.Module:
    """Return the classifier whose weights are in the file `path`, or one that has just learnt a little."""
    device = own_device()
    model = ShapeClassifier().to(device)
    if path is not None:
        model.load_state_dict(torch.load(path, map_location=device, weights_only=True))
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
        for _ in range(WARM_UP_STEPS):
            train_step(model, optimizer, 64)
    return model.eval()


def chunk(seed: int, number: int) -> tuple[Tensor, Tensor]:
    """Return the pictures of one chunk of the data set, the same ones each time, and what they show."""
    return draw(CHUNK, torch.Generator().manual_seed(seed * 1_000_003 + number))


def main() -> None:
    """Classify `--steps` chunks in all, over as many attempts as it takes."""
    parser = argparse.ArgumentParser(description="classify a data set of shapes")
    parser.add_argument("--steps", type=int, default=300, help=f"chunks of {CHUNK} pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", help="weights that image_classifier.py wrote")
    parser.add_argument("--out", help="directory for results.jsonl and steps.jsonl")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    out = output_dir(arguments.out, "classify_batch")
    job = Job.from_environment(checkpoint_dir=out / "checkpoints")
    model = trained_model(arguments.model)
    device = next(model.parameters()).device
    results = Results(out / "results.jsonl")
    log = StepLog(out, job.environment.attempt)

    first = job.resume(results=results)
    results.open()
    for step in job.steps(first, arguments.steps):
        pictures, labels = chunk(arguments.seed, step)
        with torch.no_grad():
            scores = model(pictures.to(device)).cpu()
        results.append(step * CHUNK, scores)
        log.append(step, cross_entropy(scores, labels).item())
        print(f"chunk {step + 1} of {arguments.steps}: {CHUNK} pictures classified", flush=True)
    job.done()


if __name__ == "__main__":
    main()
