"""What `enforce` guarantees for any order and any device, as properties over random worlds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from hypothesis import given, strategies as st

from scheduler.core.enforce import Commands, enforce, gist
from scheduler.core.estop import EmergencyStop
from scheduler.core.jobs import Launch, Phase
from scheduler.core.lease import GuardMemory, Standing, latched, standing
from scheduler.core.orders import (
    AttemptOrder,
    FallbackStep,
    Fence,
    GpuReading,
    GpuSlot,
    GroupKind,
    GroupSpec,
    MinerReading,
    Order,
)
from scheduler.core.power import A100_SXM
from scheduler.core.presence import LEAVING, Present, Seen

EPSILON_W = 1e-3
STOP = EmergencyStop(id="s1", reason="drill", by="ada", at=datetime(2026, 1, 10, tzinfo=UTC))
LAUNCH = Launch(command=("true",), working_dir="/", checkpoint_dir="/c", output_dir="/o", log_path="/l")
IDLE_W = A100_SXM.idle_w
MIN_CAP_W = A100_SXM.min_cap_w


@dataclass(frozen=True)
class World:
    """One standing order and one look at the devices."""

    standing: Standing
    seen: Seen


def node(gpus: int) -> GroupSpec:
    """A node with that many A100."""
    slots = tuple(GpuSlot(gpu_id=f"g{i}", model=A100_SXM.name) for i in range(gpus))
    return GroupSpec(group_id="n1", kind=GroupKind.NODE, base_w=400.0, gpus=slots)


def order(attempt: Present, phase: Phase, cap_w: float) -> AttemptOrder:
    """An order for a present (or coming) attempt."""
    return AttemptOrder(
        attempt_id=attempt.attempt_id,
        job_id=attempt.job_id,
        number=1,
        phase=phase,
        gpu_ids=attempt.gpu_ids,
        cap_w=cap_w,
        tier=attempt.tier,
        priority=attempt.priority,
        launch=LAUNCH,
    )


caps = st.floats(MIN_CAP_W, A100_SXM.tdp_w)


@st.composite
def attempts(draw: st.DrawFn, gpu_ids: tuple[str, ...], prefix: str) -> list[Present]:
    """Attempts on disjoint sets of the GPUs."""
    owners = draw(st.lists(st.integers(0, 3), min_size=len(gpu_ids), max_size=len(gpu_ids)))
    made = []
    for number in sorted(set(owners) - {0}):
        held = tuple(g for g, owner in zip(gpu_ids, owners, strict=True) if owner == number)
        tier, priority, phase = draw(st.integers(0, 4)), draw(st.integers(0, 2)), draw(st.sampled_from(Phase))
        name = f"{prefix}{number}"
        made.append(
            Present(
                attempt_id=f"{name}.1", job_id=name, gpu_ids=held, tier=tier, priority=priority, phase=phase
            )
        )
    return made


@st.composite
def readings(draw: st.DrawFn, gpu_ids: tuple[str, ...]) -> tuple[GpuReading, ...]:
    """Any caps, processes or none; a draw that now and then is more than the cap allows."""
    return tuple(
        GpuReading(
            gpu_id=g,
            cap_w=draw(st.sampled_from([MIN_CAP_W, A100_SXM.tdp_w]) | caps),
            draw_w=draw(st.sampled_from([IDLE_W, IDLE_W, IDLE_W, 500.0])),
            processes=draw(st.sampled_from([0, 0, 2])),
        )
        for g in gpu_ids
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Present attempts, ordered or fenced out; new ones; any entitlement, often close to what is charged."""
    spec = node(draw(st.integers(1, 4)))
    gpu_ids = tuple(g.gpu_id for g in spec.gpus)
    present = draw(attempts(gpu_ids, "old"))
    coming = draw(attempts(gpu_ids, "new"))
    known = [a for a in present if draw(st.integers(0, 4))] + coming
    orders = tuple(order(a, draw(st.sampled_from(Phase) | st.just(Phase.RUN)), draw(caps)) for a in known)
    ended = frozenset(a.attempt_id for a in coming if draw(st.integers(0, 3)) == 0)
    seen = Seen(spec=spec, gpus=draw(readings(gpu_ids)), attempts=tuple(present), ended=ended)
    near_w = st.floats(-300.0, 300.0).map(lambda w: max(0.0, seen.charged_w() + w))
    standing = Standing(
        in_fallback=draw(st.booleans()),
        entitlement_w=draw(st.floats(0.0, 2600.0) | near_w),
        attempts=orders,
        miners_target_w=0.0,
    )
    return World(standing, seen)


