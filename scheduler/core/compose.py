"""From a plan to what goes out: per group the whole desired state, and how long it may stand."""

from __future__ import annotations

from collections.abc import Iterator, Set as AbstractSet
from datetime import UTC, datetime, timedelta

from scheduler.core.altered import altering, making
from scheduler.core.contents import Attempts
from scheduler.core.envelope import changes, lowest
from scheduler.core.feeding import limits_ahead
from scheduler.core.grace import launch_of
from scheduler.core.jobs import Attempt, Phase, Placement
from scheduler.core.orders import AttemptOrder, Draft, Rank
from scheduler.core.plan import EPSILON_W, Plan
from scheduler.core.snapshot import Group, SitePolicy, Snapshot
from scheduler.core.zoning import is_above, overdrawn

_ALONE = Rank()
_drafted, _dated = making(Draft), altering(Draft, "expires_at")
_ordered_as = altering(AttemptOrder, "phase", "cap_w", "reason")
_SAVES = Phase.SAVE_EXIT  #: by a name of its own: a look into an enum takes as long as all the rest
_PORTS = range(20_000, 30_000)  #: rendezvous ports of gangs, below the kernel's ephemeral range
_NOTHING = timedelta(0)
_RETRY_S = 1.0  #: an order that was not acknowledged goes out again after this
_NEVER = datetime.max.replace(tzinfo=UTC)


def drafts(
    plan: Plan, snapshot: Snapshot, held: AbstractSet[str], end: datetime | None = None
) -> dict[str, Draft]:
    """The orders that are due: what is desired changed, the lease is to be renewed, or nobody acknowledged.

    Only groups that were heard of within a lease, and none of those that are `held` back (`withheld`). `end` is what
    `lease_end` says, where somebody asked already.
    """
    found = {}
    for gid, expires_at in _due(plan, snapshot, end or lease_end(plan, snapshot)):
        if gid not in held:
            found[gid] = _dated(_content(plan, snapshot, gid), expires_at)
    return found


def withheld(plan: Plan, limit_w: float) -> frozenset[str]:
    """The groups to which nothing may go out now, no renewal either: the books have no room for what it would raise."""
    return frozenset(gid for gid in _overdrawn(plan, limit_w) if plan.raises(gid))


def _overdrawn(plan: Plan, limit_w: float) -> AbstractSet[str]:
    """The groups behind a limit that open orders could break: that of the site, or of a domain below it."""
    return plan.groups.keys() if plan.exposed_w() > limit_w + EPSILON_W else overdrawn(plan)


def _due(plan: Plan, snapshot: Snapshot, end: datetime) -> Iterator[tuple[str, datetime]]:
    """Each group to which an order is due, and until when that may stand."""
    site, at = plan.site, snapshot.at
    news = _news(plan, snapshot)
    is_shortened = end < at + timedelta(seconds=site.lease_s)
    if is_shortened:
        plan.unsettled |= snapshot.groups.keys()
    plan.unsettled.update(plan.lapsing.due(at))
    for gid in sorted(plan.unsettled):
        group = snapshot.groups.get(gid)
        last = None if group is None else group.reported_at
        if group is None or last is None or (expires_at := lease_of(last, end, site)) <= at:
            continue
        if gid in news or is_stale(group, expires_at, site, at):
            yield gid, expires_at
        elif group.account.acked >= group.account.sent and not is_shortened:
            plan.unsettled.discard(gid)
            if group.ordered is not None and expires_at > group.ordered.expires_at:
                plan.lapsing.set(gid, group.ordered.expires_at - _soon(site))


def lease_of(reported_at: datetime, end: datetime, site: SitePolicy) -> datetime:
    """No lease outlives the last report by more than `lease_s`: orders may reach whom no report comes back from."""
    return min(end, reported_at + timedelta(seconds=site.lease_s))


def is_stale(group: Group, expires_at: datetime, site: SitePolicy, at: datetime) -> bool:
    """Whether the last order is to be sent again: to be prolonged or shortened, or because nobody acknowledged it."""
    last = group.ordered
    if last is None:
        return True
    longer, soon = expires_at - last.expires_at, _soon(site)
    if longer < _NOTHING or longer >= soon or (longer > _NOTHING and last.expires_at - at <= soon):
        return True  # one that is soon over is prolonged by however little
    account, sent_at = group.account, group.ordered_at
    return account.acked < account.sent and (sent_at is None or (at - sent_at).total_seconds() >= _RETRY_S)


def _soon(site: SitePolicy) -> timedelta:
    return timedelta(seconds=site.lease_s / 3)


def _news(plan: Plan, snapshot: Snapshot) -> set[str]:
    """The groups of which something else is desired than was last ordered."""
    contents, doublings = plan.contents, plan.tempo(snapshot).doublings
    to_compose = contents.to_compose(plan.groups.keys(), snapshot.stop, snapshot.released_stops, doublings)
    fed = {
        gid
        for gid, target_w in (*plan.miners_w.items(), *plan.fillers_w.items())
        if _is_fed_otherwise(contents.of(gid), target_w, snapshot.groups.get(gid))
    }
    for gid in to_compose.keys() | fed:
        if gid in snapshot.groups:
            members = to_compose.get(gid) or contents.members(gid)
            contents.compose(gid, _compose(plan, snapshot, gid, members), members)
    for gid in list(contents.unjudged):
        group = snapshot.groups.get(gid)
        if group is not None:
            is_news = _is_other(contents.of(gid), group.ordered)
            contents.judge(gid, is_news=is_news)
            if is_news:
                plan.unsettled.add(gid)
    return contents.news


