"""From a plan to orders: what is told to whom, and for how long it may stand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from scheduler.core.compose import Draft, drafts, lease_end
from scheduler.core.jobs import PauseCause, Phase, Placement
from scheduler.core.ledger import OpenOrder
from scheduler.core.orders import FallbackStep, Fence, Rank
from scheduler.core.plan import Plan
from tests.builders import SiteBuilder, commit, launch, site


def drafted(built: SiteBuilder) -> dict[str, Draft]:
    """The drafts of a site as it is."""
    snapshot = built.snapshot()
    return drafts(Plan(snapshot), snapshot)


def lease_s(built: SiteBuilder) -> float:
    """Seconds from now to the end of the lease."""
    snapshot = built.snapshot()
    return (lease_end(Plan(snapshot), snapshot) - snapshot.at).total_seconds()


def told(built: SiteBuilder, **changes: Any) -> Draft:
    """The draft for a site whose only attempt was changed."""
    ((attempt_id, attempt),) = built.attempts.items()
    built.attempts[attempt_id] = replace(attempt, **changes)
    return drafted(built)["node-1"]


def test_an_order_is_the_whole_desired_state() -> None:
    """Watts, fallback, attempts with all that a supervisor needs."""
    built = site().node(gpus=2).limit_w(5000).running("j", "node-1", gpus=1, flex=2, priority=7, cap_w=300.0)
    draft = drafted(built)["node-1"]
    (attempt,) = draft.attempts

    assert (draft.entitlement_w, draft.miners_target_w) == (600 + 300 + 55, 0.0)
    assert draft.fallback == (
        FallbackStep(after_s=0.0, limit_w=600 + 102 + 55),
        FallbackStep(after_s=35.0, limit_w=710.0),
    )
    assert (attempt.attempt_id, attempt.job_id, attempt.number, attempt.phase) == ("j.1", "j", 1, Phase.RUN)
    assert (attempt.gpu_ids, attempt.cap_w, attempt.tier, attempt.priority) == (("0",), 300.0, 2, 7)
    assert (attempt.launch, attempt.resume_from, attempt.rank) == (launch(), "", Rank())


def test_the_fallback_waits_for_the_slowest_save() -> None:
    """A job may ask for more than the usual 30 s."""
    built = site().node(gpus=2).limit_w(5000).running("j", "node-1", gpus=1, launch=launch(grace_s=120.0))

    assert [s.after_s for s in drafted(built)["node-1"].fallback] == [0.0, 125.0]


def test_the_commit_to_resume_from_and_the_reason_of_a_pause_travel() -> None:
    """The job is told both."""
    draft = told(
        site().node().limit_w(5000).running("j", "node-1"),
        resume_from=commit(7),
        phase=Phase.SUSPEND,
        pause_cause=PauseCause.POWER_WITHDRAWN,
    )

    assert (draft.attempts[0].resume_from, draft.attempts[0].reason) == ("/c/step-7", "PowerWithdrawn")


@pytest.mark.parametrize(
    "cause, asked_s, grace_s",
    [
        (PauseCause.POWER_WITHDRAWN, 120.0, 23.5),
        (PauseCause.POWER_WITHDRAWN, 10.0, 10.0),
        (PauseCause.OPERATOR, 120.0, 120.0),
    ],
)
def test_a_save_that_power_forces_is_over_within_the_reaction_time(
    cause: PauseCause, asked_s: float, grace_s: float
) -> None:
    """30 s, less the lead for the order's way and the fall of the devices. Any other save takes what it asked for."""
    built = site().node().limit_w(5000).running("j", "node-1", launch=launch(grace_s=asked_s))

    assert told(built, phase=Phase.SAVE_EXIT, pause_cause=cause).attempts[0].launch.grace_s == grace_s


