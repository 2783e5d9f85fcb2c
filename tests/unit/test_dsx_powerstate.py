"""What a DSX Flex agent tells: the feed's state when something happened, and breaches from their begin to their end."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from scheduler.core.site_state import Hint, SiteState, Standing
from scheduler.dsx.cloud_event import Sender
from scheduler.dsx.powerstate import (
    Breach,
    Feed,
    Happening,
    Ramp,
    breach_told,
    feed_state,
    happened,
    target_told,
)
from scheduler.errors import SettingsError, SignalError
from scheduler.signals.dsx_flex import open_source
from tests.site_told import T0, state

KEEPS = Standing(limit_w=5000.0, keeps=True)
FALLS = Standing(limit_w=5000.0, keeps=True, in_flight=True)
BREAKS = Standing(limit_w=5000.0, keeps=False)


def story(*told: tuple[SiteState, Standing, int]) -> list[list[str]]:
    """What is told of states that follow each other, from a calm one on."""
    ramp, _ = happened(Ramp(), state(), KEEPS, 0)
    found = []
    for site, own, order in told:
        ramp, news = happened(ramp, site, own, order)
        found.append([n.value for n in news])
    return found


def test_a_target_that_lowers_is_told_from_its_setting_to_its_end() -> None:
    """And whoever listens knows in between that the draw is on its way."""
    lower = {"planned_w": 3000.0}
    assert story(
        (state(), KEEPS, 0),
        (state(**lower), FALLS, 1),
        (state(draw_w=3500.0, **lower), FALLS, 1),
        (state(draw_w=2950.0, **lower), KEEPS, 1),
        (state(draw_w=2950.0, **lower), KEEPS, 1),
    ) == [["periodic"], ["target_set", "start_ramp_down"], ["periodic"], ["end_ramp_down"], ["periodic"]]


def test_a_rise_ends_when_it_has_arrived_or_had_its_time() -> None:
    """Work need not draw all that it may: after the time that a start takes, it has settled."""
    higher = {"planned_w": 6000.0}
    after = [T0 + timedelta(seconds=s) for s in (0, 5, 10)]
    arrives = [
        (state(at=after[0], **higher), KEEPS, 1),
        (state(at=after[1], draw_w=5950.0, **higher), KEEPS, 1),
    ]
    settles = [(state(at=after[0], **higher), KEEPS, 1), (state(at=after[2], **higher), KEEPS, 1)]
    late = (state(at=T0 + timedelta(seconds=20), **higher), KEEPS, 1)

    assert story(*arrives) == [["target_set", "start_ramp_up"], ["end_ramp_up"]]
    assert story(*settles, late) == [["target_set", "start_ramp_up"], ["periodic"], ["end_ramp_up"]]


def test_a_feeds_state_to_the_letter() -> None:
    """In watts; with the targets that stand, in the form in which they are set."""
    feed = Feed(name="main-a", default_w=8000.0, targets=(target_told(T0, None, 5000.0, "main-a"),))

    told = feed_state(state(), KEEPS, feed, Happening.PERIODIC, in_flight=False)

    assert json.loads(json.dumps(told)) == {
        "feed_tags": ["main-a"],
        "metadata": {
            "power_minimum": {"value": 1000.0, "unit": "watt"},
            "power_maximum": {"value": 8000.0, "unit": "watt"},
            "default_constraint": {"value": 8000.0, "unit": "watt"},
        },
        "targets": [
            {
                "interval": {"start_time": "2026-06-01T12:00:00Z"},
                "feed_tags": ["main-a"],
                "load_constraint": {"value": 5000.0, "unit": "watt"},
            }
        ],
        "calculated_load": {"value": 4500.0, "unit": "watt"},
        "in_flight": False,
        "event": "periodic",
        "compliant": True,
    }


@pytest.mark.parametrize(
    "own, compliant", [(KEEPS, True), (FALLS, True), (BREAKS, False), (Standing(limit_w=1.0), False)]
)
def test_compliant_is_who_is_known_to_keep_the_limit(own: Standing, *, compliant: bool) -> None:
    """The reaction time counts as kept; a draw that nobody measures does not."""
    feed = Feed(name="main-a", default_w=8000.0, targets=())
    assert feed_state(state(), own, feed, Happening.PERIODIC, in_flight=False)["compliant"] is compliant


def alerts(*told: tuple[float, Standing]) -> list[tuple[str, str] | None]:
    """Status and severity of what is told while the site draws so much."""
    breach: Breach | None = None
    found: list[tuple[str, str] | None] = []
    for draw_w, own in told:
        breach, alert = breach_told(breach, state(draw_w=draw_w), own, "b1")
        found.append(None if alert is None else (alert["status"], alert["severity"]))
    return found


def test_a_breach_is_told_when_it_begins_gets_worse_and_ends() -> None:
    """Up to a fifth over the limit is a warning; what does not change is not told again."""
    assert alerts(
        (5000.0, KEEPS),
        (6000.0, BREAKS),
        (5900.0, BREAKS),
        (6001.0, BREAKS),
        (5500.0, BREAKS),
        (4000.0, KEEPS),
    ) == [None, ("active", "warning"), None, ("escalated", "critical"), None, ("resolved", "critical")]
    assert alerts((6001.0, BREAKS)) == [("active", "critical")]
    assert alerts((1.0, Standing(limit_w=0.0, keeps=False))) == [("active", "critical")]


def test_a_breach_says_what_could_go_first() -> None:
    """Nodes by their names, what they would rest at, and nothing of whose work runs there."""
    hints = (
        Hint(node_id="n2", tier=4, draw_w=2200.0, rests_w=820.0),
        Hint(node_id="n1", tier=1, draw_w=9.0, rests_w=8.0),
    )
    _, alert = breach_told(None, state(draw_w=6000.0, hints=hints), BREAKS, "b1")
    assert alert is not None
    assert alert["measured_load"] == {"value": 6000.0, "unit": "watt"}
    assert alert["shed_hints"] == [
        {
            "resource_id": "n2",
            "resource_type": "node",
            "action": "suspend",
            "priority": 1,
            "target_power": {"value": 820.0, "unit": "watt"},
        },
        {
            "resource_id": "n1",
            "resource_type": "node",
            "action": "suspend",
            "priority": 2,
            "target_power": {"value": 8.0, "unit": "watt"},
        },
    ]


def a_key(folder: Path, key: Any, *, is_jwk: bool = False) -> Path:
    """The private key in a file."""
    path = folder / "key"
    path.write_text(json.dumps(key.as_dict(private=True)) if is_jwk else key.as_pem(private=True).decode())
    return path


@pytest.mark.parametrize("is_jwk", [False, True])
def test_what_is_told_is_signed_with_the_sites_key(tmp_path: Path, *, is_jwk: bool) -> None:
    """A CloudEvent whose data only the site can have made, with a trace of its own each time."""
    key = ECKey.generate_key("P-256", {"kid": "site-1"} if is_jwk else None)
    sender = Sender(agent="barq-1", key_file=a_key(tmp_path, key, is_jwk=is_jwk))
    first, second = (json.loads(sender.event("t", "powerbreach", {"a": 1}, T0, about="b1")) for _ in range(2))

    read = jws.deserialize_compact(first["data"], key, algorithms=["ES256"])

    assert json.loads(read.payload) == {"a": 1}
    assert read.headers().get("kid") == ("site-1" if is_jwk else None)
    assert {k: v for k, v in first.items() if k not in ("id", "data", "traceparent")} == {
        "specversion": "1.0.2",
        "source": "//grid/v1/dsx-flex-agent/barq-1",
        "type": "t",
        "time": "2026-06-01T12:00:00Z",
        "subject": "powerbreach",
        "correlationid": "b1",
        "datacontenttype": "application/jose",
    }
    assert first["id"] != second["id"]
    assert first["traceparent"] != second["traceparent"]
    assert [len(part) for part in first["traceparent"].split("-")] == [2, 32, 16, 2]


@pytest.mark.parametrize(
    "content", [None, "", "{}", "no key", RSAKey.generate_key(2048).as_pem(private=True).decode()]
)
def test_a_key_that_cannot_sign_is_an_error_that_tells_no_secret(tmp_path: Path, content: str | None) -> None:
    """It names the file and the remedy."""
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)
    with pytest.raises(
        SignalError, match=r"nothing can be signed: .*key: \w+; put a private key on the curve P-256"
    ) as e:
        Sender(agent="barq-1", key_file=path).event("t", "s", {}, T0)
    assert "PRIVATE" not in str(e.value)


def test_a_public_key_does_not_sign(tmp_path: Path) -> None:
    """Whoever put the wrong half there is told."""
    path = tmp_path / "key"
    path.write_text(ECKey.generate_key("P-256").as_pem(private=False).decode())
    with pytest.raises(SignalError, match="put a private key"):
        Sender(agent="barq-1", key_file=path).event("t", "s", {}, T0)


@pytest.mark.parametrize("more", [{"agent": "barq-1"}, {"signing_key_file": "key"}])
def test_who_tells_signs(tmp_path: Path, more: dict[str, str]) -> None:
    """An agent without a key, or a key without an agent, is a mistake in the site file."""
    options = {"host": "h", "client_id": "c", "isv": "i", "feed": "f", "default_w": 1, "keys_file": "k"}
    with pytest.raises(SettingsError, match=r"signals: dsx: signing_key_file goes with agent"):
        open_source("dsx", options | more, base=tmp_path, reaction_s=30.0)
