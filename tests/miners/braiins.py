"""An emulated machine with Braiins OS: its REST API, with tokens that end, targets with limits, and its tuner."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import h11

from tests.miners.emulator import Emulator, Fault
from tests.miners.plant import Plant

TOKEN_S = 3600.0
MIN_W, MAX_W = 1500, 3400
VERSION = "2026-04-14-0-912d084c-26.04-plus"
PAGE = b"<html><head><title>Braiins OS</title></head></html>"
PASSWORD = "owner-s"  # noqa: S105 (of an emulated machine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One HTTP request."""

    method: str
    path: str
    token: str
    body: bytes

    def told(self) -> Any:
        """Its JSON; None = it has none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class BraiinsEmulator(Emulator):
    """One machine."""

    def __init__(self, plant: Plant | None = None) -> None:
        super().__init__(plant)
        self.password = PASSWORD
        self.by_power = True  #: its tuner runs by a power target
        self.status = 0  #: what it says of itself; 0 = the truth
        self.logins = 0
        self._tokens: dict[str, float] = {}

    def forgets_tokens(self) -> None:
        """As after a restart of its API."""
        self._tokens.clear()

    async def answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h11.Connection(h11.SERVER)
        while True:
            try:
                asked = await _request(http, reader)
            except h11.RemoteProtocolError:
                await self.send(writer, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                return
            if asked is None:
                return
            self.requests.append(f"{asked.method} {asked.path} {asked.body.decode()}")
            status, told = self._answer(asked)
            kind, body = (
                ("text/html", PAGE) if asked.path == "/" else ("application/json", self._spoilt(told))
            )
            head = h11.Response(
                status_code=status, headers=[("Content-Type", kind), ("Content-Length", str(len(body)))]
            )
            whole = b"".join(http.send(e) or b"" for e in (head, h11.Data(data=body), h11.EndOfMessage()))
            if not await self.send(writer, whole) or http.our_state is not h11.DONE:
                return
            http.start_next_cycle()

    def _spoilt(self, told: Any) -> bytes:
        text = json.dumps(told)
        return (text[1:] if Fault.MALFORMED in self.faults else text).encode()

    def _answer(self, asked: Asked) -> tuple[int, Any]:
        if asked.path == "/":
            return 200, None
        if asked.path == "/graphql":
            return 200, _graphql(asked.body.decode())
        if not asked.path.startswith("/api/v1/"):
            return 404, {"message": "not found"}
        path = asked.path.removeprefix("/api/v1/").rstrip("/")
        if (asked.method, path) == ("POST", "auth/login"):
            return self._login(asked.told())
        if self._tokens.get(asked.token, -1.0) < self.later_s:
            return 401, {"message": "unauthorized"}
        self._tokens[asked.token] = self.later_s + TOKEN_S
        if asked.method == "PUT":
            return self._order(path, asked.told())
        told = self._facts().get(path)
        return (200, told()) if told is not None else (404, {"message": "not found"})

    def _login(self, told: Any) -> tuple[int, Any]:
        if told != {"username": "root", "password": self.password}:
            return 401, {"message": "invalid username or password"}
        self.logins += 1
        token = f"token-{self.logins}"
        self._tokens[token] = self.later_s + TOKEN_S
        return 200, {"token": token, "timeout_s": int(TOKEN_S)}

    def _order(self, path: str, told: Any) -> tuple[int, Any]:
        if Fault.LOCKED in self.faults:
            return 403, {"message": "locked by its owner"}
        match path:
            case "actions/pause":
                was = self.plant.asleep
                self.plant.sleep()
                return 200, was
            case "actions/resume":
                was = not self.plant.asleep
                self.plant.wake()
                return 200, was
            case "performance/power-target":
                return self._aim(told.get("watt") if isinstance(told, dict) else None)
            case _:
                return 404, {"message": "not found"}

    def _aim(self, watt: Any) -> tuple[int, Any]:
        if not self.by_power:
            return 403, {"message": "the tuner does not run by a power target"}
        if not isinstance(watt, int) or not MIN_W <= watt <= MAX_W:
            return 400, {"message": f"power target {watt} is out of range {MIN_W} to {MAX_W}"}
        self.plant.aim(watt)
        return 200, {"watt": watt}

    def _facts(self) -> dict[str, Callable[[], Any]]:
        return {
            "version": lambda: {"major": 1, "minor": 11, "patch": 0, "pre": "", "build": ""},
            "miner/details": self._details,
            "miner/stats": self._stats,
            "miner/errors": lambda: {"errors": []},
            "miner/hw/hashboards": self._boards,
            "performance/tuner-state": self._tuner,
            "configuration/miner": self._config,
            "configuration/constraints": _constraints,
            "cooling/state": lambda: {"fans": [{"position": i, "rpm": 3000} for i in range(4)]},
            "network": lambda: {"mac_address": "02:42:4F:53:00:01", "hostname": "emulated"},
            "pools": lambda: [{"uid": "0", "pools": _pools()}],
            "actions/locate": lambda: False,
        }

    def _details(self) -> Any:
        plant = self.plant
        uptime_s = int(plant.clock() - plant.booted_at_s)
        return {
            "uid": "emulated",
            "status": self.status or (3 if plant.asleep else 4 if plant.is_dead else 2),
            "serial_number": "BOS-0001",
            "mac_address": "02:42:4F:53:00:01",
            "miner_identity": {"brand": 1, "miner_model": "Antminer S21", "name": "Antminer S21"},
            "bos_version": {"current": VERSION, "major": "26.04", "bos_plus": True},
            "sticker_hashrate": {"gigahash_per_second": plant.nameplate_th * 1000},
            "control_board_soc_family": 3,
            "system_uptime_s": uptime_s,
            "bosminer_uptime_s": uptime_s,
        }

    def _stats(self) -> Any:
        ghs, draw_w = self.plant.hashrate_th() * 1000, round(self.plant.draw_w())
        real = {f"last_{span}": {"gigahash_per_second": ghs} for span in ("5s", "15s", "1m", "5m", "15m")}
        return {
            "miner_stats": {"real_hashrate": real, "found_blocks": 0},
            "power_stats": {
                "approximated_consumption": {"watt": draw_w},
                "efficiency": {"joule_per_terahash": draw_w * 1000 / ghs if ghs else 0.0},
            },
        }

    def _boards(self) -> Any:
        ghs = self.plant.hashrate_th() * 1000 / 3
        return {
            "hashboards": [
                {
                    "id": str(i),
                    "enabled": True,
                    "chips_count": 108,
                    "board_temp": {"degree_c": 58.0},
                    "highest_chip_temp": {"temperature": {"degree_c": 71.0}},
                    "stats": {"real_hashrate": {"last_5s": {"gigahash_per_second": ghs}}},
                }
                for i in (1, 2, 3)
            ]
        }

    def _tuner(self) -> Any:
        state = {"profile": None, "current_target": {"watt": int(self.plant.target_w)}}
        return {
            "overall_tuner_state": 3 if self.plant.is_moving() else 2,
            "mode_state": {"powertargetmodestate": state} if self.by_power else {},
        }

    def _config(self) -> Any:
        target = {"watt": int(self.plant.target_w)} if self.by_power else None
        return {
            "pool_groups": [{"name": "default", "pools": _pools()}],
            "tuner": {"enabled": self.by_power, "tuner_mode": 1, "power_target": target},
            "dps": {"enabled": False},
        }


async def _request(http: h11.Connection, reader: asyncio.StreamReader) -> Asked | None:
    head: h11.Request | None = None
    body = b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            token = dict(head.headers).get(b"authorization", b"").decode()
            return Asked(method=head.method.decode(), path=head.target.decode(), token=token, body=body)
        else:
            return None


def _constraints() -> Any:
    power = {name: {"watt": watt} for name, watt in (("min", MIN_W), ("default", MAX_W), ("max", MAX_W))}
    return {
        "tuner_constraints": {"enabled": {"default": True}, "power_target": power},
        "dps_constraints": None,
    }


def _pools() -> Any:
    return [{"uid": "0", "url": "stratum+tcp://pool.example:3333", "user": "site.emulated", "enabled": True}]


def _graphql(query: str) -> Any:
    if "modelName" in query:
        return {"data": {"bosminer": {"info": {"modelName": "Antminer S21"}}}}
    return {"data": {"bos": {"info": {"version": {"full": VERSION}}}}}
