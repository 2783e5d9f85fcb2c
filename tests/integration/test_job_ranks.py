"""Two ranks of a real training over gloo: held, saved and left at the same step, and continued bit for bit."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from barq.checkpoint import newest_verified
from barq.contract import EXIT_PAUSED, Action, JobPhase
from tests.job_process import PATIENCE_S, ROOT, JobProcess, Workplace, share_of_a_core
from tests.waiting import wait_for


def free_port() -> str:
    """A port that nobody listens on, and that the kernel gives to nobody until the ranks have imported torch."""
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return str(port)
    raise AssertionError("a hundred ports are taken")


@contextmanager
def two_ranks(
    place: Workplace, attempt: str, steps: int, script: str = "char_transformer.py"
) -> Iterator[list[JobProcess]]:
    """Both ranks of one attempt, as a supervisor launches them."""
    meeting = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": free_port(),
        "GLOO_SOCKET_IFNAME": "lo",
        "WORLD_SIZE": "2",
    }
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                JobProcess(place, script, "--steps", str(steps), attempt=attempt, **meeting, RANK=rank)
            )
            for rank in ("0", "1")
        ]


def exits(ranks: list[JobProcess]) -> list[int]:
    """The exit code of each rank."""
    return [rank.wait_for_exit() for rank in ranks]


def processor_time_s(ranks: list[JobProcess]) -> float:
    """What the ranks use together."""
    return sum(rank.cpu_s() for rank in ranks)


def saved_at(rank: JobProcess) -> list[str]:
    """The steps at which this rank left, in its own words."""
    return re.findall(r"step (\d+): save_and_exit", rank.log.read_text())


def test_two_ranks_pause_at_one_step_and_go_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    """Held and resumed, then saved in the middle: both ranks act at the same step, and the losses are bit-equal."""
    place, undisturbed = Workplace(tmp_path / "paused"), Workplace(tmp_path / "undisturbed")
    with two_ranks(place, "1", 10**6) as ranks:
        first = ranks[0]
        wait_for(place.steps, timeout_s=PATIENCE_S)
        first.ask(1, Action.SUSPEND)  # only one rank gets the signal, as from a launcher that forwards none
        held_at = first.wait_for_phase(JobPhase.SUSPENDED, 1).step
        assert share_of_a_core(partial(processor_time_s, ranks), 0.5) <= 0.1
        assert len(place.steps()) == held_at

        first.ask(2, Action.RESUME, lose_signal=True)
        wait_for(lambda: len(place.steps()) > held_at, timeout_s=PATIENCE_S)
        first.ask(3, Action.SAVE_AND_EXIT)
        assert exits(ranks) == [EXIT_PAUSED, EXIT_PAUSED]

    commit, quarantined = newest_verified(place.checkpoints)
    assert commit is not None
    assert (commit.manifest.world, quarantined) == (2, [])
    assert saved_at(ranks[0]) == saved_at(ranks[1]) == [str(commit.step)]

    total = commit.step + 5
    for where, attempt in ((place, "2"), (undisturbed, "1")):
        with two_ranks(where, attempt, total) as ranks:
            assert exits(ranks) == [0, 0]
    assert [line["step"] for line in place.steps()] == list(range(total))
    assert {line["attempt"] for line in place.steps()} == {"1", "2"}
    assert place.losses() == undisturbed.losses()


def test_a_rank_whose_peer_has_gone_does_not_wait_for_it(tmp_path: Path) -> None:
    """It ends with an error that says so; a job that set up no process group of its own gets one."""
    place = Workplace(tmp_path)
    with two_ranks(place, "1", 10**6, "counter.py") as ranks:
        wait_for(place.steps, timeout_s=PATIENCE_S)
        ranks[1].process.kill()
        assert ranks[0].wait_for_exit() == 1
    assert "PeerGone: rank 0: another rank has gone" in ranks[0].log.read_text()


LEAVING = """
import atexit
from torch import distributed
from barq.ranks import GlooRanks

@atexit.register
def last_words():
    print("initialized:", distributed.is_initialized())

distributed.init_process_group("gloo")
GlooRanks(0, 1)
raise SystemExit(85)
"""


def test_a_rank_that_leaves_ends_the_process_groups_it_met_there(tmp_path: Path) -> None:
    """Their threads, left running, would abort some of the ranks that leave in order."""
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "GLOO_SOCKET_IFNAME": "lo"}
    alone = {"RANK": "0", "WORLD_SIZE": "1", "PYTHONPATH": str(ROOT)}
    left = subprocess.run(
        [sys.executable, "-c", LEAVING],
        env=os.environ | meeting | alone,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (left.returncode, left.stdout) == (EXIT_PAUSED, "initialized: False\n"), left.stderr
