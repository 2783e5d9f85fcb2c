"""What can be told of a job that waits: its place, what it lacks, and when it may start."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from scheduler.core.attained import OVERTAKEN
from scheduler.core.estop import EmergencyStop
from scheduler.core.jobs import Desired
from scheduler.core.outlook import Outlook, Prospect
from scheduler.core.rehearsal import after
from tests.builders import T0, SiteBuilder, site


def seen(built: SiteBuilder, job_id: str) -> Prospect:
    """What is told of a job once the site was decided on."""
    snapshot = built.snapshot()
    decision = built.policy.decide(snapshot)
    found = Outlook(after(snapshot, decision)).of(job_id, decision.reasons.get(job_id))
    assert found is not None
    return found


def in_s(seconds: float) -> object:
    """So many seconds after the beginning."""
    return T0 + timedelta(seconds=seconds)


def full() -> SiteBuilder:
    """A node of four GPUs, all held by a job that may run for an hour."""
    return site().node(gpus=4).limit_w(9000).running("j", "node-1", time_limit_s=3600.0)


def test_the_next_one_starts_when_the_running_one_reaches_its_limit() -> None:
    """It lacks all of its GPUs until then, and both ends of the range are that instant."""
    found = seen(full().job("next", gpus=4), "next")

    assert (found.position, found.waiting, found.ahead_gpus, found.lacks_gpus) == (1, 1, 0, 4)
    assert (found.start.earliest_at, found.start.latest_at) == (in_s(3600), in_s(3600))
    assert "running jobs use their whole time limits" in found.start.assumption


def test_who_is_behind_waits_for_those_ahead_at_the_latest() -> None:
    """The early end counts nobody ahead, the late end all of them to their limits."""
    built = full().job("a", gpus=4, time_limit_s=600.0).job("b", gpus=2)

    found = seen(built, "b")

    assert (found.position, found.waiting, found.ahead_gpus) == (2, 2, 4)
    assert (found.start.earliest_at, found.start.latest_at) == (in_s(3600), in_s(4200))


def test_who_has_had_his_share_is_told_that_others_come_first() -> None:
    """And until when: of those who had little nobody knows how many come."""
    built = full().job("paused", gpus=4).job("new", gpus=4, time_limit_s=60.0)
    built.jobs["paused"] = replace(built.jobs["paused"], ran_s=1e6)

    found, new = seen(built, "paused"), seen(built, "new")
    assert (found.position, new.position, new.overtaken_until) == (2, 1, None)
    assert found.overtaken_until == T0 + OVERTAKEN
    assert "nobody more important and nobody who had little service comes" in found.start.assumption
    assert "nobody more important comes" in new.start.assumption


def test_priority_counts_before_age() -> None:
    """As in the queue itself."""
    built = full().job("a", gpus=4).job("b", gpus=4, priority=5)

    assert (seen(built, "b").position, seen(built, "a").position) == (1, 2)
    assert seen(built, "a").ahead_gpus == 4


def test_without_a_time_limit_nothing_is_made_up() -> None:
    """No range, and the reason for it."""
    built = site().node(gpus=4).limit_w(9000).running("j", "node-1").job("next", gpus=1)

    start = seen(built, "next").start

    assert (start.earliest_at, start.latest_at) == (None, None)
    assert start.assumption == "no estimate: running jobs on 4 GPUs state no time limit"


def test_someone_ahead_without_a_limit_leaves_the_late_end_open() -> None:
    """The early end stands."""
    start = seen(full().job("a", gpus=4).job("b", gpus=4), "b").start

    assert (start.earliest_at, start.latest_at) == (in_s(3600), None)
    assert start.assumption.endswith("the latest start cannot be told")


def test_power_that_is_announced_is_when_it_starts() -> None:
    """It lacks watts in numbers; the step that brings them is both ends."""
    built = site().node(gpus=4).limit_w(1000).falls_to_w(5000, in_s=1800).job("j", gpus=4)

    found = seen(built, "j")

    assert found.lacks_w > 0
    assert (found.start.earliest_at, found.start.latest_at) == (in_s(1800), in_s(1800))
    assert "the limit does what its sources announce" in found.start.assumption


def test_power_that_nobody_announces_is_no_estimate() -> None:
    """And says so."""
    start = seen(site().node(gpus=4).limit_w(1000).job("j", gpus=4), "j").start

    assert start.earliest_at is None
    assert start.assumption.startswith("no estimate: neither what sources announce nor the time limits")


def test_watts_come_with_the_gpus_of_those_who_end() -> None:
    """The limit has room for one job and not for two: the next one starts when the first has ended."""
    built = site().node(gpus=8).limit_w(1800).running("j", "node-1", cap_w=200.0, time_limit_s=3600.0)
    built.job("next", gpus=4)

    found = seen(built, "next")

    assert found.lacks_w > 0
    assert found.start.earliest_at == in_s(3600)


def test_a_long_queue_needs_no_more_power_than_all_gpus_do() -> None:
    """Those ahead do not all run at once."""
    built = full()
    for n in range(20):
        built.job(f"a{n}", gpus=4, time_limit_s=600.0)

    assert seen(built, "a19").start.latest_at == in_s(3600 + 19 * 600)


def test_a_rise_that_does_not_last_is_passed_over() -> None:
    """Shorter than restart and checkpoint: the next one counts."""
    built = site().node(gpus=4).limit_w(1000)
    built.falls_to_w(5000, in_s=100).falls_to_w(1000, in_s=102).falls_to_w(5000, in_s=900).job("j", gpus=4)

    assert seen(built, "j").start.earliest_at == in_s(900)


def test_who_does_not_queue_has_no_position() -> None:
    """Held by a person, or begins later: what is known of it is told."""
    built = full().job("later", gpus=1, begin_at=in_s(50)).job("held", gpus=1, desired=Desired.HOLD)

    later, held = seen(built, "later"), seen(built, "held")

    assert (later.position, later.ahead_gpus, later.start.earliest_at) == (None, None, in_s(50))
    assert (held.position, held.start.assumption) == (None, "no estimate: a person holds it")


def test_who_is_not_in_the_queue_is_overtaken_by_nobody() -> None:
    """Though he has had his share."""
    built = full().job("held", gpus=1, desired=Desired.HOLD)
    built.jobs["held"] = replace(built.jobs["held"], ran_s=1e6)

    assert seen(built, "held").overtaken_until is None


def test_watts_that_are_being_released_come_within_the_life_of_an_order() -> None:
    """Miners have them and are told to give them back."""
    built = site().node(gpus=4).miners(max_w=4000).limit_w(4000).settles().job("j", gpus=4)

    start = seen(built, "j").start

    lasts_s = built.site.lease_s + built.site.fall_s
    assert (start.earliest_at, start.latest_at) == (in_s(0), in_s(lasts_s))


def test_an_emergency_stop_has_no_end_that_is_known() -> None:
    """A person has to release it."""
    stop = EmergencyStop(id="1", reason="fire", by="ada", at=T0)
    snapshot = replace(full().job("j", gpus=1).snapshot(), stops=(stop,))

    found = Outlook(snapshot).of("j")

    assert found is not None
    assert "emergency stop" in found.start.assumption


def test_nothing_is_told_of_what_does_not_wait() -> None:
    """A running job has started; an unknown one is nobody."""
    outlook = Outlook(full().snapshot())

    assert outlook.of("j") is None
    assert outlook.of("nobody") is None
