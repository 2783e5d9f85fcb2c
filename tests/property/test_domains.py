"""The invariant in every power domain below the site's meter: whatever is lost, late, restarted or withdrawn."""

from __future__ import annotations

from hypothesis import settings

from scheduler.core.domains import Domain
from tests.power_world import World
from tests.property.test_invariant import LossySite

#: Node a with all of its GPUs uncapped would draw 1900 W, node b and the miners together 3300 W at the feeder's meter.
DOMAINS = (
    Domain(name="rack", limit_w=1400.0, groups=("a",)),
    Domain(name="feeder", limit_w=2200.0, margin=0.01, overhead=1.25, groups=("b", "m")),
)


class LossySiteOfDomains(LossySite):
    """As before, with breakers below the site's meter, which know no reaction time."""

    def new_world(self) -> World:
        return World(policy=self.new_mind, domains=DOMAINS)


TestLossySiteOfDomains = LossySiteOfDomains.TestCase
TestLossySiteOfDomains.settings = settings(max_examples=20, stateful_step_count=40)


def test_a_breaker_is_kept_while_the_miners_behind_it_hear_of_nothing() -> None:
    """Work that waits for their watts starts when their lease has run out, and not before."""
    site = LossySiteOfDomains()
    site.a_limit_is_pushed(5500.0)
    site.calm(seconds=12)
    for job_id in ("j1", "j2"):
        site.world.ends(job_id, 0)
    site.calm(seconds=12)
    mined_w = site.world.guards["m"].draw_w()
    site.world.deaf.add("m")
    for _ in range(3):
        site.a_job_is_submitted(gpus=2, nodes=1, flex=4, grace_s=3.0)
    site.calm(seconds=4)
    drawn_w = {gid: guard.draw_w() for gid, guard in site.world.guards.items()}
    site.calm(seconds=12)
    site.teardown()

    assert (mined_w, drawn_w["m"], drawn_w["b"]) == (1332.4, 1332.4, 410.0)
    assert site.world.guards["b"].draw_w() > 410.0
