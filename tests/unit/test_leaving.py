"""Out in time before a limit that takes the hosts away."""

from __future__ import annotations

from datetime import timedelta

from scheduler.core.jobs import PauseCause, Phase
from tests.told_site import ToldSite


def site() -> ToldSite:
    """Two nodes that need 600 W with nothing on them, and a job on one of them."""
    built = ToldSite(firm_w=5000.0, fall_s=3.0, clock_uncertainty_s=0.5)
    built.node("a", gpus=4).node("b", gpus=4).limit_w(9000.0)
    built.running("j", "a", gpus=4)
    return built


def test_all_save_and_exit_before_a_blackout_that_is_known() -> None:
    """A save may take twice as long as the last one, and the order its time; not a second sooner."""
    built = site()
    built.falls_to_w(0.0, in_s=300.0)
    decision = built.decided()
    assert built.attempts["j.1"].phase is Phase.RUN
    leaves_at = decision.wake_at
    assert leaves_at is not None
    assert timedelta(seconds=30) < built.at + timedelta(seconds=300) - leaves_at < timedelta(seconds=90)

    built.passes((leaves_at - built.at).total_seconds() - 0.1)
    built.decided()
    assert built.attempts["j.1"].phase is Phase.RUN
    built.passes(0.2)
    decision = built.decided(obeyed=False)

    left = decision.attempts["j.1"]
    assert (left.phase, left.pause_cause) == (Phase.SAVE_EXIT, PauseCause.POWER_FORECAST)
    assert "power is to go at" in decision.events[0].text


def test_nobody_leaves_before_a_limit_that_hosts_can_live_with() -> None:
    """Then work is held when it comes, as ever, and saved after that."""
    built = site()
    built.falls_to_w(5000.0, in_s=10.0)
    built.decided()

    assert built.attempts["j.1"].phase is Phase.RUN


def test_nobody_starts_who_would_have_to_leave_before_it_paid_off() -> None:
    """The wait says that the window is too short."""
    built = site()
    built.job("next", gpus=4)
    built.falls_to_w(0.0, in_s=6.0)
    decision = built.decided()

    assert decision.attempts.keys() == {"j.1"}
    assert decision.reasons["next"].code == "WindowTooShort"


def test_who_left_does_not_come_back_before_the_blackout() -> None:
    """A window that pays off a start is none if the job has to leave before its end."""
    built = site()
    built.falls_to_w(0.0, in_s=20.0)  # a start pays off after 7 s, and a save may take a minute
    built.decided()
    built.all_obey()
    for _ in range(3):
        built.decided()
        built.all_obey()

    assert built.attempts == {}
    assert built.decided().reasons["j"].code == "WindowTooShort"
