"""Targets that a machine takes, and what it says of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from workers.miners import port
from workers.miners.port import (
    Capabilities,
    Credentials,
    Identity,
    MachineReading,
    Miner,
    MinerError,
    MinerState,
    NotUnderstood,
    Pool,
    Refused,
    Unreachable,
    WattTargets,
    Wrong,
)
from workers.wire import encode

#: The verbs of all firmwares that write pools and their users, passwords and locks, or end another client's session.
FORBIDDEN: Final = (
    *("addpool", "removepool", "switchpool", "enablepool", "disablepool", "poolpriority", "poolquota"),
    *(
        "addgroup",
        "removegroup",
        "groupquota",
        "update_pools",
        "set.miner.pools",
        "pool-groups",
        "set_miner_conf",
    ),
    *("update_pwd", "auth/password", "set.user", "open_write_api", "kill"),
)


@pytest.mark.parametrize(
    "asked_w, taken_w",
    [(999.0, None), (1000.0, 1000.0), (1299.0, 1200.0), (3000.0, 3000.0), (9000.0, 3000.0)],
)
def test_a_target_becomes_the_nearest_below(asked_w: float, taken_w: float | None) -> None:
    """By steps from the least; never more than was asked, and none below the least."""
    assert WattTargets(min_w=1000.0, max_w=3000.0, step_w=100.0).nearest_below_w(asked_w) == taken_w


@pytest.mark.parametrize(
    "asked_w, taken_w", [(999.0, None), (1500.0, 1000.0), (2500.0, 2400.0), (9000.0, 3000.0)]
)
def test_of_choices_the_greatest_below_is_taken(asked_w: float, taken_w: float | None) -> None:
    """Profiles have no steps between them."""
    targets = WattTargets(min_w=1000.0, max_w=3000.0, choices_w=(1000.0, 2400.0, 3000.0))

    assert targets.nearest_below_w(asked_w) == taken_w


def test_a_machine_without_capabilities_is_read_only() -> None:
    """One is enough to be more."""
    assert Capabilities().read_only
    assert not Capabilities(pause=True).read_only


def test_efficiency_is_that_of_a_steady_machine() -> None:
    """While it ramps or sleeps, watts over hashes say nothing."""
    steady = MachineReading(state=MinerState.RUNNING, draw_w=3400.0, hashrate_th=200.0)

    assert steady.joule_per_th == 17.0
    assert replace(steady, state=MinerState.RAMPING).joule_per_th is None
    assert replace(steady, hashrate_th=0.0).joule_per_th is None


def test_all_errors_are_one_tree_that_a_guard_knows() -> None:
    """Whatever a driver raises is an OSError, as of any miner that does not obey."""
    for kind in (Unreachable, Refused, NotUnderstood, Wrong):
        assert issubclass(kind, MinerError)
        assert issubclass(kind, OSError)
    assert Refused("held", retry_after_s=60.0).retry_after_s == 60.0


def test_a_password_is_never_shown() -> None:
    """Not in a log that prints what holds it."""
    assert "sesame" not in repr(Credentials(user="root", password="sesame"))  # noqa: S106 (no real one)


def test_no_driver_knows_how_to_write_a_pool() -> None:
    """Or a wallet, a password, or a lock: the port has no such call, and no driver has the words for one."""
    calls = [name for name in vars(Miner) if not name.startswith("_")]
    assert sorted(calls) == [
        "address",
        "close",
        "identify",
        "read",
        "set_percent",
        "set_target_w",
        "sleep",
        "wake",
    ]

    sources = sorted(Path(port.__file__).parent.glob("*.py"))
    assert len(sources) > 4
    for source in sources:
        text = source.read_text(encoding="utf-8")
        assert not [word for word in FORBIDDEN if word in text], source.name


def test_what_a_machine_says_can_be_written_down_whatever_it_is() -> None:
    """One broken machine must not keep the others from the notebook, the record or the log."""
    odd = "a\x00b\ud800\n" + "c" * 5000
    told = Identity(make=odd, model=odd, firmware="f", firmware_version="1", serial=odd, mac=odd)
    reading = MachineReading(state=MinerState.FAULTED, fault=odd, pools=(Pool(url=odd, user=odd),))

    assert b"abccc" in encode((told, reading))
    assert "abccc" in str(Refused(odd))
    assert len(encode((told, reading, str(NotUnderstood(odd))))) < 3000
