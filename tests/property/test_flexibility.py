"""What is offered can be had: shedding is asked for exactly as much, over random sites in the middle of anything."""

from __future__ import annotations

from hypothesis import HealthCheck, assume, given, settings, strategies as st

from scheduler.core.decide import Decision, PowerAware
from scheduler.core.flexibility import HORIZONS_S, FlexOffer
from scheduler.core.jobs import Phase
from scheduler.core.plan import EPSILON_W
from scheduler.core.presence import LEAVING
from tests.builders import SiteBuilder
from tests.property.test_decisions import sites

#: Each means, and each tier in it, is told in whole watts: together they may be as much less than what could go.
ROUNDED_W = 15.0
AT_ONCE_S, IN_TIME_S, _ = HORIZONS_S


def decided(built: SiteBuilder) -> FlexOffer:
    """What the site offers after a decision that is on its way to the guards."""
    policy = PowerAware()
    decision = policy.decide(built.snapshot())
    assume(not decision.withheld)
    offer = policy.offer()
    assert offer is not None
    assert offer.planned_w == decision.planned_w
    built.apply(decision)
    return offer


def asked(built: SiteBuilder, limit_w: float) -> Decision | None:
    """What is shed at once under a limit of which so much may be entitled."""
    built.limit_w(max(0.0, limit_w) / (1.0 - built.site.margin))
    return PowerAware().shed(built.snapshot())


def firm_leaves(built: SiteBuilder, made: Decision | None) -> bool:
    """Whether firm work that ran was told to leave."""
    return made is not None and any(
        built.jobs[a.job_id].spec.flex == 0 and a.phase in LEAVING and before.phase is Phase.RUN
        for a in made.attempts.values()
        if (before := built.attempts.get(a.id)) is not None
    )


@given(built=sites())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_offered_at_once_is_shed_at_once_and_firm_work_goes_on(built: SiteBuilder) -> None:
    """By the plan that the limit is kept with."""
    offer = decided(built)
    limit_w = offer.left_w(AT_ONCE_S) + EPSILON_W
    made = asked(built, limit_w)

    assert made is None or made.planned_w <= limit_w + EPSILON_W
    assert not firm_leaves(built, made)


@given(built=sites())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_more_than_that_cannot_be_had_at_once(built: SiteBuilder) -> None:
    """Nothing is kept back either."""
    offer = decided(built)
    limit_w = offer.left_w(AT_ONCE_S) - ROUNDED_W
    assume(limit_w > 0)
    made = asked(built, limit_w)

    assert made is not None
    assert made.planned_w > limit_w


@given(built=sites(), more_w=st.sampled_from([0.0, ROUNDED_W]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_only_for_more_than_is_offered_in_time_does_firm_work_leave(
    built: SiteBuilder, more_w: float
) -> None:
    """Work that saves and leaves is told so at once, and its watts are counted on."""
    offer = decided(built)
    limit_w = offer.left_w(IN_TIME_S) + EPSILON_W - more_w
    assume(limit_w > 0)
    runs = [a for a in built.attempts.values() if a.phase is Phase.RUN]
    is_firm = any(built.jobs[a.job_id].spec.flex == 0 for a in runs)
    made = asked(built, limit_w)

    assert firm_leaves(built, made) is (is_firm and more_w > 0)


@given(built=sites())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_told_adds_up(built: SiteBuilder) -> None:
    """The longer the notice, the more; whose work pays is told to the watt; nothing is below zero."""
    offer = decided(built)

    for told_w in (offer.down_w, offer.up_w):
        watts = [told_w(seconds) for seconds in HORIZONS_S]
        assert watts == sorted(watts)
        assert watts[0] >= 0
    for means in (*offer.down, *offer.up):
        assert means.power_w > 0
        assert not means.tiers_w or sum(means.tiers_w.values()) <= means.power_w
    paid = {m.name: sum(m.tiers_w.values()) - m.power_w for m in offer.down if m.name in ("caps", "suspend")}
    assert not any(paid.values())
