"""WhatsMiner with API 3 (firmware of November 2024 and after), TCP 4433.

Its owner opens it once, in WhatsMinerTool: "Miner API Switch" on, and a password for the account `super` (or user1 to
user3, with the right to set power) other than the one it came with. While the switch is off it counts as read only.

- Asleep is `set.miner.service stop`. It is lost when the machine is rebooted or loses its mains: it then mines again.
- A target in watts starts the machine anew, minutes at low power and back; it is for hours.
- A percentage holds within a second or so, is approximate, and is lost at the next start; it is for seconds.

Reads are open to everybody on its LAN; orders are signed with a salt that the machine keeps, so one in a hurry is one
exchange.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from workers.miners import line
from workers.miners.port import (
    DEADLINE_S,
    Capabilities,
    Credentials,
    Identity,
    MachineReading,
    MinerState,
    NotUnderstood,
    Pool,
    Refused,
    Unreachable,
    Wrong,
)
from workers.miners.whatsminer_power import PowerSetting, awake_state, limit_w
from workers.whatsminer import framed
from workers.whatsminer.framed import Account, Write

PORT: Final = 4433
_BEYOND: Final = 1e12  #: no figure of a machine is as high
_NO_PERMISSION: Final = -4
_REMEDIES: Final = {
    -1: "look at the machine, or give another value",
    -2: "its firmware does not know the command; update it",
    -4: "its password is another, its account may not, or 'Miner API Switch' is off in WhatsMinerTool",
}


class WhatsminerV3:
    """One machine. Without a user, the account is `super`."""

    def __init__(
        self,
        host: str,
        *,
        port: int = PORT,
        credentials: Credentials,
        nameplate_w: float | None = None,
        deadline_s: float = DEADLINE_S,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._host = host
        self._port = port
        self._deadline_s = deadline_s
        self._account = Account(name=credentials.user or "super", password=credentials.password)
        self._now_s = now_s  #: orders carry the time
        self._power = PowerSetting(self.address, nameplate_w=nameplate_w)
        self._salt = ""

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self._host}:{self._port}"

    async def identify(self) -> Identity:
        """Model, firmware, serial number, and what it can do with the password at hand."""
        async with line.within(self._deadline_s, self.address):
            info = await self._device_info(probing_s=line.PROBING_S)
            self._summary(await self._told("get.miner.status", "summary"))
        system, miner, network = (_part(info, name) for name in ("system", "miner", "network"))
        return Identity(
            make="WhatsMiner",
            model=str(miner.get("type", "")),
            firmware="stock",
            firmware_version=str(system.get("fwversion", "")),
            serial=str(miner.get("miner-sn", "")),
            mac=str(network.get("mac", "")).lower(),
            capabilities=self._capabilities(is_open=str(system.get("apiswitch", "1")) != "0"),
        )

    async def read(self) -> MachineReading:
        """State, watts, hashrate and pools now."""
        async with line.within(self._deadline_s, self.address):
            info = await self._device_info()
            status = await self._told("get.miner.status", "summary+pools")
        summary = self._summary(status)
        self._power.has_run(line.number(summary, "elapsed"))
        state, fault = _state(info, summary)
        return MachineReading(
            state=state,
            draw_w=_watts(summary),
            target_w=self._power.target_w(_limit_w(summary)),
            hashrate_th=_hashrate_th(summary),
            temperatures_c=_temperatures(summary),
            pools=_pools(status),
            uptime_s=line.number(summary, "bootup-time"),
            fault=fault,
        )

    async def sleep(self) -> None:
        """Stop hashing."""
        await self._order(Write.SERVICE, "stop")
        self._power.starts_anew()

    async def wake(self) -> None:
        """Hash again, at the limit in watts that was last set."""
        await self._order(Write.SERVICE, "start")

    async def set_target_w(self, target_w: float) -> float:
        """Set its limit, by a restart unless it has it already."""
        async with line.within(self._deadline_s, self.address):
            known_w = _limit_w(self._summary(await self._told("get.miner.status", "summary")))
            taken_w = self._power.limit_for(target_w)
            if known_w != taken_w:
                await self._order(Write.POWER_LIMIT, int(taken_w))
                self._power.starts_anew()
        return taken_w

    async def set_percent(self, percent: float) -> float:
        """Trim it, in whole percent of its limit."""
        taken = self._power.trim_for(percent)
        # Text, although the manual says number: as a number the firmware does not find it.
        await self._order(Write.POWER_PERCENT, {"percent": str(taken), "mode": "fast"})
        return self._power.trimmed(taken)

    async def close(self) -> None:
        """Nothing is held."""

    # -- the wire ------------------------------------------------------------------------------------------------

    async def _device_info(self, *, probing_s: float | None = None) -> Mapping[str, Any]:
        """All that it tells of itself, the salt among it."""
        info = await self._told("get.device.info", probing_s=probing_s)
        if "miner" not in info:
            raise Wrong(f"{self.address}: its device info has no miner; is no WhatsMiner with API 3")
        self._salt = str(info.get("salt", "")) or self._salt
        return info

    async def _told(
        self, command: str, param: str | None = None, *, probing_s: float | None = None
    ) -> Mapping[str, Any]:
        """The `msg` of an answer to a read. Raises MinerError."""
        request: dict[str, object] = {"cmd": command}
        if param is not None:
            request["param"] = param
        answer = await self._ask(request, probing_s=probing_s)
        message = answer.get("msg")
        if isinstance(message, Mapping):
            return message
        raise NotUnderstood(f"{self.address}: answers {command} with {str(answer)[:80]}; look at the machine")

    async def _order(self, write: Write, param: object) -> None:
        """Told once, or twice if the salt had changed. Raises MinerError."""
        if not self._account.password:
            raise Refused(
                f"{self.address}: {write.value}: no password is given, so it is read only; "
                f"give that of its account {self._account.name}"
            )
        async with line.within(self._deadline_s, self.address):
            known = self._salt
            if not known:
                await self._device_info()
            code, said = await self._write(write, param)
            if code == _NO_PERMISSION and known:
                await self._device_info()
                if self._salt != known:
                    code, said = await self._write(write, param)
        if code != 0:
            remedy = _REMEDIES.get(code, "look at the machine")
            raise Refused(f"{self.address}: {write.value}: refused with code {code} ({said}): {remedy}")

    async def _write(self, write: Write, param: object) -> tuple[int, str]:
        """Code and words of the answer."""
        request = framed.signed(write, param, self._account, salt=self._salt, at_s=int(self._now_s()))
        answer = await self._ask(request)
        code = answer.get("code")
        if isinstance(code, int):
            return code, str(answer.get("msg", ""))
        raise NotUnderstood(f"{self.address}: {write.value}: answers without a code: {str(answer)[:80]}")

    async def _ask(
        self, request: Mapping[str, object], *, probing_s: float | None = None
    ) -> Mapping[str, Any]:
        """One connection for one question. Raises MinerError, OSError.

        With `probing_s`, a peer that is silent for so long gets an empty line, so that a web server says what it is.
        """
        reader, writer = await asyncio.open_connection(self._host, self._port)
        loop = asyncio.get_running_loop()
        probe = None if probing_s is None else loop.call_later(probing_s, writer.write, b"\r\n\r\n")
        try:
            writer.write(framed.frame(request))
            return _parsed(await self._answer(reader), self.address)
        finally:
            if probe is not None:
                probe.cancel()
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            size = framed.length(await reader.readexactly(framed.HEADER.size))
            return await reader.readexactly(size)
        except asyncio.IncompleteReadError as error:
            raise Unreachable(f"{self.address}: broke off in its answer; ask again") from error
        except ValueError as error:
            raise Wrong(f"{self.address}: {error}; is no WhatsMiner with API 3") from error

    # -- what it can do ------------------------------------------------------------------------------------------

    def _capabilities(self, *, is_open: bool) -> Capabilities:
        if not is_open or not self._account.password:
            return Capabilities()
        return self._power.capabilities()

    def _summary(self, status: Mapping[str, Any]) -> Mapping[str, Any]:
        summary = _part(status, "summary")
        self._power.found(_limit_w(summary))
        return summary


def _parsed(data: bytes, address: str) -> Mapping[str, Any]:
    try:
        answer = json.loads(data, strict=False)
    except (ValueError, RecursionError) as error:  # the latter: nested without end
        raise NotUnderstood(f"{address}: its answer is no JSON: {data[:80]!r}") from error
    if isinstance(answer, Mapping):
        return answer
    raise NotUnderstood(f"{address}: its answer is no JSON object: {data[:80]!r}")


def _part(message: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """One object of an answer; empty if it is left out, as idle machines do."""
    value = message.get(name)
    return value if isinstance(value, Mapping) else {}


def _state(info: Mapping[str, Any], summary: Mapping[str, Any]) -> tuple[MinerState, str]:
    """What it does, and its fault if it has one."""
    if str(_part(info, "miner").get("working", "true")).lower() == "false":
        return MinerState.ASLEEP, ""
    return awake_state(
        hashrate_th=_hashrate_th(summary),
        is_steady=line.number(summary, "up-freq-finish") != 0,
        elapsed_s=line.number(summary, "elapsed"),
        error_codes=_error_codes(info),
    )


def _error_codes(info: Mapping[str, Any]) -> str:
    """Each is an object with its code as the name."""
    told = info.get("error-code")
    entries = told if isinstance(told, list) else []
    codes = (name for entry in entries if isinstance(entry, Mapping) for name in entry if str(name).isdigit())
    return ", ".join(codes)


def _hashrate_th(summary: Mapping[str, Any]) -> float | None:
    told = line.number(summary, "hash-realtime")
    return None if told is None else max(told, 0.0)


def _watts(summary: Mapping[str, Any]) -> float | None:
    """The figure of this moment: `power-5min` lags by minutes."""
    told = line.number(summary, "power-realtime")
    return None if told is None or told < 0 else told


def _limit_w(summary: Mapping[str, Any]) -> float | None:
    return limit_w(line.number(summary, "power-limit"))


def _temperatures(summary: Mapping[str, Any]) -> tuple[float, ...]:
    boards = summary.get("board-temperature")
    figures = boards if isinstance(boards, list) else []
    return tuple(float(f) for f in figures if isinstance(f, int | float) and abs(f) < _BEYOND)  # nor NaN


def _pools(status: Mapping[str, Any]) -> tuple[Pool, ...]:
    told = status.get("pools")
    rows = told if isinstance(told, list) else []
    return tuple(
        Pool(
            url=str(row.get("url", "")),
            user=str(row.get("account", "")),
            is_active=row.get("stratum-active") is True,
        )
        for row in rows
        if isinstance(row, Mapping)
    )
