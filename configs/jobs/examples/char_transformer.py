"""Train a small character-level transformer on `rivers.txt`; with several ranks, by DDP over gloo.

By hand:

    python configs/jobs/examples/char_transformer.py --steps 50
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
from step_log import StepLog, output_dir

TEXT = Path(__file__).with_name("rivers.txt")
WINDOW = 64
WIDTH = 64
HEADS = 4
LAYERS = 2
BATCH = 16


class CharTransformer(nn.Module):
    """Predicts each next character of a window from those before it."""

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.meaning = nn.Embedding(characters, WIDTH)
        self.place = nn.Embedding(WINDOW, WIDTH)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, dropout=0.1, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, characters)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(WINDOW))

    def forward(self, windows: Tensor) -> Tensor:
        """Return the scores of each character at each place of each window."""
        places = torch.arange(windows.shape[1])
        hidden = self.meaning(windows) + self.place(places)
        scores: Tensor = self.head(self.layers(hidden, mask=self.mask, is_causal=True))
        return scores


class Trainer:
    """The model, its optimizer and the text; `state_dict` holds all that must survive a pause."""

    def __init__(self, seed: int, rank: int, world: int) -> None:
        text = TEXT.read_text(encoding="utf-8")
        alphabet = sorted(set(text))
        self.text = torch.tensor([alphabet.index(character) for character in text])
        torch.manual_seed(seed)  # every rank starts from the same weights ...
        self.model = CharTransformer(len(alphabet))
        self.parallel = DistributedDataParallel(self.model) if world > 1 else self.model
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=3e-3)
        self.world = world
        torch.manual_seed(seed * 1000 + rank)  # ... and then reads its own parts of the text

    def step(self) -> float:
        """Take one step and return its loss, averaged over all ranks."""
        starts = torch.randint(len(self.text) - WINDOW, (BATCH, 1))
        pieces = self.text[starts + torch.arange(WINDOW + 1)]
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
    parser.add_argument("--out", help="directory for steps.jsonl")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    out = output_dir(arguments.out, "char_transformer")
    job = Job.from_environment(checkpoint_dir=out / "checkpoints")
    rank, world = job.environment.rank, job.environment.world
    if world > 1:
        distributed.init_process_group("gloo")

    trainer = Trainer(arguments.seed, rank, world)
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
