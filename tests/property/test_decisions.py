"""What holds for every decision, over random sites: work of all tiers, capped, held, leaving and waiting."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given, settings, strategies as st

from scheduler.core.decide import Decision, decide, shed
from scheduler.core.jobs import AttemptState, PauseCause, Phase
from scheduler.core.modes import AiFirst, Mode, Revenue, Shares, Threshold
from scheduler.core.orders import NodePower
from scheduler.core.partners import Partner, Price
from scheduler.core.presence import LEAVING
from scheduler.core.snapshot import Snapshot
from scheduler.wire import dumps, loads
from tests.builders import Desired, SiteBuilder, launch, obey, site
from tests.told_site import ToldSite

EPSILON_W = 1e-6
PARTNERS = (
    Partner(
        partner_id="a", weight=3, groups=("miners",), price=Price(micro_per_mwh=50_000_000, source="contract")
    ),
    Partner(
        partner_id="b",
        tier=2,
        floor_w=500,
        cap_w=2500,
        groups=("miners-b",),
        price=Price(micro_per_mwh=90_000_000, source="contract"),
    ),
)
MODES: list[Mode] = [
    AiFirst(),
    Shares(mining=0.3),
    Revenue(),
    Revenue(gpu_h_micro=25_000),
    Threshold(from_w=4000, reserve_w=300),
]
FLEX = st.sampled_from([0, 1, 2, 3, 4, 4])


@st.composite
def sites(draw: st.DrawFn, *, obeyed: bool = False) -> SiteBuilder:
    """A site in the middle of anything; `obeyed` = all its guards have brought about what is ordered."""
    built = site(
        firm_w=draw(st.sampled_from([2500.0, 5000.0, 9000.0])),
        margin=draw(st.sampled_from([0.0, 0.03])),
        overhead=draw(st.sampled_from([1.0, 1.25])),
        partners=draw(st.sampled_from([(), PARTNERS[:1], PARTNERS])),
        mode=draw(st.sampled_from(MODES)),
    )
    for i in range(draw(st.integers(1, 3))):
        built.node(f"n{i}", gpus=draw(st.integers(1, 4)))
    for name in draw(st.sampled_from([(), ("miners",), ("miners", "miners-b")])):
        built.miners(name, max_w=3000.0)
    built.limit_w(draw(st.floats(500.0, 12_000.0)))
    for i in range(draw(st.integers(0, 4))):
        draw(placed_jobs(built, f"r{i}"))
    for i in range(draw(st.integers(0, 4))):
        built.job(
            f"w{i}", gpus=draw(st.integers(1, 3)), nodes=draw(st.sampled_from([1, 1, 2])), flex=draw(FLEX)
        )
    if obeyed:
        for gid in built.groups:
            obey(built, gid)
    if draw(st.booleans()):
        built.falls_to_w(draw(st.floats(500.0, 12_000.0)), in_s=draw(st.floats(0.1, 60.0)))
    return built


@st.composite
def placed_jobs(draw: st.DrawFn, built: SiteBuilder, name: str) -> None:
    """A job on the free GPUs of some node, in any phase; nothing where there are none."""
    node = draw(st.sampled_from([g for g in built.groups if not g.startswith("miners")]))
    held = {g for a in built.attempts.values() for p in a.placements if p.node_id == node for g in p.gpu_ids}
    free = len(built.groups[node].spec.gpus) - len(held)
    if not free:
        return
    cap_w, flex = draw(st.sampled_from([400.0, 350.0, 250.0])), draw(FLEX)
    spec = {"gpus": draw(st.integers(1, free)), "flex": flex, "cap_ok": draw(st.booleans())}
    built.running(name, node, cap_w=400.0 if flex == 0 else cap_w, launch=launch(grace_s=5.0), **spec)
    phase = draw(st.sampled_from([Phase.RUN, Phase.RUN, *Phase]))
    cause = (
        None
        if phase is Phase.RUN
        else draw(st.sampled_from([PauseCause.POWER_WITHDRAWN, PauseCause.OPERATOR]))
    )
    state = {Phase.SUSPEND: AttemptState.SUSPENDED, Phase.SAVE_EXIT: AttemptState.SAVING}.get(
        phase, AttemptState.RUNNING
    )
    attempt = built.attempts[f"{name}.1"]
    built.attempts[f"{name}.1"] = replace(attempt, phase=phase, pause_cause=cause, state=state)
    if draw(st.integers(0, 5)) == 0:
        built.wants(name, draw(st.sampled_from(Desired)))


def starts(before: Snapshot, decision: Decision) -> list[str]:
    """Jobs that get a new attempt."""
    return [a.job_id for a in decision.attempts.values() if a.id not in before.attempts]


def raised(before: Snapshot, decision: Decision) -> list[str]:
    """What a decision gives more to: started, resumed, capped less, fed more."""
    found = starts(before, decision)
    for attempt in decision.attempts.values():
        old = before.attempts.get(attempt.id)
        if old is not None and attempt.phase is Phase.RUN:
            found += [attempt.job_id] if old.phase is not Phase.RUN or attempt.cap_w > old.cap_w else []
    for gid, draft in decision.drafts.items():
        found += [gid] if draft.miners_target_w > before.groups[gid].miners_target_w + EPSILON_W else []
    return found


@given(sites())
def test_shedding_raises_nothing(built: SiteBuilder) -> None:
    """And leaves nobody's phase gentler than it was."""
    before = built.snapshot()
    reduction = shed(before)

    if reduction is not None:
        assert raised(before, reduction) == []
        assert not reduction.jobs
        assert all(
            before.attempts[a.id].phase not in LEAVING or a.phase in LEAVING
            for a in reduction.attempts.values()
        )


