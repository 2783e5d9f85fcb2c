"""What work has use for, as it is learned from what it draws: only from long calm, and forgotten at once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.core.power import A100_SXM
from scheduler.core.stranded import WATCH_S, Look, Watch, useful_cap_w, wait_s, watched
from tests.builders import T0

SILENT_S = 5.0


def seen(
    known: Watch | None,
    draw_w: float,
    *,
    from_s: float,
    for_s: float,
    cap_w: float = 400.0,
    every_s: float = 2.0,
    nodes: tuple[str, ...] = ("a",),
    waits_s: float = WATCH_S,
) -> Watch | None:
    """Looks at an attempt that draws the same on all its nodes."""
    for step in range(int(for_s / every_s) + 1):
        at = T0 + timedelta(seconds=from_s + step * every_s)
        for node_id in nodes:
            look = Look(at=at, node_id=node_id, nodes=len(nodes), draw_w=draw_w, cap_w=cap_w)
            known = watched(known, look, wait_s=waits_s, silent_s=SILENT_S)
    return known


def cap_of(known: Watch | None) -> float | None:
    """What it is known to have use for."""
    return None if known is None else known.useful_w


def light(draw_w: float = 200.0) -> Watch:
    """One of which it is known, under that cap by now."""
    known = seen(None, draw_w, from_s=0, for_s=WATCH_S + 2)
    assert known is not None
    assert known.useful_w is not None
    return known


def test_little_draw_for_long_is_a_cap_above_the_highest_that_was_seen() -> None:
    """In whole steps."""
    known = seen(None, 150.0, from_s=0, for_s=300)
    known = seen(known, 199.0, from_s=302, for_s=10)
    known = seen(known, 120.0, from_s=314, for_s=280)
    assert cap_of(known) is None

    assert cap_of(seen(known, 120.0, from_s=596, for_s=10)) == useful_cap_w(199.0) == 240.0


def test_one_look_near_the_cap_begins_anew() -> None:
    """Whatever was seen before and after."""
    known = seen(None, 150.0, from_s=0, for_s=500)
    known = seen(known, 330.0, from_s=502, for_s=0)
    assert known is None

    assert cap_of(seen(known, 150.0, from_s=504, for_s=500)) is None


@pytest.mark.parametrize("every_s", [SILENT_S + 1, 60.0])
def test_silence_teaches_nothing(every_s: float) -> None:
    """However little was drawn each time that anything was heard."""
    assert cap_of(seen(None, 150.0, from_s=0, for_s=4 * WATCH_S, every_s=every_s)) is None


def test_a_gang_is_known_once_all_its_nodes_are() -> None:
    """One of which nothing is heard may draw anything."""
    together = seen(None, 150.0, from_s=0, for_s=WATCH_S + 2, nodes=("a", "b"))
    assert cap_of(together) == useful_cap_w(150.0)

    known = None
    for step in range(int(WATCH_S)):
        look = Look(at=T0 + timedelta(seconds=step * 2), node_id="a", nodes=2, draw_w=150.0, cap_w=400.0)
        known = watched(known, look, wait_s=WATCH_S, silent_s=SILENT_S)
    assert cap_of(known) is None


def test_who_comes_near_such_a_cap_is_forgotten_at_once() -> None:
    """And who only draws a little more than before is not."""
    known = light()
    assert cap_of(seen(known, 212.0, from_s=604, for_s=0, cap_w=240.0)) == 240.0

    assert seen(known, 0.89 * 240.0, from_s=604, for_s=0, cap_w=240.0) is None


def test_who_draws_less_since_is_forgotten_for_the_cap_may_be_why() -> None:
    """Work that draws 70 % of whatever cap it has would be lowered for ever."""
    first = light(280.0)
    cap_w = first.useful_w or 0.0
    known = seen(first, 0.7 * cap_w, from_s=604, for_s=WATCH_S - 4, cap_w=cap_w)
    assert cap_of(known) == cap_w

    assert cap_of(seen(known, 0.7 * cap_w, from_s=1202, for_s=10, cap_w=cap_w)) is None


def test_who_draws_less_under_a_still_lower_cap_is_not() -> None:
    """That one says nothing of the cap that it has use for."""
    known = seen(light(), 150.0, from_s=604, for_s=WATCH_S + 4, cap_w=195.0)

    assert cap_of(known) == 240.0


def test_each_time_it_takes_twice_as_long() -> None:
    """As long as anybody cares, but not for ever."""
    assert [wait_s(n) for n in range(3)] == [WATCH_S, 2 * WATCH_S, 4 * WATCH_S]
    assert wait_s(1000) == wait_s(7)

    known = seen(None, 150.0, from_s=0, for_s=WATCH_S + 2, waits_s=wait_s(1))
    assert cap_of(known) is None
    assert cap_of(seen(known, 150.0, from_s=WATCH_S + 4, for_s=WATCH_S, waits_s=wait_s(1))) == 180.0


def test_work_that_a_cap_holds_down_is_never_taken_for_light() -> None:
    """At no cap of the measured curve, nor work that draws nine tenths of any cap."""
    for cap_w in range(100, 401, 5):
        for draw_w in (A100_SXM.busy_w(cap_w), 0.9 * cap_w):
            assert seen(None, draw_w, from_s=0, for_s=2, cap_w=cap_w) is None


def test_neither_work_at_its_old_peak_nor_work_that_needs_more_is_mistaken_for_the_other() -> None:
    """At any draw, on any device that holds its draw at 90 % of its caps or above: the one is let be, the other not."""
    for peak_w in range(50, 320, 3):
        cap_w = useful_cap_w(peak_w)
        found = seen(None, peak_w, from_s=0, for_s=WATCH_S + 2)
        assert cap_of(seen(found, peak_w, from_s=604, for_s=WATCH_S, cap_w=cap_w)) == cap_w
        for share in (0.9, 0.95, 1.0):
            assert seen(found, share * cap_w, from_s=604, for_s=0, cap_w=cap_w) is None