def raises(seen: Seen, commands: Commands) -> bool:
    """Whether anything is started, resumed or given a higher cap."""
    told = {c.attempt_id: c.phase for c in commands.phases}
    resumed = any(a.phase is Phase.SUSPEND and told[a.attempt_id] is Phase.RUN for a in seen.attempts)
    starting = {g for o in commands.starts for g in o.gpu_ids}
    floor_w = {g.gpu_id: MIN_CAP_W for g in seen.spec.gpus}
    raised = any(
        cap_w > max(seen.reading(g).cap_w, floor_w[g]) + EPSILON_W and (seen.is_busy(g) or g in starting)
        for g, cap_w in commands.caps_w
    )
    return bool(commands.starts) or resumed or raised


def charge_after_w(seen: Seen, commands: Commands) -> float:
    """The charge if every raise happens before any lowering does."""
    starting = {g for o in commands.starts for g in o.gpu_ids}
    total_w = seen.spec.base_w
    for gpu_id, cap_w in commands.caps_w:
        busy = seen.is_busy(gpu_id) or gpu_id in starting
        total_w += A100_SXM.charge_w(max(cap_w, seen.reading(gpu_id).cap_w)) if busy else IDLE_W
    return total_w


def obey(world: World, commands: Commands) -> World:
    """The world once perfect devices and jobs have done what they were told."""
    told = {c.attempt_id: c.phase for c in commands.phases}
    staying = [
        replace(a, phase=told[a.attempt_id]) for a in world.seen.attempts if told[a.attempt_id] not in LEAVING
    ]
    started = [
        Present(attempt_id=o.attempt_id, job_id=o.job_id, gpu_ids=o.gpu_ids, tier=o.tier, priority=o.priority,
                phase=Phase.RUN)
        for o in commands.starts
    ]  # fmt: skip
    present = (*staying, *started)
    held = {g for a in present for g in a.gpu_ids}
    gpus = tuple(
        GpuReading(gpu_id=g, cap_w=cap_w, draw_w=IDLE_W, processes=int(g in held))
        for g, cap_w in commands.caps_w
    )
    gone = {a.attempt_id for a in world.seen.attempts} - {a.attempt_id for a in staying}
    seen = replace(world.seen, gpus=gpus, attempts=present, ended=world.seen.ended | gone)
    return replace(world, seen=seen)


@given(worlds())
def test_a_raise_never_exceeds_the_entitlement(world: World) -> None:
    """If anything rises, the charge with every raise and without any lowering is within the entitlement."""
    commands = enforce(world.standing, world.seen)

    assert not raises(world.seen, commands) or (
        charge_after_w(world.seen, commands) <= world.standing.entitlement_w + EPSILON_W
    )


@given(worlds())
def test_what_does_not_run_is_capped_at_the_minimum(world: World) -> None:
    """Free GPUs and those of held or leaving attempts are told the minimum at once."""
    commands = enforce(world.standing, world.seen)

    told = {c.attempt_id: c.phase for c in commands.phases}
    running = {g for a in world.seen.attempts if told[a.attempt_id] is Phase.RUN for g in a.gpu_ids}
    running |= {g for o in commands.starts for g in o.gpu_ids}
    resting = {g: cap_w for g, cap_w in commands.caps_w if g not in running}
    assert all(cap_w == MIN_CAP_W for cap_w in resting.values())
    assert [g for g, _ in commands.caps_w] == [g.gpu_id for g in world.seen.spec.gpus]


