"""What a guard sees on its devices: attempts that hold GPUs, caps and targets as read back, and their charge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from scheduler.core.jobs import Phase
from scheduler.core.orders import GpuReading, GpuSlot, GroupKind, GroupSpec, MinerReading
from scheduler.core.power import GpuModel

LEAVING = frozenset({Phase.SAVE_EXIT, Phase.KILL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """An attempt that has, or may have, processes on this node."""

    attempt_id: str
    job_id: str
    gpu_ids: tuple[str, ...]
    tier: int
    priority: int = 0
    phase: Phase  #: what it was last told


def without_lost(
    spec: GroupSpec, gpus: Iterable[GpuReading], attempts: Iterable[Present]
) -> tuple[GroupSpec, tuple[GpuReading, ...]]:
    """The group without the GPUs that are lost and that nobody holds: their last enforced caps count in its base.

    So whoever entitles the group counts them too, and puts nothing on them until they answer again.
    """
    held = {g for a in attempts for g in a.gpu_ids}
    gone = {r.gpu_id: r for r in gpus if r.lost and r.gpu_id not in held}
    slots = tuple(g for g in spec.gpus if g.gpu_id not in gone)
    gone_w = sum(g.power.charge_w(gone[g.gpu_id].cap_w) for g in spec.gpus if g.gpu_id in gone)
    kept = tuple(r for r in gpus if r.gpu_id not in gone)
    return (replace(spec, gpus=slots, base_w=spec.base_w + gone_w) if gone else spec), kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One look at a device group. A GPU is busy if it has processes *or* an attempt that may yet start some."""

    spec: GroupSpec
    gpus: tuple[GpuReading, ...] = ()
    miners: tuple[MinerReading, ...] = ()
    attempts: tuple[Present, ...] = ()  #: not ended
    ended: frozenset[str] = frozenset()  #: ids of attempts that ran here once: they never start again
    cap_floors_w: Mapping[str, float] = field(default_factory=dict)  #: GPUs that refused a lower cap
    filled: frozenset[str] = (
        frozenset()
    )  #: GPUs that a filler has, or is not seen to have left: nothing starts there
    _readings: Mapping[str, GpuReading] = field(init=False, repr=False, compare=False)
    _slots: Mapping[str, GpuSlot] = field(init=False, repr=False, compare=False)
    _holders: Mapping[str, tuple[Present, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Look everything up by GPU once: each is asked for many times at each step of a guard."""
        holders: dict[str, tuple[Present, ...]] = {}
        for attempt in self.attempts:
            for gpu_id in attempt.gpu_ids:
                holders[gpu_id] = (*holders.get(gpu_id, ()), attempt)
        object.__setattr__(self, "_readings", {r.gpu_id: r for r in reversed(self.gpus)})
        object.__setattr__(self, "_slots", {g.gpu_id: g for g in reversed(self.spec.gpus)})
        object.__setattr__(self, "_holders", holders)

    def reading(self, gpu_id: str) -> GpuReading:
        """The newest reading of a GPU; one that is not read counts as uncapped and busy."""
        known = self._readings.get(gpu_id)
        if known is not None:
            return known
        tdp_w = self.model(gpu_id).tdp_w
        return GpuReading(gpu_id=gpu_id, draw_w=tdp_w, cap_w=tdp_w, processes=1)

    def model(self, gpu_id: str) -> GpuModel:
        """The type of a GPU of this group. Raises KeyError for one that it does not have."""
        return self._slots[gpu_id].power

    def has(self, gpu_id: str) -> bool:
        """Whether this group has such a GPU."""
        return gpu_id in self._slots

    def holders(self, gpu_id: str) -> tuple[Present, ...]:
        """The attempts that hold a GPU; more than one only while somebody blunders."""
        return self._holders.get(gpu_id, ())

    def is_busy(self, gpu_id: str) -> bool:
        """Whether anything may compute on a GPU now."""
        return self.reading(gpu_id).processes > 0 or bool(self.holders(gpu_id))

    def clamp_w(self, gpu_id: str, cap_w: float) -> float:
        """The nearest cap that the device is known to accept, W."""
        model = self.model(gpu_id)
        floor_w = max(model.min_cap_w, self.cap_floors_w.get(gpu_id, 0.0))
        return min(max(cap_w, floor_w), max(model.tdp_w, floor_w))

    def gpu_charged_w(self, gpu_id: str) -> float:
        """What a GPU may draw now: its enforced cap's charge if it is busy, else its idle draw, W."""
        model = self.model(gpu_id)
        return model.charge_w(self.reading(gpu_id).cap_w) if self.is_busy(gpu_id) else model.idle_w

    def miners_charged_w(self) -> float:
        """What the miners may draw now: each its target, or its draw while that is more, W."""
        return sum(max(m.target_w, m.draw_w) for m in self.miners) if self._has_miners() else 0.0

    def charged_w(self) -> float:
        """What the group may draw now by its caps and targets as read back, W."""
        return (
            self.spec.base_w
            + sum(self.gpu_charged_w(g.gpu_id) for g in self.spec.gpus)
            + self.miners_charged_w()
        )

    def draw_w(self) -> float:
        """What the group draws now as measured, W."""
        return self.spec.base_w + sum(g.draw_w for g in self.gpus) + sum(m.draw_w for m in self.miners)

    def _has_miners(self) -> bool:
        return self.spec.kind is GroupKind.MINERS or self.spec.filler is not None
