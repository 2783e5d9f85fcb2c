"""Any machine with the CGMiner API on TCP 4028 (stock Antminer, Avalon, many others): it is read, and nothing more.

The API tells hashes and no watts, and has no way to sleep. Such a machine counts at its nameplate unless a meter or an
outlet says otherwise, and only its outlet can switch it off. Where Barq has a driver for its firmware, use that one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

from workers.miners import line
from workers.miners.port import DEADLINE_S, Identity, MachineReading, MinerState, Pool, Refused, Wrong

_STARTING_S: Final = 10 * 60.0  #: one that hashes nothing for longer after its start is faulted
_TH_PER: Final = {"GHS": 1e-3, "MHS": 1e-6, "KHS": 1e-9}
_SPANS: Final = ("5s", "1m", "av")
_OKAY: Final = ("S", "I", "W")


class Cgminer:
    """One machine."""

    def __init__(self, host: str, *, port: int = line.PORT, deadline_s: float = DEADLINE_S) -> None:
        self._host = host
        self._port = port
        self._deadline_s = deadline_s

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self._host}:{self._port}"

    async def identify(self) -> Identity:
        """What its version tells: seldom a serial number. There are no capabilities."""
        async with line.within(self._deadline_s, self.address):
            answer = await self._ask("version", probing_s=line.PROBING_S)
        rows = answer.get("VERSION")
        row = rows[0] if isinstance(rows, list) and rows else None
        if not isinstance(row, Mapping):
            raise Wrong(f"{self.address}: tells no version: {str(answer)[:80]}; is its API another?")
        software = _software(row)
        return Identity(
            make="",
            model=_text(row, "Type", "PROD", "Miner"),
            firmware=software,
            firmware_version=_text(row, software),
            serial=_text(row, "SN", "DNA"),
            mac=_text(row, "MAC").lower(),
        )

    async def read(self) -> MachineReading:
        """Hashrate and pools now."""
        async with line.within(self._deadline_s, self.address):
            summary = line.rows(await self._ask("summary"), "SUMMARY", self.address)
            pools = line.rows(await self._ask("pools"), "POOLS", self.address)
        row: Mapping[str, Any] = summary[0] if summary else {}
        elapsed_s, hashrate_th = line.number(row, "Elapsed"), _hashrate_th(row)
        is_starting = (elapsed_s or 0.0) < _STARTING_S
        idle = MinerState.RAMPING if is_starting else MinerState.FAULTED
        return MachineReading(
            state=MinerState.RUNNING if hashrate_th else idle,
            hashrate_th=hashrate_th,
            pools=tuple(_pool(told) for told in pools),
            uptime_s=elapsed_s,
            fault="" if hashrate_th or is_starting else "hashes nothing",
        )

    async def sleep(self) -> None:
        """Refused."""
        self._refuse("sleep")

    async def wake(self) -> None:
        """Refused."""
        self._refuse("wake")

    async def set_target_w(self, target_w: float) -> float:
        """Refused."""
        self._refuse(f"target_w={target_w:g}")

    async def set_percent(self, percent: float) -> float:
        """Refused."""
        self._refuse(f"percent={percent:g}")

    async def close(self) -> None:
        """Nothing is held."""

    async def _ask(self, command: str, *, probing_s: float | None = None) -> Mapping[str, Any]:
        """The answer to a question, if it is one. Raises MinerError."""
        answer = await line.ask(self._host, self._port, {"command": command}, probing_s=probing_s)
        letter, code, said = line.status(answer)
        if letter in _OKAY:
            return answer
        kind = Wrong if command == "version" else Refused
        raise kind(
            f"{self.address}: {command}: answers {letter or 'nothing'} {code} ({said}); is its API another?"
        )

    def _refuse(self, what: str) -> NoReturn:
        raise Refused(
            f"{self.address}: {what}: it is read only: the CGMiner API can neither let it sleep nor trim it; "
            "give it the driver of its firmware, or switch its outlet"
        )


def _software(version: Mapping[str, Any]) -> str:
    """The field that bears the name of the mining program: CGMiner, BMMiner, ..."""
    names = (name for name in version if name.lower().endswith("miner") and name != "Miner")
    return next(names, "CGMiner")


def _text(row: Mapping[str, Any], *names: str) -> str:
    """The first of these that is told."""
    return next((str(row[name]) for name in names if row.get(name)), "")


def _hashrate_th(row: Mapping[str, Any]) -> float | None:
    """From the figure of the shortest time."""
    for span in _SPANS:
        for unit, th in _TH_PER.items():
            if (told := line.number(row, f"{unit} {span}")) is not None:
                return max(told, 0.0) * th
    return None


def _pool(row: Mapping[str, Any]) -> Pool:
    is_active = str(row.get("Stratum Active", "true")).lower() == "true" and row.get("Status") != "Dead"
    return Pool(url=_text(row, "URL"), user=_text(row, "User"), is_active=is_active)