@given(worlds())
def test_a_start_needs_free_gpus_and_a_standing_lease(world: World) -> None:
    """Nothing starts twice, beside another attempt or process, beside its own job, or in fallback."""
    commands = enforce(world.standing, world.seen)

    taken = [g for o in commands.starts for g in o.gpu_ids]
    assert len(taken) == len(set(taken))
    assert not any(world.seen.is_busy(g) for g in taken)
    assert not {o.attempt_id for o in commands.starts} & world.seen.ended
    assert not {o.job_id for o in commands.starts} & {a.job_id for a in world.seen.attempts}
    assert not (world.standing.in_fallback and commands.starts)
    assert all(o.phase is Phase.RUN for o in commands.starts)


@given(worlds())
def test_who_leaves_is_never_called_back(world: World) -> None:
    """Leaving goes one way, and what is not in the order that stands is killed."""
    commands = enforce(world.standing, world.seen)

    told = {c.attempt_id: c.phase for c in commands.phases}
    ordered = {o.attempt_id for o in world.standing.attempts}
    assert set(told) == {a.attempt_id for a in world.seen.attempts}
    for attempt in world.seen.attempts:
        assert attempt.phase not in LEAVING or told[attempt.attempt_id] in LEAVING
        assert attempt.attempt_id in ordered or told[attempt.attempt_id] is Phase.KILL


@given(worlds())
def test_it_settles_within_the_entitlement(world: World) -> None:
    """With devices that obey, a few rounds end in a state that fits, or at rest, and that repeats itself."""
    for _ in range(12):
        world = obey(world, enforce(world.standing, world.seen))

    commands = enforce(world.standing, world.seen)
    again = obey(world, commands)
    assert again.seen == world.seen
    rest_w = world.seen.spec.base_w + IDLE_W * len(world.seen.spec.gpus)
    held = [g for a in world.seen.attempts if a.phase is Phase.SUSPEND for g in a.gpu_ids]
    less_w = A100_SXM.charge_w(MIN_CAP_W) - A100_SXM.held_w()  # what is held rests, below its cap
    charged_w = world.seen.charged_w() - less_w * len(held)
    assert charged_w <= max(world.standing.entitlement_w, rest_w) + EPSILON_W


@given(worlds(), st.floats(0.0, 500.0))
def test_less_power_never_starts_more(world: World, less_w: float) -> None:
    """What is started with fewer watts is also started with more."""
    poorer = replace(world.standing, entitlement_w=world.standing.entitlement_w - less_w)

    starts = enforce(poorer, world.seen).starts
    assert {o.attempt_id for o in starts} <= {
        o.attempt_id for o in enforce(world.standing, world.seen).starts
    }


@given(worlds())
def test_an_order_that_fits_is_carried_out_to_the_letter(world: World) -> None:
    """With watts for everything, attempts end up in the phases and under the caps that were ordered."""
    rich = replace(world, standing=replace(world.standing, entitlement_w=1e6))
    orders = {o.attempt_id: o for o in rich.standing.attempts}
    for _ in range(4):
        rich = obey(rich, enforce(rich.standing, rich.seen))

    for attempt in rich.seen.attempts:
        assert attempt.phase is orders[attempt.attempt_id].phase
        runs = attempt.phase is Phase.RUN
        cap_w = orders[attempt.attempt_id].cap_w if runs else MIN_CAP_W
        assert all(rich.seen.reading(g).cap_w == cap_w for g in attempt.gpu_ids)


@given(worlds())
def test_tier_zero_goes_on_while_shedding_the_others_is_enough(world: World) -> None:
    """If tier 0 as ordered and all others at their minimum fit, tier 0 keeps its phase and its cap.

    As ordered includes whoever is held and to go on: of two in tier 0 the less important gives way to it.
    """
    firm = {o.attempt_id: o for o in world.standing.attempts if o.tier == 0 and o.phase is Phase.RUN}
    staying = [a for a in world.seen.attempts if a.attempt_id in firm and a.phase not in LEAVING]
    running = [a for a in staying if a.phase is Phase.RUN]
    at_cap = {g: firm[a.attempt_id].cap_w for a in staying for g in a.gpu_ids}
    need_w = world.seen.spec.base_w + sum(
        A100_SXM.charge_w(at_cap.get(g.gpu_id, MIN_CAP_W)) for g in world.seen.spec.gpus
    )
    enough = replace(world.standing, entitlement_w=need_w)

    commands = enforce(enough, world.seen)
    told = {c.attempt_id: c.phase for c in commands.phases}
    caps_w = dict(commands.caps_w)
    for attempt in running:
        assert told[attempt.attempt_id] is Phase.RUN
        for g in attempt.gpu_ids:
            assert caps_w[g] >= min(at_cap[g], world.seen.reading(g).cap_w) - EPSILON_W


