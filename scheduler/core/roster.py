"""Who does what: attempts by the phase that they are ordered into, and those that run by kind and cap.

What is alike is capped alike, so that caps are judged by kind, and only who has another cap than his kind is touched.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set as AbstractSet
from functools import lru_cache
from itertools import repeat
from math import inf
from typing import NamedTuple

from scheduler.core.floors import capped_floor_w, knee_cap_w, lean_floor_w
from scheduler.core.jobs import Attempt, Phase
from scheduler.core.node_tally import watts, whole_uw
from scheduler.core.power import GpuModel


class Kind(NamedTuple):
    """GPUs that are capped alike."""

    tier: int
    model: GpuModel
    floor_w: float  #: the lowest cap at which they run
    knee_w: float  #: the lowest cap for which more is started rather than others stopped
    top_w: float  #: the highest cap that they have use for
    least_w: float  #: the lowest cap at which they may start or go on rather than wait

    @staticmethod
    @lru_cache(maxsize=4096)
    def of(
        model: GpuModel,
        spared_w: float,
        tier: int,
        min_cap_w: float | None,
        *,
        can_cap: bool,
        useful_w: float = inf,
    ) -> Kind:
        """That of a tier's GPUs on a node of which standby spares so much per GPU; they may be capped or not.

        They are capped at `useful_w` and not above, but for the floor: whatever they do next, they keep their promise.
        """
        floor_w = capped_floor_w(model, tier, min_cap_w) if can_cap else model.tdp_w
        knee_w = knee_cap_w(model, floor_w, spared_w) if can_cap else floor_w
        top_w = min(model.tdp_w, max(floor_w, useful_w))
        least_w = lean_floor_w(model, tier, min_cap_w) if can_cap else floor_w
        return Kind(tier, model, floor_w, min(knee_w, top_w), top_w, least_w)


class Rise(NamedTuple):
    """What a GPU, or some, are charged more than idle under some caps, W."""

    least_w: float = 0.0
    at_floor_w: float = 0.0
    at_knee_w: float = 0.0
    full_w: float = 0.0


def rise_of(kinds: Sequence[Kind]) -> Rise:
    """The same where it is most among some kinds: at the lowest cap of a start, floor, knee, and the top."""

    def most_w(caps_w: Iterable[float]) -> float:
        pairs = zip(kinds, caps_w, strict=True)
        return max((kind.model.charge_w(cap_w) - kind.model.idle_w for kind, cap_w in pairs), default=0.0)

    return Rise(
        least_w=most_w(k.least_w for k in kinds),
        at_floor_w=most_w(k.floor_w for k in kinds),
        at_knee_w=most_w(k.knee_w for k in kinds),
        full_w=most_w(k.top_w for k in kinds),
    )


class Where(NamedTuple):
    """How an attempt is counted."""

    phase: Phase
    kind: Kind
    cap_w: float
    gpus: int


class Above(NamedTuple):
    """What those that run are charged above two levels, in site microwatts."""

    knees: int = 0
    lacking: int = 0  #: to the knees, of those at their floors or above
    floors: int = 0

    def with_more(self, other: Above, times: int) -> Above:
        """The sum with so many more of another."""
        knees, lacking, floors = other
        return Above(self.knees + times * knees, self.lacking + times * lacking, self.floors + times * floors)


_NOTHING = Above()


class Roster:
    """Attempts on nodes of the site."""

    def __init__(self, overhead: float = 1.0) -> None:
        self._overhead = overhead  #: of the site, per watt of a GPU
        self._phases: dict[Phase, dict[str, Attempt]] = {phase: {} for phase in Phase}
        self._where: dict[str, Where] = {}
        self.where = self._where.get  #: how one is counted that is here, by id
        self._caps: dict[Kind, dict[float, set[str]]] = {}
        self._gpus: dict[Kind, dict[float, int]] = {}
        self._above: dict[int, Above] = defaultdict(lambda: _NOTHING)  #: by tier, in microwatts
        self._ways: dict[Phase, dict[Where, int]] = {phase: {} for phase in Phase}  #: and how many by each

    def put(self, attempt: Attempt, kind: Kind | None, gpus: int) -> None:
        """Add an attempt, or replace it by a changed one. Without a kind it is on none of the nodes: it is left out."""
        where = None if kind is None else Where(attempt.phase, kind, attempt.cap_w, gpus)
        if where is not None and self._where.get(attempt.id) == where:
            self.renew(attempt)
            return
        self.take(attempt.id)
        if where is not None:
            self._enter(where, [attempt])

    def put_all(self, attempts: Iterable[Attempt]) -> None:
        """Replace those that are here by changed ones: all that go from one way of counting to another at once."""
        moves: dict[tuple[Where, Phase, float], list[Attempt]] = defaultdict(list)
        wheres, old, phase, cap_w, alike = self._where, None, None, -1.0, list[Attempt]()
        for attempt in attempts:
            where = wheres[attempt.id]
            # The next one most often goes the way of the last, which is told sooner than looked up.
            if where is not old or attempt.phase is not phase or attempt.cap_w != cap_w:
                old, phase, cap_w = where, attempt.phase, attempt.cap_w
                alike = moves[old, phase, cap_w]
            alike.append(attempt)
        for (known, new_phase, new_cap_w), moved in moves.items():
            self._leave(known, [a.id for a in moved])
            self._enter(Where(new_phase, known.kind, new_cap_w, known.gpus), moved)

    def renew(self, attempt: Attempt) -> None:
        """Replace one that is here by itself, counted as before."""
        self._phases[attempt.phase][attempt.id] = attempt

    def take(self, attempt_id: str) -> None:
        """Take an attempt out."""
        known = self._where.pop(attempt_id, None)
        if known is not None:
            self._leave(known, [attempt_id])

    def _enter(self, where: Where, attempts: Sequence[Attempt]) -> None:
        """Count attempts in one way from now on."""
        phase, kind, cap_w, gpus = where
        ids = [a.id for a in attempts]
        self._where.update(zip(ids, repeat(where)))
        self._phases[phase].update(zip(ids, attempts, strict=True))
        ways = self._ways[phase]
        ways[where] = ways.get(where, 0) + len(ids)
        if phase is Phase.RUN:
            self._caps.setdefault(kind, {}).setdefault(cap_w, set()).update(ids)
            counts = self._gpus.setdefault(kind, {})
            counts[cap_w] = counts.get(cap_w, 0) + gpus * len(ids)
            self._above[kind.tier] = self._above[kind.tier].with_more(
                _above_uw(where, self._overhead), len(ids)
            )

    def _leave(self, where: Where, ids: Sequence[str]) -> None:
        """Count attempts that were counted in one way no more."""
        phase, kind, cap_w, gpus = where
        here = self._phases[phase]
        if len(ids) == len(here):
            here.clear()
        for attempt_id in ids if here else ():
            del here[attempt_id]
        self._ways[phase][where] -= len(ids)
        if not self._ways[phase][where]:
            del self._ways[phase][where]
        if phase is not Phase.RUN:
            return
        caps, counts = self._caps[kind], self._gpus[kind]
        caps[cap_w].difference_update(ids)
        counts[cap_w] -= gpus * len(ids)
        self._above[kind.tier] = self._above[kind.tier].with_more(_above_uw(where, self._overhead), -len(ids))
        if not caps[cap_w]:
            del caps[cap_w], counts[cap_w]
        if not caps:
            del self._caps[kind], self._gpus[kind]

    def kind_of(self, attempt_id: str) -> Kind | None:
        """The kind of one that is here."""
        known = self._where.get(attempt_id)
        return None if known is None else known[1]

    def in_phase(self, *phases: Phase) -> list[Attempt]:
        """Those ordered into one of these phases, by id."""
        if len(phases) == 1:
            here = self._phases[phases[0]]
            return [here[k] for k in sorted(here)]
        found = {k: a for phase in phases for k, a in self._phases[phase].items()}
        return [found[k] for k in sorted(found)]

    def counts(self, attempts: Iterable[Attempt]) -> Mapping[Where, int]:
        """How many of some are counted in which way; those that are not here are left out."""
        where = self._where
        return Counter([where[a.id] for a in attempts if a.id in where])

    def each_in(self, *phases: Phase) -> Iterator[Attempt]:
        """Those ordered into one of these phases, in no order."""
        return (a for phase in phases for a in self._phases[phase].values())

    def count(self, phase: Phase) -> int:
        """How many are ordered into a phase."""
        return len(self._phases[phase])

    def held(self, *phases: Phase) -> int:
        """GPUs of the site that those have who are ordered into one of these phases."""
        return sum([where.gpus * count for phase in phases for where, count in self._ways[phase].items()])

    def ways(self, phase: Phase) -> AbstractSet[Where]:
        """In which ways those are counted that are ordered into a phase."""
        return self._ways[phase].keys()

    def gpus(self) -> Mapping[Kind, Mapping[float, int]]:
        """GPUs that run, by kind and cap."""
        return self._gpus

    def gpus_without(self, attempts: Iterable[Attempt]) -> Mapping[Kind, Mapping[float, int]]:
        """GPUs that run, by kind and cap, less those of some."""
        left: Mapping[Kind, Mapping[float, int]] = self._gpus
        for phase, kind, cap_w, gpus in (self._where[a.id] for a in attempts if a.id in self._where):
            if phase is Phase.RUN:
                caps = left[kind]
                left = {**left, kind: {**caps, cap_w: caps[cap_w] - gpus}}
        return left

    def above_knees_w(self, tier: int) -> float:
        """Site watts that all that runs and is as flexible as `tier`, or more, is charged above its knees."""
        return watts(sum(above.knees for t, above in self._above.items() if t >= tier))

    def below_knees_w(self, tier: int) -> float:
        """Site watts that the same lack to their knees, but for who runs below its floor."""
        return watts(sum(above.lacking for t, above in self._above.items() if t >= tier))

    def above_floors_w(self, tier: int) -> float:
        """Site watts that the same are charged above their floors."""
        return watts(sum(above.floors for t, above in self._above.items() if t >= tier))

    def capped(self) -> Mapping[Kind, Mapping[float, AbstractSet[str]]]:
        """Those that run, by kind and cap."""
        return self._caps

    def other_than(self, targets: Mapping[Kind, float]) -> Iterator[tuple[Attempt, float]]:
        """Those that run under another cap than their kind's target, with that, by id."""
        found = [
            (attempt_id, target_w)
            for kind, target_w in targets.items()
            for cap_w, held in self._caps.get(kind, {}).items()
            if cap_w != target_w
            for attempt_id in held
        ]
        running = self._phases[Phase.RUN]
        return ((running[attempt_id], target_w) for attempt_id, target_w in sorted(found))

    def others_of(
        self, ids: AbstractSet[str], targets: Mapping[Kind, float]
    ) -> Iterator[tuple[Attempt, float]]:
        """Those of some that run under another cap than their kind's target, with that, by id."""
        for attempt_id in sorted(ids):
            where = self._where.get(attempt_id)
            if where is not None and where.phase is Phase.RUN:
                target_w = targets.get(where.kind, where.cap_w)
                if target_w != where.cap_w:
                    yield self._phases[Phase.RUN][attempt_id], target_w

    def higher_than(self, targets: Mapping[Kind, float]) -> Iterator[tuple[Attempt, float]]:
        """Those that run under a higher cap than their kind's target, with that, in no order."""
        running = self._phases[Phase.RUN]
        for kind, target_w in targets.items():
            for cap_w, held in self._caps.get(kind, {}).items():
                if cap_w > target_w:
                    yield from ((running[attempt_id], target_w) for attempt_id in held)

    def lower_than(self, targets: Mapping[Kind, float]) -> Iterator[tuple[Attempt, Where, float]]:
        """Those that run under a lower cap than their kind's target, as they are counted, with that; in no order."""
        running = self._phases[Phase.RUN]
        for kind, target_w in targets.items():
            for cap_w, held in self._caps.get(kind, {}).items():
                if cap_w < target_w:
                    for attempt_id in held:
                        yield running[attempt_id], self._where[attempt_id], target_w


@lru_cache(maxsize=4096)
def _above_uw(where: Where, overhead: float) -> Above:
    """That of one that runs; nothing below its floor."""
    kind, cap_w, each = where.kind, where.cap_w, overhead * where.gpus
    if cap_w < kind.floor_w:
        return _NOTHING
    charge_w = kind.model.charge_w
    knee = whole_uw(each * (charge_w(cap_w) - charge_w(kind.knee_w)))
    floor = whole_uw(each * (charge_w(cap_w) - charge_w(kind.floor_w)))
    return Above(knees=max(0, knee), lacking=max(0, -knee), floors=floor)
