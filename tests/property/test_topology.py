"""A job that requires a rack is never placed across two, whatever happens; nor does a memory change where it goes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import settings, strategies as st
from hypothesis.stateful import invariant, rule

from scheduler.core.decide import Decision
from scheduler.core.jobs import Attempt, TopologyRequest
from scheduler.core.orders import GroupKind
from tests.property.test_memo import NODES, AnythingGoes
from tests.told_site import ToldSite

LEVELS = ("block", "rack")
PLACES = st.fixed_dictionaries({}, optional={"block": st.sampled_from("xy"), "rack": st.sampled_from("12")})
ASKED = st.builds(
    TopologyRequest,
    level=st.sampled_from(["rack", "rack", "block", "row"]),
    is_required=st.sampled_from([True, True, False]),
)


class SiteOfRacks(ToldSite):
    """Looks at each attempt that is new, while the nodes are where they were when it was placed."""

    def __init__(self, **policy: Any) -> None:
        super().__init__(**policy)
        self.torn: list[Attempt] = []
        self.gangs = 0

    def apply(self, decision: Decision) -> None:
        """Make a decision the present."""
        for attempt in decision.attempts.values():
            if attempt.id not in self.attempts and len(attempt.placements) > 1:
                self.gangs += 1
                if not self.is_allowed(attempt):
                    self.torn.append(attempt)
        super().apply(decision)

    def is_allowed(self, attempt: Attempt) -> bool:
        """Whether it is where its job may be."""
        asked = self.jobs[attempt.job_id].spec.topology
        if asked is None or not asked.is_required:
            return True
        if asked.level not in LEVELS:
            return False
        levels = LEVELS[: LEVELS.index(asked.level) + 1]
        told = [dict(self.groups[p.node_id].spec.topology) for p in attempt.placements]
        places = {tuple(place.get(level) for level in levels) for place in told}
        return len(places) == 1 and all(asked.level in place for place in told)


class AnythingGoesInRacks(AnythingGoes):
    """Nodes in racks of blocks, some of which do not say where they are, or are moved."""

    site: SiteOfRacks

    def __init__(self) -> None:
        super().__init__()
        known = self.site
        self.site = SiteOfRacks(**{k: getattr(known.site, k) for k in ("firm_w", "overhead", "patience_s")})
        self.site.site = replace(known.site, topology=LEVELS)
        self.site.under(self.mind)
        for name, rack in zip("abcd", "1122", strict=True):
            self.site.node(name, gpus=4, standby_w=None if name == "a" else 50.0, block="x", rack=rack)
        self.site.miners("m1", max_w=2000.0).miners("m2", max_w=333.3).limit_w(14_000.0)

    @rule(
        asked=ASKED,
        gpus=st.integers(1, 4),
        nodes=st.sampled_from([1, 2, 2, 2, 3]),
        more=st.sampled_from([None, None, 1]),
        scatter=st.sampled_from([False, False, True]),
        priority=st.sampled_from([0, 1]),
        flex=st.sampled_from([1, 4, 4]),
    )
    def a_gang(self, asked: TopologyRequest, nodes: int, more: int | None, **spec: Any) -> None:
        """That asks for one rack, or one block, or for what there is not."""
        self.made += 1
        name, most = f"j{self.made}", None if more is None or spec["scatter"] else nodes + more
        self.site.job(name, nodes=nodes, max_nodes=most, topology=asked, **spec)
        self.site.jobs[name] = replace(self.site.jobs[name], number=self.made)

    @rule(name=NODES, place=PLACES)
    def a_node_is_moved(self, name: str, place: dict[str, str]) -> None:
        """What is on it stays on it."""
        group = self.site.groups.get(name)
        if group is not None and group.spec.kind is GroupKind.NODE:
            moved = replace(group.spec, topology=tuple(place.items()))
            self.site.groups[name] = replace(group, spec=moved)

    @invariant()
    def nothing_is_torn(self) -> None:
        """By any decision so far."""
        assert self.site.torn == []


TestAnythingGoesInRacks = AnythingGoesInRacks.TestCase
TestAnythingGoesInRacks.settings = settings(max_examples=40, stateful_step_count=40)


def test_gangs_do_start_there() -> None:
    """Or nothing would have been looked at."""
    machine = AnythingGoesInRacks()
    for level in ("rack", "block"):
        asked = TopologyRequest(level=level, is_required=True)
        machine.a_gang(asked=asked, nodes=2, more=None, gpus=2, scatter=False, priority=0, flex=4)
    machine.a_round(obeyed=True, seconds=1.0, rounds=4)
    machine.teardown()

    assert machine.site.gangs == 2
    assert machine.site.torn == []
    assert machine.mind.wrong == []
