"""The example jobs compute on the GPU that they were given."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parents[2] / "configs" / "jobs" / "examples"
own_device = runpy.run_path(str(EXAMPLES / "device.py"))["own_device"]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a job finds it; what the example sets is taken back."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    monkeypatch.delenv("LOCAL_RANK", raising=False)


def test_without_a_gpu_it_is_the_processor() -> None:
    """As on a laptop."""
    assert own_device() == torch.device("cpu")


@pytest.mark.parametrize("local_rank, index", [(None, 0), ("1", 1), ("2", 0)])
def test_each_rank_has_a_gpu_of_its_own_as_far_as_there_are_any(
    monkeypatch: pytest.MonkeyPatch, local_rank: str | None, index: int
) -> None:
    """In turn, where there are more ranks than GPUs; and cuBLAS adds up in the same order each time."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    if local_rank is not None:
        monkeypatch.setenv("LOCAL_RANK", local_rank)

    assert own_device() == torch.device("cuda", index)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
