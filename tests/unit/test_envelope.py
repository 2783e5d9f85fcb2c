"""Limits from several sources: which binds, when, and what silence means."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from scheduler.core.envelope import Envelope, Segment, changes, lowest, lowest_within, unheard, window_s
from tests.builders import T0

FIRM_W = 1000.0


def after(seconds: float) -> datetime:
    """An instant."""
    return T0 + timedelta(seconds=seconds)


def envelope(
    *steps: tuple[float, float],
    source: str = "grid",
    read_s: float = 0.0,
    ends_s: float | None = None,
    stale_after_s: float | None = None,
) -> Envelope:
    """One source: steps as (from second, limit)."""
    return Envelope(
        source=source,
        issued_at=after(read_s),
        read_at=after(read_s),
        reaction_s=30.0,
        segments=tuple(
            Segment(starts_at=after(s), limit_w=w, provenance=f"{source} at {s:g}") for s, w in steps
        ),
        valid_until=None if ends_s is None else after(ends_s),
        stale_after_s=stale_after_s,
    )


def limit_w(*envelopes: Envelope, at_s: float = 0.0, now_s: float | None = None) -> float:
    """What binds at an instant, judged then or at another one."""
    now = after(at_s if now_s is None else now_s)
    return lowest(envelopes, after(at_s), now=now, firm_w=FIRM_W).limit_w


def test_the_lowest_source_binds_and_is_named() -> None:
    """With its document and the reaction time it grants."""
    low = envelope((0, 3000), source="feeder")
    found = lowest([envelope((0, 5000)), low], T0, now=T0, firm_w=FIRM_W)

    assert (found.limit_w, found.source, found.provenance) == (3000, "feeder", "feeder at 0")
    assert (found.reaction_s, found.stale) == (30.0, False)


def test_a_site_that_nobody_tells_anything_is_held_to_firm() -> None:
    """No source, a source whose first step is to come, and one whose last is over."""
    over, to_come = envelope((-9, 7000), ends_s=-1), envelope((5, 7000))

    assert limit_w() == FIRM_W
    assert limit_w(over, to_come) == FIRM_W
    assert lowest([], T0, now=T0, firm_w=FIRM_W).source == "firm"


@pytest.mark.parametrize("at_s, expected_w", [(0, 5000), (9.9, 5000), (10, 3000), (19.9, 3000), (20, 4000)])
def test_a_step_holds_from_its_instant_on(at_s: float, expected_w: float) -> None:
    """Piecewise constant, closed on the left."""
    assert limit_w(envelope((0, 5000), (10, 3000), (20, 4000)), at_s=at_s) == expected_w


def test_an_end_is_exclusive() -> None:
    """A limit until noon does not hold at noon."""
    told = envelope((0, 500), source="person", ends_s=10)

    assert limit_w(envelope((0, 5000)), told, at_s=9.999) == 500
    assert limit_w(envelope((0, 5000)), told, at_s=10) == 5000


@pytest.mark.parametrize("age_s, expected_w", [(0, 5000), (60, 5000), (60.001, FIRM_W)])
def test_silence_longer_than_allowed_holds_the_site_to_firm(age_s: float, expected_w: float) -> None:
    """A last value above firm is not trusted any more."""
    assert limit_w(envelope((0, 5000), stale_after_s=60), at_s=age_s) == expected_w


def test_a_silent_source_below_firm_keeps_its_last_value() -> None:
    """min(last value, firm)."""
    assert limit_w(envelope((0, 700), stale_after_s=60), at_s=61) == 700


def test_the_others_stand_while_one_is_silent() -> None:
    """Each is judged by its own age."""
    silent = envelope((0, 5000), stale_after_s=60)

    assert limit_w(silent, envelope((0, 800), source="b", read_s=60), at_s=61) == 800


def test_the_rises_that_a_silent_source_announced_do_not_count() -> None:
    """Nobody can say whether they still hold."""
    assert limit_w(envelope((0, 600), (70, 900), stale_after_s=60), at_s=80) == 600


def test_the_drops_that_a_silent_source_announced_do_count() -> None:
    """A drop below firm that was known before stays known."""
    assert limit_w(envelope((0, 5000), (70, 400), stale_after_s=60), at_s=80) == 400


def test_a_source_without_a_word_yet_holds_the_site_to_firm() -> None:
    """From its first instant on, and it says that it is stale."""
    found = lowest([unheard("grid", at=T0, reaction_s=30.0)], T0, now=T0, firm_w=FIRM_W)

    assert (found.limit_w, found.source, found.stale) == (FIRM_W, "grid", True)


def test_a_person_is_never_stale() -> None:
    """A limit for maintenance ends when a person ends it."""
    assert limit_w(envelope((0, 5000), stale_after_s=None), at_s=1e6) == 5000


def test_changes_are_the_known_instants_in_order() -> None:
    """Starts and ends of all sources, after the first bound, up to the second."""
    found = changes(
        [envelope((0, 1), (10, 2), ends_s=40), envelope((5, 1), (20, 2))], after=T0, until=after(20)
    )

    assert found == [after(5), after(10), after(20)]


@pytest.mark.parametrize("at_s, expected_w", [(6.4, 5000), (6.5, 3000), (10, 3000), (19, 3000), (20, 4000)])
def test_a_known_drop_applies_early_and_a_rise_on_time(at_s: float, expected_w: float) -> None:
    """Early by the lead."""
    steps = [envelope((0, 5000), (10, 3000), (20, 4000))]
    found = lowest_within(steps, after(at_s), lead_s=3.5, now=after(at_s), firm_w=FIRM_W)

    assert found.limit_w == expected_w


def test_a_dip_inside_the_lead_counts() -> None:
    """Even one that is over before the lead is."""
    steps = [envelope((0, 5000), (1, 300), (2, 5000))]

    assert lowest_within(steps, T0, lead_s=3.5, now=T0, firm_w=FIRM_W).limit_w == 300


@pytest.mark.parametrize(
    "needed_w, expected_s", [(6000, 0.0), (5000, 10.0), (3000, None), (4000, 10.0), (2000, None)]
)
def test_a_window_lasts_until_the_limit_is_known_to_fall_too_low(
    needed_w: float, expected_s: float | None
) -> None:
    """None where no such fall is known within the horizon."""
    steps = [envelope((0, 5000), (10, 3000), (20, 4000), (500, 100))]

    assert window_s(steps, needed_w, now=T0, horizon_s=100, firm_w=FIRM_W) == expected_s
