"""Whose undrawn watts are known: of work that has run for long, and of no newcomer."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from scheduler.core.jobs import Launch, Phase
from scheduler.core.orders import AttemptOrder, Draft
from scheduler.core.seasoned import SEASONED_S, running_since, seasoned_share
from scheduler.core.snapshot import Group
from tests.builders import T0, site


def at(after_s: float) -> datetime:
    """So many seconds into the story."""
    return T0 + timedelta(seconds=after_s)


def node(*attempts: tuple[str, int], phase: Phase = Phase.RUN) -> list[Group]:
    """One that was told to run these, with so many GPUs each, all under the same cap."""
    orders = tuple(
        AttemptOrder(
            attempt_id=name,
            job_id=name,
            number=1,
            phase=phase,
            gpu_ids=tuple(str(n) for n in range(gpus)),
            cap_w=250.0,
            tier=4,
            launch=Launch(command=("true",), working_dir="", checkpoint_dir="", output_dir="", log_path=""),
        )
        for name, gpus in attempts
    )
    draft = Draft(
        group_id="a", entitlement_w=0.0, fallback=(), attempts=orders, miners_target_w=0.0, expires_at=T0
    )
    return [replace(site().node("a").groups["a"], ordered=draft)]


def test_work_is_known_once_it_has_run_for_long() -> None:
    """By what it may draw of all that runs."""
    one, two = node(("j", 6)), node(("j", 6), ("k", 2))

    since = running_since(running_since({}, one, at(0)), two, at(500))
    assert seasoned_share(since, two, at(SEASONED_S - 1)) == 0.0
    assert seasoned_share(since, two, at(SEASONED_S)) == 0.75
    assert seasoned_share(since, two, at(500 + SEASONED_S)) == 1.0


def test_who_was_suspended_is_a_newcomer_again() -> None:
    """And who is gone is forgotten."""
    running = node(("j", 4))
    held = node(("j", 4), phase=Phase.SUSPEND)
    since = running_since({}, running, at(0))

    assert running_since(since, held, at(700)) == {}
    again = running_since(running_since(since, held, at(700)), running, at(710))
    assert seasoned_share(again, running, at(711)) == 0.0


def test_where_nothing_runs_nothing_is_known() -> None:
    """No work, no share of it."""
    idle = list(site().node("a").groups.values())

    assert seasoned_share({}, idle, at(0)) == 0.0