def test_a_gang_is_told_where_its_members_are() -> None:
    """Ranks by node, the first node's address, one port for all of an attempt and another for the next."""
    built = site().node("a").node("b").limit_w(9000).running("j", "a")
    built.groups["a"] = replace(built.groups["a"], spec=replace(built.groups["a"].spec, address="10.0.0.7"))
    both = (Placement(node_id="a", gpu_ids=("0",)), Placement(node_id="b", gpu_ids=("0",)))
    built.attempts["j.1"] = replace(built.attempts["j.1"], placements=both)
    ranks = {gid: d.attempts[0].rank for gid, d in drafted(built).items()}
    built.attempts["j.1"] = replace(built.attempts["j.1"], number=2)
    again = drafted(built)["a"].attempts[0].rank

    assert [(r.node_rank, r.nodes, r.master_addr) for r in ranks.values()] == [
        (0, 2, "10.0.0.7"),
        (1, 2, "10.0.0.7"),
    ]
    assert ranks["a"].master_port == ranks["b"].master_port != again.master_port
    assert 20_000 <= again.master_port < 30_000


def test_a_lease_lasts_its_time() -> None:
    """15 s where nothing is known to change, or only for the better."""
    assert lease_s(site().node().limit_w(5000).running("j", "node-1")) == 15.0
    assert lease_s(site().node().limit_w(5000).running("j", "node-1").falls_to_w(6000, in_s=9)) == 15.0


def test_a_lease_lapses_before_a_drop_that_the_plan_exceeds() -> None:
    """In time for the fall."""
    assert lease_s(site().node().limit_w(5000).running("j", "node-1").falls_to_w(1000, in_s=9)) == 6.0


def test_a_drop_that_the_plan_fits_needs_no_lapse() -> None:
    """The order may stand through it."""
    assert lease_s(site().node().limit_w(5000).running("j", "node-1").falls_to_w(2200, in_s=9)) == 15.0


@pytest.mark.parametrize("in_s", [0.1, 2.9, 3.5])
def test_a_drop_within_the_lead_does_not_void_the_order_that_cuts_for_it(in_s: float) -> None:
    """The plan under it is the best there is; an order that lapsed at once would be refused."""
    assert lease_s(site().node().limit_w(5000).running("j", "node-1").falls_to_w(100, in_s=in_s)) == 15.0


def test_no_lease_outlives_the_last_report_by_more_than_a_lease() -> None:
    """An order may arrive where no report comes back from."""
    built = site().node("a").node("b").limit_w(9000)
    heard_at = built.at
    built.passes(10)
    built.groups["b"] = replace(built.groups["b"], reported_at=heard_at)
    ends = {gid: (d.expires_at - built.at).total_seconds() for gid, d in drafted(built).items()}

    assert ends == {"a": 15.0, "b": 5.0}


def test_nothing_is_drafted_for_groups_that_are_not_heard_of() -> None:
    """Never, or not for a whole lease."""
    built = site().node("a").node("b").limit_w(9000)
    heard_at = built.at
    built.passes(15)
    built.groups["b"] = replace(built.groups["b"], reported_at=heard_at)
    assert set(drafted(built)) == {"a"}

    built.groups["a"] = replace(built.groups["a"], reported_at=None)
    assert not drafted(built)


def test_a_raise_is_held_back_while_the_books_have_no_room() -> None:
    """What another group may still draw comes first; what raises nothing goes out."""
    built = site().node("a").node("b").limit_w(3100).running("j", "a")
    group = built.groups["a"]  # it fell back to rest, while b may still draw 2200 W by an order that stands
    built.groups["a"] = replace(group, account=replace(group.account, open=(), charged_w=820.0))
    busy = OpenOrder(
        fence=Fence(epoch=1, seq=1),
        entitlement_w=2200.0,
        fallback=(),
        expires_at=built.at + timedelta(seconds=5),
    )
    other = built.groups["b"]
    built.groups["b"] = replace(other, account=replace(other.account, open=(busy,)))

    assert set(drafted(built)) == {"b"}
    assert set(drafted(built.limit_w(4400))) == {"a", "b"}
