"""The SNMP agent of a PDU on loopback, with the outlets of any `OutletTable`; versions 2c and 3.

It stands on pysnmp's responders, as our driver stands on pysnmp's commands: so the programs of net-snmp are its judge.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.entity import config, engine
from pysnmp.entity.rfc3413 import cmdrsp, context
from pysnmp.proto.rfc1902 import Gauge32, Integer32
from pysnmp.proto.rfc1905 import noSuchInstance
from pysnmp.smi import error
from pysnmp.smi.instrum import AbstractMibInstrumController

from scheduler.core.pdus import OUTLET, OutletTable
from tests.outlets.strip import Fault, Strip

COMMUNITY, READ_COMMUNITY = "let-barq-switch", "let-barq-look"
USER, AUTH_KEY, PRIV_KEY = "barq", "a key to sign with", "a key to seal with"
DIGITS = 1
_ALL = (1, 3, 6)
_ELSEWHERE = (1, 3, 6, 1, 2, 1)  #: who may write nowhere at all may write everywhere, by a slip of pysnmp


class Agent:
    """Where it listens, and what it switches."""

    def __init__(self, table: OutletTable, strip: Strip) -> None:
        self.table, self.strip = table, strip
        self.host, self.port = "127.0.0.1", 0
        self._engine = engine.SnmpEngine()

    async def start(self) -> None:
        transport = udp.UdpAsyncioTransport().open_server_mode((self.host, 0))
        config.add_transport(self._engine, udp.DOMAIN_NAME, transport)
        endpoint, _ = await transport._lport
        self.port = endpoint.get_extra_info("sockname")[1]
        self._add_users()
        outlets = context.SnmpContext(self._engine)
        outlets.unregister_context_name("")
        outlets.register_context_name("", _Outlets(self.table, self.strip))
        _Get(self._engine, outlets, self.strip)
        _Set(self._engine, outlets, self.strip)

    def stop(self) -> None:
        self._engine.close_dispatcher()

    def _add_users(self) -> None:
        config.add_v1_system(self._engine, "writer", COMMUNITY)
        config.add_v1_system(self._engine, "reader", READ_COMMUNITY)
        config.add_v3_user(
            self._engine, USER, config.USM_AUTH_HMAC192_SHA256, AUTH_KEY, config.USM_PRIV_CFB128_AES, PRIV_KEY
        )
        config.add_vacm_user(self._engine, 2, "writer", "noAuthNoPriv", _ALL, _ALL)
        config.add_vacm_user(self._engine, 2, "reader", "noAuthNoPriv", _ALL, _ELSEWHERE)
        config.add_vacm_user(self._engine, 3, USER, "authPriv", _ALL, _ALL)


class _Get(cmdrsp.GetCommandResponder):  # type: ignore[misc]
    def handle_management_operation(self, *asked: Any) -> None:
        if Fault.SILENT not in self.cbCtx.faults:
            super().handle_management_operation(*asked)


class _Set(cmdrsp.SetCommandResponder):  # type: ignore[misc]
    def handle_management_operation(self, *asked: Any) -> None:
        if Fault.SILENT not in self.cbCtx.faults:
            super().handle_management_operation(*asked)


class _Outlets(AbstractMibInstrumController):  # type: ignore[misc]
    """The objects of the table, for the outlets of the strip."""

    def __init__(self, table: OutletTable, strip: Strip) -> None:
        self._table, self._strip = table, strip

    def read_variables(self, *varBinds: Any, **asked: Any) -> Any:  # noqa: N803
        return [(name, self._value(name)) for name, _ in varBinds]

    def write_variables(self, *varBinds: Any, **asked: Any) -> Any:  # noqa: N803
        for index, (name, value) in enumerate(varBinds):
            if asked["acFun"]("write", (name, value), **{**asked, "idx": index}):
                raise error.NoAccessError(name=name, idx=index)
            outlet = self._outlet(self._table.switch_oid, name)
            if outlet is None:
                raise error.NoCreationError(name=name, idx=index)
            if Fault.READ_ONLY in self._strip.faults:
                raise error.NotWritableError(name=name, idx=index)
            if int(value) not in (self._table.on_value, self._table.off_value):
                raise error.WrongValueError(name=name, idx=index)
            self._strip.switch(outlet, int(value) == self._table.on_value)
        return varBinds

    def _value(self, name: Any) -> Any:
        table, strip = self._table, self._strip
        if (outlet := self._outlet(table.state_oid, name)) is not None:
            return Integer32(99 if Fault.STRANGE in strip.faults else self._state(outlet))
        if (outlet := self._outlet(table.draw_oid, name)) is not None and Fault.UNMETERED not in strip.faults:
            digits = DIGITS if table.draw_digits_oid else 0
            return Gauge32(round(strip.draw_w(outlet) / table.draw_w_per_unit * 10**digits))
        if self._outlet(table.draw_digits_oid, name) is not None:
            return Gauge32(DIGITS)
        return noSuchInstance

    def _state(self, outlet: str) -> int:
        states = self._table.on_states if self._strip.is_on(outlet) else self._table.off_states
        return states[0]

    def _outlet(self, pattern: str, name: Any) -> str | None:
        """Which outlet an object is of, if it is of that column."""
        before, _, after = pattern.partition(OUTLET)
        text = ".".join(str(part) for part in name)
        found = re.fullmatch(rf"{re.escape(before + self._table.before_number)}(\d+){re.escape(after)}", text)
        return found[1] if found and pattern and found[1] in self._strip.draws_w else None


@asynccontextmanager
async def snmp_agent(table: OutletTable, strip: Strip) -> AsyncIterator[Agent]:
    """An agent that listens, until the block ends."""
    agent = Agent(table, strip)
    await agent.start()
    try:
        yield agent
    finally:
        agent.stop()
        await asyncio.sleep(0)  # its socket closes in the next round of the loop
