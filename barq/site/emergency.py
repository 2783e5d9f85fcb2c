"""The emergency stop told to the guards of this machine, all at once, past everything that may be dead."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from barq.site.guard_line import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

GUARD_TIMEOUT_S: Final = 3.0  #: for a guard to answer: it writes to its disk first
FALL_TIMEOUT_S: Final = 5.0  #: for its devices to follow
_LOOK_EVERY_S: Final = 0.2
_MOST_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardState:
    """What one guard says, or why it says nothing. Watts of its group."""

    group_id: str
    stop_id: str | None = None  #: of the emergency stop that it holds to
    draw_w: float | None = None
    fallback_w: float | None = None  #: what it may draw at most now; None = it never had an order, and rests
    error: str = ""

    @property
    def has_fallen(self) -> bool:
        """Whether it draws no more than its fallback."""
        return self.draw_w is not None and (self.fallback_w is None or self.draw_w <= self.fallback_w)


def group_dirs(state: Path) -> list[Path]:
    """The directories of the guards of the site in `state`."""
    return sorted(path.parent for path in (state / "groups").glob("*/group.json"))


def engage(groups: Sequence[Path], stop: Mapping[str, str]) -> list[GuardState]:
    """Latch `stop` in every guard, in parallel; then give devices a moment to follow."""
    told = _each(groups, lambda group: _state(group, {"op": "estop", "stop": dict(stop)}))
    failed = {state.group_id: state for state in told if state.error}
    deadline_s = time.monotonic() + FALL_TIMEOUT_S
    latched = [group for group in groups if group.name not in failed]
    seen = look(latched)
    while not all(state.has_fallen or state.error for state in seen) and time.monotonic() < deadline_s:
        time.sleep(_LOOK_EVERY_S)
        seen = look(latched)
    found = failed | {state.group_id: state for state in seen}
    return [found[group.name] for group in groups]


def look(groups: Sequence[Path]) -> list[GuardState]:
    """What every guard says now, asked in parallel."""
    return _each(groups, lambda group: _state(group, {"op": "report"}))


def _each(groups: Sequence[Path], question: Callable[[Path], GuardState]) -> list[GuardState]:
    with ThreadPoolExecutor(max_workers=max(1, min(_MOST_AT_ONCE, len(groups)))) as pool:
        return list(pool.map(question, groups))


def _state(group: Path, request: Mapping[str, object]) -> GuardState:
    try:
        answer = ask(group, request, timeout_s=GUARD_TIMEOUT_S)
    except OSError as error:
        return GuardState(group_id=group.name, error=f"its guard cannot be asked: {error}")
    report = answer.get("report")
    if not isinstance(report, dict):
        return GuardState(group_id=group.name, error=f"its guard says: {answer.get('error', answer)}")
    return _as_reported(group.name, report)


def _as_reported(group_id: str, report: Mapping[str, Any]) -> GuardState:
    stop, fallback = report.get("stop"), report.get("fallback") or []
    return GuardState(
        group_id=group_id,
        stop_id=stop["id"] if stop else None,
        draw_w=report["draw_w"],
        fallback_w=fallback[0]["limit_w"] if fallback else None,
    )
