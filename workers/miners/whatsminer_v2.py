"""WhatsMiner with API 2 (firmware before November 2024, and by compatibility many after), TCP 4028.

Its owner has to open it once, in WhatsMinerTool: give it an admin password other than the one it came with, and turn
"Miner API Switch" on. Until then it can be read and refuses every order; nothing here tries to open it.

- Asleep is `power_off`. It is lost when the machine is rebooted or loses its mains: it then mines again by itself.
- A target in watts starts the machine anew, minutes at low power and back; it is for hours.
- A percentage holds within a second or so, is approximate, and is lost at the next start; it is for seconds.

Orders need a token that the machine lends for 30 minutes. It is fetched ahead, while reading, so that an order in a
hurry is one exchange; making one costs two milliseconds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from zlib import crc32

from workers.miners import line
from workers.miners.port import (
    DEADLINE_S,
    Capabilities,
    Credentials,
    Identity,
    MachineReading,
    MinerError,
    MinerState,
    NotUnderstood,
    Pool,
    Refused,
    Wrong,
)
from workers.miners.whatsminer_power import PowerSetting, awake_state, limit_w
from workers.whatsminer.sealed import Loan, Seal, Write, seal_of

_OK: Final = 131
_TOKEN_IS_WRONG: Final = frozenset({23, 135})  #: 23: what we sent does not open with its password
_TOO_MANY_TOKENS: Final = 136
_TOKEN_LIFE_S: Final = 30 * 60.0
_RENEW_S: Final = 15 * 60.0  #: a token is renewed while reading from this age on, or up to
_SPREAD_S: Final = (
    5 * 60
)  #: later, each machine by its own time: a fleet must not renew all of its tokens at once
_POOLS_S: Final = 60.0  #: they are read this often
_REMEDIES: Final = {
    14: "its firmware does not know the command; update it",
    23: "the password is not its own; give the admin password that its owner set in WhatsMinerTool",
    45: "writing is off; its owner sets a new admin password and turns 'Miner API Switch' on in WhatsMinerTool",
    135: "it does not take its own token; look at its clock and its admin password",
    136: "other programs hold all of its tokens; stop them, or wait until the oldest is 30 minutes old",
}


class WhatsminerV2:
    """One machine."""

    def __init__(
        self,
        host: str,
        *,
        port: int = line.PORT,
        credentials: Credentials,
        nameplate_w: float | None = None,
        deadline_s: float = DEADLINE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._port = port
        self._deadline_s = deadline_s
        self._password = credentials.password
        self._clock = clock
        self._power = PowerSetting(self.address, nameplate_w=nameplate_w)
        self._seal: Seal | None = None
        self._sealed_at_s = -math.inf
        self._key: tuple[str, str] | None = None
        self._pools: tuple[Pool, ...] = ()
        self._pools_at_s = -math.inf

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self._host}:{self._port}"

    async def identify(self) -> Identity:
        """Model, firmware, serial number, and what it can do with the password at hand."""
        async with line.within(self._deadline_s, self.address):
            version = await self._told("get_version", probing_s=line.PROBING_S)
            if "fw_ver" not in version:
                raise Wrong(f"{self.address}: tells no fw_ver; is no WhatsMiner with API 2")
            model = _model(await self._ask("devdetails"))
            info = await self._told("get_miner_info", or_nothing=True)
            await self._summary()
        return Identity(
            make="WhatsMiner",
            model=model,
            firmware="stock",
            firmware_version=str(version["fw_ver"]),
            serial=str(info.get("minersn", "")),
            mac=str(info.get("mac", "")).lower(),
            capabilities=self._capabilities(str(version.get("api_ver", ""))),
        )

    async def read(self) -> MachineReading:
        """State, watts and hashrate now; pools at most once a minute."""
        async with line.within(self._deadline_s, self.address):
            status = await self._told("status")
            summary = await self._summary(or_nothing=_is_off(status))
            await self._look_at_pools()
            await self._fetch_token_ahead()
        self._power.has_run(line.number(summary, "Elapsed"))
        state, fault = _state(status, summary)
        return MachineReading(
            state=state,
            draw_w=_watts(summary),
            target_w=self._power.target_w(_limit_w(summary)),
            hashrate_th=_hashrate_th(summary),
            temperatures_c=_temperatures(summary),
            pools=self._pools,
            uptime_s=line.number(summary, "Uptime"),
            fault=fault,
        )

    async def sleep(self) -> None:
        """Stop hashing; the answer comes before the power goes."""
        await self._order(Write.POWER_OFF, respbefore="true")
        self._power.starts_anew()

    async def wake(self) -> None:
        """Hash again, at the limit in watts that was last set."""
        await self._order(Write.POWER_ON)

    async def set_target_w(self, target_w: float) -> float:
        """Set its limit, by a restart unless it has it already."""
        async with line.within(self._deadline_s, self.address):
            known_w = _limit_w(await self._summary())
            taken_w = self._power.limit_for(target_w)
            if known_w != taken_w:
                await self._order(Write.POWER_LIMIT, power_limit=f"{taken_w:.0f}")
                self._power.starts_anew()
        return taken_w

    async def set_percent(self, percent: float) -> float:
        """Trim it, in whole percent of its limit."""
        taken = self._power.trim_for(percent)
        await self._order(Write.POWER_PERCENT, percent=str(taken))
        return self._power.trimmed(taken)

    async def close(self) -> None:
        """Nothing is held but a token, which ends by itself."""
        self._seal = None

    # -- reading -------------------------------------------------------------------------------------------------

    async def _ask(self, command: str, *, probing_s: float | None = None) -> Mapping[str, Any]:
        return await line.ask(self._host, self._port, {"cmd": command}, probing_s=probing_s)

    async def _told(
        self, command: str, *, or_nothing: bool = False, probing_s: float | None = None
    ) -> Mapping[str, Any]:
        """The `Msg` of an answer. Raises Wrong for what no WhatsMiner says."""
        answer = await self._ask(command, probing_s=probing_s)
        message = answer.get("Msg")
        if isinstance(message, Mapping):
            return message
        if or_nothing:
            return {}
        raise Wrong(f"{self.address}: answers {command} with {str(answer)[:80]}; is no WhatsMiner with API 2")

    async def _summary(self, *, or_nothing: bool = False) -> Mapping[str, Any]:
        """One that is off need not have any."""
        answer = await self._ask("summary")
        if or_nothing and "SUMMARY" not in answer:
            return {}
        found = line.rows(answer, "SUMMARY", self.address)
        if not found:
            raise NotUnderstood(f"{self.address}: its summary is empty; is its mining program running?")
        self._power.found(_limit_w(found[0]))
        return found[0]

    async def _look_at_pools(self) -> None:
        if self._clock() - self._pools_at_s < _POOLS_S:
            return
        answer = await self._ask("pools")
        listed = answer.get("POOLS")
        rows = listed if isinstance(listed, list) else []
        self._pools = tuple(_pool(row) for row in rows if isinstance(row, Mapping))
        self._pools_at_s = self._clock()

    # -- what it can do ------------------------------------------------------------------------------------------

    def _capabilities(self, api: str) -> Capabilities:
        """Without a password, and with API 1, it is read only."""
        if not self._password or api.rpartition("v")[2].startswith("1."):
            return Capabilities()
        return self._power.capabilities()

    # -- orders --------------------------------------------------------------------------------------------------

    async def _order(self, write: Write, **values: str) -> None:
        """Told once, or twice if the token had become stale. Raises MinerError."""
        if not self._password:
            raise Refused(
                f"{self.address}: {write.value}: no password is given, so it is read only; give its admin password"
            )
        async with line.within(self._deadline_s, self.address):
            known = self._seal if self._token_age_s() < _TOKEN_LIFE_S else None
            code, said = await self._write(known or await self._fetch_token(), write, values)
            if code in _TOKEN_IS_WRONG and known is not None:
                code, said = await self._write(await self._fetch_token(), write, values)
        if code != _OK:
            raise self._refusal(f"{self.address}: {write.value}", code, said)

    async def _write(self, seal: Seal, write: Write, values: Mapping[str, str]) -> tuple[int, str]:
        """Code and words of the answer."""
        answer = await line.ask(self._host, self._port, seal.close(write, values))
        try:
            _, code, said = line.status(seal.open(answer))
        except (ValueError, RecursionError) as error:
            raise NotUnderstood(
                f"{self.address}: {write.value}: its answer does not open: {error}"
            ) from error
        return code, said

    async def _fetch_token(self) -> Seal:
        """A new token, kept for later orders. Raises MinerError."""
        answer = await self._ask("get_token")
        _, code, said = line.status(answer)
        if not isinstance(answer.get("Msg"), Mapping):
            raise self._refusal(f"{self.address}: get_token", code, said)
        try:
            loan = Loan.of(answer["Msg"])
        except ValueError as error:
            raise NotUnderstood(f"{self.address}: {error}") from error
        known_key = self._key[1] if self._key is not None and self._key[0] == loan.salt else None
        self._seal = seal_of(self._password, loan, known_key=known_key)
        self._key = loan.salt, self._seal.key
        self._sealed_at_s = self._clock()
        return self._seal

    async def _fetch_token_ahead(self) -> None:
        renew_s = _RENEW_S + crc32(self.address.encode()) % _SPREAD_S
        if not self._password or self._token_age_s() < renew_s:
            return
        try:
            await self._fetch_token()
        except MinerError:
            return  # the reading stands; an order will meet the same, and tell it

    def _token_age_s(self) -> float:
        return math.inf if self._seal is None else self._clock() - self._sealed_at_s

    @staticmethod
    def _refusal(what: str, code: int, said: str) -> Refused:
        known = 45 if "access write" in said else code
        remedy = _REMEDIES.get(known, "look at the machine")
        passes_s = _TOKEN_LIFE_S if known == _TOO_MANY_TOKENS else None
        return Refused(f"{what}: refused with code {code} ({said}): {remedy}", retry_after_s=passes_s)


def _model(details: Mapping[str, Any]) -> str:
    rows = details.get("DEVDETAILS")
    first = rows[0] if isinstance(rows, list) and rows else None
    return str(first.get("Model", "")) if isinstance(first, Mapping) else ""


def _is_off(status: Mapping[str, Any]) -> bool:
    """As API 2 says it, or API 1."""
    return str(status.get("mineroff", status.get("btmineroff", "false"))).lower() == "true"


def _state(status: Mapping[str, Any], summary: Mapping[str, Any]) -> tuple[MinerState, str]:
    """What it does, and its fault if it has one."""
    if _is_off(status):
        return MinerState.ASLEEP, ""
    codes = [
        str(value) for name, value in summary.items() if name.startswith("Error Code ") and name[-1].isdigit()
    ]
    return awake_state(
        hashrate_th=_hashrate_th(summary),
        is_steady=line.number(summary, "Upfreq Complete") != 0,
        elapsed_s=line.number(summary, "Elapsed"),
        error_codes=", ".join(codes),
    )


def _hashrate_th(summary: Mapping[str, Any]) -> float | None:
    """From the field that lags least."""
    for name in ("HS RT", "MHS 1m", "MHS av"):
        if (told := line.number(summary, name)) is not None:
            return max(told, 0.0) / 1e6
    return None


def _watts(summary: Mapping[str, Any]) -> float | None:
    """-1 = it does not know."""
    told = line.number(summary, "Power")
    return None if told is None or told < 0 else told


def _limit_w(summary: Mapping[str, Any]) -> float | None:
    return limit_w(line.number(summary, "Power Limit"))


def _temperatures(summary: Mapping[str, Any]) -> tuple[float, ...]:
    told = (line.number(summary, name) for name in ("Temperature", "Chip Temp Max"))
    return tuple(figure for figure in told if figure)


def _pool(row: Mapping[str, Any]) -> Pool:
    return Pool(
        url=str(row.get("URL", "")),
        user=str(row.get("User", "")),
        is_active=str(row.get("Stratum Active", "")).lower() == "true",
    )
