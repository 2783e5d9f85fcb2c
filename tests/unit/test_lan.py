"""Addresses on a miner LAN as a site file writes them."""

from __future__ import annotations

import pytest

from scheduler.core.lan import MOST, Place, is_single, places
from scheduler.lan_settings import LanSettings, check_apart


def test_single_addresses_ranges_and_networks_are_spelt_out() -> None:
    """Each place once, in the order written."""
    made = places(["10.2.0.7", "10.2.0.7:8080", "10.2.1.10-12", "10.2.2.0/30", "10.2.0.7"])

    assert [p.name for p in made] == [
        *("10.2.0.7", "10.2.0.7:8080", "10.2.1.10", "10.2.1.11", "10.2.1.12", "10.2.2.1", "10.2.2.2"),
    ]
    assert made[1] == Place(host="10.2.0.7", port=8080)


@pytest.mark.parametrize(
    "entry", ["10.2.0", "10.2.0.9-8", "10.2.0.9-256", "10.2.0.1/24", "a.b", "10.2.0.7:0"]
)
def test_what_is_no_address_is_named_with_the_remedy(entry: str) -> None:
    """Nobody guesses what was meant."""
    with pytest.raises(ValueError, match=r"addresses: '.*write 10\.20"):
        places([entry])


def test_a_slip_of_the_pen_does_not_ask_half_the_world() -> None:
    """Addresses are bounded, in one network and in all together."""
    with pytest.raises(ValueError, match="too many"):
        places(["10.0.0.0/8"])
    with pytest.raises(ValueError, match=f"more than {MOST} in all"):
        places(["10.0.0.0/20", "10.1.0.0/24"])


def test_only_single_addresses_promise_a_machine() -> None:
    """A range or a network may have gaps."""
    assert [is_single(e) for e in ("10.2.0.7", "10.2.0.7:80", "10.2.0.7-9", "10.2.0.0/30")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_machine_that_is_written_twice_is_expected_once() -> None:
    """The one that is not there would count at its nameplate for ever."""
    assert LanSettings(addresses=("10.2.0.7", "10.2.0.8", "10.2.0.7")).expected == 2


@pytest.mark.parametrize(
    "one,other", [("10.2.0.7", "10.2.0.0/28"), ("10.2.0.7:80", "10.2.0.7:80"), ("10.2.0.7", "10.2.0.7:80")]
)
def test_a_machine_belongs_to_one_group(one: str, other: str) -> None:
    """Two guards would tell it different things, and it would count as two; so it would at two ports of one group."""
    with pytest.raises(ValueError, match=r"the machine at 10.2.0.7\S* is named by 'a', and again by 'b'"):
        check_apart({"a": LanSettings(addresses=(one,)), "b": LanSettings(addresses=(other,))})


def test_machines_behind_one_address_are_told_apart_by_their_ports() -> None:
    """Unless one has none: that is any of them."""
    check_apart({"a": LanSettings(addresses=("10.2.0.7:80", "10.2.0.7:81")), "b": None})
    with pytest.raises(ValueError, match="again by 'a'"):
        check_apart({"a": LanSettings(addresses=("10.2.0.7:80", "10.2.0.7"))})
