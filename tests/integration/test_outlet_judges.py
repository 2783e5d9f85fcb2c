"""Our emulated SNMP agent, driven by net-snmp's own programs: what they make of it is what our driver is held to."""

from __future__ import annotations

import asyncio

import pytest

from scheduler.core.pdu_tables import TABLES
from scheduler.core.pdus import OUTLET
from tests.outlets.benches import net_snmp
from tests.outlets.snmp_agent import AUTH_KEY, COMMUNITY, PRIV_KEY, READ_COMMUNITY, USER, Agent, snmp_agent
from tests.outlets.strip import Strip

V2C = ("-v2c", "-c", COMMUNITY)
READER = ("-v2c", "-c", READ_COMMUNITY)
V3 = ("-v3", "-u", USER, "-l", "authPriv", "-a", "SHA-256", "-A", AUTH_KEY, "-x", "AES", "-X", PRIV_KEY)


async def said(program: str, agent: Agent, who: tuple[str, ...], *what: str) -> tuple[int, str]:
    """Its exit status, and what it says."""
    where = f"127.0.0.1:{agent.port}"
    process = await asyncio.create_subprocess_exec(
        net_snmp(program),
        *who,
        "-Oqv",
        "-t10",
        "-r5",
        where,
        *what,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    lines = out.decode().splitlines(keepends=True)
    said_by_it = [
        one for one in lines if not one.startswith("Created directory")
    ]  # its first use on a machine
    return process.returncode or 0, "".join(said_by_it)


@pytest.mark.parametrize("who", [V2C, V3], ids=["2c", "3"])
@pytest.mark.parametrize("make", list(TABLES))
async def test_net_snmp_reads_and_switches_each_make(make: str, who: tuple[str, ...]) -> None:
    """Snmpget and snmpset of Debian, unmodified, see the outlets of each table and switch them."""
    table, strip = TABLES[make], Strip()
    index = f"{table.before_number}3"
    state, switch, draw = (
        oid.replace(OUTLET, index) for oid in (table.state_oid, table.switch_oid, table.draw_oid)
    )
    async with snmp_agent(table, strip) as agent:
        assert await said("snmpget", agent, who, state) == (0, f"{table.on_states[0]}\n")
        assert (await said("snmpset", agent, who, switch, "i", str(table.off_value)))[0] == 0
        assert await said("snmpget", agent, who, state, draw) == (0, f"{table.off_states[0]}\n0\n")
    assert strip.told == [("3", False)]


async def test_net_snmp_is_refused_as_our_driver_is() -> None:
    """Who may only read cannot switch, and what is not there is not there."""
    table, strip = TABLES["apc"], Strip()
    async with snmp_agent(table, strip) as agent:
        switch = table.switch_oid.replace(OUTLET, "3")
        status, words = await said("snmpset", agent, READER, switch, "i", str(table.off_value))
        assert (status, "noAccess" in words) == (2, True)
        _, words = await said("snmpget", agent, V2C, table.state_oid.replace(OUTLET, "77"))
        assert "No Such Instance" in words
    assert strip.told == []
