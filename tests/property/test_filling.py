"""The invariant with programs that mine on idle GPUs, and a memory that is a cache there as well."""

from __future__ import annotations

from hypothesis import settings

from tests.power_world import World
from tests.property.test_domains import DOMAINS
from tests.property.test_memo import LossySiteWithTwoMinds


class LossySiteWithFillers(LossySiteWithTwoMinds):
    """Whatever is lost, late, restarted or withdrawn; guards give back last what their fillers draw."""

    def new_world(self) -> World:
        return World(policy=self.new_mind, filled=frozenset("ab"))


class LossySiteOfDomainsWithFillers(LossySiteWithTwoMinds):
    """And with breakers below the site's meter."""

    def new_world(self) -> World:
        return World(policy=self.new_mind, filled=frozenset("ab"), domains=DOMAINS)


TestLossySiteWithFillers = LossySiteWithFillers.TestCase
TestLossySiteWithFillers.settings = settings(max_examples=8, stateful_step_count=25)
TestLossySiteOfDomainsWithFillers = LossySiteOfDomainsWithFillers.TestCase
TestLossySiteOfDomainsWithFillers.settings = settings(max_examples=5, stateful_step_count=25)


def test_fillers_draw_in_these_worlds() -> None:
    """Of the 5500 W what neither AI nor miners can use, and no more."""
    site = LossySiteWithFillers()
    site.world.push("grid", 5500.0)
    site.calm(seconds=30)
    filled_w = sum(
        m.draw_w for g in "ab" for m in site.world.guards[g].report(site.world.clock.now_ms).miners
    )
    drawn_w = site.world.draw_w()
    site.teardown()

    assert filled_w > 100.0
    assert 5200.0 < drawn_w <= 5500.0
