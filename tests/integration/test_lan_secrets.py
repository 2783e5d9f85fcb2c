"""No credential of a miner or of a PDU is told: not in the log, not on the disk, not in what its inventory shows."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from scheduler.core.inventory import Condition
from scheduler.core.obedience import Rules
from scheduler.core.pdu_tables import TABLES
from scheduler.core.pdus import Feed, Outlets
from tests.miners.braiins import PASSWORD, BraiinsEmulator
from tests.miners.emulator import Emulator, Fault
from tests.miners.lan import Site, address, lan
from tests.miners.whatsminer_v2 import SALT, WhatsminerV2Emulator
from tests.miners.whatsminer_v3 import WhatsminerV3Emulator
from tests.outlets.benches import OUTLET, WRONG, snmp_of
from tests.outlets.snmp_agent import AUTH_KEY, COMMUNITY, PRIV_KEY, snmp_agent
from tests.outlets.strip import Strip
from workers.outlet_opening import open_outlets
from workers.whatsminer.md5_crypt import md5_crypt
from workers.wire import encode

SECRETS: Final = (
    PASSWORD,
    WRONG,
    COMMUNITY,
    AUTH_KEY,
    PRIV_KEY,
    md5_crypt(PASSWORD, SALT).rpartition("$")[2],
)
HASTY = Rules(retry_after_s=0.3, cut_after_s=0.8, confirm_s=0.5, fresh_s=6.0)


def told_by(site: Site, guard: Path) -> str:
    """All that a guard of this LAN says and writes."""
    shown = repr((site.miners.details(), site.miners.alarms(), site.miners.now().readings, site.config))
    files = b"".join(path.read_bytes() for path in sorted(guard.rglob("*")) if path.is_file())
    return shown + files.decode() + encode(site.config).decode() + encode(site.miners.details()).decode()


@pytest.mark.parametrize("kind,secret", [("snmp3", ""), ("apc", WRONG)])
async def test_what_a_lan_is_told_in_confidence_stays_with_its_guard(
    kind: str, secret: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While machines obey, refuse, lie, are silent, and lose their outlet; at the finest level of the log."""
    caplog.set_level(logging.DEBUG)
    async with snmp_agent(TABLES["apc"], Strip()) as agent:
        pdu = snmp_of(agent.port, kind, tmp_path, secret=secret)
        told = await asyncio.to_thread(partial(_story, tmp_path, pdu))
    text = told + caplog.text
    assert "password" in text
    assert "outlet" in caplog.text
    assert [secret for secret in SECRETS if secret in text] == []


def _story(folder: Path, pdu: object) -> str:
    with lan() as net:
        owned, liar, mute = (
            net.add(make) for make in (BraiinsEmulator, WhatsminerV2Emulator, WhatsminerV3Emulator)
        )
        feeds = (Feed(machine=address(liar), pdu="pdu-a", outlet=OUTLET),)
        outlets = Outlets(pdus=(pdu,), feeds=feeds, rules=HASTY)  # type: ignore[arg-type]
        liar.breaks(Fault.DEAF)
        with Site(net, folder, pdus=outlets, outlets=open_outlets(outlets), retry_s=1.0) as site:
            site.wake(*_asleep(site, owned, mute))
            owned.password = "another"  # type: ignore[attr-defined]  # noqa: S105
            owned.forgets_tokens()  # type: ignore[attr-defined]
            mute.breaks(Fault.HANGS)
            site.miners.set_targets({address(owned): 0.0, address(mute): 0.0})
            site.wait_for(address(owned), Condition.UNUSABLE)
            site.wait_for(address(mute), Condition.LOST)
            site.wait_for(address(liar), Condition.FAULTED)
            site.restart()
            return told_by(site, folder / "guard")


def _asleep(site: Site, *machines: Emulator) -> list[str]:
    names = [address(machine) for machine in machines]
    for name in names:
        site.wait_for(name, Condition.ASLEEP)
    return names
