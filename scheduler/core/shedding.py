"""Reductions: mining, then caps, then suspending, then save-and-exit, then standby. They need nobody's leave.

`shed` answers every second, before anything is recorded; `decide` takes the same step first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache

from scheduler.core.altered import altered
from scheduler.core.bare import late_w, rest_bare
from scheduler.core.caps import SURE_W, Caps, fitting_caps
from scheduler.core.dividing import without
from scheduler.core.estop import EmergencyStop, sentence
from scheduler.core.fillers import lowered_w
from scheduler.core.grace import hurry
from scheduler.core.jobs import Attempt, PauseCause, Phase
from scheduler.core.landing import on_machines
from scheduler.core.plan import EPSILON_W, Plan
from scheduler.core.reasons import Event
from scheduler.core.telling import told
from scheduler.core.victims import victims


def halt(plan: Plan, stop: EmergencyStop) -> bool:
    """Everything to its fallback, however much power there is: miners rest, flexible work is held, firm work goes on.

    Whether anything was lowered by it.
    """
    mined_w = plan.mined_w()
    plan.empty()
    plan.miners_w.update(dict.fromkeys(plan.miners_w, 0.0))
    held = plan.flexible()
    for attempt in held:
        plan.stop(attempt, Phase.SUSPEND, PauseCause.EMERGENCY_STOP)
        plan.events.append(told(plan.at, attempt, "job.suspended", f"suspended: {sentence(stop)}"))
    return bool(held) or mined_w > 0


def cut(plan: Plan, limit_w: float) -> bool:
    """Bring the plan under `limit_w`, gentlest means first. Whether AI work was cut.

    Nodes that go to standby, and may not be there in time, leave that much less for all others.
    Attempts that are already leaving still count as held: they are waited for, and firm work is touched only if the
    site would not fit even without them.
    """
    left_w = limit_w - late_w(plan)
    cut_fillers(plan, left_w)
    cut_miners(plan, left_w)
    if plan.site_w() <= left_w + EPSILON_W:  # what miners keep lands beside the limit by a rounding
        return False
    before: dict[str, float] = {}  #: caps of those that have another by now
    suspended = _suspend_surely(plan, left_w)
    _fit_caps(plan, left_w, before)
    suspended += _suspend(plan, left_w)
    suspended = _not_spared(plan, suspended, left_w, before)
    _fit_caps(plan, left_w, before)
    _save_and_exit(plan, left_w, limit_w)
    _sacrifice_firm(plan, left_w, limit_w)
    hurried = _hurry(plan, left_w, limit_w)
    rest_bare(plan, plan.settled_w() - limit_w, lambda _: plan.site.overhead)
    saving = {a.id for a in plan.roster.each_in(Phase.SAVE_EXIT)}
    held = [a for a in suspended if a.id not in saving]
    plan.events.extend(_each_suspended(plan.at, held, limit_w))
    return (
        bool(suspended) or hurried or any(_is_slower(plan.attempts[k], cap_w) for k, cap_w in before.items())
    )


def _each_suspended(at: datetime, held: Iterable[Attempt], limit_w: float) -> Iterator[Event]:
    why, numbers = _fallen(limit_w, "suspended"), {"limit_w": limit_w}
    return (told(at, a, "job.suspended", why, numbers) for a in held)


def _is_slower(attempt: Attempt, before_w: float) -> bool:
    return attempt.phase is Phase.RUN and attempt.cap_w < before_w


def cut_fillers(plan: Plan, limit_w: float) -> None:
    """Lower what fills idle GPUs, before all else, until the plan fits or none of it runs."""
    if not plan.fillers_w:
        return
    for gid, filler_w in sorted(plan.fillers_w.items(), reverse=True):
        over_w = plan.site_w() - limit_w
        if over_w <= 0:
            return
        plan.fill(gid, lowered_w(plan.groups[gid].spec, filler_w, over_w / plan.site.overhead))


def cut_miners(plan: Plan, limit_w: float) -> None:
    """Lower the miners until the plan fits or they rest: all by the same share, or as the partners' contracts say.

    Where machines run whole, to what those left running draw.
    """
    over_w = plan.site_w() - limit_w
    target_w = sum(plan.miners_w.values())
    if over_w <= 0 or target_w <= 0:
        return
    left = max(0.0, target_w - over_w) / target_w
    lowered = (
        without(plan, over_w) if plan.site.partners else {gid: w * left for gid, w in plan.miners_w.items()}
    )
    landed = on_machines(plan, lowered, limit_w - plan.nodes_w(), by_tier=True).targets_w
    plan.miners_w.update({gid: min(w, plan.miners_w[gid]) for gid, w in landed.items()})


def _fit_caps(plan: Plan, limit_w: float, before: dict[str, float]) -> None:
    """The highest caps that fit, never above what they were `before` any was changed."""
    caps = fitting_caps(plan, limit_w)
    for attempt, target_w in plan.roster.other_than(caps):
        cap_w = min(before.get(attempt.id, attempt.cap_w), target_w)
        if cap_w != attempt.cap_w:
            before.setdefault(attempt.id, attempt.cap_w)
            plan.change(attempt, cap_w=cap_w)


def _suspend_surely(plan: Plan, limit_w: float) -> list[Attempt]:
    """Suspend the victims that have to go even with all caps at their floors, each capped and held in one step.

    A shortcut for a deep cut: those that `_suspend` would come to first, and no others.
    """
    caps = fitting_caps(plan, limit_w)
    over_w = plan.site_w() - limit_w - _freed_by_caps_w(plan, caps) - SURE_W
    if over_w <= 0 or not plan.is_plain():
        return []
    if _takes_all(plan, caps, over_w):
        return _suspend_all(plan, caps)
    sure = []
    for attempt, price in victims(plan, plan.flexible(), caps):
        over_w -= price.frees_w
        if over_w <= 0:
            break
        sure.append(attempt)
    plan.change_all(sure, Phase.SUSPEND, PauseCause.POWER_WITHDRAWN, caps)
    return sure


def _takes_all(plan: Plan, caps: Caps, over_w: float) -> bool:
    """Whether not even one GPU of flexible work may go on: then there is nobody to choose."""
    freed_w = [
        (plan.site.overhead * (kind.model.charge_w(min(cap_w, caps[kind])) - kind.model.held_w()), gpus)
        for kind, counts in plan.roster.gpus().items()
        for cap_w, gpus in counts.items()
        if kind.tier > 0
    ]
    least_w = min((each_w for each_w, _ in freed_w), default=0.0)
    return over_w - sum(each_w * gpus for each_w, gpus in freed_w) + least_w > 0


def _suspend_all(plan: Plan, caps: Caps) -> list[Attempt]:
    """Suspend all flexible work. By id, but as victims where one may go on because its node counts as much anyway."""
    going = plan.flexible()
    plan.change_all(going, Phase.SUSPEND, PauseCause.POWER_WITHDRAWN, caps)
    return going if plan.slack_w() <= 0 else [attempt for attempt, _ in victims(plan, going)]


def _freed_by_caps_w(plan: Plan, caps: Caps) -> float:
    """Site watts that go at most once all that runs is capped so."""
    return plan.site.overhead * sum(
        gpus * (kind.model.charge_w(cap_w) - kind.model.charge_w(min(cap_w, caps[kind])))
        for kind, counts in plan.roster.gpus().items()
        for cap_w, gpus in counts.items()
    )


def _suspend(plan: Plan, limit_w: float) -> list[Attempt]:
    """Suspend the cheapest victims until it fits."""
    suspended: list[Attempt] = []
    if plan.site_w() <= limit_w:
        return suspended
    for attempt, _ in victims(plan, plan.flexible()):
        if plan.site_w() <= limit_w:
            break
        suspended.append(attempt)
        plan.stop(attempt, Phase.SUSPEND, PauseCause.POWER_WITHDRAWN)
    return suspended


def _not_spared(
    plan: Plan, suspended: list[Attempt], limit_w: float, before: dict[str, float]
) -> list[Attempt]:
    """Let those go on that were not needed after all: the others, in order."""
    left_w = limit_w - plan.site_w() + SURE_W
    if _are_all_needed(plan, suspended, left_w):
        return suspended
    needed = _needed(plan, suspended, left_w)
    spared = {a.id for a in suspended[:-1] if a.id not in needed and _spared(plan, a, limit_w)}
    before |= {a.id: before.get(a.id, a.cap_w) for a in suspended if a.id in spared}
    return [a for a in suspended if a.id not in spared]


def _are_all_needed(plan: Plan, suspended: list[Attempt], left_w: float) -> bool:
    """Whether each takes more than is left, as all that are held in one way are judged together."""
    if not suspended or not plan.is_plain():
        return not suspended
    most_w = plan.slack_w()
    if most_w > 0:
        most_w *= max(len(a.placements) for a in suspended)
    return all(plan.resumed_w(way) - most_w > left_w for way in plan.roster.ways(Phase.SUSPEND))


def _needed(plan: Plan, suspended: list[Attempt], left_w: float) -> set[str]:
    """Ids of those whose GPUs alone would take more than is left, told without a look at their nodes."""
    if not suspended or not plan.is_plain():
        return set()
    slack_w, least_w, where_of = plan.slack_w(), cache(plan.resumed_w), plan.roster.where
    return {
        a.id
        for a in suspended
        if (where := where_of(a.id)) and least_w(where) - slack_w * len(a.placements) > left_w
    }


def _spared(plan: Plan, attempt: Attempt, limit_w: float) -> bool:
    """Whether it fits with this victim running after all; if so it goes on."""
    held = plan.attempts[attempt.id]
    if plan.nodes_w_with(held) + sum(plan.miners_w.values()) > limit_w:
        return False
    plan.put(altered(attempt, cap_w=held.cap_w))
    return True


def _save_and_exit(plan: Plan, left_w: float, limit_w: float) -> None:
    """Holding is not enough: release GPUs of held attempts, cheapest first, as many as it takes."""
    if plan.settled_w() <= left_w:
        return
    for attempt, _ in victims(plan, plan.in_phase(Phase.SUSPEND)):
        if plan.settled_w() <= left_w:
            return
        release(plan, attempt, PauseCause.POWER_WITHDRAWN, limit_w)


def _sacrifice_firm(plan: Plan, left_w: float, limit_w: float) -> None:
    """The limit is below what firm work needs: the grid comes first, firm work goes too."""
    if plan.settled_w() <= left_w:
        return
    for attempt, _ in victims(plan, plan.running()):
        if plan.settled_w() <= left_w:
            return
        release(plan, attempt, PauseCause.POWER_WITHDRAWN, limit_w)


def _hurry(plan: Plan, left_w: float, limit_w: float) -> bool:
    """Who is leaving in any case must not stay longer than the limit allows. Whether anybody has to hurry."""

    def holds_w(attempt: Attempt) -> float:
        return plan.freed_w(attempt, plan.model(attempt).idle_w)

    leaving = plan.roster.each_in(Phase.SAVE_EXIT)
    return hurry(plan, leaving, left_w - plan.settled_w(), holds_w, limit_w)


def release(plan: Plan, attempt: Attempt, cause: PauseCause, limit_w: float) -> None:
    """Order an attempt to save, exit and release its GPUs."""
    plan.stop(attempt, Phase.SAVE_EXIT, cause)
    what = "told to save and release its GPUs"
    stopped = cause is PauseCause.EMERGENCY_STOP
    plan.events.append(
        told(plan.at, attempt, "job.preempting", f"{what}: emergency stop")
        if stopped
        else told(plan.at, attempt, "job.preempting", _fallen(limit_w, what), {"limit_w": limit_w})
    )


def _fallen(limit_w: float, what: str) -> str:
    return f"{what}: usable power fell to {limit_w / 1000:.1f} kW"
