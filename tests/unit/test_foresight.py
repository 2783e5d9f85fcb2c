"""What is planned on a forecast: who starts, who waits for it, and what is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.core.decide import PowerAware, decide
from scheduler.core.foresight import LOW, MEDIAN, basis, planned, turns, word
from scheduler.core.outlook import Outlook, Prospect
from scheduler.core.rehearsal import after, rehearse
from tests.builders import T0, SiteBuilder, site

CARRIED = {0.1: 9000.0, 0.5: 9000.0}
ONLY_THE_MEDIAN = {0.1: 1500.0, 0.5: 9000.0}
NEITHER = {0.1: 1000.0, 0.5: 1300.0}


def free() -> SiteBuilder:
    """A node of four GPUs with nothing on it, 820 W; a start on all of them pays off after 7 s."""
    return site().node(gpus=4).limit_w(9000)


def watts(built: SiteBuilder, in_s: float, share: float) -> float:
    """What is planned on, so many seconds from now."""
    at = built.at + timedelta(seconds=in_s)
    limit, _ = planned(built.envelopes, at, share, now=built.at, firm_w=built.site.firm_w)
    return limit.limit_w


def seen(built: SiteBuilder, job_id: str) -> Prospect:
    """What is told of a job once the site was decided on."""
    snapshot = built.snapshot()
    decision = built.policy.decide(snapshot)
    found = Outlook(after(snapshot, decision)).of(job_id, decision.reasons.get(job_id))
    assert found is not None
    return found


# -- which limit is planned on ---


def test_the_lower_of_what_is_published_and_foreseen_counts() -> None:
    """From where on it is foreseen; before that what is published."""
    built = free().falls_to_w(4000, in_s=100).foresees((50, {0.1: 3000, 0.5: 9900}))

    assert [watts(built, s, LOW) for s in (0, 50, 100)] == [9000, 3000, 3000]
    assert [watts(built, s, MEDIAN) for s in (0, 60, 100)] == [9000, 9000, 4000]


def test_what_is_published_until_further_notice_gives_way_to_what_is_foreseen_later() -> None:
    """But not where it says until when it stands, nor does the limit of another source."""
    built = site().node(gpus=4).limit_w(1000).foresees((50, {0.1: 3000, 0.5: 6000}))
    assert (watts(built, 49, MEDIAN), watts(built, 50, MEDIAN)) == (1000, 6000)

    built.envelopes = (replace(built.envelopes[0], valid_until=T0 + timedelta(seconds=90)),)
    assert (watts(built, 50, MEDIAN), watts(built, 90, MEDIAN)) == (1000, 6000)

    built.limit_w(2000, source="a person")
    assert watts(built, 90, MEDIAN) == 2000


def test_of_several_sources_the_lowest_counts_and_none_leaves_the_firm_level() -> None:
    """At the same quantile."""
    built = free().foresees((50, {0.1: 3000, 0.5: 8000})).limit_w(9000, source="b")
    built.envelopes = built.envelopes[::-1]
    built.foresees((50, {0.1: 4000, 0.5: 5000}))

    assert (watts(built, 50, LOW), watts(built, 50, MEDIAN)) == (3000, 5000)
    built.envelopes = ()
    assert watts(built, 50, LOW) == built.site.firm_w


def test_a_forecast_ends_where_it_says_nothing_more() -> None:
    """Then what is published is planned on again."""
    built = free().foresees((50, NEITHER), (60, {}))

    assert [watts(built, s, MEDIAN) for s in (50, 59, 60)] == [1300, 1300, 9000]


def test_a_silent_source_is_not_trusted_in_what_it_foresees_to_be_more() -> None:
    """At most the firm level, and less where it foresees less."""
    built = free().foresees((50, {0.1: 3000, 0.5: 8000}))
    built.envelopes = (replace(built.envelopes[0], stale_after_s=-1.0),)

    assert (watts(built, 50, LOW), watts(built, 50, MEDIAN)) == (3000, 5000)


def test_the_next_quantile_below_stands_in_for_one_that_is_not_given() -> None:
    """The lowest one where there is none below."""
    built = free().foresees((50, {0.2: 3000, 0.4: 4000, 0.9: 8000}))

    assert (watts(built, 50, LOW), watts(built, 50, MEDIAN)) == (3000, 4000)


def test_quantiles_have_names() -> None:
    """As people call them."""
    assert [word(0.5), word(0.1), word(0.025)] == ["median", "10 % quantile", "2.5 % quantile"]


# -- who starts ---


@pytest.mark.parametrize("tier", range(5))
def test_whoever_the_low_quantile_carries_starts(tier: int) -> None:
    """As it would without a forecast."""
    assert free().foresees((3, CARRIED)).job(gpus=4, flex=tier).does() == free().job(gpus=4, flex=tier).does()


@pytest.mark.parametrize("tier", [0, 1])
def test_what_must_not_be_cut_is_not_started_on_the_median(tier: int) -> None:
    """The reason says by which quantile, from when on, and the watts; it is what a higher tier would change."""
    decision = decide(free().foresees((3, ONLY_THE_MEDIAN)).job(gpus=4, flex=tier).snapshot())

    assert decision.attempts == {}
    reason = decision.reasons["j"]
    assert reason.code == "WindowTooShort"
    assert "grid foresees 1.50 kW (10 % quantile) from 12:00:03 UTC on" in reason.text
    assert (reason.numbers["quantile"], reason.numbers["foreseen_w"]) == (0.1, 1500.0)
    assert reason.numbers["limit_needed_w"] > 1500.0
    assert "flex tier 2 or above" in reason.remedy


@pytest.mark.parametrize("tier", [2, 3, 4])
def test_what_may_be_cut_is_started_on_the_median(tier: int) -> None:
    """That is what it is for."""
    built = free().foresees((3, ONLY_THE_MEDIAN)).job(gpus=4, flex=tier)

    assert built.does() == free().job(gpus=4, flex=tier).does() != []


def test_nothing_is_started_that_the_median_does_not_carry() -> None:
    """It would be cut before it has paid off, more likely than not."""
    decision = decide(free().foresees((3, NEITHER)).job(gpus=4, flex=4).snapshot())

    assert decision.attempts == {}
    assert "foresees 1.30 kW (median)" in decision.reasons["j"].text


def test_what_is_foreseen_after_a_start_has_paid_off_keeps_nobody() -> None:
    """As with what is published."""
    assert free().foresees((7.5, NEITHER)).job(gpus=4, flex=0).does() != []


def test_what_may_be_cut_makes_room_for_what_must_not() -> None:
    """The low quantile has to carry only what would be left then, not all that runs."""
    built = site(firm_w=9000.0).node("a", gpus=4).node("b", gpus=4).limit_w(9000)
    built.running("flexible", "a", gpus=4, flex=4).job("firm", gpus=4, flex=0)
    both_idle_and_one_firm_w = 2 * 600 + 4 * 400 + 4 * 100
    built.foresees((3, {0.1: both_idle_and_one_firm_w, 0.5: 9000.0}))

    assert any("firm" in what for what in built.does())
    assert built.attempts["firm.1"].job_id == "firm"


def test_who_waits_for_a_forecast_keeps_nobody_else_from_starting() -> None:
    """Even after it has waited for long: nobody else can give it what it waits for."""
    built = free().node("b", gpus=4).job("firm", gpus=4, flex=0, priority=9)
    built.passes(3600.0).foresees((0, ONLY_THE_MEDIAN)).job("late", gpus=4, flex=4)
    decision = built.decided()

    assert [a.job_id for a in decision.attempts.values()] == ["late"]
    assert decision.reasons["firm"].numbers["quantile"] == 0.1


def test_it_is_looked_at_again_when_the_forecast_turns() -> None:
    """And then it starts."""
    built = free().foresees((0, ONLY_THE_MEDIAN), (60, CARRIED)).job(gpus=4, flex=0)
    decision = built.decided()
    assert decision.attempts == {}
    assert decision.wake_at == T0 + timedelta(seconds=60)
    assert turns(built.envelopes, after=T0, until=T0 + timedelta(hours=1)) == [decision.wake_at]

    built.passes(60.0)
    assert built.does() != []


def test_nobody_who_runs_is_touched_by_a_forecast() -> None:
    """However dark: it is no limit."""
    dark = {0.1: 0.0, 0.5: 0.0}
    for tier in range(5):
        built = free().running("j", "node-1", flex=tier)
        plain = PowerAware().decide(built.snapshot())
        foreseen = PowerAware().decide(built.foresees((0, dark)).snapshot())

        assert (foreseen.attempts, foreseen.drafts, foreseen.limit) == (
            plain.attempts,
            plain.drafts,
            plain.limit,
        )


# -- what is told ---


def test_a_start_is_expected_between_what_the_median_and_the_low_quantile_say() -> None:
    """And it is said that it is so."""
    built = site().node(gpus=4).limit_w(1000).job(gpus=4)
    built.foresees((600, {0.1: 1000, 0.5: 5000}), (1800, {0.1: 5000, 0.5: 5000}))

    found = seen(built, "j")

    assert found.start.earliest_at == T0 + timedelta(seconds=600)
    assert found.start.latest_at == T0 + timedelta(seconds=1800)
    assert "median for the earliest start, 10 % quantile for the latest" in found.start.assumption
    assert found.judged_on == "tier 4 may be cut, and is planned on the median of the forecast of grid"


def test_what_must_not_be_cut_is_expected_where_the_low_quantile_carries_it() -> None:
    """Not before, for so it will be judged."""
    built = site().node(gpus=4).limit_w(1000).job(gpus=4, flex=0)
    built.foresees((600, {0.1: 1000, 0.5: 5000}), (1800, {0.1: 5000, 0.5: 5000}))

    found = seen(built, "j")

    assert found.start.earliest_at == found.start.latest_at == T0 + timedelta(seconds=1800)
    assert found.judged_on is not None
    assert "10 % quantile" in found.judged_on


def test_a_forecast_that_never_carries_it_gives_no_estimate() -> None:
    """And the sentence says that the forecast was asked, too."""
    found = seen(site().node(gpus=4).limit_w(1000).foresees((600, NEITHER)).job(gpus=4), "j")

    assert found.start.earliest_at is None
    assert "announce and foresee" in found.start.assumption


def test_a_dry_run_says_on_what_it_was_judged() -> None:
    """Nothing where nothing is foreseen."""
    built = free().job(gpus=4, flex=3)
    spec = built.jobs.pop("j").spec
    assert rehearse(built.snapshot(), spec).judged_on is None

    found = rehearse(built.foresees((3, ONLY_THE_MEDIAN)).snapshot(), spec)
    assert found.verdict == "starts_now"
    assert found.judged_on == basis(built.envelopes, 3)
