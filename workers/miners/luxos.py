"""LuxOS over TCP 4028: curtail sleep and wakeup, and profiles as watt targets.

Orders need the machine's one session. It is taken for each order and released after it; one that somebody else holds
is never touched: the order is Refused, and passes when that client is done or 60 s idle. A profile is refused while
the machine's own thermal control (ATM) is on, for that would change it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from workers.miners.line import PORT, PROBING_S, ask, number, rows, status, within
from workers.miners.port import (
    DEADLINE_S,
    Capabilities,
    Identity,
    MachineReading,
    MinerError,
    MinerState,
    NotUnderstood,
    Pool,
    Refused,
    WattTargets,
    Wrong,
)

log = logging.getLogger("barq.miners")

SESSION_IDLE_S: Final = 60.0
_RELEASE_S: Final = 0.5  #: of each deadline, kept for giving the session back
_OK: Final = ("S", "I", "W")
_READ: Final = ("config", "power", "devs", "summary", "temps", "pools")


class Luxos:
    """One machine with LuxOS."""

    def __init__(self, host: str, *, port: int = PORT, deadline_s: float = DEADLINE_S) -> None:
        self._host = host
        self._port = port
        self._address = f"{host}:{port}"
        self._deadline_s = deadline_s
        self._profiles: dict[float, str] = {}  #: by watts

    @property
    def address(self) -> str:
        """Host and port."""
        return self._address

    async def identify(self) -> Identity:
        """Which machine it is, and its profiles. Raises MinerError."""
        async with within(self._deadline_s, self._address):
            answer = await ask(self._host, self._port, {"command": "version"}, probing_s=PROBING_S)
            version = self._version(answer)
            config = self._first(await self._ask("config"), "CONFIG")
            targets = await self._watt_targets()
        return Identity(
            make="Antminer",
            model=str(config.get("Model", version.get("Type", ""))),
            firmware="LuxOS",
            firmware_version=str(version.get("LUXminer", version.get("Miner", ""))),
            serial=str(config.get("SerialNumber", "")),
            mac=str(config.get("MACAddr", "")).lower(),
            capabilities=Capabilities(pause=True, watts=targets),
        )

    async def read(self) -> MachineReading:
        """What it says of itself now. Raises MinerError."""
        async with within(self._deadline_s, self._address):
            told = await self._ask_all(_READ)
            profiles = self._profiles or await self._read_profiles()
        config = self._first(told["config"], "CONFIG")
        power = self._first(told["power"], "POWER")
        boards = rows(told["devs"], "DEVS", self._address)
        profile = str(config.get("Profile", ""))
        mhs = [value for board in boards if (value := number(board, "MHS 5s")) is not None]
        return MachineReading(
            state=_state(config, boards),
            draw_w=number(power, "Watts"),
            is_metered=power.get("PSU") is True,
            target_w=next((watts for watts, name in profiles.items() if name == profile), None),
            hashrate_th=sum(mhs) / 1e6 if mhs else None,
            temperatures_c=_temperatures(rows(told["temps"], "TEMPS", self._address)),
            pools=_pools(rows(told["pools"], "POOLS", self._address)),
            uptime_s=number(self._first(told["summary"], "SUMMARY"), "Elapsed"),
            fault="" if not _is_dead(boards) else "all of its boards are dead",
        )

    async def sleep(self) -> None:
        """Curtail to sleep: boards and power supply off, over restarts too. Raises MinerError."""
        async with self._session() as session:
            await self._order("curtail", f"{session},sleep")

    async def wake(self) -> None:
        """Curtail to wakeup, at the machine's own gentle ramp. Raises MinerError."""
        async with self._session() as session:
            await self._order("curtail", f"{session},wakeup")

    async def set_target_w(self, target_w: float) -> float:
        """Take the greatest profile that is not above it and return that profile's watts. Raises MinerError."""
        began_s = time.monotonic()
        async with within(self._deadline_s, self._address):
            targets = await self._watt_targets()
            config = self._first(await self._ask("config"), "CONFIG")
        taken_w = None if targets is None else targets.nearest_below_w(target_w)
        if targets is None or taken_w is None:
            least = "none" if targets is None else f"none below {targets.min_w:.0f} W"
            raise Refused(
                f"{self._address}: target {target_w:.0f} W: of its profiles there is {least}; let it sleep"
            )
        if config.get("IsAtmEnabled") is True:
            raise Refused(
                f"{self._address}: its ATM changes profiles by itself; its owner must turn that off first"
            )
        async with self._session(spent_s=time.monotonic() - began_s) as session:
            await self._order("profileset", f"{session},{self._profiles[taken_w]}")
        return taken_w

    async def set_percent(self, percent: float) -> float:
        """Refused: it has no fast trim."""
        raise Refused(f"{self._address}: {percent:g} %: LuxOS has no fast trim; give it watts")

    async def close(self) -> None:
        """Nothing is kept: each order gives its session back."""

    @asynccontextmanager
    async def _session(self, *, spent_s: float = 0.0) -> AsyncIterator[str]:
        """The machine's one session, for one order, given back whatever happens. `spent_s` of the deadline are over.

        If the answer to our logon is lost, nobody knows the session that it may have made: it ends after 60 s.
        """
        async with within(self._deadline_s - _RELEASE_S - spent_s, self._address):
            session = await self._logon()
            try:
                yield session
            finally:
                await self._logoff(session)

    async def _logon(self) -> str:
        answer = await ask(self._host, self._port, {"command": "logon"})
        letter, code, message = status(answer)
        if letter in _OK:
            session = self._first(answer, "SESSION").get("SessionID")
            if isinstance(session, str) and session:
                return session
            raise NotUnderstood(f"{self._address}: its logon gives no session: {answer}")
        if "session" not in message.lower():
            raise self._refusal("logon", code, message)
        raise Refused(
            f"{self._address}: its one session is held by {await self._holder()}; it is not taken away, "
            "ask again when that client is done",
            retry_after_s=SESSION_IDLE_S,
        )

    async def _holder(self) -> str:
        """Whose session it is, as far as the machine says: the beginning of its number, enough to recognise it."""
        answer = await ask(self._host, self._port, {"command": "session"})
        session = str(self._first(answer, "SESSION").get("SessionID", ""))
        return f"another client (session {session[:3]}...)" if session else "another client"

    async def _logoff(self, session: str) -> None:
        try:
            async with within(_RELEASE_S, self._address):
                await ask(self._host, self._port, {"command": "logoff", "parameter": session})
        except MinerError as error:
            log.warning("the session was not given back and ends in %.0f s: %s", SESSION_IDLE_S, error)

    async def _order(self, command: str, parameter: str) -> None:
        answer = await ask(self._host, self._port, {"command": command, "parameter": parameter})
        letter, code, message = status(answer)
        if letter not in _OK and "already" not in message.lower():
            raise self._refusal(command, code, message)

    async def _ask(self, command: str) -> dict[str, Any]:
        answer = await ask(self._host, self._port, {"command": command})
        letter, code, message = status(answer)
        if letter not in _OK:
            raise self._refusal(command, code, message)
        return answer

    async def _ask_all(self, commands: tuple[str, ...]) -> dict[str, Mapping[str, Any]]:
        """Several questions in one exchange; one by one where it does not take them together."""
        together = await ask(self._host, self._port, {"command": "+".join(commands)})
        told = {command: _only(together.get(command)) for command in commands}
        return {
            command: answer if answer is not None else await self._ask(command)
            for command, answer in told.items()
        }

    async def _read_profiles(self) -> dict[float, str]:
        found = rows(await self._ask("profiles"), "PROFILES", self._address)
        told = [(number(row, "Watts"), str(row.get("Profile Name", ""))) for row in found]
        self._profiles = {watts: name for watts, name in sorted(_whole(told)) if name}
        return self._profiles

    async def _watt_targets(self) -> WattTargets | None:
        choices_w = tuple(await self._read_profiles())
        if not choices_w:
            return None
        return WattTargets(min_w=choices_w[0], max_w=choices_w[-1], choices_w=choices_w)

    def _version(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        version = _only(answer.get("VERSION")) or {}
        if not any("luxminer" in f"{name} {value}".lower() for name, value in version.items()):
            what = version or answer
            raise Wrong(f"{self._address}: is no LuxOS: it says {str(what)[:80]}; give it the right driver")
        return version

    def _first(self, answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        found = rows(answer, name, self._address)
        if not found:
            raise NotUnderstood(f"{self._address}: its list {name!r} is empty")
        return found[0]

    def _refusal(self, command: str, code: int, message: str) -> MinerError:
        if not message:
            return NotUnderstood(f"{self._address}: {command}: its answer has no status")
        return Refused(f"{self._address}: {command}: refuses (code {code}): {message}")


def _only(told: object) -> Mapping[str, Any] | None:
    first = told[0] if isinstance(told, list) and told else None
    return first if isinstance(first, Mapping) else None


def _whole(told: list[tuple[float | None, str]]) -> list[tuple[float, str]]:
    return [(watts, name) for watts, name in told if watts is not None and watts > 0]


def _state(config: Mapping[str, Any], boards: list[Mapping[str, Any]]) -> MinerState:
    if str(config.get("CurtailMode", "None")).lower() != "none" or config.get("IsPowerSupplyOn") is False:
        return MinerState.ASLEEP
    if _is_dead(boards):
        return MinerState.FAULTED
    if any(board.get("IsRamping") is True or not number(board, "MHS 5s") for board in boards):
        return MinerState.RAMPING
    return MinerState.RUNNING


def _is_dead(boards: list[Mapping[str, Any]]) -> bool:
    return bool(boards) and all(str(board.get("Status")) == "Dead" for board in boards)


def _temperatures(sensors: list[Mapping[str, Any]]) -> tuple[float, ...]:
    told = (number(row, name) for row in sensors for name in row if name not in ("ID", "TEMP"))
    return tuple(degree_c for degree_c in told if degree_c is not None and degree_c > 0)


def _pools(told: list[Mapping[str, Any]]) -> tuple[Pool, ...]:
    return tuple(
        Pool(
            url=str(row.get("URL", "")), user=str(row.get("User", "")), is_active=row.get("Status") == "Alive"
        )
        for row in told
    )
