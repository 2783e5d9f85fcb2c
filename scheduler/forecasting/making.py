"""One forecast: from the history, how good the ones before it were, and which method is planned on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from scheduler.forecasting.methods import LEARNED_DAYS, predict
from scheduler.forecasting.scoring import SCORED, score
from scheduler.forecasting.timeline import Timeline, timeline
from scheduler.ports import Forecasts
from scheduler.predictions import (
    LEAST_HISTORY,
    QUARTER,
    Method,
    Quarter,
    Score,
    State,
    Told,
    before,
    too_short,
)

LOOKED_BACK: Final = timedelta(days=LEARNED_DAYS + 8)
"""What is learned from, and a week before it to look back at."""
SCORED_LEAST: Final = 1200
"""Quarters of an hour, of all lead times, that have to have come before forecasts are set aside for their score: those
of a day's forecasts, one an hour."""


def make(book: Forecasts, given: Sequence[Quarter], *, at: datetime) -> Told:
    """The forecast that can be made at `at`. `given` is history from elsewhere; the site's own record comes first."""
    until = before(at)
    seen = book.history(since=at - LOOKED_BACK, until=until)
    quarters = joined(given, seen, until=until)
    days = len(quarters) * (QUARTER / timedelta(days=1))
    if days < LEAST_HISTORY / timedelta(days=1):
        return Told(at=at, state=State.TOO_SHORT, why=too_short(days), history_days=days)
    line = timeline(quarters, until=until)
    found = score(_seen_line(seen, line, until), book.kept(since=at - SCORED), since=at - SCORED)
    method, why = chosen(found)
    made = predict(line, made_at=at)
    return Told(at=at, state=State.MADE, why=why, history_days=days, made=made, method=method, score=found)


def joined(given: Iterable[Quarter], seen: Iterable[Quarter], *, until: datetime) -> tuple[Quarter, ...]:
    """Both histories before `until`, oldest first; where both know, what was seen here counts."""
    by_time = {q.at: q for q in given} | {q.at: q for q in seen}
    return tuple(by_time[at] for at in sorted(by_time) if at < until)


def chosen(found: Score) -> tuple[Method, str]:
    """Which method is planned on, and why: what was learned, until it did worse than persistence."""
    skill, best = found.skill, found.best_persistence
    count = sum(t.count for t in found.tallies.get(Method.LEARNED, ()))
    if skill is None or best is None or count < SCORED_LEAST:
        return Method.LEARNED, "learned from history; too little of it came yet to judge it"
    days = f"over the last {SCORED.days} days"
    if skill < 0:
        return best, f"set aside: {days} what was learned did {-skill:.0%} worse than persistence ({best})"
    return Method.LEARNED, f"learned from history: {days} {skill:.0%} better than persistence ({best})"


def _seen_line(seen: Sequence[Quarter], line: Timeline, until: datetime) -> Timeline:
    """Forecasts are judged by what was seen here."""
    return timeline(seen, until=until) if seen else line
