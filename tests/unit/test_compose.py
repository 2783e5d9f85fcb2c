"""From a plan to orders: the whole desired state of each group, and how long it may stand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from scheduler.core.compose import drafts, lease_end, withheld
from scheduler.core.decide import decide
from scheduler.core.inventory import Wish
from scheduler.core.jobs import PauseCause, Phase, Placement
from scheduler.core.orders import AttemptOrder, Draft, FallbackStep, Rank
from scheduler.core.plan import Plan, limit_now, usable_w
from tests.builders import T0, SiteBuilder, commit, launch, site


def a_site(**policy: Any) -> SiteBuilder:
    """One node of four A100 under a limit with room."""
    return site(**policy).node("a").limit_w(9000)


def drafted(built: SiteBuilder) -> dict[str, Draft]:
    """The drafts of the site as it is, nothing decided."""
    snapshot = built.snapshot()
    plan = Plan(snapshot)
    return drafts(plan, snapshot, withheld(plan, usable_w(snapshot, limit_now(snapshot))))


def ordered(built: SiteBuilder, attempt_id: str, **changes: Any) -> SiteBuilder:
    """An attempt as it is to be ordered."""
    built.attempts[attempt_id] = replace(built.attempts[attempt_id], **changes)
    return built


# -- what an order says --------------------------------------------------------------------------------------------


def test_a_draft_is_the_whole_desired_state() -> None:
    """Watts, fallback, every attempt with its launch, and the end of the lease."""
    built = a_site().running("j", on="a", gpus=2, flex=3, priority=7, cap_w=300.0)
    ordered(built, "j.1", resume_from=commit(5), number=1)

    order = AttemptOrder(
        attempt_id="j.1",
        job_id="j",
        number=1,
        phase=Phase.RUN,
        gpu_ids=("0", "1"),
        cap_w=300.0,
        tier=3,
        priority=7,
        launch=launch(),
        resume_from="/c/step-5",
    )
    assert drafted(built) == {
        "a": Draft(
            group_id="a",
            entitlement_w=600 + 2 * 300 + 2 * 55,
            fallback=(
                FallbackStep(after_s=0.0, limit_w=600 + 2 * 95 + 2 * 55),
                FallbackStep(after_s=5.0 + 30.0, limit_w=820.0),
            ),
            attempts=(order,),
            miners_target_w=0.0,
            expires_at=T0 + timedelta(seconds=15),
        )
    }


def test_a_suspended_attempt_is_told_why() -> None:
    """Its GPUs count at the minimum cap."""
    built = a_site().running("j", on="a")
    ordered(built, "j.1", phase=Phase.SUSPEND, pause_cause=PauseCause.POWER_WITHDRAWN)
    draft = drafted(built)["a"]

    assert draft.entitlement_w == 600 + 4 * 95
    assert [(a.phase, a.reason) for a in draft.attempts] == [(Phase.SUSPEND, "PowerWithdrawn")]


def test_attempts_are_named_in_order_of_their_ids() -> None:
    """The same state is the same order, in whatever order it came about."""
    built = a_site().running("z", on="a", gpus=1).running("b", on="a", gpus=1)

    assert [a.attempt_id for a in drafted(built)["a"].attempts] == ["b.1", "z.1"]


def test_miners_are_told_their_target() -> None:
    """Their entitlement is their rest and the target."""
    built = a_site().miners("m", max_w=3000)
    built.groups["m"] = replace(built.groups["m"], miners_target_w=700.0)
    built.groups["m"] = replace(
        built.groups["m"], account=replace(built.groups["m"].account, charged_w=700.0)
    )
    draft = drafted(built)["m"]

    assert (draft.entitlement_w, draft.miners_target_w, draft.attempts) == (700.0, 700.0, ())


def test_wishes_for_single_machines_travel_with_the_order() -> None:
    """As people left them with the group."""
    built = a_site().miners("m", max_w=3000)
    wishes = (("m-1", Wish.PAUSED), ("m-2", Wish.PROTECTED))
    built.groups["m"] = replace(built.groups["m"], miner_wishes=wishes)

    assert drafted(built)["m"].miner_wishes == wishes


def test_members_of_a_gang_find_each_other() -> None:
    """Ranks in the order of placement, all with the address of the first node and one port."""
    built = a_site().node("b").running("j", on="b")
    gang = (*built.attempts["j.1"].placements, Placement(node_id="a", gpu_ids=("0", "1", "2", "3")))
    ordered(built, "j.1", placements=gang)
    built.groups["b"] = replace(built.groups["b"], spec=replace(built.groups["b"].spec, address="192.0.2.7"))
    built.limit_w(20_000)
    ranks = {gid: d.attempts[0].rank for gid, d in drafted(built).items()}

    assert ranks == {
        "b": Rank(node_rank=0, nodes=2, master_addr="192.0.2.7", master_port=20_014),
        "a": Rank(node_rank=1, nodes=2, master_addr="192.0.2.7", master_port=20_014),
    }


# -- how long a save may take ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cause, grace_s, told_s",
    [
        (PauseCause.POWER_WITHDRAWN, 300.0, 30.0 - 3.5 - 3.0),
        (PauseCause.POWER_WITHDRAWN, 8.0, 8.0),
        (PauseCause.OPERATOR, 300.0, 300.0),
    ],
)
def test_a_save_that_power_forces_fits_the_reaction_time(
    cause: PauseCause, grace_s: float, told_s: float
) -> None:
    """Less the order's way and the fall; any other save gets what the job asked for."""
    built = a_site(reaction_s=30.0, fall_s=3.0, clock_uncertainty_s=0.5)
    built.running("j", on="a", launch=launch(grace_s=grace_s))
    ordered(built, "j.1", phase=Phase.SAVE_EXIT, pause_cause=cause)

    assert drafted(built)["a"].attempts[0].launch.grace_s == told_s


