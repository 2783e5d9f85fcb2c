"""Where a forecast from history counts, and what it does to what is planned on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from scheduler.core.envelope import Envelope, Foreseen, Quantile, Segment
from scheduler.core.foresight import LOW, MEDIAN, basis, planned
from scheduler.core.hindsight import HISTORY, filled
from scheduler.documents import power_document, sample
from scheduler.hindsight import GOOD_FOR, Hindsight
from scheduler.predictions import STEPS, Made, Method
from tests.builders import T0, site

H = timedelta(hours=1)
OPEN = Envelope(
    source="grid",
    issued_at=T0,
    read_at=T0,
    reaction_s=30.0,
    segments=(Segment(starts_at=T0, limit_w=500.0),),
)
STEPS_LEARNED = tuple(
    Foreseen(
        starts_at=T0 + i * H,
        quantiles=(Quantile(share=0.1, limit_w=100.0 + i), Quantile(share=0.5, limit_w=800.0 + i)),
    )
    for i in range(1, 5)
)
LEARNED = (*STEPS_LEARNED, Foreseen(starts_at=T0 + 5 * H, quantiles=()))


def until(hours: float) -> Envelope:
    """What is published ends then."""
    return replace(OPEN, valid_until=T0 + hours * H)


def watts(envelopes: tuple[Envelope, ...], hours: float, share: float = MEDIAN) -> tuple[float, str]:
    """What is planned on in so many hours, and by whom it is."""
    limit, _ = planned(envelopes, T0 + hours * H, share, now=T0, firm_w=50.0)
    return limit.limit_w, limit.source


def test_history_takes_the_place_of_what_stands_until_further_notice() -> None:
    """From its first step on, at each quantile; until then, and now, what is published."""
    known = filled((OPEN,), LEARNED)

    assert [watts(known, h) for h in (0, 0.9, 1, 2)] == [
        (500.0, "grid"),
        (500.0, "grid"),
        (801.0, HISTORY),
        (802.0, HISTORY),
    ]
    assert watts(known, 1, LOW) == (101.0, HISTORY)
    assert basis(known, 4) == "tier 4 may be cut, and is planned on the median of the forecast of history"


def test_what_was_learned_says_nothing_of_the_present() -> None:
    """Its step for this hour was made before anybody knew what the limit is now."""
    known = filled((OPEN,), LEARNED)
    limit, share = planned(known, T0 + H, LOW, now=T0 + H, firm_w=50.0)
    assert (limit.limit_w, share) == (500.0, None)


def test_a_published_schedule_wins_for_the_time_that_it_covers() -> None:
    """Also beside another source that says nothing of the end of its limit."""
    known = filled((until(3), replace(OPEN, source="cap", segments=())), LEARNED)
    assert [watts(known, h) for h in (2, 3)] == [(500.0, "grid"), (803.0, HISTORY)]
    assert [watts(filled((until(3),), LEARNED), h) for h in (2, 3.5)] == [(500.0, "grid"), (803.0, HISTORY)]


def test_a_source_that_foresees_for_itself_is_believed() -> None:
    """For as long as it does; after that, history."""
    own = (
        Foreseen(starts_at=T0 + H, quantiles=(Quantile(share=0.5, limit_w=300.0),)),
        Foreseen(starts_at=T0 + 2 * H, quantiles=()),
    )
    known = filled((replace(OPEN, forecast=own), replace(OPEN, source="b", segments=())), LEARNED)
    assert [watts(known, h) for h in (1, 3)] == [(300.0, "grid"), (500.0, "grid")]
    assert known[0].forecast == own


def test_where_all_is_covered_nothing_is_filled_in() -> None:
    """The envelopes are as they were."""
    assert filled((until(9),), LEARNED) == (until(9),)
    assert filled((OPEN,), ()) == (OPEN,)


def test_an_old_forecast_is_planned_on_no_more() -> None:
    """And one that nobody learned from never was."""
    rows = tuple((100.0 + i, 200.0 + i, 300.0 + i) for i in range(STEPS))
    made = Made(made_at=T0, starts_at=T0, rows={Method.LEARNED: rows})
    hindsight = Hindsight()
    assert hindsight.over([OPEN], T0) == (OPEN,)

    hindsight.learn(made, Method.LEARNED)
    told = hindsight.over([OPEN], T0)
    assert told[0].forecast_by == HISTORY
    assert _watts_at(told[0], T0 + 5.75 * H) == [123.0, 223.0, 323.0]
    assert _watts_at(told[0], T0 + 7.5 * H) == [128.0, 228.0, 328.0]  # the lowest of its hour
    assert _watts_at(told[0], T0 + 48 * H) == []
    assert hindsight.over([OPEN], T0 + GOOD_FOR) == (OPEN,)

    hindsight.learn(None, None)
    assert hindsight.over([OPEN], T0) == (OPEN,)


def _watts_at(envelope: Envelope, at: datetime) -> list[float]:
    begun = [f for f in envelope.forecast if f.starts_at <= at]
    return [q.limit_w for q in begun[-1].quantiles]


def test_a_filled_envelope_follows_what_is_published() -> None:
    """What was worked out for one word of a source is not used for the next."""
    hindsight = Hindsight()
    rows = tuple((100.0, 200.0, 300.0) for _ in range(STEPS))
    hindsight.learn(Made(made_at=T0, starts_at=T0, rows={Method.LAST: rows}), Method.LAST)

    assert hindsight.over([OPEN], T0)[0].forecast[0].starts_at == T0
    assert [f.starts_at for f in hindsight.over([until(3)], T0)[0].forecast if f.quantiles] == [T0 + 3 * H]
    assert hindsight.over([replace(OPEN, read_at=T0 + H)], T0)[0].read_at == T0 + H


def test_people_are_told_once_that_it_is_from_history() -> None:
    """However many sources it fills in for."""
    built = site().node(gpus=4).limit_w(9000)
    twice = (*built.snapshot().envelopes, replace(OPEN, segments=()))
    snapshot = replace(built.snapshot(), envelopes=filled(twice, LEARNED))
    decision = built.policy.decide(snapshot)
    told = power_document(snapshot, decision, sample(snapshot, decision, over_limit=False))["forecast"]
    assert [(f["source"], f["quantiles"][1]["limit_w"]) for f in told] == [(HISTORY, 801.0)]
