"""An outlet of a PDU over Redfish: DMTF's PowerEquipment, RackPDUs/ID/Outlets/ID.

Its state is PowerState, its draw PowerWatts.Reading, and it is switched by the action #Outlet.PowerControl, at the
target that the outlet's own document names: PDUs differ in it. Checked against models that others generated from DMTF's
schema, and against the outlet (v1_4_2) that the tests of the client gofish hold. No such device was at hand.

Name and password go with each request: PDUs have few sessions to spare. No target leads anywhere but to a path below
/redfish/v1 of the same PDU.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from workers.miners.http import HttpLine, Reply
from workers.outlets.port import DEADLINE_S, OutletError, OutletReading

T = TypeVar("T")
_AT_ONCE: Final = 2  #: a PDU's own web server has room for few
_PATH: Final = re.compile(r"/redfish/v1(/[A-Za-z0-9._~:@!$&'()*+,;=%#-]+)+/?", re.ASCII)
_ACTION: Final = "#Outlet.PowerControl"
_FLOWS: Final = frozenset({"On", "PoweringOn", "PoweringOff"})  #: on its way off it is not off yet
_DONE: Final = frozenset({200, 202, 204})
_DENIED: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404
_SHOWN: Final = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class RedfishAccess:
    """Where a PDU is and who we are to it. Without `tls` it is plain HTTP."""

    host: str
    port: int
    rack_pdu: str = "1"  #: its id
    user: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)


class RedfishLine:
    """Questions to one PDU, for all its outlets. Belongs to one event loop. Raises OutletError, without an address."""

    def __init__(self, access: RedfishAccess) -> None:
        self._line = HttpLine(access.host, access.port, tls=access.tls)
        self._where = f"{access.host}:{access.port}"
        self._headers = {"OData-Version": "4.0", **_authorization(access)}
        self._rack_pdu = access.rack_pdu
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self.users = 0

    async def outlet(self, outlet: str) -> Mapping[str, Any]:
        """The document of an outlet."""
        path = f"/redfish/v1/PowerEquipment/RackPDUs/{self._rack_pdu}/Outlets/{outlet}"
        if not _PATH.fullmatch(path):
            raise OutletError(f"{outlet!r} is no id of an outlet; correct outlet")
        reply = await self._asked("GET", path)
        document = reply.object(self._where)
        if "PowerState" not in document:
            raise OutletError(
                f"{path} has no PowerState; is this a Redfish outlet? correct rack_pdu and outlet"
            )
        return document

    async def post(self, path: str, body: Mapping[str, Any]) -> None:
        """Have something done that may be said twice."""
        await self._asked("POST", path, body)

    async def close(self) -> None:
        """Let go of connections."""
        await self._line.close()

    async def _asked(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        async with self._gate:
            reply = await self._line.ask(method, path, body=body, headers=self._headers)
        if reply.status in _DONE:
            return reply
        if reply.status in _DENIED:
            raise OutletError(
                f"denied ({reply.status}); check name, password and rights of our user in the PDU"
            )
        if reply.status == _NOT_FOUND:
            raise OutletError(f"it has no {path} ({reply.status}); correct rack_pdu or outlet")
        raise OutletError(
            f"said {reply.status} to {method} {path}: {_said(reply)}; look at the PDU's own log"
        )


class RedfishOutlet:
    """One outlet of a PDU that speaks Redfish."""

    def __init__(self, line: RedfishLine, outlet: str, *, address: str) -> None:
        self._line: RedfishLine | None = line
        line.users += 1
        self._outlet = outlet
        self._address = address
        self._target = ""  #: where it is switched, once known

    @property
    def address(self) -> str:
        """PDU and outlet, as errors and the record name them."""
        return self._address

    async def read(self) -> OutletReading:
        """Its state and draw now."""
        document = await self._within(lambda line: line.outlet(self._outlet))
        state = document["PowerState"]
        if state not in _FLOWS and state != "Off":
            raise OutletError(
                f"{self._address}: its PowerState is {state!r}, neither On nor Off; look at the PDU"
            )
        return OutletReading(is_on=state in _FLOWS, draw_w=_draw_w(document))

    async def switch(self, *, is_on: bool) -> None:
        """Turn it on or off."""
        await self._within(lambda line: self._switch(line, "On" if is_on else "Off"))

    async def close(self) -> None:
        """Let go of the PDU; the last outlet closes the line."""
        line, self._line = self._line, None
        if line is not None:
            line.users -= 1
            if line.users == 0:
                await line.close()

    async def _switch(self, line: RedfishLine, state: str) -> None:
        if not self._target:
            self._target = _target(await line.outlet(self._outlet), state)
        try:
            await line.post(self._target, {"PowerState": state})
        except OutletError:
            self._target = ""  # it may have moved: a new firmware
            raise

    async def _within(self, asks: Callable[[RedfishLine], Awaitable[T]]) -> T:
        """Ask within the deadline; whatever goes wrong names PDU and outlet."""
        if self._line is None:
            raise OutletError(f"{self._address}: is closed; open it anew")
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await asks(self._line)
        except TimeoutError:
            silent = f"no answer within {DEADLINE_S:g} s; check its address, and whether it is busy"
            raise OutletError(f"{self._address}: {silent}") from None
        except ssl.SSLCertVerificationError as error:
            doubt = "its certificate is not vouched for; check ca_file or pinned_file, and the name in url"
            raise OutletError(f"{self._address}: {doubt}") from error
        except OSError as error:
            raise OutletError(f"{self._address}: {_reason(error)}") from error


def _authorization(access: RedfishAccess) -> dict[str, str]:
    if not access.user:
        return {}
    both = base64.b64encode(f"{access.user}:{access.password}".encode()).decode()
    return {"Authorization": f"Basic {both}"}


def _target(document: Mapping[str, Any], state: str) -> str:
    """Where an outlet is switched. Raises OutletError where it cannot be."""
    actions = document.get("Actions")
    action = actions.get(_ACTION) if isinstance(actions, dict) else None
    if not isinstance(action, dict):
        raise OutletError(
            f"has no action {_ACTION}: this PDU only measures; remove its outlets from the site file"
        )
    allowed = action.get("PowerState@Redfish.AllowableValues")
    if isinstance(allowed, list) and state not in allowed:
        raise OutletError(f"takes {allowed} and not {state}; remove its outlets from the site file")
    target = action.get("target")
    if not isinstance(target, str) or not _PATH.fullmatch(target):
        raise OutletError(
            f"is switched at {target!r}, which is no path of its own; look at the PDU's firmware"
        )
    return target


def _draw_w(document: Mapping[str, Any]) -> float | None:
    """None where it does not measure this outlet."""
    watts = document.get("PowerWatts")
    reading = watts.get("Reading") if isinstance(watts, dict) else None
    if isinstance(reading, bool) or not isinstance(reading, int | float) or not 0 <= reading < float("inf"):
        return None
    return float(reading)


def _said(reply: Reply) -> str:
    """What an error's body says: the first message that DMTF's shape holds, or its beginning."""
    try:
        error = reply.object("")["error"]
        first = (error.get("@Message.ExtendedInfo") or [error])[0]
        return str(first.get("Message") or first.get("message") or reply.text)[:_SHOWN]
    except (OSError, KeyError, AttributeError, IndexError, TypeError):
        return reply.text or "nothing more"


def _reason(error: OSError) -> str:
    if isinstance(error, OutletError):
        return str(error)
    return f"cannot be asked ({error}); check its address, and that Redfish is on there"
