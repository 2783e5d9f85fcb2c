"""Emulated machines are taken for real ones by clients that others wrote.

They live in an environment of their own, for their pins are old: BARQ_PYASIC_PYTHON names its Python.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.miners.braiins import BraiinsEmulator
from tests.miners.emulator import Emulator
from tests.miners.luxos import LuxosEmulator

PYTHON: Final = os.environ.get("BARQ_PYASIC_PYTHON", "")
JUDGE: Final = Path(__file__).parent.parent / "miners" / "judge.py"
NUMBERS: Final = itertools.count(1)
FACTORY_PASSWORD: Final = "root"  # noqa: S105 (what the judges try)

pytestmark = pytest.mark.skipif(
    not PYTHON, reason="BARQ_PYASIC_PYTHON names no Python with pyasic==0.79.0 and pyasic-rs==0.8.6"
)


async def judged(client: str, machine: Emulator, port: int) -> dict[str, Any]:
    """What a client found and did at a machine on its usual port, at an address of this process alone."""
    host = f"127.{64 + os.getpid() // 256 % 64}.{os.getpid() % 256}.{next(NUMBERS)}"
    try:
        await machine.start(host=host, port=port)
    except PermissionError:
        pytest.skip(f"port {port} is only for root here: net.ipv4.ip_unprivileged_port_start")
    try:
        judge = await asyncio.create_subprocess_exec(
            PYTHON, "-W", "ignore", str(JUDGE), client, host, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await judge.communicate()
        assert judge.returncode == 0
        said: dict[str, Any] = json.loads(out.splitlines()[-1])
        return said
    finally:
        await machine.stop()


def braiins() -> Emulator:
    """A machine with the password that it left the factory with."""
    machine = BraiinsEmulator()
    machine.password = FACTORY_PASSWORD
    return machine


@pytest.mark.parametrize(
    "client, make, port",
    [("pyasic", LuxosEmulator, 4028), ("pyasic_rs", LuxosEmulator, 4028), ("pyasic_rs", braiins, 80)],
    ids=["pyasic-luxos", "pyasic_rs-luxos", "pyasic_rs-braiins"],
)
async def test_a_stranger_drives_an_emulated_machine(
    client: str, make: Callable[[], Emulator], port: int
) -> None:
    """It knows the model, reads hashes and watts, pauses, resumes and, where it can, limits it."""
    said = await judged(client, make(), port)

    assert "S21" in said["model"]
    assert said["hashrate_th"] == pytest.approx(200.0, rel=0.01)
    assert said["draw_w"] == 3400
    assert (said["paused"], said["resumed"]) == (True, True)
    assert said["asleep_w"] == 25
    assert said["awake_w"] > 2500
    assert said.get("limited_w", 2500) <= 2500
