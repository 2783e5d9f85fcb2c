"""Energy by class: firm, granted, breach; and who allowed it, in which interval."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from scheduler.core.accounting import (
    FURTHER,
    MOST_DOCUMENTS,
    MOST_INTERVALS,
    Evidence,
    Parts,
    Tally,
    add_evidence,
    minutes_of,
    parts_of,
    quarter_of,
)
from scheduler.core.compliance import Watch, judge_draw
from scheduler.core.envelope import Envelope, Limit, Segment, at_feeder, limit_of
from scheduler.core.grants import Grant, Grants, grant_of, judged_by, note_grant

T0 = datetime(2026, 10, 1, 12, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    """So many seconds into the story."""
    return T0 + timedelta(seconds=seconds)


def schedule(*steps: tuple[float, float], until_s: float | None = None) -> Envelope:
    """A source's limits, W, by the seconds from which they hold."""
    return Envelope(
        source="grid",
        issued_at=T0,
        read_at=T0,
        reaction_s=30.0,
        segments=tuple(
            Segment(starts_at=after(s), limit_w=w, provenance=f"row {i}", document="day.csv")
            for i, (s, w) in enumerate(steps)
        ),
        valid_until=None if until_s is None else after(until_s),
        stale_after_s=10.0,
        feeder="f12",
    )


def granted(envelope: Envelope, at_s: float) -> Grant:
    """What it grants then, judged by its freshness then."""
    limit = limit_of(envelope, after(at_s), now=after(at_s), firm_w=1000.0)
    assert limit is not None
    return grant_of(limit, [envelope], after(at_s))


@pytest.mark.parametrize(
    "draw_w, limit_w, parts",
    [
        (800.0, 3000.0, (800.0, 0.0, 0.0)),
        (2500.0, 3000.0, (1000.0, 1500.0, 0.0)),
        (3200.0, 3000.0, (1000.0, 2000.0, 200.0)),
        (900.0, 400.0, (400.0, 0.0, 500.0)),  # limited below firm: an emergency stop, a person
        (1000.0, 1000.0, (1000.0, 0.0, 0.0)),
    ],
)
def test_a_draw_has_three_parts(draw_w: float, limit_w: float, parts: tuple[float, float, float]) -> None:
    """Firm first, then what was granted on top, and what nobody allowed."""
    found = parts_of(draw_w, limit_w=limit_w, firm_w=1000.0)
    assert found == Parts(firm_w=parts[0], granted_w=parts[1], breach_w=parts[2])


def test_a_grant_names_document_feeder_and_interval() -> None:
    """Its interval lasts to the next step, the last one to the end of the schedule."""
    envelope = schedule((0, 5000), (3600, 2000), until_s=7200)
    fresh = replace(envelope, read_at=after(4000))
    assert granted(replace(envelope, read_at=after(5)), 5) == Grant(
        limit_w=5000,
        source="grid",
        provenance="row 0",
        document="day.csv",
        feeder="f12",
        starts_at=after(0),
        ends_at=after(3600),
    )
    last = granted(fresh, 4000)
    assert (last.limit_w, last.starts_at, last.ends_at) == (2000, after(3600), after(7200))


def test_a_silent_source_grants_no_interval_beyond_what_it_said() -> None:
    """Its last document is named, marked stale and without an end; before any segment there is nothing to name."""
    stale = granted(schedule((0, 5000), (3600, 9000)), 4000)
    assert (stale.limit_w, stale.provenance, stale.starts_at, stale.ends_at) == (
        1000,
        "row 0",
        after(0),
        None,
    )
    assert stale.is_stale
    unheard = granted(schedule(), 60)
    assert (unheard.limit_w, unheard.document, unheard.feeder, unheard.starts_at) == (1000, "", "f12", None)


def test_without_any_source_firm_grants_itself() -> None:
    """There is no document and no interval."""
    firm = Limit(limit_w=1000.0, source="firm", provenance="no source gives a limit", reaction_s=0.0)
    assert grant_of(firm, [schedule((0, 5000))], T0).starts_at is None


def test_the_site_file_names_the_feeder_of_a_source() -> None:
    """What the source itself names stands where the site file names none."""
    assert at_feeder(schedule((0, 1)), "hall-2").feeder == "hall-2"
    assert at_feeder(schedule((0, 1)), "").feeder == "f12"


