"""The promise of section 4 as a property: whatever is lost, late, restarted or withdrawn, the limit is kept."""

from __future__ import annotations

from typing import Any

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from scheduler.core.decide import Policy, PowerAware
from scheduler.core.jobs import Desired
from scheduler.core.power import site_w
from scheduler.errors import StaleEpoch
from tests.power_world import POLICY, SPECS, World

GROUPS = sorted(SPECS)
FATES = st.sampled_from(["arrives", "arrives", "lost", "stays"])
LIMITS_W = st.sampled_from([2400.0, 2500.0, 2800.0, 3200.0, 3600.0, 4000.0, 4500.0, 5500.0])


class LossySite(RuleBasedStateMachine):
    """Everything may be lost, late or restarted. Limits stay at or above the firm level, which is always granted."""

    def __init__(self) -> None:
        super().__init__()
        self.world = self.new_world()
        self.world.submit(gpus=2, flex=4)
        self.world.submit(gpus=1, flex=0)
        self.calm(4)

    def new_world(self) -> World:
        """The site."""
        return World(policy=self.new_mind)

    def new_mind(self) -> Policy:
        """What a new leader decides by."""
        return PowerAware()

    def teardown(self) -> None:
        self.world.close()

    # -- time --------------------------------------------------------------------------------------------------------

    @rule(ms=st.integers(50, 20_000))
    def time_passes(self, ms: int) -> None:
        """Nobody does anything; leases run."""
        self.check(self.world.advance(ms))

    @rule(seconds=st.integers(1, 12))
    def calm(self, seconds: int) -> None:
        """Seconds in which what is connected works as it should."""
        for _ in range(seconds):
            self.world.poll()
            self.world.exchange()
            self.world.measure()
            self.world.tick()
            self.check(self.world.advance(1000))

    @rule(limits_w=st.lists(LIMITS_W, min_size=1, max_size=4), ms=st.sampled_from([0, 50, 700, 1500]))
    def the_loop_runs_blind(self, limits_w: list[float], ms: int) -> None:
        """Limits change, rounds pass, and nothing arrives."""
        for limit_w in limits_w:
            self.world.push("grid", limit_w)
            self.world.tick()
            self.check(self.world.advance(ms))

    # -- links -------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.world.orders)
    @rule(data=st.data())
    def some_orders_arrive(self, data: st.DataObject) -> None:
        """In any order; others are lost, or stay in flight."""
        for fate in data.draw(st.lists(FATES, max_size=len(self.world.orders))):
            index = data.draw(st.integers(0, len(self.world.orders) - 1))
            if fate == "lost":
                self.world.orders.pop(index)
            elif fate == "arrives":
                self.world.deliver_order(index)

    @rule(gids=st.sets(st.sampled_from(GROUPS), min_size=1))
    def guards_speak(self, gids: set[str]) -> None:
        """Their reports go on their way."""
        for gid in sorted(gids):
            self.world.speak(gid)

    @precondition(lambda self: self.world.reports)
    @rule(data=st.data())
    def some_reports_arrive(self, data: st.DataObject) -> None:
        """However old; others are lost, or stay in flight."""
        for fate in data.draw(st.lists(FATES, max_size=len(self.world.reports))):
            index = data.draw(st.integers(0, len(self.world.reports) - 1))
            if fate == "lost":
                self.world.reports.pop(index)
            elif fate == "arrives":
                self.world.deliver_report(index)

    @rule(gid=st.sampled_from(GROUPS), deaf=st.booleans(), mute=st.booleans(), seconds=st.integers(0, 80))
    def a_link_changes(self, gid: str, deaf: bool, mute: bool, seconds: int) -> None:
        """Orders, reports or both get through to and from a guard, or do not, for a while or for good."""
        (self.world.deaf.add if deaf else self.world.deaf.discard)(gid)
        (self.world.mute.add if mute else self.world.mute.discard)(gid)
        self.calm(seconds)

    # -- power -------------------------------------------------------------------------------------------------------

    @rule(limit_w=LIMITS_W)
    def a_limit_is_pushed(self, limit_w: float) -> None:
        """Without notice."""
        self.world.push("grid", limit_w)

    @rule(now_w=LIMITS_W, in_s=st.integers(1, 30), then_w=LIMITS_W)
    def a_step_is_announced(self, now_w: float, in_s: int, then_w: float) -> None:
        """A change now, and one that is known."""
        self.world.push("feeder", now_w, then=[(in_s, then_w)])

    @rule(name=st.sampled_from(["grid", "feeder"]), silent=st.booleans())
    def a_source_falls_silent_or_speaks(self, name: str, silent: bool) -> None:
        """Its last value ages."""
        if name in self.world.sources:
            self.world.sources[name].is_silent = silent

    @rule(gid=st.sampled_from(GROUPS), lag_ms=st.sampled_from([0, 700, 1999]))
    def a_guard_falls_faster_or_slower(self, gid: str, lag_ms: int) -> None:
        """Within its guarantee."""
        self.world.guards[gid].lag_ms = lag_ms

    # -- restarts ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.world.store.up)
    @rule()
    def the_scheduler_restarts(self) -> None:
        """A new leader begins from the store; the old one, should it go on, is stopped by it."""
        self.world.start()

    @precondition(lambda self: self.world.deposed is not None and self.world.store.up)
    @rule()
    def the_old_leader_ticks_once_more(self) -> None:
        """It learns that it is over. What it said before it knew is in flight."""
        loop, self.world.loop = self.world.loop, self.world.deposed
        try:
            self.world.tick()
            raise AssertionError("two leaders")
        except StaleEpoch:
            self.world.orders += self.world.cluster.take()
        finally:
            self.world.loop, self.world.deposed = loop, None

    @rule(knows=st.booleans())
    def the_store_is_lost(self, knows: bool) -> None:
        """A leader begins from nothing; if the guards' epoch is not told it from the start, it learns of it.

        All guards are in reach just then: of one that is not, nobody would know what it may rest at.
        """
        followed = max(g.memory.seen.epoch for g in self.world.guards.values())
        self.world.lose_store()
        self.world.deaf.clear()
        self.world.mute.clear()
        self.world.start(at_least=followed if knows else 0)
        self.calm(3)

    @rule(up=st.booleans())
    def the_store_goes_or_comes(self, up: bool) -> None:
        """Every call to it fails, or works."""
        self.world.store.up = up

    @rule(gid=st.sampled_from(GROUPS))
    def a_host_reboots(self, gid: str) -> None:
        """Its processes and its clock begin anew."""
        self.world.guards[gid].reboot(self.world.clock.now_ms)

    # -- work --------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.world.submitted < 8)
    @rule(
        gpus=st.integers(1, 2),
        nodes=st.sampled_from([1, 1, 1, 2]),
        max_nodes=st.sampled_from([None, None, 2, 3]),
        flex=st.sampled_from([0, 1, 3, 4, 4]),
        grace_s=st.sampled_from([1.0, 3.0, 50.0]),
    )
    def a_job_is_submitted(self, **spec: Any) -> None:
        """Of any tier; some take long to save, some as many nodes as there are."""
        self.world.submit(**spec)

    @rule(data=st.data(), desired=st.sampled_from(Desired))
    def somebody_wants_something(self, data: st.DataObject, desired: Desired) -> None:
        """Hold, release or cancel."""
        if jobs := sorted(self.world.store.jobs):
            self.world.store.wish(data.draw(st.sampled_from(jobs)), desired)

    @rule(data=st.data(), exit_code=st.sampled_from([0, 1, 85]))
    def a_job_ends(self, data: st.DataObject, exit_code: int) -> None:
        """By itself, well or not."""
        self.world.ends(f"j{data.draw(st.integers(1, self.world.submitted))}", exit_code)

    # -- promises ----------------------------------------------------------------------------------------------------

    @invariant()
    def every_promise_holds(self) -> None:
        """At this instant; `advance` looks at those between."""
        self.check(list(self.world.breaches()))

    @invariant()
    def the_fallbacks_fit_the_firm_level(self) -> None:
        """Whatever stands now, or may yet be accepted, would rest under the firm level if nothing more were heard."""
        it_w = mine_w = 0.0
        for gid in self.world.guards:
            rests_w = self.could_rest_at_w(gid)
            if gid == "m":
                mine_w += rests_w
            else:
                it_w += rests_w
        total_w = site_w(it_w=it_w, miners_w=mine_w, overhead=POLICY.overhead, auxiliary_w=POLICY.auxiliary_w)
        assert total_w <= POLICY.firm_w + 1e-6, f"fallbacks {total_w:.1f} W exceed firm {POLICY.firm_w:.1f} W"

    def could_rest_at_w(self, gid: str) -> float:
        """What a group rests at, at most, by what stands and by what it may yet accept."""
        could_stand = [o.fallback[0].limit_w for o in self.world.orders if self.may_accept(gid, o)]
        memory = self.world.guards[gid].memory
        return max([memory.order.fallback[0].limit_w if memory.order else memory.idle_w, *could_stand])

    def may_accept(self, gid: str, order: object) -> bool:
        guard = self.world.guards[gid]
        return (
            order.group_id == gid  # type: ignore[attr-defined]
            and order.boot_id == guard.memory.boot_id  # type: ignore[attr-defined]
            and order.fence > guard.memory.seen  # type: ignore[attr-defined]
            and order.expires_boottime_s > guard.boottime_s(self.world.clock.now_ms)  # type: ignore[attr-defined]
        )

    @invariant()
    def no_gpu_is_promised_twice(self) -> None:
        """Of all attempts that have not ended, no two hold the same GPU, and no two belong to one job."""
        if self.world.loop is None:
            return
        attempts = list(self.world.loop.view.attempts.values())
        held = [(p.node_id, g) for a in attempts for p in a.placements for g in p.gpu_ids]
        jobs = [a.job_id for a in attempts]
        assert len(held) == len(set(held))
        assert len(jobs) == len(set(jobs))

    @staticmethod
    def check(wrong: list[str]) -> None:
        assert not wrong, "; ".join(wrong)


