"""The proven margin over halls, meters and loads that are not what the site file says."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings, strategies as st

from scheduler.core.trim import BAND
from tests.property.test_trim import LIMIT_W, SITE, STEP, WINDOW_S, Hall

ACCURACY = 0.01
HALLS: dict[str, st.SearchStrategy[Any]] = {
    "overhead": st.floats(1.15, 1.29),
    "auxiliary_w": st.floats(1000.0, 3000.0),
    "lie": st.floats(1.0 - ACCURACY, 1.0 + ACCURACY),
    "lag_s": st.integers(0, 4),
    "noise": st.floats(0.0, 0.003),
    "seed": st.integers(0, 9),
}


@given(**HALLS, work=st.floats(0.85, 1.0))
@example(overhead=1.2625, auxiliary_w=2020.0, lie=0.9901, lag_s=1, noise=0.001, seed=0, work=1.0)
@example(overhead=1.2625, auxiliary_w=2020.0, lie=0.9901, lag_s=1, noise=0.001, seed=0, work=0.98)
@settings(max_examples=8, deadline=None)
def test_a_meter_as_good_as_its_class_never_proves_too_much(work: float, **hall: Any) -> None:
    """Whatever the model says: the true draw of steady work is within the limit once the trim has learned."""
    made = Hall(**hall, accuracy=ACCURACY, most=0.02, busy=lambda s: work).run(2600)

    assert max(made.draws[60:]) <= LIMIT_W * (1.0 + BAND)
    assert max(made.draws[600:]) <= LIMIT_W


@given(**HALLS, steps=st.lists(STEP, min_size=4, max_size=4))
@settings(max_examples=8, deadline=None)
def test_what_is_ordered_stays_within_the_limit(steps: list[tuple[float, float]], **hall: Any) -> None:
    """By the figures of the site file, whatever was proven and given back; and a draw over it is soon found out."""
    made = Hall(
        **hall,
        accuracy=ACCURACY,
        most=SITE.margin,
        busy=lambda s: steps[s // 700][1],
        limit=lambda s: steps[s // 700][0] * LIMIT_W,
    ).run(2800)

    assert all(w <= steps[s // 700][0] * LIMIT_W + 1e-6 for s, w in enumerate(made.books))
    assert made.longest_over_s() <= made.lag_s + WINDOW_S + SITE.fall_s + 2


def test_work_that_draws_less_than_it_may_leaves_no_margin_twice() -> None:
    """It shrinks to the least, slowly; and with work that draws all that it may, to what the meter may be off by."""
    easy = Hall(overhead=1.25, auxiliary_w=2000.0, accuracy=ACCURACY, busy=lambda s: 0.97).run(5400)
    hard = Hall(overhead=1.25, auxiliary_w=2000.0, accuracy=ACCURACY).run(5400)

    assert set(easy.margins[:600]) == {SITE.margin}
    assert all(a - b <= 0.0006 for a, b in zip(easy.margins, easy.margins[1:], strict=False))
    assert easy.margins[-1] == BAND
    assert abs(hard.margins[-1] - ACCURACY) <= 0.001
