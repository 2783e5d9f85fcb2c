"""Staggered starts: no more jobs load and restore at a time than the site file says."""

from __future__ import annotations

from scheduler.core.orders import Observed
from scheduler.core.reasons import Code
from tests.builders import SiteBuilder, site


def waiting(jobs: int, **policy: int | None) -> SiteBuilder:
    """Jobs that wait, and room and power for all."""
    built = site(firm_w=20_000.0, **policy).node(gpus=8).limit_w(20_000)
    for n in range(jobs):
        built.job(f"j{n}", gpus=1)
    return built


def starts(built: SiteBuilder) -> list[str]:
    """Who is started in one more round, in which nobody comes up."""
    return [word.split()[1] for word in built.does(obeyed=False)]


def comes_up(built: SiteBuilder, name: str, observed: Observed = Observed.RUNNING) -> None:
    """A guard says how far an attempt has come."""
    built.facts(f"{name}.1", "node-1", observed=observed)


def test_all_start_at_once_unless_the_site_says_otherwise() -> None:
    """There is power and room for them."""
    assert starts(waiting(4)) == ["j0", "j1", "j2", "j3"]


def test_the_next_one_starts_when_one_has_come_up() -> None:
    """In order; who is placed and not heard of yet counts as one who comes up, and so does one whose process starts."""
    built = waiting(4, starts_at_once=2)
    assert starts(built) == ["j0", "j1"]
    assert starts(built) == []
    comes_up(built, "j0", Observed.STARTING)
    assert starts(built) == []
    comes_up(built, "j0")
    assert starts(built) == ["j2"]
    comes_up(built, "j1")
    comes_up(built, "j2")
    assert starts(built) == ["j3"]


def test_who_waits_for_that_is_told_so() -> None:
    """In numbers, with what would change it."""
    reasons = waiting(3, starts_at_once=1).decided().reasons

    assert reasons.keys() == {"j1", "j2"}
    assert {r.code for r in reasons.values()} == {Code.POWER_RAMP_LIMITED}
    assert reasons["j1"].numbers == {"coming_up": 1, "starts_at_once": 1}
    assert "no more than 1 may come up at a time, and 1 do" in reasons["j1"].text


def test_one_that_ends_before_it_came_up_makes_way() -> None:
    """It loads nothing any more."""
    built = waiting(2, starts_at_once=1)
    assert starts(built) == ["j0"]
    built.facts("j0.1", "node-1", observed=Observed.ENDED, exit_code=0)

    assert built.does(obeyed=False) == ["end j0: SUCCEEDED", "start j1 on node-1 at 400 W"]
