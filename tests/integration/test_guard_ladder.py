"""A guard, supervisors and real jobs: started, suspended, resumed, saved, frozen and killed by order."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from barq.contract import JobPhase, read_status
from scheduler.core.jobs import Phase
from scheduler.core.orders import Observed
from tests.guarding import BASE_W, EXAMPLES, HELD_W, IDLE_W, GuardedNode, is_idle_for
from tests.waiting import wait_for
from workers.processes import is_alive, read_stat, send

SPIN = "while True: pass"
IGNORES_TERM = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\n"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[GuardedNode]:
    """A guarded node with two GPUs."""
    node = GuardedNode(tmp_path)
    try:
        yield node.start()
    finally:
        node.close()


def state_of(pid: int) -> str:
    """The kernel's letter for what a process does."""
    stat = read_stat(pid)
    return "gone" if stat is None else stat.state


def says(log: Path, text: str) -> bool:
    """Whether a log holds a text."""
    return log.exists() and text in log.read_text()


def test_a_job_is_started_suspended_resumed_and_saved(node: GuardedNode) -> None:
    """One job goes up and down the ladder by orders alone and loses no step; its GPU follows."""
    job = node.counter("a-1.1")

    assert node.order(job).refusal is None
    node.await_steps("a-1.1", 5)
    assert node.report().gpus[0].cap_w == 300.0
    assert node.report().gpus[0].processes == 1

    held = node.order(replace(job, phase=Phase.SUSPEND)).report
    assert held.gpus[0].cap_w == 100.0  # at once, whatever the job does
    step = node.await_observed("a-1.1", Observed.SUSPENDED).step
    main = node.main("a-1.1")
    assert state_of(main.pid) != "T"  # it holds by itself, it is not frozen
    assert is_idle_for(main, 0.5)
    assert node.facts("a-1.1").step == step

    node.order(job)
    node.await_observed("a-1.1", Observed.RUNNING)
    node.await_steps("a-1.1", 5)

    node.order(replace(job, phase=Phase.SAVE_EXIT))
    end = node.await_observed("a-1.1", Observed.ENDED)
    assert (end.exit_code, end.asked_to_exit, end.killed) == (85, True, False)
    assert end.committed_step == end.step
    assert end.committed_path is not None
    assert Path(end.committed_path, "manifest.json").exists()
    assert not is_alive(main)


def test_a_job_is_reminded_to_commit_as_often_as_its_order_says(node: GuardedNode) -> None:
    """It runs on, commits again and again, and goes back to its own rhythm when told so."""
    job = node.counter("a-1.1")
    node.order(job)
    node.await_steps("a-1.1", 5)
    assert node.facts("a-1.1").committed_step is None

    node.order(replace(job, save_every_s=0.5))
    first = node.await_facts("a-1.1", lambda f: f.committed_step is not None, "has committed")
    earlier = first.committed_step or 0
    node.await_facts("a-1.1", lambda f: (f.committed_step or 0) > earlier, "has committed again")
    assert node.facts("a-1.1").observed is Observed.RUNNING

    node.order(replace(job, phase=Phase.SUSPEND))
    node.await_observed("a-1.1", Observed.SUSPENDED)
    node.order(job)
    node.await_observed("a-1.1", Observed.RUNNING)
    node.order(replace(job, phase=Phase.SAVE_EXIT))
    end = node.await_observed("a-1.1", Observed.ENDED)
    assert (end.exit_code, end.committed_step) == (85, end.step)


def test_a_guard_holds_what_was_prepared_by_itself(node: GuardedNode) -> None:
    """A job holds though its supervisor stands still; that finds out later, takes it as its own, and lets it go on."""
    job = node.counter("a-1.1")
    node.order(job)
    node.await_steps("a-1.1")
    control = node.files("a-1.1").control_dir
    wait_for((control / ".next.json").exists, timeout_s=60, what="a request lies ready")
    supervisor = node.supervisor("a-1.1")
    send(supervisor, signal.SIGSTOP)
    node.order(replace(job, phase=Phase.SUSPEND))

    def holds() -> bool:
        status = read_status(node.files("a-1.1").status_dir)
        return status is not None and status.state is JobPhase.SUSPENDED

    wait_for(holds, timeout_s=60, what="the job holds")
    assert node.facts("a-1.1").observed is Observed.RUNNING
    send(supervisor, signal.SIGCONT)
    assert node.await_observed("a-1.1", Observed.SUSPENDED).pause_seq == 1
    assert state_of(node.main("a-1.1").pid) != "T"
    assert not (control / ".next.json").exists()

    node.order(job)
    node.await_observed("a-1.1", Observed.RUNNING)
    node.await_steps("a-1.1")


