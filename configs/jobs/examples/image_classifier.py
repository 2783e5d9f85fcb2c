"""Train a small image classifier on generated shapes; its weights end up in `model.pt` beside the steps.

By hand:

    python configs/jobs/examples/image_classifier.py --steps 50
"""

from __future__ import annotations

import argparse

import torch

from barq.job import Job
from device import own_device
from shapes import ShapeClassifier, train_step
from step_log import StepLog, output_dir

BATCH = 160


def main() -> None:
    """Train for `--steps` steps in all, over as many attempts as it takes."""
    parser = argparse.ArgumentParser(description="train a classifier of shapes")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="directory for steps.jsonl and model.pt")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    torch.manual_seed(arguments.seed)
    out = output_dir(arguments.out, "image_classifier")
    job = Job.from_environment(checkpoint_dir=out / "checkpoints")
    model = ShapeClassifier().to(own_device())
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    log = StepLog(out, job.environment.attempt)

    first = job.resume(model=model, optimizer=optimizer)
    for step in job.steps(first, arguments.steps):
        loss = train_step(model, optimizer, BATCH)
        log.append(step, loss)
        print(f"step {step + 1} of {arguments.steps}: loss {loss:.4f}", flush=True)
    torch.save(model.state_dict(), out / "model.pt")
    job.done()


if __name__ == "__main__":
    main()