class SoundSite(RuleBasedStateMachine):
    """Nothing is lost and the loop runs, so that any limit is kept, down to that of the site at rest."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.submit(gpus=2, flex=4)
        self.world.submit(gpus=1, flex=0)
        self.time_passes(16)

    def teardown(self) -> None:
        self.world.close()

    @rule(quarters=st.integers(1, 60))
    def time_passes(self, quarters: int) -> None:
        """A quarter of a second at a time."""
        for _ in range(quarters):
            self.world.poll()
            self.world.exchange()
            self.world.measure()
            self.world.tick()
            wrong = self.world.advance(250)
            assert not wrong, "; ".join(wrong)

    @rule(limit_w=st.floats(1302.5, 5500.0))
    def a_limit_is_pushed(self, limit_w: float) -> None:
        """Without notice."""
        self.world.push("grid", limit_w)

    @rule(now_w=st.floats(1302.5, 5500.0), in_s=st.integers(1, 30), then_w=st.floats(1302.5, 5500.0))
    def a_step_is_announced(self, now_w: float, in_s: int, then_w: float) -> None:
        """A change now, and one that is known."""
        self.world.push("feeder", now_w, then=[(in_s, then_w)])

    @rule(name=st.sampled_from(["grid", "feeder"]), silent=st.booleans())
    def a_source_falls_silent_or_speaks(self, name: str, silent: bool) -> None:
        """Its last value ages."""
        if name in self.world.sources:
            self.world.sources[name].is_silent = silent

    @rule()
    def the_scheduler_restarts(self) -> None:
        """A new leader holds to what a source told the one before in time for a round, though it is silent by now."""
        self.time_passes(1)
        self.world.start()
        self.time_passes(4)

    @precondition(lambda self: self.world.submitted < 8)
    @rule(
        gpus=st.integers(1, 2),
        nodes=st.sampled_from([1, 1, 1, 2]),
        max_nodes=st.sampled_from([None, None, 2, 3]),
        flex=st.sampled_from([0, 1, 3, 4, 4]),
        grace_s=st.sampled_from([1.0, 3.0, 50.0]),
    )
    def a_job_is_submitted(self, **spec: Any) -> None:
        """Of any tier; some take long to save, some as many nodes as there are."""
        self.world.submit(**spec)

    @rule(data=st.data(), exit_code=st.sampled_from([0, 1, 85]))
    def a_job_ends(self, data: st.DataObject, exit_code: int) -> None:
        """By itself, well or not."""
        self.world.ends(f"j{data.draw(st.integers(1, self.world.submitted))}", exit_code)


class LossyStoppedSite(LossySite):
    """As before, and people stop and release it: no latch is ever lost, and each holds its guard to its fallback.

    Saves take turns, too, which none waits for that the limit or a stop demands.
    """

    def new_world(self) -> World:
        """The same site, where one attempt saves at a time."""
        return World(policy=self.new_mind, saves_at_once=1)

    @precondition(lambda self: self.world.store.up)
    @rule()
    def somebody_stops_the_site(self) -> None:
        """Through the store."""
        self.world.stop()

    @rule(gids=st.sets(st.sampled_from(GROUPS), min_size=1))
    def somebody_stops_guards(self, gids: set[str]) -> None:
        """Over their sockets, whatever else is dead."""
        for gid in sorted(gids):
            self.world.stop_guard(gid)

    @precondition(lambda self: self.world.store.up and self.world.store.stops)
    @rule(seconds=st.integers(0, 12))
    def somebody_releases_the_site(self, seconds: int) -> None:
        """What the store knows of, and no more."""
        self.world.release()
        self.calm(seconds)


class SoundStoppedSite(SoundSite):
    """Nothing is lost, so that a stop is everywhere in time, survives restarts, and is released everywhere."""

    @rule(gid=st.none() | st.sampled_from(GROUPS), starts=st.integers(0, 3))
    def somebody_stops_the_site(self, gid: str | None, starts: int) -> None:
        """Through the store or one guard: all latch within two seconds, are at firm in time, and stay so."""
        if gid is None:
            self.world.stop()
        else:
            self.world.stop_guard(gid)
        self.world.is_stopped = True
        self.world.note_limit()
        self.time_passes(8)
        assert all(g.memory.stop is not None for g in self.world.guards.values())
        before = {a for g in self.world.guards.values() for a in g.processes}
        for _ in range(starts):
            self.world.start()
            self.time_passes(4)
        assert {a for g in self.world.guards.values() for a in g.processes} <= before, "started while stopped"

    @precondition(lambda self: self.world.store.stops)
    @rule()
    def somebody_releases_the_site(self) -> None:
        """All guards hear of it within two seconds."""
        self.world.release()
        self.world.is_stopped = False
        self.time_passes(8)
        assert all(g.memory.stop is None for g in self.world.guards.values())


TestLossySite = LossySite.TestCase
TestLossySite.settings = settings(max_examples=40, stateful_step_count=40)
TestSoundSite = SoundSite.TestCase
TestSoundSite.settings = settings(max_examples=25, stateful_step_count=20)
TestLossyStoppedSite = LossyStoppedSite.TestCase
TestLossyStoppedSite.settings = settings(max_examples=20, stateful_step_count=40)
TestSoundStoppedSite = SoundStoppedSite.TestCase
TestSoundStoppedSite.settings = settings(max_examples=10, stateful_step_count=15)


def test_a_renewal_does_not_undo_a_cut_that_waits_for_room() -> None:
    """The store is down, the leases have lapsed, and power is withdrawn: nothing of before goes out again."""
    site = LossySite()
    site.the_store_goes_or_comes(up=False)
    site.time_passes(ms=5001)
    site.the_loop_runs_blind(limits_w=[2400.0], ms=0)
    site.calm(seconds=6)
    site.teardown()


def test_a_new_leader_holds_to_what_a_source_told_before_it_fell_silent() -> None:
    """A limit below the firm level: the source is silent, and the scheduler restarts."""
    site = SoundSite()
    site.a_limit_is_pushed(limit_w=1303.0)
    site.time_passes(quarters=8)
    site.a_source_falls_silent_or_speaks(name="grid", silent=True)
    site.the_scheduler_restarts()
    site.time_passes(quarters=60)
    site.teardown()