def test_the_next_attempt_resumes_from_the_verified_commit(node: GuardedNode) -> None:
    """What one attempt saved is where the next one begins; a forgotten attempt leaves nothing behind."""
    first = node.counter("a-1.1")
    node.order(first)
    node.await_steps("a-1.1", 3)
    node.order(replace(first, phase=Phase.SAVE_EXIT))
    saved = node.await_observed("a-1.1", Observed.ENDED).committed_step
    assert saved

    node.order(node.counter("a-1.2", steps=saved + 5))
    end = node.await_observed("a-1.2", Observed.ENDED)
    assert (end.resumed_step, end.step, end.says_done, end.exit_code) == (saved, saved + 5, True, 0)
    assert [files.path.name for files in node.attempts()] == ["a-1.2"]
    assert "a-1.1" not in {facts.attempt_id for facts in node.report().attempts}


def test_a_damaged_commit_is_quarantined_before_the_start(node: GuardedNode) -> None:
    """A flipped bit in the newest checkpoint: it is set aside, and the one before is where the job begins."""
    first = node.counter("a-1.1", env=(("BARQ_TEST", "1"),))
    first = replace(first, launch=replace(first.launch, checkpoint_interval_s=0.3))
    node.order(first)
    node.await_facts("a-1.1", lambda facts: (facts.committed_step or 0) > 0, "commits")
    node.order(replace(first, phase=Phase.SAVE_EXIT))
    end = node.await_observed("a-1.1", Observed.ENDED)
    assert end.committed_path is not None
    shard = next(path for path in Path(end.committed_path).iterdir() if path.name != "manifest.json")
    data = bytearray(shard.read_bytes())
    data[3] ^= 1
    shard.write_bytes(data)

    node.order(node.counter("a-1.2"))
    found = node.await_facts("a-1.2", lambda facts: facts.resumed_step is not None, "knows where it begins")
    assert 0 < (found.resumed_step or 0) < (end.committed_step or 0)
    assert len(found.quarantined) == 1
    assert Path(end.committed_path).name in found.quarantined[0]


def test_a_job_without_the_contract_is_frozen_and_thawed(node: GuardedNode) -> None:
    """A legacy job and its children stand still while suspended, draw idle watts, and go on when resumed."""
    program = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{SPIN}'])\n{SPIN}"
    job = node.python("b-1.1", program)
    node.order(job)
    main = node.main("b-1.1")
    wait_for(lambda: node.report().gpus[0].processes == 2, timeout_s=60, what="both processes run")
    wait_for(lambda: node.report().gpus[0].draw_w > 250, timeout_s=60, what="the GPU draws what work draws")

    node.order(replace(job, phase=Phase.SUSPEND))
    node.await_observed("b-1.1", Observed.SUSPENDED)
    assert state_of(main.pid) == "T"
    wait_for(lambda: node.report().gpus[0].draw_w < 96, timeout_s=60, what="only idle and context are drawn")

    node.order(job)
    node.await_facts("b-1.1", lambda facts: facts.observed is not Observed.SUSPENDED, "goes on")
    wait_for(lambda: state_of(main.pid) in "RS", timeout_s=60, what="it runs")
    wait_for(lambda: node.report().gpus[0].draw_w > 250, timeout_s=60, what="the GPU draws again")


def test_a_job_without_the_contract_has_its_grace_and_no_more(node: GuardedNode) -> None:
    """SIGTERM ends one that obeys by its own hand; one that ignores it is killed at the deadline."""
    obeys = node.python("b-1.1", "import time; print('up', flush=True); time.sleep(99)")
    defies = node.python("c-1.1", IGNORES_TERM + "time.sleep(99)", gpu_ids=("g1",), grace_s=0.5)
    node.order(obeys, defies)
    for order in (obeys, defies):
        log = Path(order.launch.log_path)
        wait_for(partial(says, log, "up"), timeout_s=60, what="it is up")

    node.order(replace(obeys, phase=Phase.SAVE_EXIT), replace(defies, phase=Phase.SAVE_EXIT))
    gentle = node.await_observed("b-1.1", Observed.ENDED)
    harsh = node.await_observed("c-1.1", Observed.ENDED)
    assert (gentle.signal, gentle.killed) == (signal.SIGTERM, False)
    assert (harsh.signal, harsh.killed) == (signal.SIGKILL, True)
    report = node.report()
    assert [gpu.processes for gpu in report.gpus] == [0, 0]
    assert [gpu.cap_w for gpu in report.gpus] == [100.0, 100.0]


