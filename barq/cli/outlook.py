"""A job's place in the queue and the range for its start, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barq.cli.facts import ago, moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from barq.views import ExpectedStartView


def outlook_lines(told: Mapping[str, Any]) -> Iterator[str]:
    """What `why` and `plan` tell of a start, line by line; nothing of a job that does not wait."""
    if told.get("position") is not None:
        yield (
            f"Position {told['position']} of {told['waiting']} that wait, "
            f"{told['ahead_gpus']} GPUs are asked for ahead of it"
        )
    if start := told.get("expected_start"):
        yield f"Expected start: {_range(start)}"
        yield f"  as of a snapshot of {ago(start['snapshot_at'])}"


def _range(start: ExpectedStartView) -> str:
    earliest_at, latest_at = start["earliest_at"], start["latest_at"]
    if earliest_at is None:
        return start["assumption"]
    if latest_at is None:
        when = f"{moment(earliest_at)} or later"
    elif latest_at == earliest_at:
        when = moment(earliest_at)
    else:
        when = f"{moment(earliest_at)} to {moment(latest_at)}"
    return f"{when}, if {start['assumption']}"