@given(sites())
def test_no_job_is_started_and_paused_at_once(built: SiteBuilder) -> None:
    """New attempts run; and while work is cut, none of its power goes to other work."""
    before = built.snapshot()
    decision = decide(before)
    paused = {
        a.job_id
        for a in decision.attempts.values()
        if a.id in before.attempts and a.phase is not before.attempts[a.id].phase is Phase.RUN
    }

    assert not paused & set(starts(before, decision))
    assert all(decision.attempts[a].phase is Phase.RUN for a in decision.attempts if a not in before.attempts)
    if decision.cut_work:
        assert not [name for name in raised(before, decision) if name not in before.groups]


@given(sites())
def test_no_gpu_and_no_job_is_given_away_twice(built: SiteBuilder) -> None:
    """Of all that has not ended."""
    before = built.snapshot()
    attempts = dict(before.attempts) | dict(decide(before).attempts)
    living = [a for a in attempts.values() if a.state is not AttemptState.ENDED]
    held = [(p.node_id, g) for a in living for p in a.placements for g in p.gpu_ids]

    assert len(held) == len(set(held))
    assert len(living) == len({a.job_id for a in living})


@given(sites())
def test_every_waiting_job_is_told_why(built: SiteBuilder) -> None:
    """A start or a reason, for all of them."""
    before = built.snapshot()
    decision = decide(before)
    jobs = dict(before.jobs) | dict(decision.jobs)

    waiting = {j.id for j in jobs.values() if j.state in ("PENDING", "PAUSED", "HELD")}
    just_ended = {a.job_id for a in decision.attempts.values() if a.state is AttemptState.ENDED}
    assert waiting - just_ended <= set(decision.reasons)


@given(sites())
def test_work_is_raised_only_into_room(built: SiteBuilder) -> None:
    """What could be drawn at most, after a raise of anything, is within the limit."""
    before = built.snapshot()
    decision = decide(before)

    if raised(before, decision):
        usable_w = decision.limit.limit_w * (1 - before.site.margin)
        assert decision.exposed_w <= usable_w + EPSILON_W


@given(sites(obeyed=True))
def test_mining_is_never_given_more_than_is_there(built: SiteBuilder) -> None:
    """The groups' targets are within their machines and what the nodes leave; what partners are due adds up to them."""
    built.decided()
    before = built.snapshot()
    decision = decide(before)
    mined_w = sum(decision.miners_w.values())
    usable_w = decision.limit.limit_w * (1 - before.site.margin)

    assert all(0.0 <= w <= before.groups[g].spec.miners_max_w for g, w in decision.miners_w.items())
    assert mined_w <= EPSILON_W or decision.planned_w <= usable_w + EPSILON_W
    assert mined_w <= sum(decision.partners_w.values()) + EPSILON_W or not decision.sharing


@given(sites(obeyed=True), st.floats(1.0, 2000.0), st.floats(1.0, 2000.0))
def test_a_ramp_slows_mining_and_never_a_reduction_that_a_limit_demands(
    built: SiteBuilder, up_w: float, down_w: float
) -> None:
    """A round raises miners by no more than a second's worth, and leaves them within what the nodes leave."""
    built.site = replace(built.site, mining_ramp_up_w_per_s=up_w, mining_ramp_down_w_per_s=down_w)
    for _ in range(3):
        before = built.snapshot()
        decision = built.decided()
        mined_w = sum(decision.miners_w.values())
        had_w = sum(g.miners_target_w for g in before.groups.values())

        assert mined_w <= had_w + up_w + EPSILON_W
        usable_w = decision.limit.limit_w * (1 - before.site.margin)
        assert mined_w <= EPSILON_W or decision.planned_w <= usable_w + EPSILON_W


@given(sites(obeyed=True))
@settings(max_examples=60)
def test_deciding_again_after_success_does_nothing(built: SiteBuilder) -> None:
    """With guards that obey, a few rounds end in a decision that repeats itself."""
    for _ in range(10):
        built.decided()
    before = built.snapshot()
    last = decide(before)

    assert (dict(last.jobs), dict(last.attempts), last.events) == ({}, {}, ())
    assert raised(before, last) == []
    assert decide(before) == last


