"""Whatever a source says, and whenever it is read: never more of it counts, its falls do at once, its rises slowly."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings, strategies as st

from scheduler.core.envelope import Envelope, Limit, Segment, limit_of
from scheduler.core.steady import AT_ONCE, NOTHING, STAIR_S, Past, SteadyRule, steadied
from tests.builders import T0

FIRM_W = 300.0
END_S = 400
EPSILON_W = 1e-6
STEPS = st.lists(
    st.tuples(st.integers(1, END_S), st.sampled_from([0.0, 100.0, 300.0, 350.0, 900.0, 2000.0])), max_size=8
)
READS = st.lists(st.integers(1, END_S), min_size=1, max_size=10)
RULES = st.builds(
    SteadyRule,
    rise_w_per_s=st.sampled_from([None, 0.7, 5.0, 100.0]),
    settle_s=st.sampled_from([0.0, 7.0, 60.0]),
    turns=st.sampled_from([None, 1, 6]),
    within_s=st.just(200.0),
    hold_s=st.just(30.0),
)


def at(second: float) -> datetime:
    """So many seconds into the story."""
    return T0 + timedelta(seconds=second)


@dataclass
class Told:
    """A source that is read now and then, and what counted of it at each second."""

    truth: dict[int, float]  #: what it says from a second on
    ahead_s: int  #: how long before it says it
    rule: SteadyRule
    past: Past = NOTHING
    counts: Envelope | None = None
    granted: list[float] = field(default_factory=list)  #: by second
    raw: list[float] = field(default_factory=list)

    def w(self, second: int) -> float:
        """What it says of a second."""
        return self.truth[max(s for s in self.truth if s <= second)]

    def read(self, second: int) -> None:
        """As it would be by the service."""
        known = [s for s in sorted(self.truth) if s <= second + self.ahead_s]
        segments = tuple(Segment(starts_at=at(s), limit_w=self.truth[s]) for s in known)
        told = Envelope(source="s", issued_at=T0, read_at=at(second), reaction_s=30.0, segments=segments)
        counted = None if self.counts is None else self.counted(second)
        self.past, self.counts = steadied(self.past, told, at(second), self.rule, counted=counted)
        for later in range(second, END_S + 60, 17):
            assert self.limit_w(later) <= self._told_w(told, later) + EPSILON_W

    @staticmethod
    def _told_w(told: Envelope, second: int) -> float:
        segment = told.limit_at(at(second))
        assert segment is not None
        return segment.limit_w

    def counted(self, second: int) -> Limit | None:
        """What counts of it at a second."""
        assert self.counts is not None
        return limit_of(self.counts, at(second), now=at(second), firm_w=FIRM_W)

    def limit_w(self, second: int) -> float:
        """The same, in W."""
        limit = self.counted(second)
        assert limit is not None
        return limit.limit_w

    def run(self, reads: set[int]) -> Told:
        """From the first reading on, each second."""
        last = {0: self.truth[0]}
        for second in range(END_S):
            if second == 0 or second in reads:
                self.read(second)
                last = {s: w for s, w in self.truth.items() if s <= second + self.ahead_s}
            self.granted.append(self.limit_w(second))
            self.raw.append(last[max(s for s in last if s <= second)])
        return self


@given(steps=STEPS, reads=READS, ahead_s=st.sampled_from([0, 20, 1000]), rule=RULES)
@settings(max_examples=60, deadline=None)
def test_a_rise_is_held_back_and_a_fall_is_not(
    steps: list[tuple[int, float]], reads: list[int], ahead_s: int, rule: SteadyRule
) -> None:
    """At every second, read or announced: at most what it says, at its pace, once it stood as long as it has to."""
    told = Told(truth={0: 500.0} | dict(steps), ahead_s=ahead_s, rule=rule).run(set(reads))

    for s, (granted_w, raw_w) in enumerate(zip(told.granted, told.raw, strict=True)):
        stands_s = int(rule.settle_s) if s else 0
        assert granted_w <= min(told.raw[max(1, s - stands_s + 1) : s + 1], default=raw_w) + EPSILON_W
        if rule.rise_w_per_s is not None:
            for before_s in range(max(0, s - 40), s):
                most_w = rule.rise_w_per_s * (
                    s - before_s + 2 * STAIR_S + 0.1 * s
                )  # far ahead stairs are wider
                assert granted_w <= told.granted[before_s] + most_w + EPSILON_W


@given(steps=STEPS, reads=READS, ahead_s=st.sampled_from([0, 20, 1000]), rule=RULES)
@settings(max_examples=20, deadline=None)
def test_what_only_falls_is_left_as_it_is(
    steps: list[tuple[int, float]], reads: list[int], ahead_s: int, rule: SteadyRule
) -> None:
    """To the watt and the second."""
    truth = {0: 2000.0}
    for second, limit_w in sorted(dict(steps).items()):
        truth[second] = min(limit_w, *truth.values())
    told = Told(truth=truth, ahead_s=ahead_s, rule=rule).run(set(reads))

    assert told.granted == told.raw


@given(steps=STEPS, rule=RULES)
@settings(max_examples=8, deadline=None)
def test_in_the_end_all_of_it_counts(steps: list[tuple[int, float]], rule: SteadyRule) -> None:
    """However slowly: once it stood, and had the time to climb."""
    told = Told(truth={0: 500.0} | dict(steps), ahead_s=0, rule=rule).run(set(range(0, END_S, 5)))
    told.read(END_S)
    told.read(END_S + 400)  # nothing turned for so long
    told.read(END_S + 5000)

    assert told.limit_w(END_S + 5000) == told.w(END_S + 5000)


@given(steps=STEPS, reads=READS)
@settings(max_examples=8, deadline=None)
def test_a_source_that_nobody_holds_back_is_handed_on(
    steps: list[tuple[int, float]], reads: list[int]
) -> None:
    """The very envelope."""
    told = Told(truth={0: 500.0} | dict(steps), ahead_s=20, rule=AT_ONCE).run(set(reads))

    assert told.granted == told.raw
    assert all(a != b for a, b in pairwise(told.past.turned))