@given(worlds(), st.floats(0.0, 2600.0), st.floats(0.0, 100.0), st.booleans())
def test_a_stopped_guard_keeps_to_its_fallback(
    world: World, fallback_w: float, late_s: float, expired: bool
) -> None:
    """Whatever order stands, or stood: nothing starts, only firm work runs, and it settles within the fallback."""
    order = Order(
        group_id="n1",
        boot_id="b",
        fence=Fence(epoch=1, seq=1),
        expires_boottime_s=50.0 if expired else 1e6,
        entitlement_w=world.standing.entitlement_w,
        fallback=(FallbackStep(after_s=0.0, limit_w=fallback_w),),
        attempts=world.standing.attempts,
        miners_target_w=5000.0,
    )
    memory = latched(
        GuardMemory(group_id="n1", boot_id="b", idle_w=0.0, order=order), STOP, now_boottime_s=100.0
    )
    stands = standing(memory, now_boottime_s=100.0 + late_s, save_after_s=5.0)
    firm = {a.attempt_id for a in world.seen.attempts if a.tier == 0}

    world = replace(world, standing=stands)
    for _ in range(12):
        commands = enforce(stands, world.seen)
        running = {c.attempt_id for c in commands.phases if c.phase is Phase.RUN}
        assert not commands.starts
        assert commands.miners_target_w == 0.0
        assert running <= firm
        world = obey(world, commands)
    rest_w = world.seen.spec.base_w + IDLE_W * len(world.seen.spec.gpus)
    assert world.seen.charged_w() <= max(fallback_w, rest_w) + EPSILON_W


@given(
    st.floats(0.0, 9000.0),
    st.floats(0.0, 9000.0),
    st.lists(st.tuples(st.floats(0.0, 3000.0), st.floats(0.0, 3000.0)), max_size=3),
)
def test_miners_rise_only_into_room(
    entitlement_w: float, target_w: float, miners: list[tuple[float, float]]
) -> None:
    """The miners' target falls at once, and rises only if their targets and draws leave room for it."""
    spec = GroupSpec(group_id="m", kind=GroupKind.MINERS, base_w=100.0, miners_max_w=9000.0)
    seen = Seen(
        spec=spec,
        miners=tuple(MinerReading(miner_id=str(i), target_w=t, draw_w=d) for i, (t, d) in enumerate(miners)),
    )
    standing = Standing(in_fallback=False, entitlement_w=entitlement_w, attempts=(), miners_target_w=target_w)
    now_w = sum(m.target_w for m in seen.miners)

    told_w = enforce(standing, seen).miners_target_w
    assert told_w <= max(0.0, min(target_w, entitlement_w - spec.base_w)) + EPSILON_W
    if told_w > now_w:
        assert seen.charged_w() + told_w - now_w <= entitlement_w + EPSILON_W


@given(worlds(), st.data())
def test_looks_with_one_gist_get_the_same_commands(world: World, data: st.DataObject) -> None:
    """A guard need not judge again because a draw, a sensor or the number of a job's processes moved."""
    gpus = tuple(
        replace(
            g, draw_w=data.draw(st.floats(0.0, 500.0)), processes=g.processes * data.draw(st.integers(1, 3))
        )
        for g in world.seen.gpus
    )
    moved = replace(world.seen, gpus=gpus)

    if gist(world.standing, moved) == gist(world.standing, world.seen):
        assert enforce(world.standing, moved) == enforce(world.standing, world.seen)
