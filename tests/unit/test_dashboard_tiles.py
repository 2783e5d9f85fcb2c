"""Tiles of nodes and groups of miners on the page."""

from __future__ import annotations

from typing import Any

from api.dashboard.assets import make_templates
from api.dashboard.fleets import Tile
from api.dashboard.look import _troubled_first
from api.wire.site import NODE, NodeView

GPU: dict[str, Any] = {"model": "a100", "draw_w": 55.0, "cap_w": 300.0, "attempt_id": None}


def node(**changes: Any) -> NodeView:
    """A node, or a group of miners."""
    return NodeView.model_validate(NODE | changes)


def drawn(view: NodeView) -> str:
    """The tile as the page has it."""
    parts: Any = make_templates().get_template("parts.html").module
    return str(parts.node(Tile(node=view)))


def test_a_gpu_with_a_filler_shows_all_that_it_draws() -> None:
    """It is not called free, and its machine is not listed a second time."""
    miners = [{"id": "node-1-gpu-1", "target_w": 245.0, "draw_w": 236.0, "state": "running"}]
    page = drawn(node(gpus=[GPU | {"id": "0"}, GPU | {"id": "1"}], miners=miners))

    assert page.count("free</span>") == 1
    assert "mining</span><svg" in page
    assert "291, cap 300 W" in page
    assert "node-1-gpu-1" not in page


def test_miners_that_nobody_guards_are_called_so() -> None:
    """By the word of the command line, which says what to do about it."""
    page = drawn(node(id="hut", kind="miners", gpus=[], reachable=False, unguarded=True))

    assert "unguarded" in page
    assert "not reachable" not in page


def test_a_node_that_is_passed_over_is_called_so() -> None:
    """It is reachable; why, and until when, is an alarm."""
    page = drawn(node(passed_over_until_at="2026-03-01T13:20:15Z", alarms=["its disk is full"]))

    assert "passed over</span>" in page
    assert "its disk is full" in page
    assert "passed over" not in drawn(node())


def test_what_is_in_trouble_is_first() -> None:
    """Then the nodes, then groups of miners, as they were."""
    names = ["node-1", "node-2", "hall", "hut"]
    found = [
        node(id=name, kind=name.split("-")[0], reachable=name != "hut", alarms=["hot"] * (name == "node-2"))
        for name in names
    ]

    assert [one.id for one in _troubled_first(found)] == ["node-2", "hut", "node-1", "hall"]