def test_a_grace_that_power_cuts_short_is_the_one_that_counts(node: GuardedNode) -> None:
    """A job is killed by the deadline of the order that tells it to leave, not by that of the one it started with."""
    defies = node.python("c-1.1", IGNORES_TERM + "time.sleep(99)", grace_s=3600.0)
    node.order(defies)
    wait_for(partial(says, Path(defies.launch.log_path), "up"), timeout_s=60, what="it is up")

    node.order(replace(defies, phase=Phase.SAVE_EXIT, launch=replace(defies.launch, grace_s=0.5)))
    assert node.await_observed("c-1.1", Observed.ENDED).killed


def test_a_job_that_is_saving_is_hurried_when_power_falls_on(node: GuardedNode) -> None:
    """Told to leave with an hour, then with a second: the later order counts, and `pause.json` says so."""
    defies = node.python("c-1.1", IGNORES_TERM + "time.sleep(99)", grace_s=3600.0)
    node.order(defies)
    wait_for(partial(says, Path(defies.launch.log_path), "up"), timeout_s=60, what="it is up")
    node.order(replace(defies, phase=Phase.SAVE_EXIT))
    node.await_facts("c-1.1", lambda facts: facts.asked_to_exit, "asked to leave")
    request = next(node.directory.rglob("pause.json"))
    first = json.loads(request.read_text())

    node.order(replace(defies, phase=Phase.SAVE_EXIT, launch=replace(defies.launch, grace_s=1.0)))
    assert node.await_observed("c-1.1", Observed.ENDED).killed
    second = json.loads(request.read_text())
    assert (second["seq"], second["action"]) == (first["seq"] + 1, "save_and_exit")
    assert second["deadline_boottime_s"] < first["deadline_boottime_s"] - 3000


def test_what_a_shell_starts_is_told_too(node: GuardedNode) -> None:
    """An entrypoint in a shell hears SIGTERM through to the program, and its last words reach the log."""
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('saved', flush=True), sys.exit(7)))\n"
        "print('up', flush=True)\n"
        "time.sleep(99)\n"
    )
    (node.directory.parent / "p.py").write_text(program)
    job = node.job("s-1.1", ("/bin/sh", "-c", f"python {node.directory.parent / 'p.py'}; exit $?"))
    node.order(job)
    log = Path(job.launch.log_path)
    wait_for(partial(says, log, "up"), timeout_s=60, what="it is up")

    node.order(replace(job, phase=Phase.SAVE_EXIT))
    end = node.await_observed("s-1.1", Observed.ENDED)
    assert (end.exit_code, end.killed) == (7, False)
    assert log.read_text() == "up\nsaved\n"


def test_a_job_that_lies_about_holding_is_frozen(node: GuardedNode) -> None:
    """A job that says it holds but computes is capped at once and frozen soon."""
    program = (
        "import json, os, pathlib, signal\n"
        "signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "out = pathlib.Path(os.environ['BARQ_STATUS_DIR'])\n"
        "for state, seq in (('running', 0), ('suspended', 99)):\n"
        "    text = json.dumps({'seq': seq, 'state': state, 'step': 1, 'commit': None})\n"
        "    (out / 'tmp').write_text(text); (out / 'tmp').rename(out / 'status.json')\n"
        f"{SPIN}\n"
    )
    job = node.python("l-1.1", program)
    node.order(job)
    node.await_facts("l-1.1", lambda facts: facts.step == 1, "says something")

    held = node.order(replace(job, phase=Phase.SUSPEND)).report
    assert held.gpus[0].cap_w == 100.0
    node.await_observed("l-1.1", Observed.SUSPENDED)
    wait_for(lambda: state_of(node.main("l-1.1").pid) == "T", timeout_s=60, what="it is frozen")


def test_a_job_that_does_not_hold_in_time_is_frozen_and_can_still_save(node: GuardedNode) -> None:
    """A step longer than the patience is frozen in its middle, thawed to save, and loses nothing."""
    job = node.counter("d-1.1")
    slow = replace(job, launch=replace(job.launch, command=(*job.launch.command[:-1], "1500")))
    node.order(slow)
    node.await_steps("d-1.1", 1)

    node.order(replace(slow, phase=Phase.SUSPEND))
    node.await_observed("d-1.1", Observed.SUSPENDED)
    assert state_of(node.main("d-1.1").pid) == "T"
    node.order(replace(slow, phase=Phase.SAVE_EXIT))
    end = node.await_observed("d-1.1", Observed.ENDED)
    assert end.exit_code == 85
    assert end.committed_step == end.step


