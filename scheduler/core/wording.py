"""Sentences about jobs that are paused, for the people who own them."""

from __future__ import annotations

from datetime import timedelta

from scheduler.core.envelope import Limit
from scheduler.core.grace import out_at
from scheduler.core.jobs import Attempt, PauseCause
from scheduler.core.plan import Plan
from scheduler.core.reasons import Code, Reason
from scheduler.core.roster import Kind
from scheduler.core.save_turns import Turn
from scheduler.core.snapshot import Snapshot
from scheduler.core.zoning import held_down_by


def paused_reason(
    plan: Plan, attempt: Attempt, limit: Limit, lacking: Reason | None, turn: Turn | None = None
) -> Reason:
    """Why a suspended attempt is suspended, for how long, and what it lacks to go on."""
    until_at = attempt.since_at + timedelta(seconds=plan.site.suspend_max_s)
    keeps = f"it keeps its GPUs until {until_at:%H:%M:%S}, then it is told to save and release them"
    most = plan.site.saves_at_once or 0
    if turn is not None:
        until_at = turn.expected_at
        keeps = (
            f"it keeps its GPUs until it is its turn to save, at about {until_at:%H:%M:%S}: it is number {turn.place} "
            f"of {turn.waiting} that wait, {turn.saving} save, no more than {most} at a time"
        )
    return Reason(
        code=attempt.pause_cause or PauseCause.POWER_WITHDRAWN,
        text=(
            f"suspended since {attempt.since_at:%H:%M:%S} UTC at step {attempt.last_step or 0}: {limit.source} allows "
            f"{limit.limit_w / 1000:.1f} kW ({limit.provenance or 'no document named'}); {keeps}"
            f"{'; it ' + lacking.text if lacking else ''}"
        ),
        numbers={
            "limit_w": limit.limit_w,
            "step": float(attempt.last_step or 0),
            **({} if turn is None else _of_turn(turn, most)),
            **(lacking.numbers if lacking else {}),
        },
        expected_at=until_at,
        remedy="a higher limit"
        if turn is None
        else "a higher limit, or a larger saves_at_once in the site file",
    )


def leaving_reason(plan: Plan, attempt: Attempt) -> Reason:
    """Until when an attempt that was told to save and release its GPUs may take for it."""
    until_at = out_at(plan, attempt)
    return Reason(
        code=attempt.pause_cause or PauseCause.OPERATOR,
        text=(
            f"told at {attempt.since_at:%H:%M:%S} UTC to save and release its GPUs; it is ended at about "
            f"{until_at:%H:%M:%S} if it has not by then"
        ),
        expected_at=until_at,
    )


def _of_turn(turn: Turn, most: int) -> dict[str, float]:
    return {
        "place": turn.place,
        "waiting_to_save": turn.waiting,
        "saving": turn.saving,
        "saves_at_once": most,
    }


def preparing_reasons(plan: Plan, snapshot: Snapshot) -> dict[str, Reason]:
    """What is made ready for jobs that are placed and have not begun, in the words of a node that does it."""
    starting = [plan.attempts[attempt_id] for attempt_id in sorted(plan.starting)]
    nodes = {p.node_id for a in starting for p in a.placements}
    doing = {
        facts.attempt_id: (node_id, facts.doing)
        for node_id, group in snapshot.groups.items()
        if node_id in nodes
        for facts in group.facts
        if facts.doing
    }
    return {
        attempt.job_id: Reason(code=Code.PREPARING, text="preparing on {}: {}".format(*doing[attempt.id]))
        for attempt in starting
        if attempt.id in doing
    }


def capped_reason(plan: Plan, attempt: Attempt, kind: Kind, limit: Limit) -> Reason | None:
    """Why a running attempt has a cap and whether that slows it, None if it is not capped."""
    model, top_w = kind.model, kind.top_w
    if not attempt.gpu_count or attempt.cap_w >= model.tdp_w:
        return None
    if attempt.cap_w >= top_w:
        return _trimmed(attempt, kind)
    speed = model.speed(attempt.cap_w) / model.speed(top_w)
    zone = held_down_by(plan, attempt)
    source, limit_w = (limit.source, limit.limit_w) if zone is None else (zone.name, zone.limit_w)
    return Reason(
        code=Code.CAPPED,
        text=(
            f"runs at {attempt.cap_w:.0f} of {top_w:.0f} W per GPU, about {speed:.0%} of "
            f"full speed: {source} allows {limit_w / 1000:.1f} kW"
        ),
        numbers={
            "cap_w": attempt.cap_w,
            "tdp_w": model.tdp_w,
            "speed": speed,
            "limit_w": limit_w,
        },
        remedy="a higher limit; power.cap_ok: false in the job file prefers a pause to a cap",
    )


def _trimmed(attempt: Attempt, kind: Kind) -> Reason:
    return Reason(
        code=Code.CAPPED,
        text=(
            f"capped at {attempt.cap_w:.0f} of {kind.model.tdp_w:.0f} W per GPU, well above what it draws: "
            "others get the rest"
        ),
        numbers={"cap_w": attempt.cap_w, "tdp_w": kind.model.tdp_w},
        remedy="none is needed: the cap rises once it draws nearly that much",
    )
