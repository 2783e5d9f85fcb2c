"""What the loop knows: reports, limits, wishes and decisions, each taken in so that nothing late or lost does harm."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from scheduler.core.credit import Owed
from scheduler.core.decide import decide
from scheduler.core.envelope import Envelope
from scheduler.core.jobs import AttemptState, Desired, JobState
from scheduler.core.ledger import OpenOrder, exposure_w
from scheduler.core.orders import (
    AttemptFacts,
    Draft,
    FallbackStep,
    Fence,
    GpuReading,
    GuardReport,
    MinerReading,
    Observed,
)
from scheduler.core.snapshot import MeterReading
from scheduler.links import Link
from scheduler.records import Intents, Stored
from scheduler.view import View
from tests.builders import T0, SiteBuilder, site
from tests.reports import quiet_report

IDLE_W, NAMEPLATE_W = 820.0, 2200.0  #: a node of four A100


def viewed(built: SiteBuilder, *, epoch: int = 1, sources: tuple[str, ...] = ()) -> View:
    """A leader that just began on a site."""
    return View(
        built.site, {gid: g.spec for gid, g in built.groups.items()}, epoch=epoch, at=T0, sources=sources
    )


def a_report(built: SiteBuilder, gid: str = "a", **changes: Any) -> GuardReport:
    """What a guard with nothing on its devices says, a thousand seconds after its boot."""
    return replace(quiet_report(built.groups[gid].spec, draw_w=IDLE_W), **changes)


def heard(view: View, report: GuardReport, after_s: float = 0.0) -> bool:
    """The report comes in so many seconds into the story."""
    return view.take_report(report, at=T0 + timedelta(seconds=after_s), heard_s=after_s)


def an_order(seq: int, *, epoch: int = 1, ends_s: float = 15.0, entitlement_w: float = 2000.0) -> OpenOrder:
    """An order that ends so many seconds into the story and leaves the group at rest."""
    return OpenOrder(
        fence=Fence(epoch=epoch, seq=seq),
        entitlement_w=entitlement_w,
        fallback=(FallbackStep(after_s=0.0, limit_w=IDLE_W),),
        expires_at=T0 + timedelta(seconds=ends_s),
    )


def stored(**changes: Any) -> Stored:
    """What a store has that is empty but for this."""
    empty = Stored(jobs=(), attempts=(), settled={}, open_orders={}, limits=(), last_cut_at=None, seq=0)
    return replace(empty, **changes)


def exposed_w(view: View, gid: str = "a", after_s: float = 0.0) -> float:
    """What a group may draw by the books."""
    return exposure_w(view.groups[gid].account, T0 + timedelta(seconds=after_s), fall_s=view.site.fall_s)


def test_debts_outlive_a_restart_and_grow_from_then_on() -> None:
    """What partners drew while nobody decided is nobody's debt."""
    view = viewed(site().node("a"))
    owed = Owed(at=T0 - timedelta(hours=9), credit_ws={"a": 7, "b": -7}, shares_w={"a": 100, "b": 100})
    view.restore(stored(owed=owed))

    assert view.snapshot(T0).owed == Owed(at=view.led_since_at, credit_ws={"a": 7, "b": -7})


def test_the_same_snapshot_is_handed_out_while_nothing_changes() -> None:
    """Whoever keeps one knows by that alone that nothing came in, and no time passed."""
    built = site().node("a")
    view = viewed(built)
    shown = view.snapshot(T0)
    assert view.snapshot(T0) is shown

    heard(view, a_report(built))
    told = view.snapshot(T0)
    assert told is not shown
    assert view.snapshot(T0) is told
    assert view.snapshot(T0 + timedelta(seconds=1)) is not told


# -- reports -----------------------------------------------------------------------------------------------------


def test_a_group_that_was_never_heard_of_counts_at_its_worst() -> None:
    """Every GPU uncapped, until its guard says otherwise."""
    built = site().node("a")
    view = viewed(built)
    assert exposed_w(view) == NAMEPLATE_W

    assert heard(view, a_report(built))
    assert exposed_w(view) == IDLE_W


