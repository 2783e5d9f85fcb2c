"""Each kind of outlet, opened as a guard opens it, at an emulated PDU."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from scheduler.core.pdu_tables import TABLES
from scheduler.core.pdus import Feed, Outlets, Pdu, RedfishPdu, SecretPlace, SnmpPdu
from tests.outlets import redfish_pdu as redfish, snmp_agent as snmp
from tests.outlets.strip import Strip
from workers.outlet_opening import open_outlets
from workers.outlets import redfish as redfish_driver, snmp as snmp_driver
from workers.outlets.port import Outlet
from workers.outlets.simulated import SimulatedOutlet

OUTLET = "3"
WRONG = "not the secret"
REAL = ("apc", "raritan", "sentry4", "snmp3", "redfish")
KINDS = ("simulated", *REAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """An outlet, and what it really switches."""

    outlet: Outlet
    strip: Strip


@asynccontextmanager
async def bench(kind: str, folder: Path, *, outlet: str = OUTLET, secret: str = "") -> AsyncIterator[Bench]:
    """An outlet of this kind, until the block ends. `secret` goes instead of the right one."""
    strip = Strip()
    if kind == "simulated":
        played = SimulatedOutlet(
            "pdu outlet 3",
            draw_w=lambda: strip.draws_w[OUTLET],
            told=lambda is_on: strip.switch(OUTLET, is_on),
        )
        yield Bench(outlet=played, strip=strip)
        await played.close()
        return
    if kind == "redfish":
        with redfish.redfish_pdu(strip) as pdu:
            async with opened(redfish_of(pdu.url, folder, secret=secret), outlet) as made:
                yield Bench(outlet=made, strip=strip)
        return
    table = TABLES["apc" if kind == "snmp3" else kind]
    async with snmp.snmp_agent(table, strip) as agent:
        described = snmp_of(agent.port, kind, folder, secret=secret)
        async with opened(described, outlet) as made:
            yield Bench(outlet=made, strip=strip)


@asynccontextmanager
async def opened(pdu: Pdu, outlet: str) -> AsyncIterator[Outlet]:
    """One outlet of a PDU."""
    made = open_outlets(Outlets(pdus=(pdu,), feeds=(Feed(machine="m", pdu=pdu.name, outlet=outlet),)))["m"]
    try:
        yield made
    finally:
        await made.close()


def snmp_of(port: int, kind: str, folder: Path, *, secret: str = "") -> SnmpPdu:
    """How group.json says it: version 3 for `snmp3`, else 2c."""
    if kind == "snmp3":
        return SnmpPdu(
            name="pdu-a",
            host="127.0.0.1",
            port=port,
            table=TABLES["apc"],
            user=snmp.USER,
            auth_key=place(folder, "auth", secret or snmp.AUTH_KEY),
            priv_key=place(folder, "priv", snmp.PRIV_KEY),
        )
    community = place(folder, "community", secret or snmp.COMMUNITY)
    return SnmpPdu(name="pdu-a", host="127.0.0.1", port=port, table=TABLES[kind], community=community)


def redfish_of(url: str, folder: Path, *, secret: str = "", pinned_file: str = "") -> RedfishPdu:
    """How group.json says it."""
    return RedfishPdu(
        name="pdu-a",
        url=url,
        username=place(folder, "user", redfish.USER),
        password=place(folder, "password", secret or redfish.PASSWORD),
        pinned_file=pinned_file,
    )


def place(folder: Path, name: str, secret: str) -> SecretPlace:
    """A file with a secret."""
    (folder / name).write_text(f"{secret}\n", encoding="utf-8")
    return SecretPlace(file=str(folder / name))


def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls may take a minute, for this test."""
    for module in (snmp_driver, redfish_driver):
        monkeypatch.setattr(module, "DEADLINE_S", 60.0)
    monkeypatch.setattr(snmp_driver, "_RESENDS", 100)


def net_snmp(program: str) -> str:
    """A program of net-snmp; the test is skipped where there is none, but not in CI."""
    found = shutil.which(program)
    if found is None:
        reason = (
            f"{program} is not installed (apt-get install snmp): our SNMP agent is not judged by net-snmp"
        )
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    assert found is not None
    return found
