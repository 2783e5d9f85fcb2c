"""Whether outputs are copied, and for how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.core.jobs import Launch, Phase
from scheduler.core.orders import AttemptOrder, Rank
from workers.attempt_files import Instruction
from workers.collecting import PATIENCE_S, Collecting

LAUNCH = Launch(
    command=("true",),
    working_dir="/",
    checkpoint_dir="/c",
    output_dir="/o",
    log_path="/l",
    outputs=((".", "s3://b"),),
)
ORDER = AttemptOrder(
    attempt_id="a-1.1", job_id="a-1", number=1, phase=Phase.RUN, gpu_ids=(), cap_w=0.0, tier=4, launch=LAUNCH
)


@pytest.mark.parametrize(
    "exit_code, asked, killed, wanted",
    [
        (0, False, False, True),
        (85, True, False, True),
        (75, False, False, True),
        (143, True, False, True),
        (None, True, True, False),
        (1, False, False, False),
        (None, False, False, False),
    ],
)
def test_outputs_of_success_and_of_a_pause_are_wanted(
    exit_code: int | None, asked: bool, killed: bool, wanted: bool
) -> None:
    """Not those of a failure, which may be half-written; not when there is no time left."""
    facts = {"exit_code": exit_code, "asked_to_exit": asked, "killed": killed}

    assert Collecting(ORDER).is_wanted(**facts) is wanted  # type: ignore[arg-type]
    assert not Collecting(replace(ORDER, launch=replace(LAUNCH, outputs=()))).is_wanted(**facts)  # type: ignore[arg-type]
    other = replace(ORDER, rank=Rank(node_rank=1, nodes=2))
    assert not Collecting(other).is_wanted(**facts)  # type: ignore[arg-type]


def test_a_deadline_of_the_guard_cuts_it_short() -> None:
    """A limit on power alone does not: nothing computes any more. Cancelled is at once."""
    collecting = Collecting(ORDER)
    collecting.begin(100.0)

    assert not collecting.is_late(Instruction(seq=1, phase=Phase.RUN), 100.0)
    assert not collecting.is_late(Instruction(seq=2, phase=Phase.SUSPEND), 100.0 + PATIENCE_S - 1)
    assert collecting.is_late(Instruction(seq=1, phase=Phase.RUN), 100.0 + PATIENCE_S)
    leave = Instruction(seq=3, phase=Phase.SAVE_EXIT, deadline_boottime_s=130.0)
    assert not collecting.is_late(leave, 129.0)
    assert collecting.is_late(leave, 130.0)
    assert Collecting(ORDER).is_late(Instruction(seq=4, phase=Phase.KILL), 0.0)