def test_a_report_is_taken_over_whole() -> None:
    """Draw, readings, facts, alarms and the link to its clock are what the guard said last."""
    built = site().node("a", gpus=1)
    view = viewed(built)
    facts = (AttemptFacts(attempt_id="j.1", observed=Observed.RUNNING, step=3),)
    gpus = (GpuReading(gpu_id="0", draw_w=300.0, cap_w=350.0, processes=1),)
    heard(view, a_report(built, draw_w=900.0, gpus=gpus, attempts=facts, alarms=("a fan",), version=9), 2.5)

    group = view.groups["a"]
    assert (group.draw_w, group.gpus, group.facts, group.in_fallback) == (900.0, gpus, facts, True)
    assert group.reported_at == T0 + timedelta(seconds=2.5)
    assert (group.account.charged_w, group.account.known) == (950.0, True)
    assert view.links.newest == {"a": Link(boot_id="boot-1", boottime_s=1000.0, version=9, heard_s=2.5)}
    assert view.alarms == {"a": ("a fan",)}


def test_miners_count_at_their_target_or_their_draw() -> None:
    """A target that is not followed yet frees nothing."""
    built = site().miners("m", max_w=3000)
    view = viewed(built)
    slow = MinerReading(miner_id="m-1", target_w=500.0, draw_w=900.0)
    obedient = MinerReading(miner_id="m-2", target_w=700.0, draw_w=600.0)
    heard(view, a_report(built, "m", miners=(slow, obedient)))

    assert view.groups["m"].account.charged_w == 1600.0


def test_a_report_from_before_the_last_one_is_dropped() -> None:
    """Reports overtake each other on their way; the guard's own clock tells which is older."""
    built = site().node("a")
    view = viewed(built)
    heard(view, a_report(built, boottime_s=1002.0, draw_w=2.0))

    assert not heard(view, a_report(built, boottime_s=1001.9, draw_w=1.0, version=2), 1)
    assert (view.groups["a"].draw_w, view.groups["a"].reported_at) == (2.0, T0)


def test_a_guard_may_boot_again_and_is_not_taken_for_an_older_one() -> None:
    """Its clock begins anew: the smaller reading is the newer. A report of the boot before comes too late for ever."""
    built = site().node("a")
    view = viewed(built)
    heard(view, a_report(built, boottime_s=1000.0))
    assert heard(view, a_report(built, boot_id="boot-2", boottime_s=7.0), 1)

    assert not heard(view, a_report(built, boottime_s=1001.0, version=2), 2)
    assert view.links.newest["a"].boot_id == "boot-2"


def test_the_same_version_is_taken_in_and_is_no_news() -> None:
    """It shows that the guard lives, and wakes nobody."""
    built = site().node("a")
    view = viewed(built)
    heard(view, a_report(built))

    assert not heard(view, a_report(built, boottime_s=1001.0), 1)
    assert view.groups["a"].reported_at == T0 + timedelta(seconds=1)
    assert heard(view, a_report(built, boottime_s=1002.0, version=2), 2)


def test_a_group_that_the_site_file_does_not_name_counts_too() -> None:
    """Somebody's guard that reports here may draw, whatever the file says."""
    view = viewed(site().node("a"))
    other = site().node("b")
    heard(view, a_report(other, "b"))

    assert sorted(view.groups) == ["a", "b"]
    assert exposed_w(view, "b") == IDLE_W


def test_an_order_that_only_its_guard_knows_of_counts_until_it_has_fallen() -> None:
    """A store that lost it does not make it go away: what is left of its lease is told on the guard's clock."""
    built = site().node("a")
    view = viewed(built)
    fence = Fence(epoch=4, seq=2)
    fallback = (FallbackStep(after_s=0.0, limit_w=IDLE_W),)
    heard(
        view,
        a_report(built, accepted=fence, expires_boottime_s=1006.0, entitlement_w=1900.0, fallback=fallback),
        1,
    )

    assert view.groups["a"].account.acked == view.groups["a"].account.sent == fence
    fallen_s = 1 + 6 + built.site.fall_s
    assert [exposed_w(view, after_s=s) for s in (1, fallen_s - 0.1, fallen_s)] == [1900.0, 1900.0, IDLE_W]


def test_a_report_fences_off_what_was_sent_before_the_order_it_accepted() -> None:
    """Of two orders on their way the older can never stand any more."""
    built = site().node("a")
    view = viewed(built)
    heard(view, a_report(built))
    view.opened("a", an_order(1, entitlement_w=2000.0))
    view.opened("a", an_order(2, entitlement_w=1000.0))
    assert exposed_w(view) == 2000.0

    heard(view, a_report(built, boottime_s=1001.0, accepted=Fence(epoch=1, seq=2)), 1)
    assert exposed_w(view, after_s=1) == 1000.0


