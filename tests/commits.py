"""Commits made for tests."""

from __future__ import annotations

from pathlib import Path

from barq.checkpoint import Commit, begin

SHARDS = {"rank-0.state": bytes(range(256)) * 9, "rank-1.state": b"two", "empty": b""}


def commit(directory: Path, step: int, attempt: str = "a1", shards: dict[str, bytes] | None = None) -> Commit:
    """Commit `shards` as `step`."""
    with begin(directory, step, attempt) as staged:
        for name, content in (SHARDS if shards is None else shards).items():
            (staged.path / name).write_bytes(content)
        return staged.commit(world=2, job="j1", attempt=attempt)


def names(directory: Path) -> list[str]:
    """What lies in `directory`."""
    return sorted(path.name for path in directory.iterdir())
