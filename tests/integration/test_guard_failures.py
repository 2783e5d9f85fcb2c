"""A guard and real jobs when things fail: leases, guards, supervisors, jobs, schedulers, sites."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from scheduler.core.jobs import Phase
from scheduler.core.lease import Refusal
from scheduler.core.machines import MachineKind
from scheduler.core.orders import FallbackStep, Fence, GroupKind, GroupSpec, Observed, Order
from scheduler.core.power import A100_SXM
from tests.guarding import BASE_W, HELD_W, IDLE_W, GuardedNode
from tests.waiting import wait_for
from workers.clock import boot_id, boottime_s
from workers.miners.simulated import MinerModel
from workers.processes import ProcessId, is_alive

SLEEP = "import time; print('up', flush=True); time.sleep(99)"
#: A child in the job's session, and one in a session of its own whose parent is gone; both ignore every request.
FAMILY = """
import os, signal, subprocess, sys, time
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(99)"
near = subprocess.Popen([sys.executable, "-c", child])
read, write = os.pipe()
if os.fork() == 0:
    far = subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
    os.write(write, str(far.pid).encode())
    os._exit(0)
with open("family.tmp", "w") as file:
    print(near.pid, os.read(read, 99).decode(), file=file)
os.rename("family.tmp", "family")
"""

MakeNode = Callable[..., GuardedNode]


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[MakeNode]:
    """Makes one guarded node."""
    made: list[GuardedNode] = []

    def make(**config: object) -> GuardedNode:
        made.append(GuardedNode(tmp_path, **config))
        return made[-1].start()

    yield make
    for node in made:
        node.close()


def family(node: GuardedNode, attempt_id: str) -> list[ProcessId]:
    """The children of a job that runs FAMILY."""
    path = node.directory.parent / attempt_id.rpartition(".")[0] / "family"
    wait_for(path.exists, timeout_s=60, what="the job has its family")
    return [node.touched(int(pid)) for pid in path.read_text().split()]


def gone(*processes: ProcessId) -> bool:
    """Whether none of them lives."""
    return not any(map(is_alive, processes))


def test_when_the_lease_ends_tier_zero_goes_on_and_the_rest_is_held_then_saved(make_node: MakeNode) -> None:
    """Without word from the scheduler the node falls to its fallback by itself and loses nothing."""
    node = make_node(save_after_s=600.0)
    firm = node.counter("firm-1.1", tier=0)
    flex = node.counter("flex-1.1", gpu_ids=("g1",))
    steps = (
        FallbackStep(after_s=0.0, limit_w=BASE_W + 300.0 + HELD_W),
        FallbackStep(after_s=300.0, limit_w=BASE_W + 300.0 + IDLE_W),
    )
    node.order(firm, flex, fallback=steps)
    node.await_steps("firm-1.1", 3)
    node.await_steps("flex-1.1", 3)

    node.order(firm, flex, lease_s=0.5, fallback=steps)
    node.await_observed("flex-1.1", Observed.SUSPENDED)
    report = node.report()
    assert report.in_fallback
    assert [gpu.cap_w for gpu in report.gpus] == [300.0, 100.0]

    node.end(signal.SIGKILL)
    node.configure(save_after_s=0.2)
    node.start()
    end = node.await_observed("flex-1.1", Observed.ENDED)
    assert (end.exit_code, end.killed, end.committed_step) == (85, False, end.step)
    node.await_steps("firm-1.1", 3)
    assert node.report().gpus[0].cap_w == 300.0


def test_a_fallback_below_the_firm_work_caps_it(make_node: MakeNode) -> None:
    """Even tier 0 gives way when the fallback says so, by its cap first."""
    node = make_node()
    firm = node.counter("firm-1.1", tier=0)
    node.order(firm)
    node.await_steps("firm-1.1", 1)

    node.order(firm, lease_s=0.3, fallback=[FallbackStep(after_s=0.0, limit_w=BASE_W + 150.0 + IDLE_W)])
    wait_for(lambda: node.report().gpus[0].cap_w == 150.0, timeout_s=60, what="the firm work is capped")
    node.await_steps("firm-1.1", 1)


def test_a_restarted_guard_adopts_what_runs(make_node: MakeNode) -> None:
    """Kill -9 of a guard: the jobs go on, the next guard knows them, the order and its fence; nothing is doubled."""
    node = make_node()
    contract, legacy = node.counter("a-1.1"), node.python("b-1.1", SLEEP, gpu_ids=("g1",))
    node.order(contract, legacy)
    node.await_steps("a-1.1", 3)
    before = [node.supervisor("a-1.1"), node.main("a-1.1"), node.supervisor("b-1.1"), node.main("b-1.1")]

    node.end(signal.SIGKILL)
    node.start()

    assert node.report().accepted == node.fence
    assert not node.report().in_fallback
    node.await_steps("a-1.1", 3)
    after = [node.supervisor("a-1.1"), node.main("a-1.1"), node.supervisor("b-1.1"), node.main("b-1.1")]
    assert after == before
    assert not gone(*before)
    wait_for(lambda: [g.processes for g in node.report().gpus] == [1, 1], timeout_s=60, what="both are seen")
    assert [gpu.cap_w for gpu in node.report().gpus] == [300.0, 300.0]

    node.order(replace(contract, phase=Phase.SAVE_EXIT), legacy)
    assert node.await_observed("a-1.1", Observed.ENDED).exit_code == 85


@pytest.mark.parametrize("is_there", [True, False], ids=["damaged", "gone"])
def test_a_guard_that_lost_its_memory_has_what_runs_saved(make_node: MakeNode, is_there: bool) -> None:
    """Nobody knows what was ordered, so nothing may go on; and nothing is killed with its work."""
    node = make_node()
    job = node.counter("a-1.1")
    node.order(job)
    node.await_steps("a-1.1", 5)
    node.end(signal.SIGKILL)
    memory = node.directory / "memory.json"
    memory.write_bytes(b"{") if is_there else memory.unlink()

    node.start()
    end = node.await_observed("a-1.1", Observed.ENDED)
    assert (end.exit_code, end.killed, end.committed_step) == (85, False, end.step)


def test_a_guard_told_to_end_leaves_everything_running(make_node: MakeNode) -> None:
    """SIGTERM to a guard ends the guard alone; caps stay as they are."""
    node = make_node()
    node.order(node.counter("a-1.1"))
    node.await_steps("a-1.1", 1)
    before = [node.supervisor("a-1.1"), node.main("a-1.1")]

    capped_w = node.caps_w()
    node.end(signal.SIGTERM)
    assert node.caps_w() == capped_w
    assert min(capped_w.values()) < A100_SXM.tdp_w
    assert not gone(before[0])
    assert not gone(before[1])
    node.start()
    node.await_steps("a-1.1", 3)
    assert [node.supervisor("a-1.1"), node.main("a-1.1")] == before


def test_a_killed_job_is_a_fact_with_its_last_verified_commit(make_node: MakeNode) -> None:
    """Kill -9 of a job: its signal, that it was not us, and the commit to go on from."""
    node = make_node()
    job = node.counter("a-1.1")
    job = replace(job, launch=replace(job.launch, checkpoint_interval_s=0.2))
    node.order(job)
    node.await_facts("a-1.1", lambda facts: (facts.committed_step or 0) > 0, "commits")
    os.kill(node.main("a-1.1").pid, signal.SIGKILL)

    end = node.await_observed("a-1.1", Observed.ENDED)
    assert (end.signal, end.exit_code, end.killed, end.asked_to_exit) == (signal.SIGKILL, None, False, False)
    assert end.committed_step


def test_nothing_of_a_job_outlives_it(make_node: MakeNode) -> None:
    """When the first process ends, its children and its daemons end too, and only then is the attempt over."""
    node = make_node()
    node.order(node.python("f-1.1", FAMILY + "while not os.path.exists('go'): time.sleep(0.01)"))
    children = family(node, "f-1.1")

    (node.directory.parent / "f-1" / "go").touch()
    end = node.await_observed("f-1.1", Observed.ENDED)
    assert end.exit_code == 0
    assert gone(*children)


def test_nothing_of_a_job_outlives_its_supervisor(make_node: MakeNode) -> None:
    """Kill -9 of a supervisor: the job and all its children die, and the guard reports an end without a reason."""
    node = make_node()
    job = node.python("f-1.1", FAMILY + "time.sleep(99)")
    node.order(job)
    children = family(node, "f-1.1")
    main = node.main("f-1.1")
    os.kill(node.supervisor("f-1.1").pid, signal.SIGKILL)
    end = node.await_observed("f-1.1", Observed.ENDED)
    assert (end.exit_code, end.signal) == (None, None)
    assert gone(main, *children)
    assert node.order(job).report.gpus[0].processes == 0  # and it is not started again
    assert node.facts("f-1.1").observed is Observed.ENDED


def test_a_guard_that_was_away_clears_up_after_a_dead_supervisor(make_node: MakeNode) -> None:
    """Guard and supervisor both killed: the next guard ends what is left, daemons that it never saw included."""
    node = make_node()
    node.order(node.python("f-1.1", FAMILY + "time.sleep(99)"))
    children = family(node, "f-1.1")
    supervisor = node.supervisor("f-1.1")
    node.main("f-1.1")
    node.end(signal.SIGKILL)
    os.kill(supervisor.pid, signal.SIGKILL)
    wait_for(partial(gone, supervisor), timeout_s=60, what="the supervisor is gone")
    assert not any(map(gone, children))

    node.start()
    node.await_observed("f-1.1", Observed.ENDED)
    assert gone(*children)


def test_without_a_guard_a_job_is_suspended_unless_it_is_firm(make_node: MakeNode) -> None:
    """Supervisors notice that no guard lives; the next guard lets their jobs go on."""
    node = make_node(orphan_s=1.0)
    node.order(node.counter("firm-1.1", tier=0), node.counter("flex-1.1", gpu_ids=("g1",)))
    node.await_steps("firm-1.1", 1)
    node.await_steps("flex-1.1", 1)
    node.end(signal.SIGKILL)

    def observed(attempt_id: str) -> Observed | None:
        known = node.files(attempt_id).read_facts()
        return known.facts.observed if known else None

    wait_for(lambda: observed("flex-1.1") is Observed.SUSPENDED, timeout_s=60, what="flex is suspended")
    assert observed("firm-1.1") is Observed.RUNNING
    node.start()
    node.await_steps("flex-1.1", 3)


def test_what_is_not_ordered_is_ended(make_node: MakeNode) -> None:
    """An attempt that the next order does not name is killed, reported as such, and then forgotten."""
    node = make_node()
    node.order(node.python("a-1.1", SLEEP))
    main = node.main("a-1.1")

    node.order()
    wait_for(partial(gone, main), timeout_s=60, what="it is killed")
    end = node.await_observed("a-1.1", Observed.ENDED)
    assert end.killed
    node.order()
    assert node.report().attempts == ()
    assert node.attempts() == []


def test_orders_that_must_not_count_are_refused(make_node: MakeNode) -> None:
    """An older fence, another boot, another group, an order that is over: refused, and nothing changes."""
    node = make_node()
    node.order(node.counter("a-1.1"), entitlement_w=1234.0)
    good = Order(
        group_id="n1",
        boot_id=boot_id(),
        fence=Fence(epoch=2, seq=1),
        expires_boottime_s=boottime_s() + 60,
        entitlement_w=1.0,
        fallback=(),
    )
    refused = {
        Refusal.STALE: replace(good, fence=node.fence),
        Refusal.OTHER_BOOT: replace(good, boot_id="other"),
        Refusal.OTHER_GROUP: replace(good, group_id="n2"),
        Refusal.EXPIRED: replace(good, expires_boottime_s=boottime_s() - 1),
        Refusal.PROTOCOL: replace(good, protocol=99),
    }
    for refusal, order in refused.items():
        answer = node.deliver(order)
        assert answer.refusal is refusal
        assert answer.report.accepted == node.fence
        assert answer.report.entitlement_w == 1234.0


def test_nonsense_on_the_socket_is_answered_and_changes_nothing(make_node: MakeNode) -> None:
    """Bytes that are no request, and names that are no names, get an error in return."""
    node = make_node()
    evil = replace(node.python("a-1.1", SLEEP), attempt_id="../../evil.1")

    assert b"error" in node.ask(b"\xff\xfe{")
    assert b"error" in node.ask(b'{"op":"format_disk"}')
    node.fence = replace(node.fence, seq=node.fence.seq + 1)
    order = {"op": "deliver", "order": {"attempts": [{"attempt_id": evil.attempt_id}]}}
    assert b"error" in node.ask(json.dumps(order).encode())
    with pytest.raises(ValueError, match="plain name"):
        node.order(evil)
    assert node.report().attempts == ()


def test_a_stopped_site_saves_everything_first(make_node: MakeNode) -> None:
    """The stop operation ends when all is saved or killed, and the guard ends with it."""
    node = make_node()
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SLEEP
    node.order(node.counter("a-1.1"), node.python("b-1.1", stubborn, gpu_ids=("g1",)))
    node.await_steps("a-1.1", 2)
    log = node.directory.parent / "b-1" / "job.log"
    wait_for(lambda: log.exists() and "up" in log.read_text(), timeout_s=60, what="both are up")
    everyone = [node.supervisor("a-1.1"), node.main("a-1.1"), node.supervisor("b-1.1"), node.main("b-1.1")]

    assert node.ask(b'{"op":"stop","grace_s":1.5}') == b'{"ok":true}\n'
    wait_for(partial(gone, *everyone), timeout_s=60, what="all are gone")
    known = node.files("a-1.1").read_facts()
    assert known is not None
    assert (known.facts.exit_code, known.facts.committed_step) == (85, known.facts.step)
    wait_for(lambda: node.has_ended, timeout_s=60, what="the guard ends")
    assert set(node.caps_w().values()) == {A100_SXM.tdp_w}, "whoever comes next finds the GPUs as they were"


def test_miners_follow_their_target_and_rest_when_the_lease_ends(make_node: MakeNode) -> None:
    """A miner group rises along its ramp, keeps its target over a guard's death, and rests without an order."""
    spec = GroupSpec(group_id="m1", kind=GroupKind.MINERS, base_w=300.0, miners_max_w=6000.0, simulated=True)
    miners = tuple(
        MinerModel(
            miner_id=f"m{i}", nameplate_w=3100.0, idle_w=100.0, fall_w_per_s=9000.0, rise_w_per_s=4000.0
        )
        for i in range(2)
    )
    node = make_node(spec=spec, miners=miners)
    node.order(miners_target_w=4000.0)
    wait_for(lambda: node.report().draw_w == 300.0 + 4000.0, timeout_s=60, what="they draw their target")

    node.end(signal.SIGKILL)
    node.start()
    assert [miner.target_w for miner in node.report().miners] == [2000.0, 2000.0]
    assert node.report().draw_w == 300.0 + 4000.0
    node.order(miners_target_w=4000.0, lease_s=0.3)
    wait_for(lambda: node.report().draw_w == 300.0, timeout_s=60, what="they rest")