# -- what a new leader begins from ---------------------------------------------------------------------------------


def test_a_leader_begins_from_what_was_recorded() -> None:
    """Jobs, attempts, settled jobs, manual limits and the last cut are as the store has them."""
    built = site().node("a").running("j", on="a").limit_w(800, source="operator")
    view = viewed(built)
    view.restore(
        stored(
            jobs=tuple(built.jobs.values()),
            attempts=tuple(built.attempts.values()),
            settled={"old": JobState.SUCCEEDED},
            limits=built.envelopes,
            last_cut_at=T0,
        )
    )
    snapshot = view.snapshot(T0)

    assert (snapshot.jobs, snapshot.attempts) == (built.jobs, built.attempts)
    assert (snapshot.settled, snapshot.last_cut_at) == ({"old": JobState.SUCCEEDED}, T0)
    assert snapshot.envelopes == built.envelopes


def test_recorded_orders_count_for_a_whole_lease_more() -> None:
    """Renewals are not recorded while the store is down, so the leader before may have sent one just now."""
    built = site().node("a")
    view = viewed(built, epoch=2)
    view.restore(stored(open_orders={"a": (an_order(5, ends_s=-100),), "gone": (an_order(1),)}))

    assert sorted(view.groups) == ["a"]
    assert exposed_w(view, after_s=15 + 2.9) == 2000.0
    assert exposed_w(view, after_s=15 + 3.0) == IDLE_W


def test_sources_hold_the_site_to_firm_until_they_have_spoken() -> None:
    """A source that is known and silent is not the same as none."""
    view = viewed(site(firm_w=1234).node("a"), sources=("grid",))
    decision = decide(view.snapshot(T0))

    limit = decision.limit
    assert (limit.limit_w, limit.source, limit.provenance, limit.stale) == (1234.0, "grid", "silent", True)


# -- what people want ----------------------------------------------------------------------------------------------


def test_new_jobs_come_with_the_ends_of_those_they_wait_for() -> None:
    """So that a dependency on a job of yesterday is known."""
    view, job = viewed(site()), site().job("j").jobs["j"]

    assert view.take_intents(Intents(seq=1, jobs=(job,), settled={"old": JobState.FAILED}))
    assert (view.jobs, view.settled) == ({"j": job}, {"old": JobState.FAILED})


def test_a_wish_changes_what_is_desired_and_nothing_else() -> None:
    """And a wish for a job that is over, or was never known, is let be."""
    view, job = viewed(site()), site().job("j").jobs["j"]
    view.take_intents(Intents(seq=1, jobs=(job,)))

    assert view.take_intents(Intents(seq=3, desired={"j": Desired.HOLD, "nobody": Desired.RUN}))
    assert view.jobs == {"j": replace(job, desired=Desired.HOLD)}


def test_nobody_calls_back_a_cancelled_job() -> None:
    """What is on its way out goes."""
    view = viewed(site())
    view.take_intents(Intents(seq=1, jobs=tuple(site().job("j", desired=Desired.CANCEL).jobs.values())))
    view.take_intents(Intents(seq=2, desired={"j": Desired.RUN}))

    assert view.jobs["j"].desired is Desired.CANCEL


def test_manual_limits_stand_until_they_are_released() -> None:
    """No word leaves them; an empty list releases them; they come on top of what sources say."""
    view = viewed(site())
    (grid, hand) = site().limit_w(9000).limit_w(500, source="operator").envelopes
    view.envelopes["grid"] = grid

    def known() -> tuple[Envelope, ...]:
        return view.snapshot(T0).envelopes

    assert view.take_intents(Intents(seq=1, limits=(hand,)))
    assert known() == (grid, hand)
    assert not view.take_intents(Intents(seq=1))
    assert known() == (grid, hand)
    assert view.take_intents(Intents(seq=2, limits=()))
    assert known() == (grid,)


# -- decisions -----------------------------------------------------------------------------------------------------


def test_a_decision_becomes_the_present() -> None:
    """A started job and its attempt are there; the miners' target is what was ordered; a cut is remembered."""
    built = site().node("a").miners("m", max_w=3000).limit_w(3000).job("j", gpus=4)
    view = viewed(built)
    view.jobs, view.groups = dict(built.jobs), dict(built.groups)
    decision = decide(built.snapshot())
    view.apply(decision, T0)

    assert {j.id: j.state for j in view.jobs.values()} == {"j": JobState.STARTING}
    assert {a.id: a.state for a in view.attempts.values()} == {"j.1": AttemptState.ALLOCATED}
    assert view.groups["m"].miners_target_w == 800.0
    assert view.last_cut_at is None
    view.apply(replace(decision, cut_work=True), T0)
    assert view.last_cut_at == T0


