"""What is known of a group of devices by the word of its guard."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from scheduler.core.altered import altered
from scheduler.core.entitlement import charged_w, idle_w, nameplate_w, rest_w
from scheduler.core.ledger import Account, OpenOrder, reported, sent
from scheduler.core.orders import NO_FENCE, AttemptFacts, GroupSpec, GuardReport, NodePower
from scheduler.core.snapshot import Group, SitePolicy
from scheduler.links import Link


def unheard_of(spec: GroupSpec) -> Group:
    """A group of which nothing is known but what it is."""
    account = Account(group_id=spec.group_id, idle_w=idle_w(spec), nameplate_w=nameplate_w(spec))
    return Group(spec=spec, account=account)


def as_heard(group: Group, report: GuardReport, at: datetime, *, cordoned: bool) -> Group:
    """The group as its guard reports it."""
    spec = group.spec if report.spec == group.spec else report.spec
    account = group.account
    gpus = report.gpus
    if _draws_as_before(group, report, spec):
        gpus, rests_w, charged = group.gpus, account.idle_w, account.charged_w
    else:
        rests_w = rest_w(spec, report.power)
        is_off = report.power is NodePower.STANDBY  # its GPUs cannot be read, and need not be
        charged = rests_w if is_off else charged_w(spec, report.gpus, report.miners)
    if rests_w != account.idle_w or spec is not group.spec:
        account = altered(account, idle_w=rests_w, nameplate_w=nameplate_w(spec))
    if report.accepted != NO_FENCE and all(o.fence != report.accepted for o in account.open):
        account = sent(account, _as_accepted(report, at))
    return altered(
        group,
        spec=spec,
        account=reported(account, fence=report.accepted, charged_w=charged, at=at),
        reported_at=at,
        reported_boottime_s=report.boottime_s,
        draw_w=report.draw_w,
        guessed_w=report.guessed_w,
        unguarded=False,
        gpus=gpus,
        miners=report.miners,
        facts=report.attempts,
        facts_at=_since(group, report, at),
        in_fallback=report.in_fallback,
        storage=report.storage,
        stop=report.stop,
        power=report.power,
        cordoned=cordoned,
    )


def recalled(group: Group | None, link: Link | None, report: GuardReport) -> Group:
    """The group as far as what was known of it still holds when this report comes.

    A guard whose machine came up anew forgot what it was ordered: nothing counts as told, so that it is told again.
    What went out stays in the books.
    """
    if group is None:
        return unheard_of(report.spec)
    if link is None or link.boot_id == report.boot_id:
        return group
    return altered(group, ordered=None, ordered_at=None)


def without_guard(group: Group, agreed: GroupSpec) -> Group:
    """The group while no guard is known to hold its machines: all that they can draw counts in its base.

    `agreed` is what the site file says of it. Nothing is left to give them, and no order to them allows more.
    """
    if group.unguarded:
        return group
    most_w = max(nameplate_w(agreed), nameplate_w(group.spec))
    return altered(
        group,
        spec=replace(agreed, base_w=most_w, miners_max_w=0.0),
        account=altered(group.account, idle_w=most_w, nameplate_w=most_w),
        miners=(),
        miners_target_w=0.0,
        unguarded=True,
    )


def fallen_silent(group: Group, agreed: GroupSpec) -> Group:
    """The same once its guard was silent for a lease: its orders have expired, and nobody knows what is drawn."""
    lone = without_guard(group, agreed)
    most_w = lone.spec.base_w
    if not lone.account.open and lone.guessed_w == most_w:
        return lone
    return altered(lone, account=altered(lone.account, open=()), draw_w=most_w, guessed_w=most_w)


def as_heeding(group: Group, before: Group, at: datetime, site: SitePolicy) -> Group:
    """The group, heard at `at`, with whether it takes orders: its lease is over, and it did not agree to the newest.

    Who was not heard of for a while, as when Ray was away, could not be told anything: that begins anew.
    """
    since_at = None
    if group.in_fallback and group.account.acked < group.account.sent:
        since_at = (before.unheeding_since_at if before.is_heard(at, site) else None) or at
    is_deaf = since_at is not None and (at - since_at).total_seconds() >= site.lease_s
    if (since_at, is_deaf) == (group.unheeding_since_at, group.is_deaf):
        return group
    return altered(group, unheeding_since_at=since_at, is_deaf=is_deaf)


def deafness(group: Group, undelivered: str | None) -> tuple[str, ...]:
    """What to say of it if it takes no orders; `undelivered` is what became of the last one, None = nobody knows."""
    if not group.is_deaf:
        return ()
    why = undelivered or "its guard does not say why"
    return (f"{group.spec.group_id} takes no orders and gets no work: {why}",)


def _draws_as_before(group: Group, report: GuardReport, spec: GroupSpec) -> bool:
    """Whether the books stand as they are: it was heard of before, and tells the same of all that they go by."""
    if group.reported_at is None or spec is not group.spec or report.power is not group.power:
        return False
    return report.gpus == group.gpus and report.miners == group.miners


def _since(group: Group, report: GuardReport, at: datetime) -> tuple[datetime, ...]:
    """Since when each of its attempts does what it does, however far it has come."""
    told, known, since = report.attempts, group.facts, group.facts_at
    if len(told) == len(known) == len(since) and all(map(AttemptFacts.does_as, told, known)):
        return since
    since_at = {(f.attempt_id, f.observed): then for f, then in zip(known, since, strict=False)}
    return tuple([since_at.get((f.attempt_id, f.observed), at) for f in told])


def _as_accepted(report: GuardReport, at: datetime) -> OpenOrder:
    """The order a guard says it follows, for a leader whose store does not know it."""
    return OpenOrder(
        fence=report.accepted,
        entitlement_w=report.entitlement_w,
        fallback=report.fallback,
        expires_at=at + timedelta(seconds=max(0.0, report.expires_boottime_s - report.boottime_s)),
    )
