"""Whether the limit was kept, and how long a withdrawal took."""

from __future__ import annotations

from datetime import timedelta

from scheduler.core.compliance import Judgement, Watch, judge_draw
from tests.builders import T0

Reading = tuple[float, float, float]  #: second, limit, draw


def judged(*readings: Reading, reaction_s: float = 30.0) -> list[Judgement]:
    """One reading after the other."""
    watch, found = Watch(), []
    for second, limit_w, draw_w in readings:
        judgement = judge_draw(
            watch, at=T0 + timedelta(seconds=second), limit_w=limit_w, draw_w=draw_w, reaction_s=reaction_s
        )
        watch = judgement.watch
        found.append(judgement)
    return found


def breaches(*readings: Reading) -> list[bool]:
    """Which readings were over the limit."""
    return [j.over_limit for j in judged(*readings)]


def test_under_the_limit_nothing_happens() -> None:
    """At the limit is under it."""
    found = judged((0, 5000, 4000), (1, 5000, 5000))

    assert [(j.over_limit, j.changed) for j in found] == [(False, ()), (False, ())]


def test_over_the_only_limit_is_a_breach_at_once() -> None:
    """There was no fall to react to."""
    assert breaches((0, 5000, 5001)) == [True]


def test_the_reaction_time_belongs_to_the_site() -> None:
    """Until it is over the old limit is the measure; from then on the new one."""
    assert breaches((0, 5000, 4000), (10, 3000, 4000), (39.9, 3000, 4000), (40, 3000, 4000)) == [
        False,
        False,
        False,
        True,
    ]


def test_a_higher_draw_is_no_part_of_the_reaction() -> None:
    """Above the old limit is a breach, reaction or not."""
    assert breaches((0, 5000, 4000), (10, 3000, 5001)) == [False, True]


def test_a_second_fall_does_not_extend_the_first() -> None:
    """Each limit is forgotten on its own."""
    readings = (
        (0, 5000, 4500),
        (10, 4000, 4500),
        (30, 3000, 3500),
        (40, 3000, 4500),
        (41, 3000, 3500),
        (60, 3000, 3500),
    )

    assert breaches(*readings) == [False, False, False, True, False, True]


def test_a_withdrawal_begins_when_the_limit_falls_below_the_draw_and_ends_under_it() -> None:
    """With the seconds in between."""
    found = judged((0, 5000, 4000), (10, 3000, 4000), (12, 3000, 3500), (14, 3000, 3000))
    begun, ended = found[1].changed[0], found[3].changed[0]

    assert [len(j.changed) for j in found] == [0, 1, 0, 1]
    assert (begun.limit_w, begun.draw_w, begun.reaction_s, begun.complied_at) == (3000, 4000, 30.0, None)
    assert ended.complied_at is not None
    assert (ended.complied_at - ended.began_at).total_seconds() == 4.0


def test_a_fall_that_is_met_already_is_no_withdrawal() -> None:
    """Nothing had to be given back."""
    assert judged((0, 5000, 2000), (10, 3000, 2000))[1].changed == ()


def test_falls_upon_falls_end_when_each_is_met() -> None:
    """All of them are met once the draw is under the limit in force."""
    found = judged((0, 5000, 4500), (10, 4000, 4500), (12, 3000, 3800), (14, 3000, 2900))

    assert [[w.limit_w for w in j.changed] for j in found] == [[], [4000], [3000], [4000, 3000]]


def test_a_limit_that_returns_ends_a_withdrawal() -> None:
    """It asks for no more than the limit in force, however long the site goes on as before."""
    found = judged((0, 5000, 4500), (10, 4000, 4500), (12, 4400, 4500), (14, 5000, 4500), (900, 5000, 3900))

    assert [len(j.changed) for j in found] == [0, 1, 0, 1, 0]


def test_only_the_limits_of_the_last_reaction_time_are_remembered() -> None:
    """And the one before them, which was in force when it began."""
    found = judged(*((float(s), 5000.0 - s, 0.0) for s in range(100)), reaction_s=10.0)

    assert len(found[-1].watch.limits) == 11