def test_what_ended_leaves_the_view() -> None:
    """A final job is kept only as the end that others may wait for, an ended attempt not at all."""
    built = site().node("a").limit_w(9000).running("j", on="a")
    built.facts("j.1", "a", observed=Observed.ENDED, exit_code=0)
    view = viewed(built)
    view.jobs, view.attempts, view.groups = dict(built.jobs), dict(built.attempts), dict(built.groups)
    view.apply(decide(built.snapshot()), T0)

    assert (view.jobs, view.attempts) == ({}, {})
    assert view.settled == {"j": JobState.SUCCEEDED}


# -- orders and leaders ----------------------------------------------------------------------------------------------


def test_orders_are_numbered_within_an_epoch() -> None:
    """From 1 in each; what an earlier leader sent does not count on."""
    built = site().node("a")
    view = viewed(built, epoch=3)
    assert view.next_fence("a") == Fence(epoch=3, seq=1)
    view.opened("a", an_order(1, epoch=3))
    assert view.next_fence("a") == Fence(epoch=3, seq=2)

    view.lead(4, T0)
    assert view.next_fence("a") == Fence(epoch=4, seq=1)


def test_orders_that_a_later_one_makes_up_for_are_forgotten() -> None:
    """The account does not grow with each renewal that is never acknowledged; but it waits until that did go out."""
    built = site().node("a")
    view = viewed(built)
    heard(view, a_report(built))
    for seq, ends_s in enumerate((15, 20, 35), start=1):
        view.opened("a", an_order(seq, ends_s=ends_s))
    assert [o.fence.seq for o in view.groups["a"].account.open] == [1, 2, 3]

    draft = Draft(
        group_id="a", entitlement_w=0.0, fallback=(), attempts=(), miners_target_w=0.0, expires_at=T0
    )
    view.went_out("a", draft, T0)
    assert [o.fence.seq for o in view.groups["a"].account.open] == [3]


def test_a_leader_raises_when_every_guard_follows_it() -> None:
    """Or when no earlier order can stand any more: after a lease and a fall."""
    built = site(lease_s=15, fall_s=3).node("a").node("b")
    view = viewed(built)
    follows = Fence(epoch=1, seq=1)
    assert not view.snapshot(T0).raises_allowed
    heard(view, a_report(built, "a", accepted=follows))
    assert not view.snapshot(T0).raises_allowed
    heard(view, a_report(built, "b", accepted=follows))
    assert view.snapshot(T0).raises_allowed

    view.lead(2, T0)
    assert not view.snapshot(T0 + timedelta(seconds=18)).raises_allowed
    assert view.snapshot(T0 + timedelta(seconds=18.1)).raises_allowed


def test_without_a_store_nothing_is_raised() -> None:
    """Every decision is told so by the snapshot."""
    view = viewed(site())
    assert view.snapshot(T0).raises_allowed
    view.store_up = False
    assert not view.snapshot(T0).raises_allowed


def test_a_guard_that_never_spoke_counts_at_rest_once_all_orders_have_fallen() -> None:
    """Until then it counts at its worst; after a lease and a fall nothing that anybody sent it can stand."""
    view = viewed(site(lease_s=15, fall_s=3).node("a"))
    view.give_up_silent(T0 + timedelta(seconds=18))
    assert exposed_w(view, after_s=18) == NAMEPLATE_W
    view.give_up_silent(T0 + timedelta(seconds=18.1))
    assert exposed_w(view, after_s=18.1) == IDLE_W


def test_the_meter_counts_against_the_limit_only_after_a_fall() -> None:
    """What it keeps seeing beyond the books is unmetered draw; a single reading may merely lag."""
    built = site(fall_s=3).node("a")
    view = viewed(built)
    heard(view, a_report(built))
    for after_s in range(5):
        reading = MeterReading(draw_w=IDLE_W + 300, measured_at=T0 + timedelta(seconds=after_s))
        view.take_meter(reading)
        snapshot = view.snapshot(reading.measured_at)
        assert (snapshot.meter, snapshot.unmetered_w) == (reading, 300.0 if after_s == 4 else 0.0)
