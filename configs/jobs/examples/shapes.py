"""Pictures of circles, squares, triangles and crosses, and a small network that tells them apart."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

SHAPES = ("circle", "square", "triangle", "cross")
SIDE = 32
NOISE = 0.35


class ShapeClassifier(nn.Module):
    """A convolutional network from pictures to scores of the four shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * (SIDE // 4) ** 2, len(SHAPES)),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the score of each shape for each picture."""
        scores: Tensor = self.layers(pictures)
        return scores


def draw(count: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Return `count` noisy pictures of one shape each, of any place and size, and which shape it is."""
    labels = torch.randint(len(SHAPES), (count,), generator=generator)
    place = torch.rand(count, 2, 1, 1, generator=generator) * 0.8 - 0.4
    size = torch.rand(count, 1, 1, generator=generator) * 0.25 + 0.3
    axis = torch.linspace(-1, 1, SIDE)
    x = axis.view(1, 1, SIDE) - place[:, 0]
    y = axis.view(1, SIDE, 1) - place[:, 1]
    inside = _inside(x, y, size)[labels, torch.arange(count)]
    noise = torch.randn(count, SIDE, SIDE, generator=generator) * NOISE
    return (inside + noise).unsqueeze(1), labels


def train_step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: int) -> float:
    """Let the model learn from `batch` new pictures and return its loss."""
    device = next(model.parameters()).device
    pictures, labels = (drawn.to(device) for drawn in draw(batch))
    loss = cross_entropy(model(pictures), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def _inside(x: Tensor, y: Tensor, size: Tensor) -> Tensor:
    """Return 1 where a point lies inside a shape and 0 elsewhere: shape by picture by row by column."""
    wide, high = x.abs().expand_as(x + y), y.abs().expand_as(x + y)
    circle = x**2 + y**2 < size**2
    square = torch.maximum(wide, high) < size
    triangle = (high < size) & (2 * wide < y + size)
    cross = (torch.minimum(wide, high) < size / 3) & (torch.maximum(wide, high) < size)
    return torch.stack([circle, square, triangle, cross]).float()
