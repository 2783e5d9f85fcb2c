"""The invariant with programs that mine on idle GPUs, and a memory that is a cache there as well."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings, strategies as st

from scheduler.core.enforce import enforce
from scheduler.core.orders import FillerKind, MinerReading
from tests.power_world import World as PowerWorld
from tests.property.test_domains import DOMAINS
from tests.property.test_enforce import EPSILON_W, World, charge_after_w, raises, worlds
from tests.property.test_memo import LossySiteWithTwoMinds


class LossySiteWithFillers(LossySiteWithTwoMinds):
    """Whatever is lost, late, restarted or withdrawn; guards give back last what their fillers draw."""

    def new_world(self) -> PowerWorld:
        return PowerWorld(policy=self.new_mind, filled=frozenset("ab"))


class LossySiteOfDomainsWithFillers(LossySiteWithTwoMinds):
    """And with breakers below the site's meter."""

    def new_world(self) -> PowerWorld:
        return PowerWorld(policy=self.new_mind, filled=frozenset("ab"), domains=DOMAINS)


TestLossySiteWithFillers = LossySiteWithFillers.TestCase
TestLossySiteWithFillers.settings = settings(max_examples=6, stateful_step_count=25)
TestLossySiteOfDomainsWithFillers = LossySiteOfDomainsWithFillers.TestCase
TestLossySiteOfDomainsWithFillers.settings = settings(max_examples=4, stateful_step_count=25)


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


@st.composite
def filled_worlds(draw: st.DrawFn) -> World:
    """A guard's world with a filler: on some of the GPUs that nobody has, running, trimmed, or on its way out."""
    world = draw(worlds())
    free = [g.gpu_id for g in world.seen.spec.gpus if not world.seen.is_busy(g.gpu_id)]
    taken = [g for g in free if draw(st.booleans())]
    watts = st.sampled_from([0.0, 47.0, 345.0]) | st.floats(0.0, 400.0)
    miners = tuple(MinerReading(miner_id=g, target_w=draw(watts), draw_w=draw(watts)) for g in taken)
    spec = replace(world.seen.spec, filler=FillerKind(name="f"))
    seen = replace(world.seen, spec=spec, miners=miners, filled=frozenset(taken))
    return World(replace(world.standing, miners_target_w=draw(st.floats(0.0, 1500.0))), seen)


@given(filled_worlds())
def test_a_guard_counts_its_filler_before_it_raises_anything(world: World) -> None:
    """With all raises and nothing lowered it stays within the entitlement; nothing starts where a filler is."""
    commands, mined_w = enforce(world.standing, world.seen), sum(m.target_w for m in world.seen.miners)
    rises_w = max(0.0, commands.miners_target_w - mined_w)

    assert not {g for o in commands.starts for g in o.gpu_ids} & world.seen.filled
    if raises(world.seen, commands) or rises_w > EPSILON_W:
        drawn_w = charge_after_w(world.seen, commands) + world.seen.miners_charged_w() + rises_w
        assert drawn_w <= world.standing.entitlement_w + EPSILON_W


@given(filled_worlds())
def test_a_filler_costs_work_nothing(world: World) -> None:
    """Whatever it may draw, what is ordered of attempts is what it would be if it were to end."""
    commands = enforce(world.standing, world.seen)
    alone = enforce(replace(world.standing, miners_target_w=0.0), world.seen)

    assert (commands.phases, commands.caps_w, commands.starts) == (alone.phases, alone.caps_w, alone.starts)
    assert commands.miners_target_w <= world.standing.miners_target_w + EPSILON_W
