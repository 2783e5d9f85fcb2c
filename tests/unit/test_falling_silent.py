"""A source that falls silent is told of before the limit falls for it: on the page, by `barq power`, in the API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from api.dashboard.words import headline
from barq.cli.power import _state
from scheduler.core.decide import decide
from scheduler.core.envelope import Envelope, Segment
from scheduler.documents import power_document, sample
from tests.builders import T0, site
from tests.unit.test_dashboard_words import NOW, power


def document(silent_s: float, *, stale_after_s: float | None = 30.0) -> dict[str, Any]:
    """What is shown of a site with 3 kW firm, whose source gave 5 kW and fell silent."""
    built = site(firm_w=3000).node("a")
    told = Envelope(
        source="feeder",
        issued_at=T0,
        read_at=T0,
        reaction_s=30.0,
        segments=(Segment(starts_at=T0, limit_w=5000.0),),
        stale_after_s=stale_after_s,
    )
    built.passes(silent_s)
    snapshot = replace(built.snapshot(), envelopes=(told,))
    decision = decide(snapshot)
    return power_document(snapshot, decision, sample(snapshot, decision, over_limit=False))


@pytest.mark.parametrize(
    "silent_s, left_s, words",
    [
        (0.5, 29.5, ""),
        (9.0, 21.0, ""),
        (12.0, 18.0, " Source feeder is silent for 12 s; in 18 s at most 3.0 kW count."),
        (30.0, 0.0, " Source feeder is silent for 30 s; in 0 s at most 3.0 kW count."),
        (30.5, None, ""),
    ],
)
def test_what_comes_is_told_once_a_third_of_the_time_is_over(
    silent_s: float, left_s: float | None, words: str
) -> None:
    """How long it has been silent, and what will count then; once that counts the limit itself says it."""
    shown = document(silent_s)

    assert shown["sources"][0]["stale_in_s"] == left_s
    assert shown["sentence"].endswith(f"No change is announced.{words}")
    assert shown["limit_w"] == (5000.0 if left_s is not None else 3000.0)


def test_a_source_that_never_goes_stale_has_no_countdown() -> None:
    """A person's limit, a standing contract."""
    shown = document(1e6, stale_after_s=None)

    assert shown["sources"][0]["stale_in_s"] is None
    assert "silent" not in shown["sentence"]


@pytest.mark.parametrize(
    "source, words",
    [
        ({"stale": True, "age_s": 40.0, "stale_in_s": None}, "stale"),
        ({"stale": False, "age_s": 12.0, "stale_in_s": 18.0}, "stale in 18 s"),
        ({"stale": False, "age_s": 9.0, "stale_in_s": 21.0}, "fresh"),
        ({"stale": False, "age_s": 9.0, "stale_in_s": None}, "fresh"),
        ({"stale": False, "age_s": 9.0}, "fresh"),
    ],
)
def test_barq_power_counts_down(source: dict[str, Any], words: str) -> None:
    """In the table of sources."""
    view: Any = source
    assert _state(view) == words


def test_the_page_says_it_beside_the_limit() -> None:
    """While all is well still."""
    told = {"name": "feeder", "limit_w": 4600.0, "provenance": "", "stale": False, "valid_until": None}
    heard, silent = ({**told, "age_s": a, "stale_in_s": 30.0 - a} for a in (1.0, 12.0))

    assert "silent" not in note(heard)
    assert "feeder is silent for 12 s, in 18 s at most the firm level counts" in note(silent)


def note(source: dict[str, Any]) -> str:
    """What stands beside the limit."""
    return headline(power(sources=[source]), NOW).note