def test_machines_sleep_and_wake_whole_and_not_too_soon_but_for_the_lease(make_node: MakeNode) -> None:
    """Three machines: what is told is landed on, a new guard knows since when they run, and no order is no power."""
    kind = MachineKind(max_w=3000, least_w=2000, min_on_s=600.0, min_off_s=0.0)
    spec = GroupSpec(
        group_id="m1", kind=GroupKind.MINERS, base_w=300.0, miners_max_w=9000.0, simulated=True, machine=kind
    )
    miners = tuple(
        MinerModel(
            miner_id=f"m{i}",
            nameplate_w=3100.0,
            idle_w=100.0,
            joule_per_th=20.0 - i,
            fall_w_per_s=9000.0,
            rise_w_per_s=9000.0,
        )
        for i in range(3)
    )
    node = make_node(spec=spec, miners=miners)

    def targets_w() -> list[float]:
        return [miner.target_w for miner in node.report().miners]

    node.order(miners_target_w=5500.0, entitlement_w=5800.0)
    wait_for(lambda: targets_w() == [0.0, 2500.0, 3000.0], timeout_s=60, what="the thriftiest run")

    node.end(signal.SIGKILL)
    node.start()
    node.order(miners_target_w=4000.0, entitlement_w=5800.0)
    wait_for(lambda: targets_w() == [0.0, 2000.0, 2000.0], timeout_s=60, what="both run on, trimmed")
    node.order(miners_target_w=3999.0, entitlement_w=5800.0)
    wait_for(lambda: targets_w() == [0.0, 0.0, 3000.0], timeout_s=60, what="one sleeps: it must be")
    node.order(miners_target_w=3000.0, lease_s=0.3)
    wait_for(lambda: node.report().draw_w == 300.0, timeout_s=60, what="they rest")
