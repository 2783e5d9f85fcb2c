"""What every policy keeps, Barq's own and each that it is compared with, over random sites."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings, strategies as st

from scheduler.core.decide import Decision, Policy, PowerAware
from scheduler.core.entitlement import idle_w
from scheduler.core.jobs import AttemptState, Phase
from scheduler.core.lifecycle import is_final
from scheduler.core.placement import sizes
from scheduler.core.plan import Plan, limit_now, usable_w
from scheduler.core.presence import LEAVING
from scheduler.core.snapshot import Snapshot
from scheduler.sim.baselines import BASELINES
from tests.builders import Desired, SiteBuilder, site
from tests.property.test_decisions import raised, sites, starts

EPSILON_W = 1e-3
POLICIES: dict[str, Callable[[], Policy]] = {PowerAware.name: PowerAware, **BASELINES}

every_policy = pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES)
a_few = settings(max_examples=20)


def usable(before: Snapshot) -> float:
    """What may be entitled now, W."""
    return usable_w(before, limit_now(before))


def held_to_w(built: SiteBuilder) -> float:
    """What the site may draw by what its guards have brought about, W."""
    return Plan(built.snapshot()).site_w()


def rest_w(built: SiteBuilder) -> float:
    """What the site draws with nothing on it, W."""
    groups = built.groups.values()
    it_w = sum(idle_w(g.spec) for g in groups if g.spec.gpus)
    return built.site.overhead * it_w + sum(idle_w(g.spec) for g in groups if not g.spec.gpus)


def living(before: Snapshot, decision: Decision) -> list[str]:
    """`node/gpu` of all attempts that have not ended, once the decision is the present."""
    attempts = (dict(before.attempts) | dict(decision.attempts)).values()
    alive = [a for a in attempts if a.state is not AttemptState.ENDED]
    assert len(alive) == len({a.job_id for a in alive})
    return [f"{p.node_id}/{g}" for a in alive for p in a.placements for g in p.gpu_ids]


@every_policy
@given(built=sites())
@a_few
def test_shedding_raises_nothing(make: Callable[[], Policy], built: SiteBuilder) -> None:
    """Nor does it call anybody back, or change what people want of a job."""
    before = built.snapshot()
    reduction = make().shed(before)

    if reduction is None:
        return
    assert raised(before, reduction) == []
    assert not reduction.jobs
    told_to_leave = [a for a in before.attempts.values() if a.phase in LEAVING]
    assert all(reduction.attempts.get(a.id, a).phase in LEAVING for a in told_to_leave)


@every_policy
@given(built=sites())
@a_few
def test_a_decision_is_whole(make: Callable[[], Policy], built: SiteBuilder) -> None:
    """No GPU and no job twice, gangs whole, nothing started and paused at once, nothing raised while work is cut."""
    before = built.snapshot()
    decision = make().decide(before)
    gpus, started = living(before, decision), starts(before, decision)

    assert len(gpus) == len(set(gpus))
    for attempt in (a for a in decision.attempts.values() if a.id not in before.attempts):
        assert [len(p.gpu_ids) for p in attempt.placements] == sizes(before.jobs[attempt.job_id])
        assert len({p.node_id for p in attempt.placements}) == before.jobs[attempt.job_id].spec.nodes
        assert attempt.phase is Phase.RUN
    ran = {a.id: a for a in before.attempts.values() if a.phase is Phase.RUN}
    cut = {a.job_id for a in decision.attempts.values() if a.id in ran and a.phase is not Phase.RUN}
    assert not cut & set(started)
    if decision.cut_work:
        assert not set(raised(before, decision)) - set(before.groups)


@every_policy
@given(built=sites())
@a_few
def test_work_is_raised_only_into_room(make: Callable[[], Policy], built: SiteBuilder) -> None:
    """What could be drawn at most, after a raise of anything, is within the limit, over every order that may stand."""
    before = built.snapshot()
    decision = make().decide(before)

    if raised(before, decision):
        assert decision.exposed_w <= usable(before) + EPSILON_W


@every_policy
@given(built=sites(obeyed=True), lower_w=st.floats(500.0, 6000.0))
@a_few
def test_the_limit_is_kept_by_guards_that_obey(
    make: Callable[[], Policy], built: SiteBuilder, lower_w: float
) -> None:
    """A few rounds after it fell, by what they have brought about; or nothing is left to give."""
    built.under(make()).limit_w(lower_w)
    for _ in range(4):
        built.decided()

    assert held_to_w(built) <= max(usable(built.snapshot()), rest_w(built)) + EPSILON_W


@every_policy
@given(built=sites(obeyed=True), lower_w=st.floats(500.0, 6000.0))
@a_few
def test_no_job_is_lost(make: Callable[[], Policy], built: SiteBuilder, lower_w: float) -> None:
    """Power goes and comes; who is not cancelled by a person is still there."""
    kept = {name for name, job in built.jobs.items() if job.desired is not Desired.CANCEL}
    built.under(make())
    for limit_w in (lower_w, 12_000.0, lower_w / 2, 12_000.0):
        built.limit_w(limit_w).passes(90.0)
        for _ in range(3):
            built.decided()

    assert kept <= set(built.jobs)
    assert not any(is_final(job.state) for job in built.jobs.values())


@every_policy
@given(built=sites(obeyed=True))
@a_few
def test_it_comes_to_rest(make: Callable[[], Policy], built: SiteBuilder) -> None:
    """With guards that obey, a few rounds end in a decision that repeats itself, whoever makes it."""
    policy = make()
    built.under(policy)
    for _ in range(10):
        built.decided()
    before = built.snapshot()
    last = policy.decide(before)

    assert (dict(last.jobs), dict(last.attempts), last.events) == ({}, {}, ())
    assert raised(before, last) == []
    assert make().decide(before) == last


@every_policy
def test_all_that_fits_runs_in_the_end(make: Callable[[], Policy]) -> None:
    """After a drop that nothing survives, at full power all of it is back."""
    built = site(firm_w=9000.0).node("a").node("b").miners().limit_w(9000.0).under(make())
    for name in ("one", "two", "three", "four"):
        built.job(name, gpus=2)
    built.settles()
    built.limit_w(1650.0).settles(8)
    built.passes(120.0).settles(8)
    built.limit_w(9000.0).passes(200.0).settles(8)

    assert sorted(a.job_id for a in built.attempts.values() if a.phase is Phase.RUN) == sorted(built.jobs)


def test_each_is_named() -> None:
    """By the name that its decisions are reported under; each call makes a new one."""
    assert all(make().name == name for name, make in POLICIES.items())
    assert BASELINES["slurm"]() is not BASELINES["slurm"]()
