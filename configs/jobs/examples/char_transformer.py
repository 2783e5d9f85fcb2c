"""Train a small character-level transformer on `rivers.txt`; with several ranks, by DDP over gloo.

It computes on the GPU that it was given, and on the processor where there is none. By hand:

    python configs/jobs/examples/char_transformer.py --steps 50
    python configs/jobs/examples/char_transformer.py --steps 50 --width 1536 --layers 7 --batch 64    # 2 GB of state
    torchrun --nproc-per-node 2 configs/jobs/examples/char_transformer.py --steps 50
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from barq.job import Job
from device import own_device
from step_log import StepLog, output_dir

TEXT = Path(__file__).with_name("rivers.txt")
WINDOW = 64
LEAST_WIDTH = 64
LEAST_HEADS = 4
HEAD_WIDTH = 64


class CharTransformer(nn.Module):
    """Predicts each next character of a window from those before it."""

    def __init__(self, characters: int, width: int, layers: int) -> None:
        super().__init__()
        heads = max(LEAST_HEADS, width // HEAD_WIDTH)
        self.meaning = nn.Embedding(characters, width)
        self.place = nn.Embedding(WINDOW, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.1, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, characters)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(WINDOW))

    def forward(self, windows: Tensor) -> Tensor:
        """Return the scores of each character at each place of each window."""
        places = torch.arange(windows.shape[1], device=windows.device)
        hidden = self.meaning(windows) + self.place(places)
        scores: Tensor = self.head(self.layers(hidden, mask=self.mask, is_causal=True))
        return scores


class Trainer:
    """The model, its optimizer and the text; `state_dict` holds all that must survive a pause."""

    def __init__(self, seed: int, rank: int, world: int, *, width: int, layers: int, batch: int) -> None:
        self.device = own_device()
        text = TEXT.read_text(encoding="utf-8")
        alphabet = sorted(set(text))
        self.text = torch.tensor([alphabet.index(character) for character in text])
        torch.manual_seed(seed)  # every rank starts from the same weights ...
        self.model = CharTransformer(len(alphabet), width, layers).to(self.device)
        self.parallel = DistributedDataParallel(self.model) if world > 1 else self.model
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=3e-3 * LEAST_WIDTH / width)
        self.world, self.batch = world, batch
        torch.manual_seed(seed * 1000 + rank)  # ... and then reads its own parts of the text

    def step(self) -> float:
        """Take one step and return its loss, averaged over all ranks."""
        starts = torch.randint(len(self.text) - WINDOW, (self.batch, 1))
        pieces = self.text[starts + torch.arange(WINDOW + 1)].to(self.device)
        scores = self.parallel(pieces[:, :-1])
        loss = cross_entropy(scores.flatten(0, 1), pieces[:, 1:].flatten())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return self._mean(loss.detach())

    def state_dict(self) -> dict[str, Any]:
        """Return weights and optimizer state."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take weights and optimizer state back."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _mean(self, loss: Tensor) -> float:
        if self.world > 1:
            distributed.all_reduce(loss)
        return loss.item() / self.world


def main() -> None:
    """Train for `--steps` steps in all, over as many attempts as it takes."""
    parser = argparse.ArgumentParser(description="train a character-level transformer")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=LEAST_WIDTH, help="of the model; a multiple of 64")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--out", help="directory for steps.jsonl")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    out = output_dir(arguments.out, "char_transformer")
    job = Job.from_environment(checkpoint_dir=out / "checkpoints")
    rank, world = job.environment.rank, job.environment.world
    if world > 1:
        distributed.init_process_group("gloo")

    trainer = Trainer(
        arguments.seed,
        rank,
        world,
        width=arguments.width,
        layers=arguments.layers,
        batch=arguments.batch,
    )
    log = StepLog(out, job.environment.attempt)
    first = job.resume(trainer)
    for step in job.steps(first, arguments.steps):
        loss = trainer.step()
        if job.is_first_rank:
            log.append(step, loss)
            print(f"step {step + 1} of {arguments.steps}: loss {loss:.4f}", flush=True)
    job.done()


if __name__ == "__main__":
    main()
