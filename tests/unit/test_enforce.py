"""Stories of `enforce`: the exact commands for one node, and nothing else."""

from __future__ import annotations

from dataclasses import replace

from scheduler.core.enforce import Commands, enforce
from scheduler.core.jobs import Launch, Phase
from scheduler.core.lease import Standing
from scheduler.core.orders import AttemptOrder, GpuReading, GpuSlot, GroupKind, GroupSpec, MinerReading
from scheduler.core.power import A100_SXM
from scheduler.core.presence import Present, Seen

LAUNCH = Launch(command=("true",), working_dir="/", checkpoint_dir="/c", output_dir="/o", log_path="/l")
BASE_W = 400.0
IDLE_W = 55.0
HELD_W = 102.0  # charge of a busy GPU at the minimum cap of 100 W
LEAVING_W = A100_SXM.held_w()  # of one whose attempt holds, or saves
TWO = GroupSpec(
    group_id="n1",
    kind=GroupKind.NODE,
    base_w=BASE_W,
    gpus=(GpuSlot(gpu_id="a", model=A100_SXM.name), GpuSlot(gpu_id="b", model=A100_SXM.name)),
)


def present(name: str, *gpu_ids: str, tier: int = 4, phase: Phase = Phase.RUN) -> Present:
    """An attempt that is here."""
    return Present(attempt_id=f"{name}.1", job_id=name, gpu_ids=gpu_ids, tier=tier, phase=phase)


def ordered(
    name: str, *gpu_ids: str, tier: int = 4, phase: Phase = Phase.RUN, cap_w: float = 300.0
) -> AttemptOrder:
    """What an order says of an attempt."""
    return AttemptOrder(
        attempt_id=f"{name}.1",
        job_id=name,
        number=1,
        phase=phase,
        gpu_ids=gpu_ids,
        cap_w=cap_w,
        tier=tier,
        launch=LAUNCH,
    )


def reading(gpu_id: str, cap_w: float, processes: int = 1) -> GpuReading:
    """A GPU as read back."""
    return GpuReading(gpu_id=gpu_id, draw_w=IDLE_W, cap_w=cap_w, processes=processes)


def standing(entitlement_w: float, *orders: AttemptOrder, in_fallback: bool = False) -> Standing:
    """What stands."""
    return Standing(
        in_fallback=in_fallback, entitlement_w=entitlement_w, attempts=orders, miners_target_w=0.0
    )


def told(commands: Commands) -> dict[str, Phase]:
    """The phases by attempt."""
    return {c.attempt_id: c.phase for c in commands.phases}


def test_a_start_waits_for_the_entitlement() -> None:
    """An attempt starts under its cap when its charge fits to the watt, and not with one watt less."""
    seen = Seen(spec=TWO, gpus=(reading("a", 100.0, 0), reading("b", 100.0, 0)))
    job = ordered("j", "a", cap_w=300.0)
    need_w = BASE_W + 300.0 + IDLE_W

    fits = enforce(standing(need_w, job), seen)
    assert fits == Commands(starts=(job,), caps_w=(("a", 300.0), ("b", 100.0)))
    assert enforce(standing(need_w - 1, job), seen) == Commands(caps_w=(("a", 100.0), ("b", 100.0)))


def test_a_start_waits_until_the_cap_is_read_back() -> None:
    """A free GPU that is still uncapped counts at what it would be with work on it."""
    seen = Seen(spec=TWO, gpus=(reading("a", 400.0, 0), reading("b", 100.0, 0)))
    job = ordered("j", "a", cap_w=200.0)

    assert enforce(standing(BASE_W + 200.0 + IDLE_W, job), seen).starts == ()
    assert enforce(standing(BASE_W + 400.0 + IDLE_W, job), seen).starts == (job,)


def test_one_is_raised_only_after_the_other_was_lowered() -> None:
    """Watts move from one attempt to another in two steps: down, read back, up."""
    orders = (ordered("x", "a", cap_w=100.0), ordered("y", "b", cap_w=300.0))
    stand = standing(BASE_W + HELD_W + 300.0, *orders)
    before = Seen(
        spec=TWO,
        gpus=(reading("a", 300.0), reading("b", 100.0)),
        attempts=(present("x", "a"), present("y", "b")),
    )
    after = replace(before, gpus=(reading("a", 100.0), reading("b", 100.0)))

    assert enforce(stand, before).caps_w == (("a", 100.0), ("b", 100.0))
    assert enforce(stand, after).caps_w == (("a", 100.0), ("b", 300.0))


def test_a_resume_waits_for_its_watts() -> None:
    """A held attempt stays held, and says why, while its cap does not fit."""
    seen = Seen(
        spec=TWO,
        gpus=(reading("a", 100.0), reading("b", 100.0, 0)),
        attempts=(present("x", "a", phase=Phase.SUSPEND),),
    )
    foreign = replace(seen, gpus=(reading("a", 100.0), reading("b", 300.0)))
    stand = standing(BASE_W + 300.0 + IDLE_W, ordered("x", "a"))

    assert told(enforce(stand, seen)) == {"x.1": Phase.RUN}
    waiting = enforce(stand, foreign)
    assert told(waiting) == {"x.1": Phase.SUSPEND}
    assert waiting.phases[0].reason == "waiting until others have given back their watts"
    assert waiting.caps_w == (("a", 100.0), ("b", 100.0))


def test_caps_give_way_first_and_the_flexible_before_the_firm() -> None:
    """A shortage that caps can meet costs the most flexible attempt its speed, and nobody anything else."""
    seen = Seen(
        spec=TWO,
        gpus=(reading("a", 300.0), reading("b", 300.0)),
        attempts=(present("x", "a", tier=1), present("y", "b", tier=4)),
    )
    orders = (ordered("x", "a", tier=1), ordered("y", "b", tier=4))

    short = enforce(standing(BASE_W + 450.0, *orders), seen)
    assert short.caps_w == (("a", 300.0), ("b", 150.0))
    assert told(short) == {"x.1": Phase.RUN, "y.1": Phase.RUN}
    assert short.over_w == 0.0


