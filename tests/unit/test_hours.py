"""Hours of curtailment that a contract allows a month: counted, told once, and heeded in a cut."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.core.curtailment import Cause
from scheduler.core.decide import shed
from scheduler.core.interval import Over, PartEnergy, begun
from scheduler.core.partners import Partner
from scheduler.core.settlement import settled
from scheduler.core.so_far import Hours, SoFar, of_row, spent_events
from tests.builders import SiteBuilder, actions, site
from tests.settled import AT, MWH, WHOLE_MS, draft, energy, terms

CURTAILED = replace(energy(curtailed={Cause.GRID: MWH}), curtailed_ms=600_000)


def quarter(number: int, **parts: PartEnergy) -> Over:
    """The interval of that number of the month, of which only the partners matter."""
    return Over(
        starts_at=AT + number * timedelta(minutes=15),
        covered_ms=WHOLE_MS,
        metered_ms=WHOLE_MS,
        site_ws=0,
        ai_ws=0,
        overhead_ws=0,
        parts=parts,
    )


def cut(spent: tuple[str, ...] = (), limit_w: float = 5820.0, **tiers: int) -> list[str]:
    """What a fall of the limit does to two partners that draw 4 kW each beside a node that takes 820 W."""
    partners = tuple(Partner(partner_id=n, groups=(n,), tier=tiers.get(n, 4)) for n in ("a", "b"))
    built: SiteBuilder = site(partners=partners).node("n", gpus=4).limit_w(8820.0)
    built.miners("a", max_w=9000.0).miners("b", max_w=9000.0).settles()
    snapshot = replace(built.limit_w(limit_w).snapshot(), spent=spent)
    reduction = shed(snapshot)
    assert reduction is not None
    return actions(snapshot, reduction)


def test_hours_of_a_month_are_those_of_its_intervals() -> None:
    """By partner; the next month begins with none."""
    hours = Hours()
    for number in range(3):
        hours = hours.after(quarter(number, north=CURTAILED, south=energy()))
    assert hours.curtailed_ms == {"north": 1_800_000, "south": 0}
    later = hours.after(quarter(31 * 96, north=CURTAILED))
    assert (later.month, later.curtailed_ms) == (11, {"north": 600_000})


def test_hours_outlive_a_clock_that_was_in_another_month() -> None:
    """It goes back, and the month goes on with what it had."""
    contracts = {"north": terms(max_curtailed_s=1200)}
    hours = Hours().after(quarter(0, north=CURTAILED)).after(quarter(31 * 96, north=energy()))
    assert hours.spent(contracts, begun(AT + timedelta(hours=1))) == ()
    hours = hours.after(quarter(1, north=CURTAILED))
    assert hours.curtailed_ms == {"north": 1_200_000}
    assert hours.spent(contracts, begun(AT + timedelta(hours=1))) == ("north",)


def test_hours_are_spent_once_the_contract_allows_no_more() -> None:
    """Not before; who has no such limit never does; a new month has all of them again."""
    contracts = {"north": terms(max_curtailed_s=1200), "south": terms("south")}
    once = Hours().after(quarter(0, north=CURTAILED, south=CURTAILED))
    twice = once.after(quarter(1, north=CURTAILED))
    now = begun(AT + timedelta(hours=1))
    assert once.spent(contracts, now) == ()
    assert twice.spent(contracts, now) == ("north",)
    assert twice.spent(contracts, begun(AT + timedelta(days=31))) == ()


def test_it_is_told_once_that_hours_are_spent() -> None:
    """With how many they are."""
    contracts = {"north": terms(max_curtailed_s=216_000)}
    (event,) = spent_events((), ("north",), contracts, AT)
    assert event.kind == "partner.hours_spent"
    assert "60.0 h" in event.text
    assert spent_events(("north",), ("north",), contracts, AT) == ()


def test_who_has_no_hours_left_gives_way_last_of_its_tier() -> None:
    """The others of its tier go first, to nothing if it must be."""
    assert cut() == ["mine 2500 W on a", "mine 2500 W on b"]
    assert cut(("a",)) == ["mine 1000 W on b"]
    assert cut(("a", "b")) == ["mine 2500 W on a", "mine 2500 W on b"]


def test_no_hours_left_is_nothing_to_the_limit_nor_to_a_smaller_tier() -> None:
    """The limit is kept; a partner of a tier that gives way later keeps its place."""
    assert cut(("a",), limit_w=820.0) == ["mine 0 W on a", "mine 0 W on b"]
    assert cut(("a",), a=4, b=3) == ["mine 1000 W on a"]


@pytest.mark.parametrize("others_ws, share", [(MWH, 0.5), (3 * MWH, 0.25)])
def test_a_share_is_of_what_all_drew(others_ws: int, share: float) -> None:
    """None before anybody drew."""
    own = of_row(settled(draft(energy(MWH)), 0))
    assert own.share_of((own, SoFar(metered_ws=others_ws))) == share
    assert SoFar().share_of(()) is None
