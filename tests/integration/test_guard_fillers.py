"""Programs that mine on idle GPUs under a guard: real processes, real signals, simulated GPUs."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from scheduler.core.inventory import Condition, Inventory, MachineDetail
from scheduler.core.orders import FillerKind, GuardReport, MinerReading, Observed
from tests.guarding import BASE_W, IDLE_W, PATIENCE_S, GuardedNode, node
from tests.waiting import wait_for
from workers.fillers.config import FillerConfig
from workers.fleet.config import Secret
from workers.miners.gpu_miner import MARK
from workers.processes import ProcessId, carrying, is_alive, send
from workers.wire import decode

REST_W = BASE_W + 2 * IDLE_W
MOST_W = 345.0  #: of one GPU above its rest
BUSY = "import sys\nwhile True:\n    sum(range(10_000))\n"
DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + BUSY
XMRIG = Path(__file__).parent.parent / "miners" / "xmrig.py"
SERVES = f"import runpy; runpy.run_path({str(XMRIG)!r}, run_name='__main__')"


@dataclass(frozen=True, kw_only=True)
class InventoryAnswer:
    """What a guard answers to who asks for its machines."""

    inventory: Inventory


class FilledNode(GuardedNode):
    """A node of two GPUs whose filler is a few lines of Python."""

    def __init__(self, directory: Path, program: str, **config: object) -> None:
        (directory / "token").write_text("secret\n")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = int(taken.getsockname()[1])
        filler = FillerConfig(
            command=(sys.executable, "-c", program, "{port}", "secret"),
            api_port=port,
            token=Secret(password_file=str(directory / "token")),
            **config,  # type: ignore[arg-type]
        )
        super().__init__(directory, spec=replace(node(), filler=FillerKind(name="rig")), filler=filler)

    def programs(self, gpu_id: str) -> set[ProcessId]:
        """The processes of the filler on one GPU."""
        found = carrying(f"{MARK}=n1:{gpu_id}@{self.directory}")
        self._touched |= found
        return found

    def await_deaf(self, gpu_id: str) -> None:
        """Until the filler there, which draws from its start, has come so far as to ignore SIGTERM."""
        wait_for(
            lambda: all(map(_ignores_sigterm, self.programs(gpu_id))),
            timeout_s=PATIENCE_S,
            what=f"the filler on {gpu_id} ignores SIGTERM",
        )

    def miner(self, gpu_id: str) -> MinerReading:
        """What the guard tells of one GPU's filler."""
        return {m.miner_id: m for m in self.report().miners}[f"n1-gpu-{gpu_id}"]

    def machine(self, gpu_id: str) -> MachineDetail:
        """All that the guard knows of one GPU's filler."""
        machines = decode(InventoryAnswer, self.ask(b'{"op":"inventory"}')).inventory.machines
        return {m.miner_id: m for m in machines}[f"n1-gpu-{gpu_id}"]

    def fill(self, filler_w: float, **order: object) -> None:
        """Let the fillers draw so much."""
        self.order(miners_target_w=filler_w, entitlement_w=REST_W + filler_w, **order)  # type: ignore[arg-type]

    def await_report(self, holds: Callable[[GuardReport], bool], what: str) -> GuardReport:
        """The report as soon as `holds` says so."""

        def look() -> GuardReport | None:
            report = self.report()
            return report if holds(report) else None

        found = wait_for(look, timeout_s=PATIENCE_S, what=what)
        assert found is not None
        return found

    def await_draw(self, gpu_id: str) -> None:
        """Until the filler on a GPU draws all that it was told it may."""
        wait_for(
            lambda: (
                self.programs(gpu_id) and self.miner(gpu_id).draw_w >= self.miner(gpu_id).target_w - 20 > 0
            ),
            timeout_s=PATIENCE_S,
            what=f"the filler on {gpu_id} draws",
        )


