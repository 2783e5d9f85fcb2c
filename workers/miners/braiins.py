"""Braiins OS from 25.07 on, over its REST API (`/api/v1`, port 80): pause, resume, power target.

The token of a login is kept and refreshed by use; one that the machine forgot is replaced once in a call. Targets are
only taken where its tuner runs by power. Watts are the firmware's estimate. Temperatures and pools change slowly and
are asked for every 30 s.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from workers.miners.http import HttpLine, Reply
from workers.miners.line import within
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
    WattTargets,
    Wrong,
)

PORT: Final = 80
SLOW_S: Final = 30.0
_BEYOND: Final = 1e12  #: no figure of a machine is as high
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_STATES: Final = {
    1: MinerState.RAMPING,  # not started yet
    2: MinerState.RUNNING,
    3: MinerState.ASLEEP,
    4: MinerState.FAULTED,
    5: MinerState.RUNNING,  # restricted
}
#: `overall_tuner_state` while it still searches: tuning, preheating.
_TUNING: Final = (3, 6)


class Braiins:
    """One machine with Braiins OS."""

    def __init__(
        self, host: str, *, port: int = PORT, credentials: Credentials, deadline_s: float = DEADLINE_S
    ) -> None:
        self._address = f"{host}:{port}"
        self._line = HttpLine(host, port)
        self._credentials = credentials
        self._deadline_s = deadline_s
        self._token = ""
        self._targets: WattTargets | None = None
        self._slow: tuple[tuple[float, ...], tuple[Pool, ...]] = ((), ())
        self._slow_at_s: float | None = None

    @property
    def address(self) -> str:
        """Host and port."""
        return self._address

    async def identify(self) -> Identity:
        """Which machine it is, and by what its tuner runs. Raises MinerError."""
        async with within(self._deadline_s, self._address):
            details = await self._get("miner/details")
            self._targets = await self._watt_targets()
        version = _text(details, "bos_version", "current")
        if not version:
            raise Wrong(f"{self._address}: tells no version of Braiins OS; is it another firmware?")
        return Identity(
            make=_text(details, "miner_identity", "brand_name") or "Antminer",
            model=_text(details, "miner_identity", "miner_model") or _text(details, "miner_identity", "name"),
            firmware="Braiins OS",
            firmware_version=version,
            serial=_text(details, "serial_number"),
            mac=_text(details, "mac_address").lower(),
            capabilities=Capabilities(pause=True, watts=self._targets),
        )

    async def read(self) -> MachineReading:
        """What it says of itself now. Raises MinerError."""
        async with within(self._deadline_s, self._address):
            details = await self._get("miner/details")
            stats = await self._get("miner/stats")
            tuner = await self._get("performance/tuner-state")
            temperatures_c, pools = await self._slow_facts()
        ghs = _number(stats, "miner_stats", "real_hashrate", "last_5s", "gigahash_per_second")
        return MachineReading(
            state=self._state(details, tuner, ghs),
            draw_w=_number(stats, "power_stats", "approximated_consumption", "watt"),
            target_w=_number(tuner, "mode_state", "powertargetmodestate", "current_target", "watt"),
            hashrate_th=None if ghs is None else ghs / 1000,
            temperatures_c=temperatures_c,
            pools=pools,
            uptime_s=_number(details, "system_uptime_s"),
            fault="suspended by its firmware" if details.get("status") == 4 else "",  # noqa: PLR2004 (as in _STATES)
        )

    async def sleep(self) -> None:
        """Pause mining. Raises MinerError."""
        async with within(self._deadline_s, self._address):
            await self._put("actions/pause")

    async def wake(self) -> None:
        """Resume mining. Raises MinerError."""
        async with within(self._deadline_s, self._address):
            await self._put("actions/resume")

    async def set_target_w(self, target_w: float) -> float:
        """Run by a power target and return the one that it took, W. Raises MinerError."""
        async with within(self._deadline_s, self._address):
            targets = self._targets or await self._watt_targets()
            self._targets = targets
            if targets is None:
                raise Refused(f"{self._address}: takes no watts: switch its tuner to a power target")
            wanted_w = targets.nearest_below_w(target_w)
            if wanted_w is None:
                raise Refused(
                    f"{self._address}: target {target_w:.0f} W: it takes {targets.min_w:.0f} to "
                    f"{targets.max_w:.0f} W; let it sleep instead"
                )
            taken = (await self._put("performance/power-target", {"watt": int(wanted_w)})).object(
                self._address
            )
        taken_w = _number(taken, "watt")
        if taken_w is None:
            raise NotUnderstood(f"{self._address}: took a target and does not say which: {taken}")
        return taken_w

    async def set_percent(self, percent: float) -> float:
        """Refused: it has no fast trim."""
        raise Refused(f"{self._address}: {percent:g} %: Braiins OS has no fast trim; give it watts")

    async def close(self) -> None:
        """Let go of its connections. The token ends by itself."""
        await self._line.close()

    def _state(self, details: Mapping[str, Any], tuner: Mapping[str, Any], ghs: float | None) -> MinerState:
        status = details.get("status")
        if not isinstance(status, int) or status not in _STATES:
            raise NotUnderstood(
                f"{self._address}: its status is {status!r}; a number from 1 to 5 was expected"
            )
        state = _STATES[status]
        is_moving = tuner.get("overall_tuner_state") in _TUNING or not ghs
        return MinerState.RAMPING if state is MinerState.RUNNING and is_moving else state

    async def _watt_targets(self) -> WattTargets | None:
        """The targets that it takes; None = its tuner does not run by power."""
        config = await self._get("configuration/miner")
        tuner = config.get("tuner")
        if not isinstance(tuner, dict) or not tuner.get("enabled") or not tuner.get("power_target"):
            return None
        limits = await self._get("configuration/constraints")
        min_w = _number(limits, "tuner_constraints", "power_target", "min", "watt")
        max_w = _number(limits, "tuner_constraints", "power_target", "max", "watt")
        if min_w is None or max_w is None or not 0 < min_w <= max_w:
            return None
        return WattTargets(min_w=min_w, max_w=max_w)

    async def _slow_facts(self) -> tuple[tuple[float, ...], tuple[Pool, ...]]:
        now_s = time.monotonic()
        if self._slow_at_s is None or now_s - self._slow_at_s > SLOW_S:
            boards = await self._get("miner/hw/hashboards")
            config = await self._get("configuration/miner")
            self._slow = (_temperatures(boards), _pools(config))
            self._slow_at_s = now_s
        return self._slow

    async def _get(self, path: str) -> dict[str, Any]:
        return (await self._authorized("GET", path, None)).object(self._address)

    async def _put(self, path: str, body: dict[str, object] | None = None) -> Reply:
        return await self._authorized("PUT", path, body)

    async def _authorized(self, method: str, path: str, body: dict[str, object] | None) -> Reply:
        """One exchange with a token that holds. An owner's new password shows as Refused at the second login."""
        had_token = bool(self._token)
        reply = await self._with_token(method, path, body)
        if reply.status == _UNAUTHORIZED and had_token:
            self._token = ""
            reply = await self._with_token(method, path, body)
        return self._accepted(reply, path)

    async def _with_token(self, method: str, path: str, body: dict[str, object] | None) -> Reply:
        self._token = self._token or await self._login()
        told = {"Authorization": self._token}
        return await self._line.ask(method, f"/api/v1/{path}", body=body, headers=told)

    async def _login(self) -> str:
        told = {"username": self._credentials.user, "password": self._credentials.password}
        reply = await self._line.ask("POST", "/api/v1/auth/login", body=told)
        if reply.status in (_UNAUTHORIZED, _FORBIDDEN) and not reply.challenge:
            raise Refused(
                f"{self._address}: does not take the password of {self._credentials.user!r}; give its owner's"
            )
        if reply.status // 100 != 2:  # noqa: PLR2004 (2xx)
            raise Wrong(
                f"{self._address}: a web server without the API of Braiins OS (HTTP {reply.status} for a login); "
                "is it another firmware, or older than 25.07?"
            )
        token = reply.object(self._address).get("token")
        if not isinstance(token, str) or not token:
            raise NotUnderstood(f"{self._address}: its login gives no token: {reply.text!r}")
        return token

    def _accepted(self, reply: Reply, path: str) -> Reply:
        if reply.status // 100 == 2:  # noqa: PLR2004 (2xx)
            return reply
        if reply.status // 100 == 5:  # noqa: PLR2004 (5xx)
            raise NotUnderstood(
                f"{self._address}: {path}: fails inside (HTTP {reply.status}): {reply.text!r}"
            )
        raise Refused(f"{self._address}: {path}: refuses (HTTP {reply.status}): {reply.text!r}")


def _at(told: object, *path: str) -> object:
    for name in path:
        told = told.get(name) if isinstance(told, dict) else None
    return told


def _number(told: object, *path: str) -> float | None:
    value = _at(told, *path)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _BEYOND else None  # nor is it NaN


def _text(told: object, *path: str) -> str:
    value = _at(told, *path)
    return value if isinstance(value, str) else ""


def _rows(told: object, *path: str) -> list[object]:
    value = _at(told, *path)
    return value if isinstance(value, list) else []


def _temperatures(boards: Mapping[str, Any]) -> tuple[float, ...]:
    told = (_number(board, "board_temp", "degree_c") for board in _rows(boards, "hashboards"))
    return tuple(degree_c for degree_c in told if degree_c is not None)


def _pools(config: Mapping[str, Any]) -> tuple[Pool, ...]:
    return tuple(
        Pool(url=_text(pool, "url"), user=_text(pool, "user"), is_active=_at(pool, "enabled") is not False)
        for group in _rows(config, "pool_groups")
        for pool in _rows(group, "pools")
    )
