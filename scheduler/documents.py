"""The site as people see it: the JSON documents behind `barq power` and `barq nodes`, and the one-second sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from scheduler.core.decide import Decision
from scheduler.core.entitlement import entitlement_w, has_miners
from scheduler.core.envelope import Envelope, Limit, changes, is_stale, limit_of, lowest
from scheduler.core.estop import EmergencyStop, sentence as stop_sentence
from scheduler.core.faults import sentence
from scheduler.core.fillers import kind_of
from scheduler.core.fleets import state_word
from scheduler.core.flexibility import HORIZONS_S, FlexOffer, Means
from scheduler.core.foresight import next_foreseen, word
from scheduler.core.grants import Grant, grant_of
from scheduler.core.jobs import Attempt, Phase
from scheduler.core.ledger import exposure_w, fallback_exposure_w
from scheduler.core.machines import MachineKind
from scheduler.core.orders import GroupKind, MinerReading
from scheduler.core.power import site_w
from scheduler.core.snapshot import Group, Quality, Snapshot
from scheduler.domain_documents import domain_documents
from scheduler.records import PowerSample

_HEARD = 2 / 3  #: of the time that a source may be silent, what has to be left for nobody to be told of it

OLD_S: Final = 10.0
"""A reading that is older is not of now."""


def sample(
    snapshot: Snapshot, decision: Decision, *, over_limit: bool, allowed: Grant | None = None
) -> PowerSample:
    """One second of the site, split by use as far as the sensors of nodes and miners attribute it."""
    site, limit = snapshot.site, in_force(snapshot)
    on = _by_node(snapshot)
    ai_w = site.overhead * sum(_working_w(g, on.get(gid, ())) for gid, g in snapshot.groups.items())
    miners_w = sum(m.draw_w for g in snapshot.groups.values() for m in g.miners)
    draw_w = snapshot.meter.draw_w if snapshot.meter else 0.0
    return PowerSample(
        at=snapshot.at,
        limit_w=limit.limit_w,
        limit_source=limit.source,
        draw_w=draw_w,
        ai_w=min(ai_w, draw_w),
        rest_w=max(0.0, draw_w - ai_w - miners_w),
        miners_w=miners_w,
        committed_w=decision.exposed_w,
        over_limit=over_limit,
        firm_w=site.firm_w,
        quality=_quality(snapshot),
        allowed=allowed,
    )


def _quality(snapshot: Snapshot) -> Quality | None:
    """What the reading is worth: one that is no longer renewed is stale, whoever gave it."""
    meter = snapshot.meter
    if meter is None:
        return None
    is_old = (snapshot.at - meter.measured_at).total_seconds() > OLD_S
    return Quality.STALE if is_old and meter.quality is Quality.GOOD else meter.quality


def in_force(snapshot: Snapshot) -> Limit:
    """The limit at this very instant, without any lead."""
    return lowest(snapshot.envelopes, snapshot.at, now=snapshot.at, firm_w=snapshot.site.firm_w)


def _by_node(snapshot: Snapshot) -> Mapping[str, Sequence[Attempt]]:
    """The attempts on each node that has any."""
    found: dict[str, list[Attempt]] = {}
    for attempt in snapshot.attempts.values():
        for node_id in {p.node_id for p in attempt.placements}:
            found.setdefault(node_id, []).append(attempt)
    return found


def _working_w(group: Group, attempts: Iterable[Attempt]) -> float:
    """Draw of the GPUs whose attempt is ordered to run."""
    at_work = {
        g
        for a in attempts
        if a.phase is Phase.RUN
        for p in a.placements
        if p.node_id == group.spec.group_id
        for g in p.gpu_ids
    }
    return sum(r.draw_w for r in group.gpus if r.gpu_id in at_work)


def power_document(
    snapshot: Snapshot, decision: Decision, latest: PowerSample, offer: FlexOffer | None = None
) -> dict[str, Any]:
    """What `/power` shows; `offer` = what could be changed at short notice, None = that is not known."""
    limit = in_force(snapshot)
    coming = changes(snapshot.envelopes, after=snapshot.at, until=snapshot.at + timedelta(days=366))
    unused_w = max(0.0, limit.limit_w - latest.draw_w)
    return {
        "at": snapshot.at.isoformat(),
        "site": snapshot.site.name,
        "limit_w": limit.limit_w,
        "limit_source": limit.source,
        "limit_provenance": limit.provenance,
        "limit_stale": limit.stale,
        **{f"limit_{key}": value for key, value in _origin(limit, snapshot).items()},
        "firm_w": snapshot.site.firm_w,
        "nameplate_w": _nameplate_w(snapshot),
        "lease_s": snapshot.site.lease_s,
        "draw_w": latest.draw_w,
        "draw_measured_at": snapshot.meter.measured_at.isoformat() if snapshot.meter else None,
        "draw_quality": snapshot.meter.quality if snapshot.meter else None,
        "draw_source": snapshot.meter.source if snapshot.meter else None,
        "trim_w": snapshot.trim.w if snapshot.trim else None,
        "trim_why": snapshot.trim.why if snapshot.trim else None,
        **_margin(snapshot),
        "committed_w": decision.exposed_w,
        "planned_w": decision.planned_w,
        "fallback_w": _fallback_w(snapshot),
        "ai_w": latest.ai_w,
        "rest_w": latest.rest_w,
        "miners_w": latest.miners_w,
        "unused_w": unused_w,
        "over_limit": latest.over_limit,
        "raises_allowed": snapshot.raises_allowed,
        "next_change": _next_change(snapshot, coming),
        "forecast": [told for e in _foreseeing(snapshot.envelopes) for told in _foreseen(e, snapshot)],
        "sources": [_source(e, snapshot) for e in (*snapshot.envelopes, *snapshot.below)],
        "mode": snapshot.site.mode.name,
        "partners_w": dict(decision.partners_w),
        "flex": _flex(offer) if offer else None,
        "domains": domain_documents(snapshot),
        "sentence": _sentence(snapshot, latest, unused_w, coming) + _shared(decision),
    }


def _flex(offer: FlexOffer) -> dict[str, Any]:
    """What could go and what could be added: how much, how soon, for how long, and how soon again."""
    return {
        "at": offer.at.isoformat(),
        "planned_w": offer.planned_w,
        "steps": [
            {
                "within_s": seconds,
                "down_w": offer.down_w(seconds),
                "up_w": offer.up_w(seconds),
                "left_w": offer.left_w(seconds),
            }
            for seconds in HORIZONS_S
        ],
        "down": [_means(means) for means in offer.down],
        "up": [_means(means) for means in offer.up],
    }


def _means(means: Means) -> dict[str, Any]:
    return {
        "name": means.name,
        "power_w": means.power_w,
        "within_s": means.within_s,
        "holds_s": means.holds_s,
        "again_after_s": means.again_after_s,
        "tiers_w": {str(tier): power_w for tier, power_w in sorted(means.tiers_w.items())},
    }


def _margin(snapshot: Snapshot) -> dict[str, Any]:
    """What is kept free of the limit, and what the meter has to do with it."""
    proven = snapshot.proven
    return {
        "margin": snapshot.margin,
        "margin_most": snapshot.site.margin,
        "margin_why": None if proven is None else proven.why,
        "margin_peak": None if proven is None else proven.peak,
    }


def _fallback_w(snapshot: Snapshot) -> float:
    """Site watts that are left once every order has expired."""
    groups, site = snapshot.groups.values(), snapshot.site
    return site_w(
        it_w=sum(fallback_exposure_w(g.account) for g in groups if g.spec.kind is GroupKind.NODE),
        miners_w=sum(fallback_exposure_w(g.account) for g in groups if g.spec.kind is GroupKind.MINERS),
        overhead=site.overhead,
        auxiliary_w=site.auxiliary_w,
    )


def _next_change(snapshot: Snapshot, coming: list[datetime]) -> dict[str, Any] | None:
    if not coming:
        return None
    then = lowest(snapshot.envelopes, coming[0], now=snapshot.at, firm_w=snapshot.site.firm_w)
    return {"at": coming[0].isoformat(), "limit_w": then.limit_w}


def _source(envelope: Envelope, snapshot: Snapshot) -> dict[str, Any]:
    limit = limit_of(envelope, snapshot.at, now=snapshot.at, firm_w=_firm_of_w(envelope, snapshot))
    return {
        "name": envelope.source,
        "domain": envelope.domain,
        "limit_w": limit.limit_w if limit else None,
        "provenance": limit.provenance if limit else "",
        **(_origin(limit, snapshot) if limit else {}),
        "age_s": (snapshot.at - envelope.read_at).total_seconds(),
        "stale": is_stale(envelope, snapshot.at),
        "stale_in_s": _stale_in_s(envelope, snapshot.at),
        "reaction_s": envelope.reaction_s,
        "valid_until": envelope.valid_until.isoformat() if envelope.valid_until else None,
    }


def _firm_of_w(envelope: Envelope, snapshot: Snapshot) -> float:
    """What counts at most of a source that is silent."""
    domain = next((d for d in snapshot.site.domains if d.name == envelope.domain), None)
    return snapshot.site.firm_w if domain is None else domain.firm_w or 0.0


def _stale_in_s(envelope: Envelope, at: datetime) -> float | None:
    """In how many seconds a source counts as silent, unless it is heard before; None where it never does, or does."""
    if envelope.stale_after_s is None or is_stale(envelope, at):
        return None
    return envelope.stale_after_s - (at - envelope.read_at).total_seconds()


def _silences(snapshot: Snapshot) -> str:
    """What happens next, and when, where a source has been silent for a good part of what it may."""
    found = []
    for envelope in (*snapshot.envelopes, *snapshot.below):
        left_s = _stale_in_s(envelope, snapshot.at)
        if left_s is None or left_s > (envelope.stale_after_s or 0.0) * _HEARD:
            continue
        of_what = f" in {envelope.domain}" if envelope.domain else ""
        then_at = snapshot.at + timedelta(seconds=left_s + 1.0)
        told = limit_of(envelope, then_at, now=then_at, firm_w=_firm_of_w(envelope, snapshot))
        then = f"at most {told.limit_w / 1000:.1f} kW count{of_what}" if told else "it counts as silent"
        age_s = (snapshot.at - envelope.read_at).total_seconds()
        found.append(f" Source {envelope.source} is silent for {age_s:.0f} s; in {left_s:.0f} s {then}.")
    return "".join(found)


def _origin(limit: Limit, snapshot: Snapshot) -> dict[str, Any]:
    """Which document gives a limit, for which feeder, and in which interval it holds."""
    grant = grant_of(limit, snapshot.envelopes, snapshot.at)
    return {
        "document": grant.document,
        "feeder": grant.feeder,
        "since_at": grant.starts_at.isoformat() if grant.starts_at else None,
        "until_at": grant.ends_at.isoformat() if grant.ends_at else None,
    }


def _foreseeing(envelopes: Iterable[Envelope]) -> Iterable[Envelope]:
    """One for each who foresees: what was made from history fills in for several sources alike."""
    return {e.forecast_by or e.source: e for e in envelopes if e.forecast}.values()


def _foreseen(envelope: Envelope, snapshot: Snapshot) -> list[dict[str, Any]]:
    """What a source foresees for now and for the next time, and by which names its quantiles go."""
    return [
        {
            "source": envelope.forecast_by or envelope.source,
            "at": step.starts_at.isoformat(),
            "quantiles": [
                {"share": q.share, "name": word(q.share), "limit_w": q.limit_w} for q in step.quantiles
            ],
        }
        for step in next_foreseen(envelope, snapshot.at)
    ]


def _sentence(snapshot: Snapshot, latest: PowerSample, unused_w: float, coming: list[datetime]) -> str:
    stopped = f"{stop_sentence(snapshot.stop)}. " if snapshot.stop else ""
    until = f"Firm until {coming[0]:%H:%M:%S} UTC." if coming else "No change is announced."
    until += _silences(snapshot)
    uses = (
        "what is drawn is not known yet"
        if snapshot.meter is None
        else f"AI {latest.ai_w / 1000:.1f}, mining {latest.miners_w / 1000:.1f}, "
        f"site {latest.rest_w / 1000:.1f}, unused {unused_w / 1000:.1f}"
    )
    return f"{stopped}Surplus {latest.limit_w / 1000:.1f} kW: {uses}. {until}"


def _shared(decision: Decision) -> str:
    """How AI and mining share, where partners or a mode are named."""
    if not decision.sharing:
        return ""
    text = "; ".join(reason.text for reason in decision.sharing)
    return f" {text[:1].upper()}{text[1:]}."


def nodes_document(snapshot: Snapshot, alarms: Mapping[str, tuple[str, ...]]) -> list[dict[str, Any]]:
    """What `/nodes` shows."""
    on = _by_node(snapshot)
    return [
        _node(g, snapshot, on.get(gid, ()), alarms.get(gid, ())) for gid, g in sorted(snapshot.groups.items())
    ]


def _nameplate_w(snapshot: Snapshot) -> float:
    """What the site could draw at most if nobody limited anything, W at its meter."""
    site, groups = snapshot.site, snapshot.groups.values()
    mine_w = sum(g.account.nameplate_w for g in groups if g.spec.kind is GroupKind.MINERS)
    it_w = sum(g.account.nameplate_w for g in groups if g.spec.kind is GroupKind.NODE)
    return site_w(it_w=it_w, miners_w=mine_w, overhead=site.overhead, auxiliary_w=site.auxiliary_w)


def _stop(stop: EmergencyStop | None) -> dict[str, Any] | None:
    if stop is None:
        return None
    return {"engaged": True, "id": stop.id, "reason": stop.reason, "by": stop.by, "at": stop.at.isoformat()}


def _miner(miner: MinerReading, kind: MachineKind | None) -> dict[str, Any]:
    told = {"id": miner.miner_id, "target_w": miner.target_w, "draw_w": miner.draw_w}
    return told if kind is None else told | {"state": state_word(kind, miner)}


def _topology(group: Group, snapshot: Snapshot) -> dict[str, str]:
    """Where a node is at each level of the site."""
    told = dict(group.spec.topology)
    is_node = group.spec.kind is GroupKind.NODE
    return {level: told.get(level, "") for level in snapshot.site.topology} if is_node else {}


def _node(
    group: Group, snapshot: Snapshot, members: Sequence[Attempt], alarms: tuple[str, ...]
) -> dict[str, Any]:
    gid, heard_at = group.spec.group_id, group.reported_at
    holder = {g: a.id for a in members for p in a.placements if p.node_id == gid for g in p.gpu_ids}
    models = {g.gpu_id: g.model for g in group.spec.gpus}
    silent_s = (snapshot.at - heard_at).total_seconds() if heard_at else None
    fault = group.faulted if group.faulted and group.faulted.is_out(snapshot.at) else None
    return {
        "id": gid,
        "kind": group.spec.kind,
        "simulated": group.spec.simulated,
        "reachable": silent_s is not None and silent_s <= snapshot.site.unreachable_after_s,
        "in_fallback": group.in_fallback,
        "address": group.spec.address,
        "cordoned": group.cordoned,
        "passed_over_until_at": fault.until_at.isoformat() if fault else None,
        "guard_on": group.spec.elsewhere.machine if group.spec.elsewhere else "",
        "unguarded": group.unguarded,
        "storage": group.storage,
        "topology": _topology(group, snapshot),
        "estop": _stop(group.stop),
        "draw_w": group.draw_w,
        "entitlement_w": entitlement_w(group.spec, members)
        + (group.miners_target_w if has_miners(group.spec) else 0.0),
        "exposure_w": exposure_w(group.account, snapshot.at, fall_s=snapshot.site.fall_s),
        "base_w": group.spec.base_w,
        "gpus": [
            {
                "id": r.gpu_id,
                "model": models.get(r.gpu_id, "unknown"),
                "draw_w": r.draw_w,
                "cap_w": r.cap_w,
                "attempt_id": holder.get(r.gpu_id),
                "lost": r.lost,
                "temperature_c": r.sensors.temperature_c if r.sensors else None,
                "energy_wh": r.sensors.energy_wh if r.sensors else None,
            }
            for r in group.gpus
        ],
        "miners": [_miner(m, group.spec.machine or kind_of(group.spec)) for m in group.miners],
        "last_report_at": heard_at.isoformat() if heard_at else None,
        "alarms": [
            *alarms,
            *([f"{gid} {sentence(fault)}; `barq doctor` there may tell more"] if fault else []),
        ],
    }
