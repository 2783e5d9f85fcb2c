"""An outlet of a PDU over SNMP: version 2c with a community, version 3 with authentication and privacy.

Where a PDU keeps its outlets is an `OutletTable`; `scheduler.core.pdu_tables` has those of well-known makes.

Asked over pysnmp (BSD): of the others, gufo-snmp cannot set, aiosnmp knows no version 3, easysnmp needs a compiler. It
is imported when the first PDU is asked. The first question to a PDU costs about a quarter of a second of CPU, so look
at each once before it matters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from scheduler.core.pdus import OUTLET, OutletTable
from workers.outlets.port import DEADLINE_S, OutletError, OutletReading

_RESEND_S: Final = 0.6  #: a datagram may be lost
_RESENDS: Final = 2
_AT_ONCE: Final = 4  #: a PDU's own controller is slow
_AUTH: Final = {
    "md5": "USM_AUTH_HMAC96_MD5",
    "sha": "USM_AUTH_HMAC96_SHA",
    "sha224": "USM_AUTH_HMAC128_SHA224",
    "sha256": "USM_AUTH_HMAC192_SHA256",
    "sha384": "USM_AUTH_HMAC256_SHA384",
    "sha512": "USM_AUTH_HMAC384_SHA512",
}
_PRIV: Final = {
    "des": "USM_PRIV_CBC56_DES",
    "aes128": "USM_PRIV_CFB128_AES",
    "aes192": "USM_PRIV_CFB192_AES",
    "aes256": "USM_PRIV_CFB256_AES",
}
_REMEDIES: Final = {
    "noSuchName": "it has no such outlet: correct outlet, or its OIDs",
    "noAccess": "this community or user may not do that: give it write access in the PDU",
    "readOnly": "this community or user may only read: give it write access in the PDU",
    "notWritable": "this community or user may only read, or the outlet is not switched: look at its rights and model",
    "authorizationError": "this community or user may not do that: give it write access in the PDU",
    "wrongValue": "it does not take that: correct its OIDs and values",
    "inconsistentName": "it has no such outlet: correct outlet, or its OIDs",
    "noCreation": "it has no such outlet: correct outlet, or its OIDs",
}
_USER_ERRORS: Final = (
    "UnknownUserName",
    "UnknownSecurityName",
    "WrongDigest",
    "AuthenticationFailure",
    "AuthenticationError",
    "DecryptionError",
    "UnsupportedSecurityLevel",
    "UnsupportedAuthProtocol",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnmpAccess:
    """Who we are to a PDU. With a community it is version 2c, else version 3. Secrets are never shown."""

    host: str
    port: int = 161
    community: str = field(default="", repr=False)
    user: str = ""
    auth_protocol: str = "sha256"
    auth_key: str = field(default="", repr=False)
    priv_protocol: str = "aes128"
    priv_key: str = field(default="", repr=False)


class SnmpLine:
    """Questions to one PDU, for all its outlets. Belongs to one event loop. Raises OutletError, without an address."""

    def __init__(self, access: SnmpAccess) -> None:
        self._access = access
        self._engine: Any = None
        self._peer: Any = None  #: the PDU's address, as pysnmp has it
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self.users = 0

    async def get(self, *oids: str) -> list[int | None]:
        """Their values; None = it has no such object."""
        from pysnmp.hlapi.v3arch import asyncio as snmp
        from pysnmp.proto.rfc1905 import NoSuchInstance, NoSuchObject

        asked = [snmp.ObjectType(snmp.ObjectIdentity(oid)) for oid in oids]
        found = await self._ask(snmp.get_cmd, asked)
        absent = (NoSuchInstance, NoSuchObject)
        return [
            None if isinstance(value, absent) else _whole(oid, value)
            for oid, value in zip(oids, found, strict=True)
        ]

    async def set(self, oid: str, value: int) -> None:
        """Set it."""
        from pysnmp.hlapi.v3arch import asyncio as snmp

        await self._ask(snmp.set_cmd, [(snmp.ObjectIdentity(oid), snmp.Integer32(value))])

    def close(self) -> None:
        """Let go of the socket."""
        engine, self._engine, self._peer = self._engine, None, None
        if engine is not None:
            engine.close_dispatcher()

    async def _ask(self, command: Any, asked: Sequence[Any]) -> list[Any]:
        from pysnmp.error import PySnmpError
        from pysnmp.hlapi.v3arch import asyncio as snmp

        async with self._gate:
            try:
                peer = await self._opened()
                error, status, index, found = await command(
                    self._engine, self._who(), peer, snmp.ContextData(), *asked, lookupMib=False
                )
            except (PySnmpError, OSError) as problem:
                raise OutletError(
                    f"cannot be asked ({_first_line(problem)}); check host and its keys"
                ) from problem
        if error is not None:
            raise OutletError(_of_indication(error, is_v2c=bool(self._access.community)))
        if status:
            said = status.prettyPrint()
            remedy = _REMEDIES.get(said, "look at the PDU's own log")
            raise OutletError(f"said {said} to object {int(index)}; {remedy}")
        return [value for _, value in found]

    async def _opened(self) -> Any:
        from pysnmp.hlapi.v3arch import asyncio as snmp

        if self._peer is None:
            kind = snmp.Udp6TransportTarget if ":" in self._access.host else snmp.UdpTransportTarget
            where = (self._access.host, self._access.port)
            peer = await kind.create(where, timeout=_RESEND_S, retries=_RESENDS)
            self._engine = self._engine or snmp.SnmpEngine()
            self._peer = peer
        return self._peer

    def _who(self) -> Any:
        from pysnmp.hlapi.v3arch import asyncio as snmp

        access = self._access
        if access.community:
            return snmp.CommunityData(access.community, mpModel=1)  # noqa: S508 - many PDUs speak no other; docs/outlets.md says what that means
        return snmp.UsmUserData(
            access.user,
            authKey=access.auth_key,
            authProtocol=getattr(snmp, _AUTH[access.auth_protocol]),
            privKey=access.priv_key,
            privProtocol=getattr(snmp, _PRIV[access.priv_protocol]),
        )


class SnmpOutlet:
    """One outlet of a PDU that speaks SNMP."""

    def __init__(self, line: SnmpLine, outlet: str, table: OutletTable, *, address: str) -> None:
        self._line: SnmpLine | None = line
        line.users += 1
        self._table = table
        self._index = outlet if "." in outlet else f"{table.before_number}{outlet}"
        self._address = address

    @property
    def address(self) -> str:
        """PDU and outlet, as errors and the record name them."""
        return self._address

    async def read(self) -> OutletReading:
        """Its state and draw now."""
        table = self._table
        oids = [oid for oid in (table.state_oid, table.draw_oid, table.draw_digits_oid) if oid]
        state, *rest = await self._within(lambda line: line.get(*(self._oid(oid) for oid in oids)))
        return OutletReading(is_on=self._is_on(state), draw_w=self._draw_w(*rest))

    async def switch(self, *, is_on: bool) -> None:
        """Turn it on or off."""
        value = self._table.on_value if is_on else self._table.off_value
        await self._within(lambda line: line.set(self._oid(self._table.switch_oid), value))

    async def close(self) -> None:
        """Let go of the PDU; the last outlet closes the line."""
        line, self._line = self._line, None
        if line is not None:
            line.users -= 1
            if line.users == 0:
                line.close()

    def _oid(self, pattern: str) -> str:
        return pattern.replace(OUTLET, self._index)

    async def _within(self, asks: Any) -> Any:
        """Ask within the deadline; whatever goes wrong names PDU and outlet."""
        if self._line is None:
            raise OutletError(f"{self._address}: is closed; open it anew")
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await asks(self._line)
        except TimeoutError:
            raise OutletError(f"{self._address}: {_silence(is_v2c=None)}") from None
        except OutletError as error:
            raise OutletError(f"{self._address}: {error}") from error

    def _is_on(self, state: int | None) -> bool:
        if state in self._table.on_states:
            return True
        if state in self._table.off_states:
            return False
        if state is None:
            raise OutletError(f"{self._address}: it has no such outlet; correct outlet, or its OIDs")
        raise OutletError(
            f"{self._address}: its state is {state}, neither on nor off; look at the PDU, or correct its OIDs"
        )

    def _draw_w(self, value: int | None = None, digits: int | None = None) -> float | None:
        """None where it does not measure this outlet: several say -1 then."""
        if value is None or value < 0:
            return None
        if self._table.draw_digits_oid and digits is None:
            return None
        return value * self._table.draw_w_per_unit / 10.0 ** (digits or 0)


def _whole(oid: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise OutletError(
            f"answers {value.prettyPrint()!r} at {oid}, which is no number; correct its OIDs"
        ) from None


def _of_indication(error: Any, *, is_v2c: bool) -> str:
    kind = type(error).__name__
    if kind == "RequestTimedOut":
        return _silence(is_v2c=is_v2c)
    if kind in _USER_ERRORS:
        return (
            f"refused our user ({error}); check user, its keys and their protocols, and its rights in the PDU"
        )
    return f"cannot be understood ({kind}: {_first_line(error)}); is this an SNMP agent?"


def _silence(*, is_v2c: bool | None) -> str:
    who = "community" if is_v2c else "user and keys" if is_v2c is False else "community or user"
    return f"no answer within {DEADLINE_S:g} s; check host and port, that SNMP is on there, and {who}"


def _first_line(problem: object) -> str:
    return str(problem).partition("\n")[0] or type(problem).__name__
