"""Reductions: mining, then caps, then suspending, then save-and-exit; tier descending; firm work last."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.core.decide import shed
from scheduler.core.jobs import Phase
from scheduler.core.reasons import Code
from tests.builders import SiteBuilder, actions, commit, obey, site

IDLE_W, HELD_W = 820.0, 980.0  #: a node of four


def sheds(built: SiteBuilder) -> list[str]:
    """What the fast path does at once."""
    snapshot = built.snapshot()
    reduction = shed(snapshot)
    return [] if reduction is None else actions(snapshot, reduction)


def busy() -> SiteBuilder:
    """Four GPUs at work, 2200 W, and miners at 2000 W."""
    built = site().node(gpus=4).miners().limit_w(4200).running("j", "node-1")
    return built.settles()


def test_within_the_limit_nothing_is_shed() -> None:
    """There is no decision at all."""
    assert shed(busy().snapshot()) is None
    assert shed(busy().limit_w(9000).snapshot()) is None


def test_mining_goes_first() -> None:
    """All that is needed comes from the miners as long as they have it."""
    assert sheds(busy().limit_w(3000)) == ["mine 800 W on miners"]
    assert sheds(busy().limit_w(2200)) == ["mine 0 W on miners"]


def test_miners_give_in_proportion_to_what_they_have() -> None:
    """Each group the same share."""
    built = site().node(gpus=4).miners("a", max_w=3000).miners("b", max_w=1000).limit_w(4820).settles()

    assert sheds(built.limit_w(2820)) == ["mine 1500 W on a", "mine 500 W on b"]


@pytest.mark.parametrize("limit_w", [2200.1, 3000.1])
def test_no_work_is_lost_to_the_rounding_of_what_miners_give(limit_w: float) -> None:
    """What they are left with and what the nodes draw need not add up to the limit to the last bit."""
    built = site().node(gpus=4).limit_w(limit_w).running("firm", "node-1", flex=0)
    for name, target_w in (("a", 1234.5), ("b", 2469.0), ("c", 3703.5)):
        built.miners(name)
        built.groups[name] = replace(built.groups[name], miners_target_w=target_w)

    assert {words.partition(" ")[0] for words in sheds(built)} == {"mine"}


def test_then_work_is_capped() -> None:
    """To the highest level that fits."""
    assert sheds(busy().limit_w(1800)) == ["cap j at 300 W", "mine 0 W on miners"]


def test_then_work_is_suspended() -> None:
    """Below the floor of its tier a job stands still rather than crawl."""
    assert sheds(busy().limit_w(1380)) == ["cap j at 195 W", "mine 0 W on miners"]
    assert sheds(busy().limit_w(1379)) == ["mine 0 W on miners", "suspend j"]
    assert sheds(busy().limit_w(HELD_W)) == ["mine 0 W on miners", "suspend j"]


def test_then_it_saves_and_leaves() -> None:
    """Held GPUs draw more than free ones."""
    assert sheds(busy().limit_w(HELD_W - 1)) == ["mine 0 W on miners", "save j"]


def test_the_margin_is_kept_free() -> None:
    """Of 2000 W, 10 % are not entitled."""
    built = site(margin=0.1).node(gpus=4).limit_w(5000).running("j", "node-1")

    assert sheds(built.limit_w(2000)) == ["cap j at 300 W"]


def test_the_most_flexible_is_suspended_first() -> None:
    """Though it is the more important, and costs more to pause: priority orders starts only."""
    built = site().node(gpus=4).limit_w(5000)
    built.running("firm", "node-1", gpus=2, flex=1).running("soft", "node-1", gpus=2, flex=4, priority=99)

    assert sheds(built.limit_w(600 + 2 * 330 + 2 * 95)) == ["cap firm at 330 W", "suspend soft"]


def test_of_one_tier_the_cheapest_loss_goes_first() -> None:
    """Seconds of a save and a restart per watt that the pause frees."""
    built = (
        site().node(gpus=4).limit_w(5000).running("slow", "node-1", gpus=2).running("quick", "node-1", gpus=2)
    )
    built.jobs["slow"] = replace(built.jobs["slow"], save_s=60.0)
    built.jobs["quick"] = replace(built.jobs["quick"], save_s=1.0)

    assert sheds(built.limit_w(600 + 2 * 195 + 2 * 95)) == ["cap slow at 195 W", "suspend quick"]


def test_of_equals_the_youngest_goes() -> None:
    """It has the least to lose."""
    built = site().node(gpus=4).limit_w(5000).running("old", "node-1", gpus=2)
    built.passes(10).running("young", "node-1", gpus=2)

    assert sheds(built.limit_w(600 + 2 * 195 + 2 * 95)) == ["cap old at 195 W", "suspend young"]


def test_nobody_is_suspended_needlessly() -> None:
    """When a large victim alone is enough, the small ones before it go on."""
    built = site().node("a", gpus=1).node("b", gpus=8).limit_w(9000)
    built.running("small", "a", gpus=1, flex=4).running("large", "b", gpus=8, flex=3)

    held_large_w = (600 + 195) + (600 + 8 * 95)
    assert sheds(built.limit_w(held_large_w)) == ["cap small at 195 W", "suspend large"]


def test_firm_work_is_not_touched_for_power() -> None:
    """While the others can make room."""
    built = site().node(gpus=4).limit_w(5000)
    built.running("firm", "node-1", gpus=2, flex=0).running("soft", "node-1", gpus=2)

    assert sheds(built.limit_w(600 + 2 * 400 + 2 * 95)) == ["suspend soft"]
    assert sheds(built.limit_w(600 + 2 * 400 + 2 * 55)) == ["save soft"]


def test_the_grid_comes_before_firm_work() -> None:
    """Below what it needs even alone, it saves and leaves too."""
    built = site().node(gpus=4).limit_w(5000).running("firm", "node-1", gpus=2, flex=0)

    assert sheds(built.limit_w(600 + 2 * 400 + 2 * 55 - 1)) == ["save firm"]


def test_who_is_leaving_is_waited_for_before_firm_work_is_touched() -> None:
    """It still holds its GPUs, and will not for long."""
    built = site().node(gpus=4).limit_w(5000)
    built.running("firm", "node-1", gpus=2, flex=0).running("soft", "node-1", gpus=2)
    built.limit_w(600 + 2 * 400 + 2 * 55).decided(obeyed=False)

    assert sheds(built) == []


def test_a_gang_is_cut_as_one() -> None:
    """Its members hold still together."""
    built = site().node("a", gpus=2).node("b", gpus=2).limit_w(9000).job("j", gpus=2, nodes=2)
    built.settles()

    assert sheds(built.limit_w(1200 + 4 * 95)) == ["suspend j"]
    assert {d.attempts[0].phase for d in shed(built.snapshot()).drafts.values()} == {Phase.SUSPEND}  # type: ignore[union-attr]


def test_watts_that_the_meter_sees_beyond_the_books_are_shed_too() -> None:
    """The meter is the judge."""
    built = busy()
    snapshot = replace(built.snapshot(), unmetered_w=500.0)
    reduction = shed(snapshot)

    assert reduction is not None
    assert actions(snapshot, reduction) == ["mine 1500 W on miners"]


def test_a_silent_source_is_a_fall_to_firm() -> None:
    """Without anybody saying so."""
    built = site(firm_w=2500.0).node(gpus=4).miners().limit_w(4200, stale_after_s=60.0).running("j", "node-1")
    built.settles()
    told = built.envelopes
    built.passes(61)
    built.envelopes = told

    assert sheds(built) == ["mine 300 W on miners"]


def test_a_known_fall_is_met_early() -> None:
    """By the lead of 3.5 s; not earlier."""
    built = busy().falls_to_w(3000, in_s=10)

    assert sheds(built.passes(6.4)) == []
    assert sheds(built.passes(0.1)) == ["mine 800 W on miners"]


def test_what_is_cut_off_counts_as_what_it_comes_down_to() -> None:
    """Firm work on a node that hears nothing goes on, though it was cancelled: the others make room for it."""
    built = site().node("a", gpus=2).node("b", gpus=2).limit_w(9000)
    built.running("firm", "a", gpus=2, flex=0).running("soft", "b", gpus=2).settles()
    built.attempts["firm.1"] = replace(built.attempts["firm.1"], phase=Phase.KILL)

    assert sheds(built.limit_w(600 + 800 + 600 + 2 * 300)) == ["cap soft at 300 W"]


def test_shedding_raises_nothing() -> None:
    """Held work stays held though there is room, until the whole decision is made and recorded."""
    built = site().node("a", gpus=4).node("b", gpus=4).miners().limit_w(9000)
    built.running("held", "a", flex=3).running("runs", "b", cap_w=250.0)
    built.attempts["held.1"] = replace(built.attempts["held.1"], phase=Phase.SUSPEND)
    built.groups["miners"] = replace(built.groups["miners"], miners_target_w=3000.0)
    obey(built, "miners")

    assert sheds(built.limit_w(5000)) == [f"mine {5000 - HELD_W - 1600:.0f} W on miners"]


@pytest.mark.parametrize("limit_w, kind", [(1379, "job.suspended"), (HELD_W - 1, "job.preempting")])
def test_a_cut_is_told(limit_w: float, kind: str) -> None:
    """Once, with the watts that are left."""
    events = busy().limit_w(limit_w).decided().events

    assert [(e.kind, e.job_id, e.data["limit_w"]) for e in events] == [(kind, "j", limit_w)]


def test_only_a_cut_of_work_starts_the_dwell_time() -> None:
    """Miners may come and go."""
    assert not busy().limit_w(3000).decided().cut_work
    assert busy().limit_w(1800).decided().cut_work
    assert busy().limit_w(1379).decided().cut_work


def test_a_saved_job_resumes_from_its_commit() -> None:
    """When power returns, on whatever is free."""
    built = busy().limit_w(900)
    assert built.does() == ["mine 0 W on miners", "save j"]
    assert built.does() == ["end j: PREEMPTED"]
    assert built.decided().reasons["j"].code == Code.POWER_UNAVAILABLE

    built.limit_w(4200).decided()
    assert built.attempts["j.2"].resume_from == commit(10)
