"""The control trim over halls whose true overhead and auxiliary draw are not those of the site file.

A loop of its own: whoever decides fills the room that the corrected model leaves, devices draw what they may after a
fall, and the meter shows the truth, late and trembling.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import example, given, settings, strategies as st

from scheduler.core.metering import Excess, remembered, standing_w
from scheduler.core.proving import Proof, margin_of, proved
from scheduler.core.snapshot import SitePolicy, Snapshot
from scheduler.core.trim import BAND, Shown, Trim, TrimRule, learned, trimmed
from tests.builders import T0

SITE = SitePolicy(name="s", firm_w=20_000.0, overhead=1.25, auxiliary_w=2000.0, margin=0.03, fall_s=3.0)
WINDOW_S = SITE.fall_s + 1.0
LIMIT_W = 100_000.0


@dataclass
class Hall:
    """What is true, and how the meter shows it."""

    overhead: float
    auxiliary_w: float
    later: float | None = None  #: what the overhead becomes after 20 minutes
    lag_s: int = 0
    noise: float = 0.0  #: share of the draw
    lie: float = 1.0  #: what the meter makes of a watt
    most: float = 0.06
    accuracy: float | None = None  #: of the meter, where it may prove that less margin is enough
    busy: Callable[[int], float] = lambda s: 1.0  #: share of what they may that devices draw
    limit: Callable[[int], float] = lambda s: LIMIT_W
    seed: int = 0
    trim: Trim = field(default_factory=lambda: Trim(at=T0))
    excess: tuple[Excess, ...] = ()
    draws: list[float] = field(default_factory=list)
    corrections: list[float] = field(default_factory=list)
    proof: Proof = field(default_factory=lambda: Proof(at=T0, margin=SITE.margin))
    margins: list[float] = field(default_factory=list)
    books: list[float] = field(default_factory=list)  #: what is ordered, in the site file's own figures

    def run(self, seconds: int) -> Hall:
        """Second by second: read, decide, draw."""
        chance, rule = random.Random(self.seed), TrimRule(most=self.most, accuracy=self.accuracy)
        shown_w = deque([0.0] * self.lag_s, maxlen=self.lag_s + 1)
        allowed = deque([8000.0] * (int(SITE.fall_s) + 1), maxlen=int(SITE.fall_s) + 1)
        for s in range(seconds):
            at = T0 + timedelta(seconds=s)
            nodes_w = self.busy(s) * min(allowed[0], max(allowed))
            overhead = self.overhead if self.later is None or s < 1200 else self.later
            draw_w = self.auxiliary_w + overhead * nodes_w
            self.draws.append(draw_w)
            shown_w.append(draw_w * self.lie * (1.0 + self.noise * chance.uniform(-1, 1)))
            self._read(at, shown_w[0], nodes_w, max(allowed), rule, self.limit(s))
            known = trimmed(self.trim, rule, at=at, limit_w=self.limit(s))
            unmetered_w = standing_w(self.excess, SITE)
            told = Snapshot(at=at, site=SITE, unmetered_w=unmetered_w, trim=known).correction_w
            self.corrections.append(told)
            share = known.w / self.limit(s)
            margin = margin_of(self.proof, rule, margin=SITE.margin, at=at, corrected=share, is_good=True)
            self.margins.append(margin.share)
            room_w = self.limit(s) * (1.0 - margin.share) - SITE.auxiliary_w - told
            allowed.append(max(8000.0, room_w / SITE.overhead))
            self.books.append(SITE.auxiliary_w + SITE.overhead * allowed[-1])
        return self

    def _read(
        self, at: datetime, measured_w: float, nodes_w: float, most_w: float, rule: TrimRule, limit_w: float
    ) -> None:
        books_w = SITE.auxiliary_w + SITE.overhead * most_w
        self.excess = remembered(self.excess, (at, max(0.0, measured_w - books_w)), SITE)
        shown = Shown(
            at=at,
            measured_w=measured_w,
            modelled_w=SITE.auxiliary_w + SITE.overhead * nodes_w,
            nodes_w=SITE.overhead * nodes_w,
            allowed_nodes_w=SITE.overhead * most_w,
            allowed_w=books_w,
        )
        self.trim = learned(self.trim, shown, rule, window_s=WINDOW_S)
        self.proof = proved(
            self.proof,
            shown,
            rule,
            margin=SITE.margin,
            correction_w=self.trim.used_w,
            limit_w=limit_w,
            window_s=WINDOW_S,
        )

    def longest_over_s(self, since: int = 0) -> int:
        """The longest time on end that the true draw was above the limit that held at any time of the last fall."""
        longest = over = 0
        for s, draw_w in enumerate(self.draws[since:], since):
            held_w = max(self.limit(max(0, s - back)) for back in range(6))
            over = over + 1 if draw_w > held_w * (1.0 + 2 * BAND) else 0
            longest = max(longest, over)
        return longest


STEP = st.tuples(
    st.sampled_from([0.4, 0.7, 1.0]), st.floats(0.5, 1.0)
)  #: shares of the limit, and of the load
HALLS: dict[str, st.SearchStrategy[Any]] = {
    "overhead": st.floats(1.15, 1.33),
    "auxiliary_w": st.floats(500.0, 4500.0),
    "lag_s": st.integers(0, 4),
    "noise": st.floats(0.0, 0.004),
    "seed": st.integers(0, 9),
}


@given(**HALLS, later=st.floats(1.15, 1.33), steps=st.lists(STEP, min_size=4, max_size=4))
@example(overhead=1.15, later=1.25, auxiliary_w=2000.0, lag_s=4, noise=0.0, seed=0, steps=[(1.0, 1.0)] * 4)
@settings(max_examples=10, deadline=None)
def test_the_true_draw_is_over_the_limit_no_longer_than_the_meter_takes_to_show_it(
    steps: list[tuple[float, float]], **hall: Any
) -> None:
    """Whatever is wrong with the model, whatever load and limit do: then a window, a fall and a second."""
    made = Hall(**hall, busy=lambda s: steps[s // 400][1], limit=lambda s: steps[s // 400][0] * LIMIT_W).run(
        1600
    )

    assert made.longest_over_s() <= made.lag_s + WINDOW_S + SITE.fall_s + 2


@given(**HALLS)
@settings(max_examples=8, deadline=None)
def test_the_steady_error_goes(
    overhead: float, auxiliary_w: float, lag_s: int, noise: float, seed: int
) -> None:
    """To within the band, as far as more than `most` would not have to be given."""
    hall = Hall(overhead=overhead, auxiliary_w=auxiliary_w, lag_s=lag_s, noise=noise, seed=seed).run(2400)

    nodes_w = (hall.draws[-1] - auxiliary_w) / overhead
    error_w = auxiliary_w - SITE.auxiliary_w + (overhead - SITE.overhead) * nodes_w
    wanted_w = max(error_w, -hall.most * (hall.draws[-1] - error_w))
    assert abs(hall.corrections[-1] - wanted_w) <= (2 * BAND + noise) * LIMIT_W


@given(lie=st.floats(0.9, 1.0), most=st.floats(0.0, 0.1), lag_s=st.integers(0, 4))
@example(lie=0.9, most=0.02, lag_s=0)
@settings(max_examples=8, deadline=None)
def test_a_meter_that_lies_low_costs_no_more_than_is_given_at_most(
    lie: float, most: float, lag_s: int
) -> None:
    """And with less than the margin it breaks no limit."""
    hall = Hall(overhead=SITE.overhead, auxiliary_w=SITE.auxiliary_w, lie=lie, most=most, lag_s=lag_s).run(
        2000
    )

    assert max(hall.draws) <= LIMIT_W * (1.0 - SITE.margin + most) + 1e-6
