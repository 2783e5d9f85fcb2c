"""The invariant in every power domain below the site's meter: whatever is lost, late, restarted or withdrawn."""

from __future__ import annotations

from hypothesis import settings, strategies as st
from hypothesis.stateful import invariant, rule

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


#: Node a rests at 520 W, and with a firm job of one GPU at 865 W; node b and the miners rest at 562 W.
FED = (
    Domain(name="rack", limit_w=1700.0, firm_w=900.0, margin=0.02, groups=("a",)),
    Domain(name="feeder", firm_w=900.0, overhead=1.25, groups=("b", "m")),
)
RACK_W = st.floats(900.0, 2000.0)
FEEDER_W = st.floats(900.0, 3500.0)


class LossySiteOfFedDomains(LossySite):
    """As before, and each domain has sources of its own, which are kept down to its firm level."""

    def new_world(self) -> World:
        world = World(
            policy=self.new_mind, domains=FED, bound={"dso": "rack", "yard": "feeder", "grid-2": "feeder"}
        )
        world.push("dso", 1500.0)
        world.push("yard", 2400.0)
        world.push("grid-2", 3500.0)
        world.start()  # a leader that knows of them
        return world

    @rule(rack_w=RACK_W, feeder_w=FEEDER_W)
    def domains_are_told_of_limits(self, rack_w: float, feeder_w: float) -> None:
        """Without notice."""
        self.world.push("dso", rack_w)
        self.world.push("yard", feeder_w)

    @rule(now_w=RACK_W, in_s=st.integers(1, 30), then_w=RACK_W)
    def a_step_of_the_rack_is_announced(self, now_w: float, in_s: int, then_w: float) -> None:
        """A change now, and one that is known."""
        self.world.push("dso", now_w, then=[(in_s, then_w)])

    @rule(now_w=FEEDER_W, in_s=st.integers(1, 30), then_w=FEEDER_W)
    def a_step_of_the_feeder_is_announced(self, now_w: float, in_s: int, then_w: float) -> None:
        """By another of its givers."""
        self.world.push("grid-2", now_w, then=[(in_s, then_w)])

    @rule(name=st.sampled_from(["dso", "yard", "grid-2"]), silent=st.booleans())
    def a_giver_of_a_domain_falls_silent_or_speaks(self, name: str, silent: bool) -> None:
        """Its domain comes down to its firm level, and no other does."""
        self.world.sources[name].is_silent = silent

    @invariant()
    def the_fallbacks_fit_the_firm_levels_of_domains(self) -> None:
        """Whatever stands now, or may yet be accepted, would rest under them if nothing more were heard."""
        for zone in self.world.zones():
            rests_w = sum(factor * self.could_rest_at_w(gid) for gid, factor in zone.factors.items())
            assert zone.firm_w is not None
            assert rests_w <= zone.firm_w + 1e-6, (
                f"{zone.name}: {rests_w:.1f} W exceed firm {zone.firm_w:.1f} W"
            )


TestLossySiteOfFedDomains = LossySiteOfFedDomains.TestCase
TestLossySiteOfFedDomains.settings = settings(max_examples=20, stateful_step_count=40)
TestLossySiteOfDomains = LossySiteOfDomains.TestCase
TestLossySiteOfDomains.settings = settings(max_examples=12, stateful_step_count=40)


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
