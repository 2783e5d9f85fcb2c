"""What is to be expected of the limit, as people see it: row by row, from whom it is, how good it has been."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from scheduler.core.envelope import OPERATOR, Envelope
from scheduler.core.estop import SOURCE as STOPPED
from scheduler.core.foresight import planned
from scheduler.core.hindsight import HISTORY, filled
from scheduler.core.snapshot import Snapshot
from scheduler.hindsight import GOOD_FOR, as_foreseen
from scheduler.predictions import AHEAD, QUARTER, SHARES, Method, Score, Told, before

PUBLISHED: Final = "published"
FORESEEN: Final = "foreseen"
PEOPLE: Final = frozenset({OPERATOR, STOPPED})
"""Whose limits are no part of what the grid gives."""
_NOTHING_TOLD: Final = "the scheduler has made no forecast from history yet"


def forecast_document(snapshot: Snapshot, told: Told | None, *, step: timedelta) -> dict[str, Any]:
    """What `/forecast` shows: 48 hours in steps from now, what is known of forecasts from history, and their score."""
    score = told.score if told else None
    made = told.made if told else None
    return {
        "at": snapshot.at.isoformat(),
        "state": told.state if told else None,
        "why": told.why if told else _NOTHING_TOLD,
        "history_days": told.history_days if told else None,
        "made_at": made.made_at.isoformat() if made else None,
        "method": told.method if told else None,
        "is_used": told.is_used if told else False,
        "skill": score.skill if score else None,
        "against": score.best_persistence if score else None,
        "scores": [_score(score, method) for method in Method] if score else [],
        "rows": _rows(snapshot, _with_history(snapshot, told), step),
    }


def _with_history(snapshot: Snapshot, told: Told | None) -> Sequence[Envelope]:
    """What sources say, with the forecast from history where they do not, whether or not it is planned on."""
    bare = [replace(e, forecast=(), forecast_by="") if e.forecast_by else e for e in snapshot.envelopes]
    if told is None or told.made is None or told.method is None:
        return bare
    if snapshot.at - told.made.made_at >= GOOD_FOR:
        return bare
    sources = [e for e in bare if e.source not in PEOPLE]
    people = [e for e in bare if e.source in PEOPLE]
    return (*filled(sources, as_foreseen(told.made, told.method)), *people)


def _rows(snapshot: Snapshot, envelopes: Sequence[Envelope], step: timedelta) -> list[dict[str, Any]]:
    """A row counts until the next, and tells the lowest of its quarters: a drop is not hidden between two rows."""
    begins_at = before(snapshot.at) + step
    quarters = range(1, step // QUARTER)
    first = [snapshot.at, *(before(snapshot.at) + n * QUARTER for n in quarters)]
    times = [[begins_at + i * step + n * QUARTER for n in (0, *quarters)] for i in range(AHEAD // step)]
    return [_row(snapshot, envelopes, at) for at in (first, *times)]


def _row(snapshot: Snapshot, envelopes: Sequence[Envelope], times: Sequence[datetime]) -> dict[str, Any]:
    firm_w = snapshot.site.firm_w
    low, mid, high = (
        min(
            (planned(envelopes, at, share, now=snapshot.at, firm_w=firm_w) for at in times),
            key=lambda found: found[0].limit_w,
        )
        for share in SHARES
    )
    kind = PUBLISHED if mid[1] is None else HISTORY if mid[0].source == HISTORY else FORESEEN
    return {
        "at": times[0].isoformat(),
        "p10_w": low[0].limit_w,
        "p50_w": mid[0].limit_w,
        "p90_w": high[0].limit_w,
        "by": kind,
        "source": mid[0].source,
    }


def _score(score: Score, method: Method) -> dict[str, Any]:
    return {
        "method": method,
        "loss_w": score.loss_w(method),
        "by_lead": [
            {
                "until_h": t.until_h,
                "quarters": t.count,
                "pinball_w": list(t.pinball_w) if t.count else None,
                "covered": t.covered if t.count else None,
            }
            for t in score.tallies.get(method, ())
        ],
    }
