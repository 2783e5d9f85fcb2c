"""Power domains: a tree of limits below the site's meter, who is behind which, and what is wrong is named."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.core.domains import Domain, check_domains, zones_of

HALL = Domain(name="hall", overhead=1.25, groups=("login-1",))
RACK_1 = Domain(name="rack-1", parent="hall", limit_w=3000, margin=0.1, groups=("a-*",))
RACK_2 = Domain(name="rack-2", parent="hall", limit_w=4000, overhead=1.1, groups=("b-1", "b-2"))
FEEDER = Domain(name="feeder", limit_w=90_000, groups=("miners",))
YARD = Domain(name="yard", limit_w=100_000, overhead=1.02)
NESTED = (Domain(name="hall", parent="yard", limit_w=9000, overhead=1.25), YARD, RACK_1, RACK_2)
GROUPS = ("a-1", "a-2", "b-1", "login-1", "miners", "outside")


def test_a_domain_has_all_groups_behind_it_as_much_as_they_are_at_its_meter() -> None:
    """Those of the domains below it times their overheads and its own; a pattern names many."""
    zones = zones_of(NESTED, GROUPS)

    assert {z.name: dict(z.factors) for z in zones.limited} == {
        "rack-1": {"a-1": 1.0, "a-2": 1.0},
        "rack-2": {"b-1": 1.1},
        "hall": {"a-1": 1.25, "a-2": 1.25, "b-1": pytest.approx(1.375)},
        "yard": {"a-1": 1.275, "a-2": 1.275, "b-1": pytest.approx(1.4025)},
    }


def test_those_furthest_from_the_meter_come_first() -> None:
    """And a group knows all limits that it is behind."""
    zones = zones_of(NESTED, GROUPS)

    assert [z.name for z in zones.limited] == ["rack-1", "rack-2", "hall", "yard"]
    assert [z.name for z in zones.above("b-1")] == ["rack-2", "hall", "yard"]
    assert zones.above("outside") == ()


def test_the_margin_is_taken_off_and_no_limit_limits_nobody() -> None:
    """A hall without one is there for its overhead."""
    zones = zones_of((HALL, RACK_1, FEEDER), GROUPS)

    assert [(z.name, z.limit_w, z.usable_w) for z in zones.limited] == [
        ("rack-1", 3000, 2700),
        ("feeder", 90_000, 90_000),
    ]


def test_a_site_without_domains_has_no_zones() -> None:
    """It costs nothing."""
    assert zones_of((), GROUPS).limited == ()


@pytest.mark.parametrize(
    "fields, complaint",
    [
        ({"limit_w": 0}, "limit_w = 0 W: give more than 0"),
        ({"limit_w": float("inf")}, "limit_w = inf W"),
        ({"margin": 1.0}, "margin = 1: it is the part of the limit that is kept free"),
        ({"overhead": 0.9}, "overhead = 0.9: give 1"),
    ],
)
def test_nonsense_names_domain_field_value_and_remedy(fields: dict[str, Any], complaint: str) -> None:
    """All in one sentence."""
    with pytest.raises(ValueError, match=r"^domain 'x': ") as refused:
        Domain(name="x", **fields)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    "domains, complaint",
    [
        ((FEEDER, FEEDER), "two are called 'feeder'"),
        ((RACK_1,), "domain 'rack-1': parent = 'hall' is not known; use one of ['rack-1']"),
        ((Domain(name="a", parent="b"), Domain(name="b", parent="a")), "a > b > a is a circle"),
        (
            (HALL, RACK_1),
            "domain 'rack-1': limit_w = 3000 W allows 2700 W, and its groups draw 3200 W at rest; raise the limit",
        ),
        ((FEEDER, Domain(name="other", groups=("min*",))), "feeder and other both name the group 'miners'"),
    ],
)
def test_what_is_no_tree_is_refused(domains: tuple[Domain, ...], complaint: str) -> None:
    """With the remedy."""
    with pytest.raises(ValueError, match="domain") as refused:
        check_domains(domains, dict.fromkeys(GROUPS, 1600.0))
    assert complaint in str(refused.value)


def test_a_tree_may_name_groups_that_are_still_to_come() -> None:
    """Nodes join later."""
    check_domains(NESTED, {})
