"""Power domains: each has its limit, the tightest binds, and what is wrong is named."""

from __future__ import annotations

import math
from typing import Any

import pytest

from scheduler.core.domains import Books, Domain, Violation, check_domains

SITE = Domain(domain_id="site", limit_w=10_000)
HALL = Domain(domain_id="hall", parent="site", overhead=1.25)
RACK_1 = Domain(domain_id="rack-1", parent="hall", limit_w=3000)
RACK_2 = Domain(domain_id="rack-2", parent="hall", limit_w=3000)
SHED = Domain(domain_id="shed", parent="site", limit_w=6000)
TREE = (SITE, HALL, RACK_1, RACK_2, SHED)
HOMES = {"node-1": "rack-1", "node-2": "rack-1", "node-3": "rack-2", "miners": "shed"}


def books(*domains: Domain, **entitled_w: float) -> Books:
    """Books of the tree with something in them."""
    made = Books(domains or TREE, HOMES)
    for name, watts in entitled_w.items():
        made.hold(name.replace("_", "-"), watts)
    return made


def refusal(domains: list[Domain], homes: dict[str, str] | None = None) -> str:
    """What is said about a tree that is none."""
    with pytest.raises(ValueError, match=r"domain|group") as refused:
        check_domains(domains, homes or {})
    return str(refused.value)


def test_a_watt_counts_in_every_domain_above_it() -> None:
    """With the overhead of the hall from there on; miners stand outside the hall."""
    made = books(node_1=1000, node_3=2000, miners=4000)

    assert [made.load_w(d.domain_id) for d in TREE] == [7750, 3750, 1000, 2000, 4000]


def test_the_tightest_domain_binds() -> None:
    """The rack while it is full, the site once the miners have most of it, in watts of the group."""
    made = books(node_1=2500)
    assert (made.room_w("node-2"), made.binding("node-2")) == (500.0, "rack-1")
    assert (made.room_w("node-3"), made.binding("node-3")) == (3000.0, "rack-2")

    made.add("miners", 6000)
    assert made.room_w("node-3") == pytest.approx((10_000 - 6000 - 3125) / 1.25)
    assert made.binding("node-3") == "site"
    assert (made.room_w("miners"), made.binding("miners")) == (0.0, "shed")


def test_what_is_over_is_listed_the_worst_first() -> None:
    """And leaves the list when it is not over any more."""
    made = books(node_1=3100, miners=6500)
    assert made.violations() == [
        Violation(domain_id="shed", load_w=6500, usable_w=6000),
        Violation(domain_id="site", load_w=10_375, usable_w=10_000),
        Violation(domain_id="rack-1", load_w=3100, usable_w=3000),
    ]
    assert [v.over_w for v in made.violations()] == [500, 375, 100]
    assert made.room_w("node-2") == -300.0

    made.add("miners", -1000)
    assert [v.domain_id for v in made.violations()] == ["rack-1"]


def test_a_limit_may_change_under_the_load() -> None:
    """The grid takes half away; the margin counts."""
    made = books(node_1=2000, miners=3000)
    made.limit(Domain(domain_id="site", limit_w=5000, margin=0.1))

    assert made.violations() == [Violation(domain_id="site", load_w=5500, usable_w=4500)]
    assert made.room_w("miners") == -1000.0


def test_the_shape_of_the_tree_does_not_change_under_the_load() -> None:
    """Watts are booked along it."""
    with pytest.raises(ValueError, match="parent and overhead do not change while watts are booked"):
        books().limit(Domain(domain_id="rack-1", parent="site", limit_w=3000))


def test_without_any_limit_there_is_room_without_end() -> None:
    """Nobody binds."""
    made = Books([Domain(domain_id="site")], {"a": "site"})

    assert (made.room_w("a"), made.binding("a"), made.violations()) == (math.inf, None, [])


