"""Why a job that holds GPUs stands still or is slow, and the edges of the reasons for waiting."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from scheduler.core.orders import Observed
from scheduler.core.reasons import Code, Event, Events, Reason
from tests.builders import T0, SiteBuilder, launch, site


def why(built: SiteBuilder, name: str) -> Reason:
    """The reason that the next decision gives."""
    return built.decided(obeyed=False).reasons[name]


def test_firm_work_is_admitted_within_the_margin() -> None:
    """Or a limit at the firm level, of which the margin is kept free, would end it."""
    tight = site(firm_w=1165.0, margin=0.05).node(gpus=4).limit_w(5000).job("j", gpus=1, flex=0)
    wide = site(firm_w=1230.0, margin=0.05).node(gpus=4).limit_w(5000).job("j", gpus=1, flex=0)

    assert why(tight, "j").code == Code.POWER_UNAVAILABLE
    assert wide.does() == ["start j on node-1 at 400 W"]
    assert wide.limit_w(1230.0).does() == []


def test_a_window_that_is_long_enough_is_used() -> None:
    """To the second. So is one in which the floor still fits afterwards."""
    slow = launch(checkpoint_interval_s=100.0)
    long = site(restart_s=20.0).node().limit_w(5000).job("j", launch=slow).falls_to_w(900, in_s=120)
    low = site(restart_s=20.0).node().limit_w(5000).job("j", launch=slow).falls_to_w(1100, in_s=90)

    assert long.does() == ["start j on node-1 at 400 W"]
    assert low.does() == ["start j on node-1 at 400 W"]


def test_suspended() -> None:
    """Since when, by whom, for how long, what it lacks."""
    built = site().node(gpus=4).limit_w(5000).running("j", "node-1", cap_ok=False)
    built.limit_w(1500).decided()
    built.passes(5)
    reason = why(built, "j")

    assert reason.code == "PowerWithdrawn"
    assert reason.text.startswith(
        "suspended since 12:00:00 UTC at step 10: grid allows 1.5 kW (test); it keeps its GPUs until 12:01:00, "
        "then it is told to save and release them"
    )
    assert (reason.numbers["limit_w"], reason.numbers["step"]) == (1500.0, 10.0)
    assert reason.expected_at == T0 + timedelta(seconds=60)


def test_told_to_leave() -> None:
    """Until when that may take."""
    built = site(suspend_max_s=5).node(gpus=4).limit_w(5000).running("j", "node-1", cap_ok=False)
    built.limit_w(1500).decided()
    built.passes(6).decided(obeyed=False)
    reason = why(built.facts("j.1", "node-1", observed=Observed.SAVING), "j")

    assert reason.code == "PowerWithdrawn"
    assert reason.text == (
        "told at 12:00:06 UTC to save and release its GPUs; it is ended at about 12:00:36 if it has not by then"
    )


def test_capped() -> None:
    """A running job that could be faster says what holds it back."""
    built = site().node(gpus=4).limit_w(5000).running("j", "node-1")
    built.limit_w(1800).decided()

    assert why(built, "j") == Reason(
        code=Code.CAPPED,
        text="runs at 300 of 400 W per GPU, about 87% of full speed: grid allows 1.8 kW",
        numbers={"cap_w": 300.0, "tdp_w": 400.0, "speed": 0.87, "limit_w": 1800.0},
        remedy="a higher limit; power.cap_ok: false in the job file prefers a pause to a cap",
    )


def test_a_job_at_full_speed_has_no_reason() -> None:
    """Nothing to wonder about."""
    built = site().node(gpus=4).limit_w(5000).running("j", "node-1")

    assert dict(built.decided().reasons) == {}


def test_events_come_in_the_order_in_which_they_were_told() -> None:
    """Though those of many are spelled out only when somebody reads them."""
    told, spelled = Events(), list[str]()

    def many() -> Iterator[Event]:
        for name in ("b", "c"):
            spelled.append(name)
            yield Event(at=T0, kind="k", text=name)

    told.append(Event(at=T0, kind="k", text="a"))
    told.extend(many())
    told.append(Event(at=T0, kind="k", text="d"))
    assert spelled == []

    assert [e.text for e in told] == ["a", "b", "c", "d"]
    assert (len(told), told[0].text, [e.text for e in told[1:3]]) == (4, "a", ["b", "c"])
    assert spelled == ["b", "c"]
