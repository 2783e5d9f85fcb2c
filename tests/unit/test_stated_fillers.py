"""Fillers of nodes that joined before the site file was changed: they go by what it says now."""

from __future__ import annotations

from dataclasses import replace

from scheduler.core.fillers import slots
from scheduler.core.orders import GroupSpec, MinerReading
from scheduler.filler_settings import FillerSettings, stated
from scheduler.view import View
from tests.builders import site
from tests.unit.test_roll import a_report, heard, viewed

RIG = FillerSettings(name="rig", nodes=("node-*",), command=("mine",), partner="north")


def reporting(now: FillerSettings | None, joined: FillerSettings | None) -> View:
    """A leader whose site file names one filler, hears of a node that has another."""
    built = site().node("node-1")
    view = viewed(built)
    view.roll.stated_filler = stated(() if now is None else (now,))
    kind = None if joined is None else joined.kind()
    spec: GroupSpec = replace(built.groups["node-1"].spec, filler=kind)
    mines = MinerReading(miner_id="node-1-gpu-0", target_w=300.0, draw_w=290.0)
    heard(view, replace(a_report(built, "node-1"), spec=spec, miners=(mines,) if kind else ()))
    return view


def test_one_that_the_site_file_names_may_run() -> None:
    """Nothing is said of it."""
    view = reporting(RIG, RIG)

    assert view.groups["node-1"].spec.filler == RIG.kind()
    assert view.alarms["node-1"] == ()


def test_one_that_the_site_file_does_not_name_any_more_is_given_nothing() -> None:
    """What it still draws counts, for the site itself; work goes there as ever."""
    for now in (
        None,
        RIG.model_copy(update={"command": ("other",)}),
        RIG.model_copy(update={"most_w": 200.0}),
    ):
        view = reporting(now, RIG)
        group = view.groups["node-1"]
        owner = "" if now is None else "north"

        assert list(slots(group.spec)) == []
        assert group.spec.filler is not None
        assert group.spec.filler.partner == owner
        assert group.account.charged_w == 820.0 + 300.0
        assert not group.cordoned
        assert any("join again" in alarm for alarm in view.alarms["node-1"])


def test_one_that_the_node_was_not_told_of_is_missed() -> None:
    """It learns of it when it joins again."""
    view = reporting(RIG, None)

    assert view.groups["node-1"].spec.filler is None
    assert any("rig" in alarm and "join again" in alarm for alarm in view.alarms["node-1"])


def test_who_never_heard_of_fillers_is_asked_nothing() -> None:
    """Nor is there anything to say where the site file names none."""
    assert reporting(None, None).alarms["node-1"] == ()


def test_a_gpu_that_the_node_never_had_is_an_alarm() -> None:
    """It joined after the site file was read, and nobody else would tell why that GPU stays idle."""
    named = RIG.model_copy(update={"gpus": ("0", "7")})
    view = reporting(named, named)

    (alarm,) = view.alarms["node-1"]
    assert alarm == (
        "filler rig names GPU 7, and node-1 has 0, 1, 2, 3; correct fillers.rig.gpus in the site file"
    )
    assert [slot.gpu_id for slot, _ in slots(view.groups["node-1"].spec)] == ["0"]


def test_caps_that_leave_it_no_gpu_are_an_alarm() -> None:
    """So it is with a node whose GPUs take no cap that is low enough."""
    low = RIG.model_copy(update={"most_w": 20.0})
    (alarm,) = reporting(low, low).alarms["node-1"]

    assert "correct fillers.rig.least_w and most_w" in alarm