def test_nothing_is_less_than_nothing() -> None:
    """A change that would take more than there is, is an error of the caller; the books stay as they were."""
    made = books(node_1=100)

    with pytest.raises(ValueError, match=r"group 'node-1': -101 W on top of 100 W is less than nothing"):
        made.add("node-1", -101)
    assert made.load_w("site") == 125.0


# -- forecasts ---------------------------------------------------------------------------------------------------------

FORECAST = Domain(
    domain_id="site", limit_w=10_000, margin=0.1, quantiles=((0.1, 4000.0), (0.5, 8000.0), (0.9, 12_000.0))
)


@pytest.mark.parametrize(
    "quantile, usable_w", [(None, 9000), (0.05, 3600), (0.1, 3600), (0.3, 3600), (0.5, 7200), (0.95, 9000)]
)
def test_what_must_not_be_cut_is_planned_on_a_low_quantile(quantile: float | None, usable_w: float) -> None:
    """The next stated one at or below what is asked, the lowest if there is none, never above the limit."""
    assert FORECAST.usable_w(quantile) == pytest.approx(usable_w)


def test_books_are_kept_for_one_quantile() -> None:
    """Room for firm work and for work that may be cut differ."""
    firm, soft = (Books([FORECAST], {"a": "site"}, quantile=q) for q in (0.1, 0.5))

    assert (firm.room_w("a"), soft.room_w("a")) == (3600.0, 7200.0)


def test_a_domain_without_a_forecast_goes_by_its_limit() -> None:
    """Whatever quantile is asked for."""
    assert RACK_1.usable_w(0.1) == 3000.0


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_a_sound_tree_has_nothing_to_say() -> None:
    """No warning."""
    assert check_domains(TREE, HOMES) == ()


def test_a_limit_that_never_binds_is_pointed_out() -> None:
    """A rack may have more than the site through its hall, and nothing comes of it."""
    (warning,) = check_domains((SITE, HALL, Domain(domain_id="rack-1", parent="hall", limit_w=9000)), {})

    assert warning == (
        "domain 'rack-1': its 9000 W never bind, 'site' above it allows 8000 W; lower it or leave it out"
    )
    assert Books((SITE, Domain(domain_id="a", parent="site", limit_w=10_001)), {}).warnings != ()


def test_circles_strangers_twins_and_two_roots_are_refused() -> None:
    """By name."""
    a, b = Domain(domain_id="a", parent="b"), Domain(domain_id="b", parent="a")

    assert "a > b > a is a circle" in refusal([a, b])
    assert "a > a is a circle" in refusal([Domain(domain_id="a", parent="a")])
    assert "domain 'b': parent = 'a' is not known; use one of ['b']" in refusal([b])
    assert "two are called 'a'; give each a name of its own" in refusal([a, a])
    assert "hall and site have no parent" in refusal([SITE, Domain(domain_id="hall")])
    assert "group 'g': domain = 'x' is not known; use one of ['site']" in refusal([SITE], {"g": "x"})


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"limit_w": -1.0}, "limit_w = -1 W: give 0 or more"),
        ({"limit_w": math.inf}, "limit_w = inf W"),
        ({"margin": 1.0}, "margin = 1: it is the part of the limit that is kept free"),
        ({"overhead": 0.9}, "overhead = 0.9: give 1 (none) to 3"),
        ({"quantiles": ((0.5, 1.0), (0.1, 0.5))}, "both rising"),
        ({"quantiles": ((1.5, 1.0),)}, "probabilities of 0 to 1"),
        ({"quantiles": ((0.1, 2.0), (0.5, 1.0))}, "watts fall where the probability rises"),
    ],
)
def test_a_domain_that_makes_no_sense_is_refused(wrong: dict[str, Any], words: str) -> None:
    """With its name, the field, the value, and what to do."""
    with pytest.raises(ValueError, match="domain 'd'") as refused:
        Domain(domain_id="d", **wrong)

    assert words in str(refused.value)