def less_starts_no_more(built: SiteBuilder, less_w: float) -> None:
    """Once all that waits is of one shape, a site with so much less power starts as many jobs at most."""
    for name in [n for n in built.jobs if n.startswith("w")]:
        spec = replace(built.jobs[name].spec, gpus=1, nodes=1, flex=4)
        built.jobs[name] = replace(built.jobs[name], spec=spec)
    rich = built.snapshot()
    (grid,) = rich.envelopes
    lower = tuple(replace(s, limit_w=s.limit_w - less_w) for s in grid.segments)
    poor = replace(rich, envelopes=(replace(grid, segments=lower),))

    with_less, with_more = starts(poor, decide(poor)), starts(rich, decide(rich))
    assume(
        all(name.startswith("w") for name in with_less + with_more)
    )  # who starts anew has a shape of its own
    assert len(with_less) <= len(with_more)


@given(sites(), st.floats(0.0, 3000.0))
def test_less_power_never_starts_more(built: SiteBuilder, less_w: float) -> None:
    """Of jobs of one shape. Of several, two small ones may fit where one large one would not."""
    less_starts_no_more(built, less_w)


@given(sites())
@settings(max_examples=40)
def test_a_recorded_snapshot_gives_the_same_decision(built: SiteBuilder) -> None:
    """Through JSON and back: nothing but the snapshot goes into it."""
    snapshot = loads(Snapshot, dumps(built.snapshot()))

    assert dumps(decide(snapshot)) == dumps(decide(loads(Snapshot, dumps(snapshot))))


# -- with nodes that go to standby and come back ---


@st.composite
def sleepy_sites(draw: st.DrawFn) -> ToldSite:
    """Some nodes are on, some in standby or on their way; some work runs, some waits."""
    built = ToldSite(
        firm_w=draw(st.sampled_from([2500.0, 9000.0])), overhead=draw(st.sampled_from([1.0, 1.25]))
    )
    for i in range(draw(st.integers(1, 4))):
        name = f"n{i}"
        built.node(
            name, gpus=draw(st.sampled_from([2, 4])), standby_w=draw(st.sampled_from([50.0, 50.0, None]))
        )
        power = draw(st.sampled_from(NodePower))
        if built.groups[name].spec.standby is not None and power is NodePower.STANDBY:
            built.sleeping(name)
        elif built.groups[name].spec.standby is not None and power is NodePower.BOOTING:
            built.groups[name] = replace(built.groups[name], power=power)
        elif draw(st.booleans()):
            built.running(f"r{i}", name, gpus=draw(st.integers(1, 2)), flex=draw(FLEX))
    if draw(st.booleans()):
        built.miners(max_w=3000.0)
    built.limit_w(draw(st.floats(1000.0, 12_000.0)))
    for i in range(draw(st.integers(0, 4))):
        built.job(f"w{i}", gpus=draw(st.integers(1, 3)), flex=draw(FLEX), scatter=draw(st.booleans()))
    return built


@given(sleepy_sites(), st.integers(1, 4))
def test_nothing_starts_on_a_node_that_is_off_or_going(built: ToldSite, rounds: int) -> None:
    """Nor is a node told to go on which anything is."""
    for _ in range(rounds):
        before = built.snapshot()
        decision = built.decided(obeyed=False)
        for name in [a for a in decision.attempts if a not in before.attempts]:
            for placement in decision.attempts[name].placements:
                group = before.groups[placement.node_id]
                assert group.power is NodePower.ON
                assert group.ordered is None or not group.ordered.standby
        used = {p.node_id for a in built.attempts.values() for p in a.placements}
        assert not [gid for gid, draft in decision.drafts.items() if draft.standby and gid in used]
        built.passes(1.0)
        built.all_obey()


@given(sleepy_sites(), st.integers(1, 4))
def test_nodes_are_woken_only_into_room(built: ToldSite, rounds: int) -> None:
    """What could be drawn at most, after a raise or a wake of anything, is within the limit."""
    for _ in range(rounds):
        before = built.snapshot()
        decision = built.decided(obeyed=False)
        woken = [
            gid
            for gid, draft in decision.drafts.items()
            if not draft.standby and before.groups[gid].power is NodePower.STANDBY
        ]
        if woken or raised(before, decision):
            assert decision.exposed_w <= decision.limit.limit_w + EPSILON_W
        built.passes(1.0)
        built.all_obey()


@given(sleepy_sites(), st.floats(0.0, 3000.0))
def test_less_power_never_starts_more_where_nodes_sleep(built: ToldSite, less_w: float) -> None:
    """Of jobs of one shape."""
    less_starts_no_more(built, less_w)