def test_nonsense_in_the_status_file_is_a_fact_and_no_crash(node: GuardedNode) -> None:
    """A job that writes rubbish is noted, and treated as one that does not speak the contract."""
    program = (
        "import os, pathlib, time\n"
        "pathlib.Path(os.environ['BARQ_STATUS_DIR'], 'status.json').write_bytes(b'\\xff{rubbish')\n"
        "time.sleep(99)\n"
    )
    job = node.python("r-1.1", program)
    node.order(job)
    wait_for(lambda: any("r-1.1" in alarm for alarm in node.report().alarms), timeout_s=60, what="an alarm")

    node.order(replace(job, phase=Phase.SUSPEND))
    node.await_observed("r-1.1", Observed.SUSPENDED)
    assert state_of(node.main("r-1.1").pid) == "T"


def test_an_attempt_that_cannot_start_says_why(node: GuardedNode) -> None:
    """A missing command and a missing GPU are facts of ended attempts; of these the second is no fault of the job."""
    missing = node.job("m-1.1", ("/no/such/command",))
    nowhere = node.python("w-1.1", "pass", gpu_ids=("g7",))
    node.order(missing, nowhere)

    command = node.await_observed("m-1.1", Observed.ENDED)
    assert command.launch_error is not None
    assert "/no/such/command" in command.launch_error
    gpu = node.await_observed("w-1.1", Observed.ENDED)
    assert gpu.launch_error == "this node has no GPU g7"
    assert (command.exit_code, gpu.exit_code) == (None, os.EX_TEMPFAIL)


def test_a_job_starts_only_on_a_free_gpu_and_within_the_entitlement(node: GuardedNode) -> None:
    """Two attempts for one GPU, then too few watts: the second waits, and starts when it can."""
    first = node.python("a-1.1", "import time; time.sleep(99)")
    second = node.python("b-1.1", "import time; time.sleep(99)")
    node.order(first, second)
    node.main("a-1.1")
    assert node.facts("b-1.1").observed is Observed.ABSENT

    tight_w = BASE_W + HELD_W + IDLE_W
    node.order(replace(first, phase=Phase.KILL), second, entitlement_w=tight_w)
    assert node.await_observed("a-1.1", Observed.ENDED).killed
    assert node.facts("b-1.1").observed is Observed.ABSENT
    node.order(second)
    node.main("b-1.1")


def test_the_environment_is_the_contract(node: GuardedNode) -> None:
    """The job finds what section 6 promises, the variables of its gang, and nothing of the guard's own."""
    program = "import json, os; json.dump(dict(os.environ), open('env.json', 'w'))"
    job = node.python("e-1.3", program, env=(("MINE", "1"), ("BARQ_ATTEMPT", "forged")))
    job = replace(
        job, rank=replace(job.rank, node_rank=1, nodes=2, master_addr="10.0.0.1", master_port=29500)
    )
    node.order(job)
    node.await_observed("e-1.3", Observed.ENDED)

    found = json.loads(Path(job.launch.working_dir, "env.json").read_text())
    assert {name: found[name] for name in ("BARQ_JOB_ID", "BARQ_ATTEMPT", "BARQ_RESTART_COUNT", "MINE")} == {
        "BARQ_JOB_ID": "e-1",
        "BARQ_ATTEMPT": "3",
        "BARQ_RESTART_COUNT": "2",
        "MINE": "1",
    }
    gang = ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK")
    assert [found[name] for name in gang] == ["10.0.0.1", "29500", "1", "2", "0"]
    assert found["BARQ_RESUME_FROM"] == ""
    assert found["BARQ_CHECKPOINT_DIR"] == job.launch.checkpoint_dir
    assert "PYTEST_CURRENT_TEST" not in found


def test_a_launcher_of_launched_processes_is_not_signalled_to_hold(node: GuardedNode) -> None:
    """Like torchrun: a first process that ends its workers on SIGTERM. They see pause.json by themselves and hold."""
    launcher = (
        "import signal, subprocess, sys\n"
        f"worker = subprocess.Popen([sys.executable, {str(EXAMPLES / 'counter.py')!r}, '--steps', '100000'])\n"
        "signal.signal(signal.SIGTERM, lambda *_: worker.kill())\n"
        "sys.exit(worker.wait())\n"
    )
    job = node.python("t-1.1", launcher)
    node.order(job)
    node.await_steps("t-1.1", 3)

    node.order(replace(job, phase=Phase.SUSPEND))
    node.await_observed("t-1.1", Observed.SUSPENDED)
    node.order(job)
    node.await_steps("t-1.1", 3)