def _ignores_sigterm(process: ProcessId) -> bool:
    """As the kernel tells it: a mask in which bit 0 is signal 1."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    ignored = next(line for line in status.splitlines() if line.startswith("SigIgn:")).split()[1]
    return bool(int(ignored, 16) >> signal.SIGTERM - 1 & 1)


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[FilledNode]:
    """A guard, running; the parameter is the program."""
    program, config = request.param
    made = FilledNode(tmp_path, program, **config)
    made.start()
    yield made
    made.close()


def running(program: str, name: str, **config: object) -> pytest.MarkDecorator:
    """A node with that filler."""
    return pytest.mark.parametrize("filled", [pytest.param((program, config), id=name)], indirect=True)


@running(BUSY, "busy")
def test_what_fills_a_gpu_keeps_to_its_watts_and_ends_with_the_lease(filled: FilledNode) -> None:
    """One GPU at full work, the other trimmed; nothing runs before an order says so, nor when it has expired."""
    assert not filled.programs("g0")
    filled.fill(MOST_W + 100)
    filled.await_draw("g0")
    filled.await_draw("g1")
    report = filled.await_report(lambda r: r.draw_w > REST_W + 400, "both draw")
    caps_w = sorted(g.cap_w for g in report.gpus)

    assert report.draw_w <= REST_W + MOST_W + 100 + 1
    assert sum(m.target_w for m in report.miners) <= MOST_W + 100
    assert [g.processes for g in report.gpus] == [0, 0]
    assert sum(g.draw_w for g in report.gpus) == pytest.approx(2 * IDLE_W)
    assert caps_w[0] <= 155
    assert caps_w[1] == 400

    filled.fill(MOST_W, lease_s=0.3)
    filled.await_report(
        lambda r: r.in_fallback and not any(m.draw_w for m in r.miners), "the fillers are gone"
    )
    assert not filled.programs("g0") | filled.programs("g1")


@running(DEAF, "deaf")
def test_work_starts_once_its_gpu_is_free(filled: FilledNode) -> None:
    """Also of a program that ignores SIGTERM; the filler on the other GPU goes on, and watts never overlap."""
    filled.fill(2 * MOST_W)
    filled.await_draw("g0")
    filled.await_draw("g1")
    filled.await_deaf("g0")
    before = filled.programs("g1")
    job = filled.counter("j.1")
    answer = filled.order(job, miners_target_w=MOST_W, entitlement_w=REST_W + MOST_W + 245)
    (first,) = answer.report.attempts
    filled.await_observed("j.1", Observed.RUNNING)
    report = filled.await_report(lambda r: r.gpus[0].processes > 0, "it computes there")

    assert first.observed is Observed.ABSENT
    assert "filler n1-gpu-g0" in first.doing
    assert not filled.programs("g0")
    assert filled.programs("g1") == before
    assert report.alarms == ()


@running(DEAF, "stays", stuck_s=0.5, term_s=600.0)
def test_a_gpu_that_is_not_given_back_is_nobodys(filled: FilledNode) -> None:
    """The job is told to go elsewhere, there is an alarm, and its watts count in the node's base until it is free."""
    filled.fill(2 * MOST_W)
    filled.await_draw("g0")
    filled.await_deaf("g0")
    wait_for(lambda: any(g.processes == 0 for g in filled.report().gpus), timeout_s=PATIENCE_S, what="read")
    job = filled.counter("j.1")
    filled.order(job, entitlement_w=REST_W + 345)
    facts = filled.await_observed("j.1", Observed.ENDED)
    report = filled.report()

    assert facts.exit_code == os.EX_TEMPFAIL
    assert facts.launch_error is not None
    assert "filler n1-gpu-g0" in facts.launch_error
    assert any("given to nobody" in alarm for alarm in report.alarms)
    assert "g0" not in [slot.gpu_id for slot in report.spec.gpus]
    assert report.spec.base_w > BASE_W
    for process in filled.programs("g0") | filled.programs("g1"):
        send(process, signal.SIGKILL)
    filled.await_report(lambda r: len(r.spec.gpus) == 2 and r.spec.base_w == BASE_W, "it is free again")


@running(SERVES, "serves")
def test_a_program_tells_its_hashes_and_goes_with_its_guard(filled: FilledNode) -> None:
    """By XMRig's API; killed outright with it, and ended by a guard that is told to end."""
    filled.fill(2 * MOST_W)
    wait_for(lambda: filled.machine("g0").hashrate_th, timeout_s=PATIENCE_S, what="it tells its hashes")
    machine = filled.machine("g0")
    assert (machine.condition, machine.trouble) == (Condition.RUNNING, "")
    assert [pool.url for pool in machine.identity.pools] == ["pool.example:3333"]
    programs = filled.programs("g0") | filled.programs("g1")
    filled.end(signal.SIGKILL)
    wait_for(lambda: not any(map(is_alive, programs)), timeout_s=PATIENCE_S, what="they died with it")

    filled.start()
    filled.fill(2 * MOST_W)
    wait_for(lambda: filled.programs("g0"), timeout_s=PATIENCE_S, what="it runs again")
    filled.end(signal.SIGTERM)
    assert not filled.programs("g0") | filled.programs("g1")


@running("raise SystemExit(3)", "broken")
def test_a_program_that_does_not_run_is_told_of(filled: FilledNode) -> None:
    """And is not asked again for a while."""
    filled.fill(MOST_W)
    report = filled.await_report(
        lambda r: any("ended by itself with 3" in a for a in r.alarms), "it is told of"
    )
    report = filled.await_report(
        lambda r: r.draw_w < REST_W + 1 and not any(m.target_w for m in r.miners), "nothing is given to it"
    )

    assert not any(m.obeys for m in report.miners if "g0" in m.miner_id)