def _is_fed_otherwise(known: Draft | None, target_w: float, group: Group | None) -> bool:
    """Whether what mines is to have another target, or people other wishes, than is known: all else is noted."""
    if known is None or known.miners_target_w != target_w:
        return True
    return group is not None and known.miner_wishes != group.miner_wishes


def _is_other(content: Draft | None, ordered: Draft | None) -> bool:
    """Whether what is desired is something else than was ordered, until whenever that was to stand."""
    if content is None or ordered is None:
        return content is not ordered
    return content.entitlement_w != ordered.entitlement_w or content != _dated(ordered, content.expires_at)


def _content(plan: Plan, snapshot: Snapshot, group_id: str) -> Draft:
    known = plan.contents.of(group_id)
    return known if known is not None else _compose(plan, snapshot, group_id, plan.contents.members(group_id))


def lease_end(plan: Plan, snapshot: Snapshot) -> datetime:
    """A lease after now, or earlier where a limit is known to fall below the plan before that.

    What falls within the lead was planned for already: an order that lapses before it would only cut less.
    """
    site = snapshot.site
    planned_w = plan.site_w()
    full, fall = snapshot.at + timedelta(seconds=site.lease_s), timedelta(seconds=site.fall_s)
    lead = timedelta(seconds=site.lead_s)
    for t in changes(snapshot.envelopes, after=snapshot.at + lead, until=full + fall):
        if lowest(snapshot.envelopes, t, now=snapshot.at, firm_w=site.firm_w).limit_w < planned_w:
            full = min(full, t - fall)
            break
    for t, limits in limits_ahead(snapshot, after=snapshot.at + lead, until=full + fall):
        if is_above(plan, limits):
            return min(full, t - fall)
    return full


def _compose(plan: Plan, snapshot: Snapshot, group_id: str, members: Attempts) -> Draft:
    group = snapshot.groups[group_id]
    held = group.stop
    content: Draft = _drafted(
        group_id,
        plan.group_w(group_id),
        plan.fallback_of(group_id),
        tuple(_orders(plan, snapshot, group_id, members)),
        plan.miners_w.get(group_id) or plan.fillers_w.get(group_id, 0.0),
        _NEVER,
        snapshot.stop,
        held.id if held is not None and held.id in snapshot.released_stops else "",
        plan.is_standby(group_id),
        group.miner_wishes,
    )
    return content


def _orders(plan: Plan, snapshot: Snapshot, group_id: str, members: Attempts) -> Iterator[AttemptOrder]:
    """What is ordered of each attempt on a group.

    Of one that was known there, what was ordered of it as that reads now, where nothing else of it may be another:
    a save changes how much time it is given.
    """
    ordered = plan.contents.ordered(group_id, members)
    for attempt, known in zip(members.values(), ordered, strict=True):
        was, order = known or (None, None)
        if order is None or was is None:
            yield _attempt_order(plan, attempt, group_id, snapshot)
        elif was is attempt:
            yield order
        elif (
            was.placements is attempt.placements
            and was.resume_from is attempt.resume_from
            and was.phase is not _SAVES
            and attempt.phase is not _SAVES
        ):
            yield _ordered_as(order, attempt.phase, attempt.cap_w, attempt.pause_cause or "")
        else:
            yield _attempt_order(plan, attempt, group_id, snapshot)


def _attempt_order(plan: Plan, attempt: Attempt, group_id: str, snapshot: Snapshot) -> AttemptOrder:
    job = plan.jobs[attempt.job_id]
    spec = job.spec
    index, placement = _member(attempt, group_id)
    return AttemptOrder(
        attempt_id=attempt.id,
        job_id=attempt.job_id,
        number=attempt.number,
        phase=attempt.phase,
        gpu_ids=placement.gpu_ids,
        cap_w=attempt.cap_w,
        tier=spec.flex,
        priority=spec.priority,
        reason=attempt.pause_cause or "",
        launch=launch_of(plan, attempt, spec.launch) if attempt.phase is Phase.SAVE_EXIT else spec.launch,
        resume_from=attempt.resume_from.path if attempt.resume_from else "",
        rank=_ALONE if len(attempt.placements) == 1 else _rank(plan, attempt, index),
        save_every_s=plan.tempo(snapshot).save_every_s(job),
    )


def _member(attempt: Attempt, group_id: str) -> tuple[int, Placement]:
    first = attempt.placements[0]
    if first.node_id == group_id:
        return 0, first
    return next((i, p) for i, p in enumerate(attempt.placements) if p.node_id == group_id)


def _rank(plan: Plan, attempt: Attempt, index: int) -> Rank:
    job, master = plan.jobs[attempt.job_id], plan.groups.get(attempt.placements[0].node_id)
    return Rank(
        node_rank=index,
        nodes=len(attempt.placements),
        master_addr=master.spec.address if master else "",
        master_port=_PORTS[(job.number * 13 + attempt.number) % len(_PORTS)],
    )
