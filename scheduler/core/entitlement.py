"""From attempts and readings to watts: what a group is entitled to, rests at, and is charged with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from scheduler.core.jobs import Attempt, Phase
from scheduler.core.orders import FallbackStep, GpuReading, GroupKind, GroupSpec, MinerReading, NodePower
from scheduler.core.power import GpuModel
from scheduler.core.presence import LEAVING


def has_miners(spec: GroupSpec) -> bool:
    """Whether anything mines there: the machines of a miner group, or a filler on a node's idle GPUs."""
    return spec.kind is GroupKind.MINERS or spec.filler is not None


def idle_w(spec: GroupSpec) -> float:
    """The group with nothing on it."""
    return spec.base_w + sum(g.power.idle_w for g in spec.gpus)


def rest_w(spec: GroupSpec, power: NodePower) -> float:
    """The group with nothing on it, as it is now: a node in standby draws no more than that takes."""
    is_off = power is NodePower.STANDBY and spec.standby is not None
    return spec.standby.draw_w if is_off and spec.standby else idle_w(spec)


def nameplate_w(spec: GroupSpec) -> float:
    """The group at its worst: every GPU uncapped, every miner at nameplate."""
    return spec.base_w + spec.miners_max_w + sum(g.power.tdp_w for g in spec.gpus)


def entitlement_w(spec: GroupSpec, attempts: Iterable[Attempt], *, miners_target_w: float = 0.0) -> float:
    """What the group may draw under these phases and caps: running GPUs at their cap, held ones at the minimum cap."""
    return _gpus_w(spec, {g: _ordered_w(spec, a, g) for a, g in _held(spec, attempts)}, miners_target_w)


def fallback_profile(
    spec: GroupSpec,
    attempts: Iterable[Attempt],
    tiers: Mapping[str, int],
    *,
    save_after_s: float,
    grace_s: float,
) -> tuple[FallbackStep, ...]:
    """What the group may draw after expiry. Tier 0 goes on; the rest is held first, and gone once saved.

    `tiers` maps job ids to flex tiers. Who was told to leave leaves, whatever its tier. Non-increasing.
    """
    held = list(_held(spec, attempts))
    firm = {g: _ordered_w(spec, a, g) for a, g in held if tiers[a.job_id] == 0 and a.phase not in LEAVING}
    others = {g: _model(spec, g).held_w() for a, g in held if g not in firm}
    first = FallbackStep(after_s=0.0, limit_w=_gpus_w(spec, firm | others, 0.0))
    last = FallbackStep(after_s=save_after_s + grace_s, limit_w=_gpus_w(spec, firm, 0.0))
    return (first, last) if others else (first,)


def charged_w(spec: GroupSpec, gpus: Iterable[GpuReading], miners: Iterable[MinerReading] = ()) -> float:
    """What the group may draw by its caps as read back: a GPU with processes at its enforced cap, else its idle draw.

    A GPU that was not read counts as uncapped and busy, as its guard counts it. A miner counts at its
    target or its draw, whichever is more: a target it has not yet followed frees nothing.
    """
    read = {r.gpu_id: r for r in gpus}
    gpu_w = {g.gpu_id: _read_w(g.power, read.get(g.gpu_id)) for g in spec.gpus}
    miners_w = sum(max(m.target_w, m.draw_w) for m in miners)
    return _gpus_w(spec, gpu_w, miners_w)


def _read_w(model: GpuModel, reading: GpuReading | None) -> float:
    if reading is None:
        return model.charge_w(model.tdp_w)
    return model.charge_w(reading.cap_w) if reading.processes else model.idle_w


def _ordered_w(spec: GroupSpec, attempt: Attempt, gpu_id: str) -> float:
    model = _model(spec, gpu_id)
    return model.charge_w(attempt.cap_w) if attempt.phase is Phase.RUN else model.held_w()


def _gpus_w(spec: GroupSpec, busy_w: Mapping[str, float], miners_w: float) -> float:
    gpus_w = sum(busy_w.get(g.gpu_id, g.power.idle_w) for g in spec.gpus)
    return spec.base_w + gpus_w + (miners_w if has_miners(spec) else 0.0)


def _held(spec: GroupSpec, attempts: Iterable[Attempt]) -> Iterable[tuple[Attempt, str]]:
    """Each GPU of the group that an attempt holds; one that the group has no more counts in its base."""
    here = frozenset(g.gpu_id for g in spec.gpus)
    placed = ((a, g) for a in attempts for p in a.placements if p.node_id == spec.group_id for g in p.gpu_ids)
    return ((a, g) for a, g in placed if g in here)


def _model(spec: GroupSpec, gpu_id: str) -> GpuModel:
    return next(g.power for g in spec.gpus if g.gpu_id == gpu_id)


def spared_w(spec: GroupSpec) -> float:
    """What each GPU of a node spares on top of its own idle draw once the node is in standby; 0 if it cannot be."""
    if spec.standby is None:
        return 0.0
    return max(0.0, idle_w(spec) - spec.standby.draw_w) / len(spec.gpus)
