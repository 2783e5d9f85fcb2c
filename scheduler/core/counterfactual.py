"""What the site would draw without a fall of the limit, as it was planned right before: one text and its SHA-256.

The text is canonical JSON: keys sorted, no spaces, times in UTC. Its hash goes into the log of events, each of which is
chained to the one before, so that it can be shown later that the plan was there before the event and was not edited.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

from scheduler.core.envelope import Envelope, changes, lowest
from scheduler.core.jobs import Attempt, Phase

VERSION = 1
AHEAD_S = 60.0
"""So long before a fall that is known ahead its plan is made: before orders of the cut go out."""
_STEPS = 8
"""No more than so many steps of the limit are looked at: a schedule may have one each second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterfactual:
    """A plan, as it is stored."""

    made_at: datetime
    falls_at: datetime  #: when the limit falls, or fell
    text: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComingFall:
    """A fall of the limit that sources have announced."""

    at: datetime
    limit_w: float
    source: str


def coming_fall(envelopes: Sequence[Envelope], now: datetime, *, firm_w: float) -> ComingFall | None:
    """The next known fall of the limit within `AHEAD_S`, None if there is none."""
    before_w = lowest(envelopes, now, now=now, firm_w=firm_w).limit_w
    for at in changes(envelopes, after=now, until=now + timedelta(seconds=AHEAD_S))[:_STEPS]:
        then = lowest(envelopes, at, now=now, firm_w=firm_w)
        if then.limit_w < before_w:
            return ComingFall(at=at, limit_w=then.limit_w, source=then.source)
        before_w = then.limit_w
    return None


def counterfactual(
    *,
    made_at: datetime,
    fall: ComingFall,
    planned_at: datetime,
    watts: Mapping[str, float],
    attempts: Iterable[Attempt],
) -> Counterfactual:
    """The plan that held at `planned_at`: `watts` of each class at the site meter, and what ran with which cap."""
    document = {
        "version": VERSION,
        "planned_at": _instant(planned_at),
        "fall": {"at": _instant(fall.at), "limit_w": fall.limit_w, "source": fall.source},
        "watts": {name: each_w if isfinite(each_w) else None for name, each_w in watts.items()},
        "running": [_running(a) for a in sorted(attempts, key=lambda a: a.id) if a.phase is Phase.RUN],
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Counterfactual(
        made_at=made_at, falls_at=fall.at, text=text, sha256=hashlib.sha256(text.encode()).hexdigest()
    )


def _running(attempt: Attempt) -> dict[str, Any]:
    return {
        "attempt_id": attempt.id,
        "gpus": sum(len(p.gpu_ids) for p in attempt.placements),
        "cap_w": attempt.cap_w,
    }


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
