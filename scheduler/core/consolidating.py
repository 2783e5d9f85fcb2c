"""What goes on through a withdrawal that lasts, and what gives its GPUs back, so that its nodes can be put to standby.

Holding everything costs its nodes' whole base for nothing. What is kept is chosen whole node by whole node, the most
GPUs at work for the watts first, and of these what is likely to last: what is over soon makes up for it later.

Where no more than so many may save at once, they go in the order that frees the most watts for the time that the saves
take (Smith's rule, Naval Research Logistics Quarterly 3, 1956): a node that is cleared goes to standby, so that nodes
are cleared one after the other, those with the fewest saves to wait for first, rather than all of them half.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scheduler.core.attained import lasts
from scheduler.core.deadlines import is_urgent
from scheduler.core.floors import above_floor_w
from scheduler.core.jobs import Attempt, PauseCause, Phase
from scheduler.core.lean import lean_cap_w
from scheduler.core.plan import Plan
from scheduler.core.presence import LEAVING
from scheduler.core.save_turns import in_turn
from scheduler.core.shedding import release
from scheduler.core.victims import UNMEASURED_SAVE_S


def consolidate(plan: Plan, limit_w: float, long_s: float) -> None:
    """Once something has been suspended for power for `long_s`: release all that `limit_w` will not carry.

    Where no node can be put to standby, only what has been suspended for so long: the rest of a node costs its base
    in any case.
    """
    held = [a for a in plan.in_phase(Phase.SUSPEND) if a.pause_cause is PauseCause.POWER_WITHDRAWN]
    long_held = [a for a in held if (plan.at - a.since_at).total_seconds() >= long_s]
    if not long_held:
        return
    if not any(g.spec.standby for g in plan.groups.values()):
        for attempt in _in_turn(plan, long_held):
            release(plan, attempt, PauseCause.POWER_WITHDRAWN, limit_w)
        return
    here = [*held, *plan.running()]
    kept = _kept(plan, here, limit_w)
    gone = [a for a in here if a.id not in kept and (plan.tier(a) > 0 or a.phase is Phase.SUSPEND)]
    plan.given_up, plan.promised = {a.id for a in gone}, {a.id for a in held if a.id in kept}
    plan.is_clearing = bool(gone) or _leaves(plan)
    for attempt in _in_turn(plan, gone):
        release(plan, attempt, PauseCause.POWER_FORECAST, limit_w)


def _leaves(plan: Plan) -> bool:
    """Whether somebody who was given up is on the way out, or has left in this round: a node may be going down yet."""
    leaving = (*plan.in_phase(Phase.SAVE_EXIT), *plan.ended.values())
    return any(a.pause_cause is PauseCause.POWER_FORECAST for a in leaving)


def _in_turn(plan: Plan, gone: list[Attempt]) -> list[Attempt]:
    """Those of them that save now: all, unless they take turns."""
    return gone if plan.site.saves_at_once is None else in_turn(plan, _most_freed_first(plan, gone))


def _most_freed_first(plan: Plan, gone: list[Attempt]) -> list[Attempt]:
    """Node by node, gang by gang: the most site watts for each second of saving first."""
    ids = {a.id for a in gone}
    units = sorted(_units(plan, gone), key=lambda u: (-_frees_w_per_s(plan, u, ids), u.attempts[0].id))
    each = (a for u in units for a in sorted(u.attempts, key=lambda a: -_freed_w(plan, a) / _save_s(plan, a)))
    return list({a.id: a for a in each}.values())


def _frees_w_per_s(plan: Plan, unit: _Unit, gone: set[str]) -> float:
    """Site watts that go once all of a unit have left, for each second that one save after the other takes."""
    cleared = [n for n in unit.nodes if all(a.id in gone or a.phase in LEAVING for a in plan.on(n))]
    bases_w = plan.site.overhead * sum(plan.awake_w(n) for n in sorted(cleared))
    freed_w = bases_w + sum(_freed_w(plan, a) for a in unit.attempts)
    return freed_w / sum(_save_s(plan, a) for a in unit.attempts)


def _freed_w(plan: Plan, attempt: Attempt) -> float:
    return plan.freed_w(attempt, plan.model(attempt).idle_w)


def _save_s(plan: Plan, attempt: Attempt) -> float:
    return plan.jobs[attempt.job_id].save_s or UNMEASURED_SAVE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """Attempts that stay or go together, because they keep the same nodes on."""

    attempts: tuple[Attempt, ...]
    nodes: frozenset[str]
    tier: int  #: of the firmest
    waits: bool  #: nobody's deadline among them is near
    worth: float
    cost_w: float


def _kept(plan: Plan, attempts: list[Attempt], limit_w: float) -> set[str]:
    """Ids of those that fit at their knees, while the nodes that nothing is kept on are in standby."""
    left_w = limit_w - _unworked_w(plan)
    units = sorted(
        _units(plan, attempts),
        key=lambda u: (u.tier, u.waits, -u.worth / max(u.cost_w, 1.0), u.attempts[0].id),
    )
    kept: set[str] = set()
    on: set[str] = set()
    for unit in units:
        news = [a for a in unit.attempts if a.id not in kept]
        cost_w = _cost_w(plan, news, unit.nodes - on)
        if news and cost_w <= left_w:
            left_w -= cost_w
            kept.update(a.id for a in news)
            on |= unit.nodes
    in_order = sorted(attempts, key=lambda a: (plan.tier(a), not _urgent(plan, a), a.created_at, a.id))
    for attempt in in_order:
        nodes = {p.node_id for p in attempt.placements}
        cost_w = _cost_w(plan, [attempt], nodes - on)
        if attempt.id not in kept and cost_w <= left_w:
            left_w -= cost_w
            kept.add(attempt.id)
            on |= nodes
    return kept | _lean_one(
        plan, [a for a in in_order if a.id not in kept], on, left_w - _lifts_w(plan, kept)
    )


def _lean_one(plan: Plan, attempts: list[Attempt], on: set[str], spare: float) -> set[str]:
    """The first of some that can go on below its knee, with watts that nobody who is kept has use for."""
    for attempt in attempts:
        model = plan.model(attempt)
        nodes = [p.node_id for p in attempt.placements if p.node_id not in on]
        nodes_w = plan.site.overhead * sum(plan.awake_w(n) for n in nodes)
        if lean_cap_w(plan, attempt, spare - nodes_w, from_w=model.idle_w) is not None:
            return {attempt.id}
    return set()


def _lifts_w(plan: Plan, ids: set[str]) -> float:
    """Site watts that these have use for above their knees."""
    wheres = filter(None, map(plan.roster.where, sorted(ids)))
    return plan.site.overhead * sum(
        w.gpus * above_floor_w(w.kind.model, w.kind.top_w, w.kind.knee_w) for w in wheres
    )


def _units(plan: Plan, attempts: list[Attempt]) -> Iterable[_Unit]:
    """Each gang with all that lives on its nodes alone, and each node with all that lives on it alone."""
    single: dict[str, list[Attempt]] = {}
    gangs = []
    for attempt in attempts:
        if len(attempt.placements) == 1:
            single.setdefault(attempt.placements[0].node_id, []).append(attempt)
        elif attempt.placements:
            gangs.append(attempt)
    for gang in gangs:
        nodes = frozenset(p.node_id for p in gang.placements)
        yield _unit(plan, [gang, *(a for n in sorted(nodes) for a in single.get(n, ()))], nodes)
    for node_id, members in single.items():
        yield _unit(plan, members, frozenset((node_id,)))


def _unit(plan: Plan, attempts: list[Attempt], nodes: frozenset[str]) -> _Unit:
    return _Unit(
        attempts=tuple(attempts),
        nodes=nodes,
        tier=min(plan.tier(a) for a in attempts),
        waits=not any(_urgent(plan, a) for a in attempts),
        worth=sum(_worth(plan, a) for a in attempts),
        cost_w=_cost_w(plan, attempts, nodes),
    )


def _urgent(plan: Plan, attempt: Attempt) -> bool:
    return is_urgent(plan.jobs[attempt.job_id], attempt, plan.at, plan.site)


def _worth(plan: Plan, attempt: Attempt) -> float:
    """Its GPUs, up to twice as much the likelier it is to last: `1 + s / (s + T)` each."""
    return attempt.gpu_count * (1.0 + lasts(plan.jobs[attempt.job_id], attempt, plan.at))


def _cost_w(plan: Plan, attempts: Iterable[Attempt], nodes: Iterable[str]) -> float:
    """Site watts to run these at their knees, and to keep these nodes on."""
    gpus_w = sum(
        a.gpu_count * (plan.model(a).charge_w(plan.knee_w(a)) - plan.model(a).idle_w) for a in attempts
    )
    return plan.site.overhead * (gpus_w + sum(plan.awake_w(n) for n in nodes))


def _unworked_w(plan: Plan) -> float:
    """What the plan counts for the nodes once nothing is on any, and all are in standby that can be, site watts."""
    nodes_w = sum(plan.bare_w(gid) for gid in plan.groups if plan.model_of(gid) is not None)
    others_w = plan.nodes_w() - plan.site.overhead * sum(
        plan.group_w(gid) for gid in plan.groups if plan.model_of(gid) is not None
    )
    return others_w + plan.site.overhead * nodes_w
