"""Where a job computes: on the GPU that it was given, or on the processor where there is none."""

from __future__ import annotations

import os

import torch


def own_device() -> torch.device:
    """Return this rank's GPU, or the processor; either adds up in the same order each time."""
    # cuBLAS does so with a workspace of its own alone, of which it must know before its first call.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