def test_what_was_allowed_in_the_reaction_time_is_still_allowed() -> None:
    """The grant that judges is that of the limit that judges: at each second both say the same watts."""
    told = [(0, 5000.0, "a"), (1, 2000.0, "b"), (20, 2000.0, "c"), (25, 3000.0, "d"), (40, 1000.0, "e")]
    watch, grants = Watch(), Grants()
    for second in range(90):
        limit_w, document = next((w, d) for s, w, d in reversed(told) if s <= second)
        found = judge_draw(watch, at=after(second), limit_w=limit_w, draw_w=0.0, reaction_s=30.0)
        watch = found.watch
        grant = Grant(limit_w=limit_w, source="grid", document=document)
        grants = note_grant(grants, grant, at=after(second), reaction_s=30.0)
        judged = judged_by(grants)
        assert judged.limit_w == max(w for _, w in watch.limits)
        expected = "a" if second <= 30 else "d" if second <= 69 else "e"
        assert judged.document == expected, second
    assert len(grants) == 1


def test_an_end_that_moves_is_no_new_grant() -> None:
    """It is the same document that was prolonged."""
    grant = Grant(limit_w=1.0, source="grid", ends_at=after(60))
    once = note_grant((), grant, at=T0, reaction_s=30.0)
    twice = note_grant(once, replace(grant, ends_at=after(90)), at=after(5), reaction_s=30.0)
    assert twice == ((T0, replace(grant, ends_at=after(90))),)


def test_time_is_cut_at_full_minutes() -> None:
    """Each piece lies in one minute, so in one quarter, too."""
    assert minutes_of(after(59.5), 1.0) == ((T0, 0.5), (after(60), 0.5))
    assert minutes_of(after(60), 10.0) == ((after(60), 10.0),)
    assert [quarter_of(after(m * 60)) for m in (0, 14.99, 15, 59)] == [after(m * 60) for m in (0, 0, 15, 45)]


def second_of(wh: float) -> Tally:
    """A second in which so much was granted."""
    return Tally(covered_s=1.0, granted_wh=wh)


def grant(start_s: float, *, document: str = "day.csv", limit_w: float = 5000.0) -> Grant:
    """A grant of one source."""
    return Grant(limit_w=limit_w, source="grid", document=document, starts_at=after(start_s))


def test_evidence_is_kept_by_interval() -> None:
    """Seconds under one grant are one line, with its newest end; another interval is another line."""
    found: tuple[Evidence, ...] = ()
    for start_s in (0, 0, 60, 0):
        found = add_evidence(found, grant(start_s), second_of(2.0))
    assert [(e.starts_at, e.covered_s, e.granted_wh) for e in found] == [
        (after(0), 3.0, 6.0),
        (after(60), 1.0, 2.0),
    ]
    prolonged = add_evidence(found, replace(grant(60), ends_at=after(900)), second_of(0.0))
    assert (len(prolonged), prolonged[1].ends_at) == (2, after(900))


def test_a_limit_that_moves_each_second_fills_no_record() -> None:
    """Beyond some intervals those of one document are counted together, with their lowest and highest limit."""
    found: tuple[Evidence, ...] = ()
    for second in range(900):
        for _ in range(2):  # two samples in each interval: still one interval
            found = add_evidence(found, grant(second, limit_w=1000.0 + second), second_of(1.0))
    assert len(found) == MOST_INTERVALS
    last = found[-1]
    assert (last.intervals, last.least_w, last.most_w) == (901 - MOST_INTERVALS, 1023.0, 1899.0)
    assert sum(e.granted_wh for e in found) == pytest.approx(1800.0)
    assert sum(e.covered_s for e in found) == pytest.approx(1800.0)


def test_a_source_that_names_a_document_each_second_fills_no_record_either() -> None:
    """The last line says that there were more."""
    found: tuple[Evidence, ...] = ()
    for second in range(900):
        found = add_evidence(found, grant(second, document=f"event {second}"), second_of(1.0))
    assert len(found) == MOST_DOCUMENTS + 1
    assert (found[-1].provenance, found[-1].document) == (FURTHER, "")
    assert found[-1].intervals == 900 - MOST_DOCUMENTS
    assert sum(e.granted_wh for e in found) == pytest.approx(900.0)
