"""From granted watts to whole machines: which miners sleep, which run, and the one that is trimmed to land on it.

    fleet draw = sum(nameplate of who runs) + sum(rest of who sleeps) + what the others draw at worst

- The most efficient run, the least efficient sleep first. Of two that are nearly alike the one that runs goes on.
- A machine that just woke runs for `min_on_s`; only an emergency cuts that short. One that just fell asleep sleeps for
  `min_off_s`, whatever happens. An emergency wakes nobody, and of those that just woke as few sleep as it takes.
- Who does not obey (faulted) or is not heard of (stale) is told to sleep and counts as metered, else at its nameplate.
- Who was switched as often as it may be today is switched by an emergency alone.
- Who is wished to pause sleeps; who is wished to be protected is the last to sleep, and the first to wake.
- What no whole machine fits into is given to one trimmed machine, as close to it as that machine can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from scheduler.core.inventory import Wish

_KEEP = 0.95  #: a machine that runs counts as this much thriftier: figures of efficiency are noisy


class MachineState(StrEnum):
    """What a miner does, as far as is known."""

    ASLEEP = "asleep"
    RAMPING = "ramping"  #: told to run, not at its watts yet
    RUNNING = "running"
    FAULTED = "faulted"  #: it answers, and does not obey
    STALE = "stale"  #: not heard of


class Trim(StrEnum):
    """How finely a miner can be told what to draw."""

    NONE = "none"
    WATTS = "watts"
    PERCENT = "percent"  #: in whole percent of its nameplate


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One miner. Raises ValueError that names the machine, field, value and remedy."""

    machine_id: str
    nameplate_w: int
    rest_w: int = 25  #: asleep
    joule_per_th: float = 0.0  #: as measured; 0 = not known
    trim: Trim = Trim.NONE
    least_w: int | None = None  #: the lowest it can be trimmed to; None = it cannot
    min_on_s: float = 600.0
    min_off_s: float = 300.0
    state: MachineState = MachineState.ASLEEP
    changed_at: datetime | None = None  #: when it was last told to run or to sleep; None = long ago
    metered_w: int | None = None  #: by a meter that is not its own; None = there is none
    is_worn: bool = False  #: switched as often as it may be today
    wish: Wish = Wish.INHERIT

    def __post_init__(self) -> None:
        if complaint := self._complaint():
            raise ValueError(f"machine {self.machine_id!r}: {complaint}")

    @property
    def obeys(self) -> bool:
        """Whether it may be counted on to do what it is told."""
        return self.state not in (MachineState.FAULTED, MachineState.STALE)

    @property
    def runs(self) -> bool:
        """Whether it runs or is about to."""
        return self.state in (MachineState.RUNNING, MachineState.RAMPING)

    @property
    def may_work(self) -> bool:
        """Whether it can be given watts at all."""
        return self.obeys and self.wish is not Wish.PAUSED

    @property
    def is_protected(self) -> bool:
        """Whether it is to be the last of its fleet to sleep."""
        return self.wish is Wish.PROTECTED

    @property
    def extra_w(self) -> int:
        """What it draws at work beyond its rest."""
        return self.nameplate_w - self.rest_w

    def bound(self, at: datetime) -> bool:
        """Whether its minimum time on or off is not over yet, or it is not to be switched today."""
        if self.is_worn:
            return True
        if self.changed_at is None:
            return False
        least_s = self.min_on_s if self.runs else self.min_off_s
        return (at - self.changed_at).total_seconds() < least_s

    @property
    def lowest_w(self) -> int:
        """The lowest target that it keeps while it runs."""
        if self.least_w is None:
            return self.nameplate_w
        return (
            self._percent_w(-(-self.least_w * 100 // self.nameplate_w)) if self._in_percent else self.least_w
        )

    def trimmed_w(self, at_most_w: int) -> int | None:
        """The highest target at or under `at_most_w` that it can keep, None if there is none."""
        if self.least_w is None:
            return None
        target_w = min(at_most_w, self.nameplate_w)
        if self._in_percent:
            target_w = self._percent_w(target_w * 100 // self.nameplate_w)
        return target_w if target_w >= self.least_w else None

    @property
    def _in_percent(self) -> bool:
        return self.trim is Trim.PERCENT

    def _percent_w(self, percent: int) -> int:
        """What it may draw at so many percent: no watt is rounded away."""
        return -(-self.nameplate_w * percent // 100)

    def _complaint(self) -> str | None:
        if not 0 <= self.rest_w < self.nameplate_w:
            return (
                f"rest_w = {self.rest_w} W: give 0 or more, and less than nameplate_w = {self.nameplate_w} W"
            )
        if (self.trim is Trim.NONE) != (self.least_w is None):
            return f"trim = {self.trim} and least_w = {self.least_w}: a machine that can be trimmed has both"
        if self.least_w is not None and not self.rest_w < self.least_w <= self.nameplate_w:
            return (
                f"least_w = {self.least_w} W: give more than rest_w = {self.rest_w} W and at most "
                f"nameplate_w = {self.nameplate_w} W"
            )
        if self.joule_per_th < 0 or self.min_on_s < 0 or self.min_off_s < 0:
            return "joule_per_th, min_on_s and min_off_s are 0 or more"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineKind:
    """What all machines of a group are like; watts are those above their rest, whole ones.

    Raises ValueError that names field, value and remedy.
    """

    max_w: int  #: at full work
    least_w: int | None = None  #: the lowest that one can be trimmed to; None = it runs whole or sleeps
    joule_per_th: float = 0.0  #: of those that do not tell it themselves; 0 = not known
    min_on_s: float = 600.0
    min_off_s: float = 300.0

    def __post_init__(self) -> None:
        self.machine("one", MachineState.ASLEEP)

    def machine(
        self,
        machine_id: str,
        state: MachineState,
        changed_at: datetime | None = None,
        *,
        joule_per_th: float = 0.0,
    ) -> Machine:
        """One of them."""
        return Machine(
            machine_id=machine_id,
            nameplate_w=self.max_w,
            rest_w=0,
            joule_per_th=joule_per_th or self.joule_per_th,
            trim=Trim.NONE if self.least_w is None else Trim.WATTS,
            least_w=self.least_w,
            min_on_s=self.min_on_s,
            min_off_s=self.min_off_s,
            state=state,
            changed_at=changed_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """What each machine of a fleet is told, and what the fleet then draws at most."""

    targets_w: Mapping[str, int]  #: of every machine; its rest = sleep
    landed_w: int
    unmet_w: int = 0  #: granted, and no machine fits into it
    over_w: int = 0  #: more than granted: minimum times and machines that do not obey
    trimmed: tuple[str, ...] = ()  #: one, or more where machines that must run on are too many
    held: tuple[str, ...] = ()  #: run on beyond the grant because they just woke


def least_w(fleet: Sequence[Machine], at: datetime, *, emergency: bool = False) -> int:
    """What the fleet draws if all sleep that may: a grant below it cannot be kept."""
    held = () if emergency else tuple(m for m in fleet if m.may_work and m.runs and m.bound(at))
    return _base_w(fleet) + sum(m.extra_w for m in held)


def most_w(fleet: Sequence[Machine], at: datetime) -> int:
    """What the fleet can draw at most: all that may run do."""
    return _base_w(fleet) + sum(m.extra_w for m in fleet if m.may_work and (m.runs or not m.bound(at)))


def quantise(fleet: Sequence[Machine], granted_w: int, at: datetime, *, emergency: bool = False) -> Landing:
    """Whole machines for `granted_w` of the fleet's whole draw, at or under it wherever the rules above allow.

    Nobody who may still be woken fits into what is left unmet. Deterministic; O(n log n).
    """
    workers = [m for m in fleet if m.may_work]
    bound = [m for m in workers if m.runs and (m.bound(at) or (emergency and m.is_protected))]
    held = frozenset(m.machine_id for m in (_most(bound, granted_w - _base_w(fleet)) if emergency else bound))
    may_run = [m for m in workers if (m.runs if emergency else m.machine_id in held or not m.bound(at))]
    chosen = _Choice(sorted(may_run, key=lambda m: _rank(m, held)), held)
    chosen.fill(granted_w - _base_w(fleet))
    landed_w = _base_w(fleet) + chosen.extra_w
    return Landing(
        targets_w={m.machine_id: chosen.targets_w.get(m.machine_id, m.rest_w) for m in fleet},
        landed_w=landed_w,
        unmet_w=max(0, granted_w - landed_w),
        over_w=max(0, landed_w - granted_w),
        trimmed=chosen.trimmed,
        held=tuple(m.machine_id for m in chosen.ranked if m.machine_id in held)
        if landed_w > granted_w
        else (),
    )


def landed(fleet: Sequence[Machine], granted_w: int, at: datetime) -> Landing:
    """As `quantise`; machines are put to sleep before their time only where the grant cannot be kept otherwise."""
    landing = quantise(fleet, granted_w, at)
    return landing if landing.over_w <= 0 else quantise(fleet, granted_w, at, emergency=True)


def free_at(fleet: Sequence[Machine]) -> dict[str, datetime]:
    """When the minimum time on or off of each machine ends, if it was ever told to run or to sleep."""
    return {
        m.machine_id: m.changed_at + timedelta(seconds=m.min_on_s if m.runs else m.min_off_s)
        for m in fleet
        if m.changed_at is not None
    }


def _most(bound: Sequence[Machine], room_w: int) -> list[Machine]:
    """The protected, and as many of those that just woke as the room holds, all trimmed as far as they can be.

    So the fewest sleep too soon.
    """
    kept = []
    for machine in sorted(bound, key=_least_first):
        needs_w = machine.lowest_w - machine.rest_w
        if needs_w <= room_w:
            room_w -= needs_w
            kept.append(machine)
    return kept


def _least_first(machine: Machine) -> tuple[bool, int, float, str]:
    lowest_w = machine.lowest_w - machine.rest_w
    return not machine.is_protected, lowest_w, machine.joule_per_th, machine.machine_id


def _base_w(fleet: Sequence[Machine]) -> int:
    """All asleep that obey, and the others at their worst."""
    return sum(m.rest_w if m.obeys else _worst_w(m) for m in fleet)


def _worst_w(machine: Machine) -> int:
    return machine.nameplate_w if machine.metered_w is None else machine.metered_w


def _rank(machine: Machine, held: frozenset[str]) -> tuple[bool, float, bool, str]:
    """The protected first, then the most efficient.

    Who must run anyway needs no favour, so that its rank is what it was when it woke.
    """
    kept = machine.runs and machine.machine_id not in held
    thrift = machine.joule_per_th * (_KEEP if kept else 1.0)
    return not machine.is_protected, thrift, not kept, machine.machine_id


class _Choice:
    """Who runs, at which target, while watts are handed out in the order of rank."""

    def __init__(self, ranked: Sequence[Machine], held: frozenset[str]) -> None:
        self.ranked, self._held = ranked, held
        self.targets_w = {m.machine_id: m.lowest_w for m in ranked if m.machine_id in held}

    @property
    def extra_w(self) -> int:
        """What those who run draw beyond their rest."""
        return sum(
            self.targets_w[m.machine_id] - m.rest_w for m in self.ranked if m.machine_id in self.targets_w
        )

    @property
    def trimmed(self) -> tuple[str, ...]:
        """Who runs below its nameplate."""
        return tuple(
            m.machine_id
            for m in self.ranked
            if self.targets_w.get(m.machine_id, m.nameplate_w) < m.nameplate_w
        )

    def fill(self, room_w: int) -> None:
        """Whole machines as they fit, and the first that does not fit whole on what is left, if it can."""
        left_w, done = room_w - self.extra_w, False
        for machine in self.ranked:
            has_w = self.targets_w.get(machine.machine_id, machine.rest_w)
            target_w = machine.nameplate_w if machine.nameplate_w - has_w <= left_w else None
            if target_w is None and not done and left_w > 0:
                target_w = machine.trimmed_w(has_w + left_w)
                done = target_w is not None
            if target_w is not None:
                self.targets_w[machine.machine_id] = target_w
                left_w -= target_w - has_w
        if left_w > 0 and not done:
            self._make_room(left_w)

    def _make_room(self, left_w: int) -> None:
        """Rather one that is awake than one that must be woken runs whole, and another is trimmed for it."""
        idle = [m for m in self.ranked if m.machine_id not in self.targets_w]
        for candidates in ([m for m in idle if m.runs], [m for m in idle if not m.runs]):
            if candidates and self._make_room_for(min(candidates, key=lambda m: m.extra_w), left_w):
                return

    def _make_room_for(self, smallest: Machine, left_w: int) -> bool:
        """The least efficient that can gives way for it. Whether one could, and watts are won by it."""
        lacking_w = smallest.extra_w - left_w
        for machine in reversed(self.ranked):
            if machine.machine_id not in self.targets_w:
                continue
            target_w = machine.trimmed_w(self.targets_w[machine.machine_id] - lacking_w)
            if target_w is not None and smallest.extra_w > self.targets_w[machine.machine_id] - target_w:
                self.targets_w |= {smallest.machine_id: smallest.nameplate_w, machine.machine_id: target_w}
                return True
        return False
