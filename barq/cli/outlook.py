"""A job's place in the queue and the range for its start, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barq.cli.facts import ago, is_past, moment
from barq.units import format_power

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from barq.views import ExpectedStartView


def outlook_lines(told: Mapping[str, Any]) -> Iterator[str]:
    """What `why` and `plan` tell of a start and a deadline, line by line; nothing where there is none."""
    if told.get("position") is not None:
        yield (
            f"Position {told['position']} of {told['waiting']} that wait, "
            f"{told['ahead_gpus']} GPUs are asked for ahead of it"
        )
    if overtaken_until := told.get("overtaken_until"):
        yield f"Jobs that have had little so far go before it, later ones too, until {moment(overtaken_until)}"
    if start := told.get("expected_start"):
        yield f"Expected start: {_range(start)}"
        if start["earliest_at"] is not None:
            yield f"  if {start['assumption']}"
        yield f"  as of a snapshot of {ago(start['snapshot_at'])}"
    if judged_on := told.get("judged_on"):
        yield f"Forecast: {judged_on}"
    if deadline := told.get("deadline"):
        yield f"Deadline: {deadline['text']}"


def _range(start: ExpectedStartView) -> str:
    earliest_at, latest_at = start["earliest_at"], start["latest_at"]
    if earliest_at is None:
        return start["assumption"]
    if latest_at is None:
        return f"{_coming(earliest_at)} or later"
    return " to ".join(dict.fromkeys((_coming(earliest_at), _coming(latest_at))))


def _coming(at: str) -> str:
    """Nothing is expected to have begun that has not: a snapshot may be some seconds old."""
    return "now" if is_past(at) else moment(at)


def change_line(told: Mapping[str, Any]) -> str | None:
    """What would change a reason: its remedy, else what is missing for it, in numbers; None if neither is known."""
    reason, lacks = told["reason"], told.get("lacks")
    if reason is not None and reason.get("remedy"):
        return f"What would change it: {reason['remedy']}"
    missing = []
    if lacks and lacks["gpus"]:
        missing.append(f"{lacks['gpus']} more free GPU{'s' if lacks['gpus'] > 1 else ''}")
    if lacks and lacks["power_w"]:
        missing.append(f"{format_power(lacks['power_w'])} more")
    if not missing:
        return None
    forward = "; a higher priority brings it forward" if (told.get("position") or 0) > 1 else ""
    return f"What would change it: {', '.join(missing)}{forward}"