def test_what_caps_cannot_meet_is_saved_while_the_rest_holds_still() -> None:
    """When minimum caps are not enough one leaves; the other computes nothing until it is gone, then goes on."""
    seen = Seen(
        spec=TWO,
        gpus=(reading("a", 300.0), reading("b", 300.0)),
        attempts=(present("x", "a", tier=1), present("y", "b", tier=4)),
    )
    stand = standing(BASE_W + HELD_W + IDLE_W, ordered("x", "a", tier=1), ordered("y", "b", tier=4))

    assert told(enforce(stand, seen)) == {"x.1": Phase.SUSPEND, "y.1": Phase.SAVE_EXIT}
    gone = Seen(
        spec=TWO,
        gpus=(reading("a", 100.0), reading("b", 100.0, 0)),
        attempts=(present("x", "a", tier=1, phase=Phase.SUSPEND),),
        ended=frozenset({"y.1"}),
    )
    after = enforce(stand, gone)
    assert told(after) == {"x.1": Phase.RUN}
    assert after.caps_w == (("a", 100.0), ("b", 100.0))


def test_tier_zero_is_capped_last_and_saved_at_the_very_end() -> None:
    """A fallback below the tier-0 work first takes everything from the others, then its speed, then its place."""
    seen = Seen(
        spec=TWO,
        gpus=(reading("a", 300.0), reading("b", 300.0)),
        attempts=(present("firm", "a", tier=0), present("flex", "b", tier=4)),
    )
    orders = (ordered("firm", "a", tier=0), ordered("flex", "b", tier=4))

    enough = enforce(standing(BASE_W + 300.0 + HELD_W, *orders), seen)
    assert told(enough) == {"firm.1": Phase.RUN, "flex.1": Phase.RUN}
    assert enough.caps_w == (("a", 300.0), ("b", 100.0))
    tight = enforce(standing(BASE_W + 250.0 + IDLE_W, *orders), seen)
    assert told(tight) == {"firm.1": Phase.RUN, "flex.1": Phase.SAVE_EXIT}
    assert dict(tight.caps_w)["a"] == BASE_W + 250.0 + IDLE_W - BASE_W - LEAVING_W
    nothing = enforce(standing(BASE_W + 2 * IDLE_W - 10.0, *orders, in_fallback=True), seen)
    assert told(nothing) == {"firm.1": Phase.SAVE_EXIT, "flex.1": Phase.SAVE_EXIT}
    assert nothing.over_w == 10.0


def test_nothing_starts_while_something_is_shed() -> None:
    """Room made by shedding is not for newcomers."""
    seen = Seen(
        spec=TWO, gpus=(reading("a", 100.0), reading("b", 100.0, 0)), attempts=(present("x", "a", tier=0),)
    )
    stand = standing(BASE_W + 290.0 + IDLE_W, ordered("x", "a", tier=0), ordered("new", "b", cap_w=100.0))

    commands = enforce(stand, seen)
    assert commands.starts == ()
    assert commands.caps_w == (("a", 290.0), ("b", 100.0))


def test_a_gpu_that_refuses_a_lower_cap_counts_at_what_it_enforces() -> None:
    """A device stuck at 300 W makes its attempt leave where a cap would have done."""
    seen = Seen(
        spec=TWO,
        gpus=(reading("a", 300.0), reading("b", 100.0, 0)),
        attempts=(present("x", "a"),),
        cap_floors_w={"a": 300.0},
    )

    commands = enforce(standing(BASE_W + 200.0 + IDLE_W, ordered("x", "a")), seen)
    assert told(commands) == {"x.1": Phase.SAVE_EXIT}
    assert commands.caps_w == (("a", 300.0), ("b", 100.0))


def test_a_gpu_that_cannot_be_read_counts_at_its_worst() -> None:
    """Without a reading a GPU is uncapped and busy: nothing may start on it or beside it."""
    seen = Seen(spec=TWO, gpus=(reading("b", 100.0, 0),))
    stand = standing(BASE_W + 300.0 + IDLE_W, ordered("x", "a"), ordered("y", "b", cap_w=200.0))

    assert enforce(stand, seen).starts == ()


def test_nothing_is_raised_while_the_group_draws_more_than_it_may() -> None:
    """A device that draws more than its cap allows stops every raise until the draw falls."""
    seen = Seen(spec=TWO, gpus=(reading("a", 100.0, 0), reading("b", 100.0, 0)))
    wild = replace(seen, gpus=(replace(reading("a", 100.0, 0), draw_w=700.0), reading("b", 100.0, 0)))
    stand = standing(1000.0, ordered("x", "b"))

    assert enforce(stand, seen).starts != ()
    assert enforce(stand, wild).starts == ()


def test_miners_give_way_before_anything_else() -> None:
    """A miner group told to draw more than it may is held to what is left over its base."""
    spec = GroupSpec(group_id="m", kind=GroupKind.MINERS, base_w=100.0, miners_max_w=6000.0)
    seen = Seen(spec=spec, miners=(MinerReading(miner_id="m1", target_w=0.0, draw_w=0.0),))
    stand = replace(standing(2100.0), miners_target_w=3000.0)

    assert enforce(stand, seen) == Commands(miners_target_w=2000.0)
    falling = replace(seen, miners=(MinerReading(miner_id="m1", target_w=0.0, draw_w=1500.0),))
    assert enforce(stand, falling) == Commands(miners_target_w=500.0)