@pytest.mark.parametrize("held_s, told_s", [(59.0, 30.0 - 3.5 - 3.0), (60.0, 300.0)])
def test_who_was_held_for_its_time_saves_without_hurry(held_s: float, told_s: float) -> None:
    """The limit carries who is held: only its GPUs are wanted back."""
    built = a_site(reaction_s=30.0, fall_s=3.0, clock_uncertainty_s=0.5, suspend_max_s=60.0)
    built.running("j", on="a", launch=launch(grace_s=300.0))
    cut_at = built.at - timedelta(seconds=held_s)
    cause = PauseCause.POWER_WITHDRAWN
    ordered(built, "j.1", phase=Phase.SAVE_EXIT, pause_cause=cause, since_at=built.at, cut_at=cut_at)

    assert drafted(built)["a"].attempts[0].launch.grace_s == told_s


def test_a_job_that_is_held_too_long_saves_without_hurry() -> None:
    """As it comes about: the limit falls, the job is held, and after its time told to save and leave."""
    built = a_site(reaction_s=30.0, suspend_max_s=60.0)
    built.running("j", on="a", launch=launch(grace_s=300.0), min_cap_w=195.0).limit_w(1100.0)
    built.settles()
    assert built.attempts["j.1"].phase is Phase.SUSPEND

    built.passes(61)
    order = built.decided(obeyed=False).drafts["a"].attempts[0]
    assert (order.phase, order.reason, order.launch.grace_s) == (
        Phase.SAVE_EXIT,
        PauseCause.POWER_WITHDRAWN,
        300.0,
    )


def test_the_grace_of_a_running_job_is_its_own() -> None:
    """Nothing forces it yet."""
    built = a_site().running("j", on="a", launch=launch(grace_s=300.0))

    assert drafted(built)["a"].attempts[0].launch.grace_s == 300.0


def test_the_fallback_waits_for_the_slowest_save() -> None:
    """A job may ask for more than the usual 30 s."""
    built = a_site().running("j", on="a", launch=launch(grace_s=120.0))

    assert [s.after_s for s in drafted(built)["a"].fallback] == [0.0, 125.0]


# -- how long an order may stand -------------------------------------------------------------------------------------


def ends_s(built: SiteBuilder) -> float:
    """Seconds until the lease of an order of now would end."""
    snapshot = built.snapshot()
    return (lease_end(Plan(snapshot), snapshot) - built.at).total_seconds()


@pytest.mark.parametrize(
    "in_s, lasts_s",
    [(3.5, 15.0), (3.6, 0.6), (10.0, 7.0), (17.9, 14.9), (18.0, 15.0), (18.1, 15.0)],
)
def test_a_lease_ends_a_fall_before_a_known_drop(in_s: float, lasts_s: float) -> None:
    """Nearer than the lead it is planned for already; later than lease and fall it comes in another order."""
    built = a_site().running("j", on="a").falls_to_w(1000, in_s=in_s)

    assert ends_s(built) == pytest.approx(lasts_s)


def test_a_drop_that_leaves_room_for_the_plan_shortens_nothing() -> None:
    """It asks for nothing."""
    assert ends_s(a_site().running("j", on="a").falls_to_w(2200, in_s=10)) == 15.0
    assert ends_s(a_site().running("j", on="a").falls_to_w(2199, in_s=10)) == 7.0


def test_no_lease_outlives_the_last_report_by_more_than_itself() -> None:
    """A group of which nothing is heard for a lease is sent nothing: its orders may arrive, its word does not."""
    built = a_site().node("b")
    silent = built.groups["a"]
    built.passes(6).groups["a"] = silent
    ends = {gid: d.expires_at for gid, d in drafted(built).items()}
    assert ends == {"a": T0 + timedelta(seconds=15), "b": T0 + timedelta(seconds=21)}

    built.passes(9).groups["a"] = silent
    assert list(drafted(built)) == ["b"]


def test_a_group_that_was_never_heard_of_is_sent_nothing() -> None:
    """There is no clock to tell an end by."""
    built = a_site()
    built.groups["a"] = replace(built.groups["a"], reported_at=None)

    assert drafted(built) == {}


# -- raises that the books have no room for --------------------------------------------------------------------------


def test_what_would_raise_waits_for_room_in_the_books() -> None:
    """Miners may still draw what they were last allowed, so the node's higher order stays here; theirs goes out."""
    built = site().node("a").miners("m", max_w=1000).limit_w(3200)
    built.decided()
    assert built.groups["m"].miners_target_w == 1000.0
    built.running("j", on="a")
    built.groups["a"] = replace(
        built.groups["a"], account=replace(built.groups["a"].account, charged_w=820.0, open=())
    )
    built.limit_w(3100)
    decision = decide(built.snapshot())

    assert {gid: d.miners_target_w for gid, d in decision.drafts.items()} == {"m": pytest.approx(900.0)}
    assert (decision.planned_w, decision.exposed_w) == pytest.approx((3100.0, 3200.0))
