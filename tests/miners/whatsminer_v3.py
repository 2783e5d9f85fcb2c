"""An emulated WhatsMiner with API 3: frames, signed orders, and the switch that its owner turns."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from typing import Any

from tests.miners.emulator import Emulator, Fault
from tests.miners.plant import Plant
from tests.miners.whatsminer_v2 import WhatsminerV2Emulator

RESTART_S = 20.0  #: of its mining program, in the plant's time
BOOT_S = 30.0
PORT, PORT_BESIDE = 4433, 4028
FIRMWARE = "20250214.16.1"
PASSWORD = "owner-s"  # noqa: S105 (of an emulated machine)
MOST_BYTES = 1 << 20  #: of a request; it closes on what claims to be longer
ACCOUNTS = ("super", "user1", "user2", "user3")
POOL = {"id": 1, "url": "stratum+tcp://pool.example:3333", "status": "alive", "account": "site.emulated"}


class WhatsminerV3Emulator(Emulator):
    """One machine. On its usual port it has API 2 beside it, as real ones do: others' clients look there first."""

    def __init__(self, plant: Plant | None = None) -> None:
        super().__init__(plant)
        self.password = PASSWORD
        self.salt = "BQ5hoXV9"
        self.limit_w = int(self.plant.nameplate_w)
        self.tells_limit = True  #: else it says that none is set

        self.beside = WhatsminerV2Emulator(self.plant)
        self.beside.model, self.beside.fw_ver = "M60SVK30", FIRMWARE

    async def start(self, *, host: str | None = None, port: int = 0) -> None:
        await super().start(host=host, port=port)
        if port == PORT:
            await self.beside.start(host=host, port=PORT_BESIDE)

    async def stop(self) -> None:
        await super().stop()
        await self.beside.stop()

    def reboots(self) -> None:
        """Whatever it was told, it mines afterwards."""
        self.plant.aim(self.limit_w)
        self.plant.restart(BOOT_S, asleep=False)

    async def answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                size = int.from_bytes(await reader.readexactly(4), "little")
                if size > MOST_BYTES:
                    return
                request = json.loads(await reader.readexactly(size))
            except asyncio.IncompleteReadError:
                return
            self.requests.append(json.dumps(request))
            body = self._spoilt(json.dumps(self._answer(request))).encode()
            if not await self.send(writer, len(body).to_bytes(4, "little") + body):
                return

    def _spoilt(self, text: str) -> str:
        return text.replace(":", ";") if Fault.MALFORMED in self.faults else text

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        command = str(request.get("cmd"))
        if command.startswith("set."):
            code = self._ordered(command, request)
            return _said(code, "ok" if code == 0 else "error", command)
        match command, request.get("param"):
            case "get.device.info", part:
                info = self._info()
                return _said(0, {part: info[part]} if part in info else info, command)
            case "get.miner.status", str(parts):
                told = self._status()
                return _said(0, {part: told[part] for part in parts.split("+") if part in told}, command)
            case "get.miner.setting", _:
                return _said(0, {"power-mode": "normal", "upfreq-speed": 1}, command)
            case _:
                return _said(-2, "invalid command", command)

    # -- orders --------------------------------------------------------------------------------------------------

    def _ordered(self, command: str, request: dict[str, Any]) -> int:
        if Fault.LOCKED in self.faults or not self._is_signed(command, request):
            return -4
        param = request.get("param")
        match command:
            case "set.miner.service":
                return self._serve(param)
            case "set.miner.power_percent":
                return self._trim(param)
            case "set.miner.power_limit":
                return self._limit(param)
            case _:
                return -2

    def _is_signed(self, command: str, request: dict[str, Any]) -> bool:
        text = f"{command}{self.password}{self.salt}{request.get('ts')}"
        token = base64.b64encode(hashlib.sha256(text.encode()).digest())[:8].decode()
        return request.get("account") in ACCOUNTS and request.get("token") == token

    def _serve(self, param: Any) -> int:
        match param:
            case "stop":
                self.plant.sleep()
                self.plant.aim(self.limit_w)
            case "start" if self.plant.asleep:
                self._restart(0.0, asleep=False)
            case "start":
                pass
            case _:
                return -1
        return 0

    def _trim(self, param: Any) -> int:
        percent = param.get("percent") if isinstance(param, dict) else None
        if not isinstance(percent, str) or not percent.isdigit() or int(percent) > 100:
            return -1
        self.plant.aim(self.limit_w * int(percent) / 100)
        return 0

    def _limit(self, param: Any) -> int:
        if not isinstance(param, int | float) or param <= 0:
            return -1
        if not self.plant.is_deaf:
            self.limit_w = min(int(param), int(self.plant.nameplate_w))
            self.plant.aim(self.limit_w)
            self._restart(RESTART_S)
        return 0

    def _restart(self, boot_s: float, *, asleep: bool | None = None) -> None:
        if not self.plant.is_deaf:
            self.plant.restart(boot_s, asleep=asleep)

    # -- reads ---------------------------------------------------------------------------------------------------

    def _info(self) -> dict[str, Any]:
        return {
            "network": {"mac": "C4:08:28:00:00:02", "ip": self.host, "hostname": "emulated", "proto": "dhcp"},
            "miner": {
                "working": "false" if self.plant.asleep else "true",
                "type": "M60S_VK30",
                "miner-sn": "WM-0002",
                "board-num": 3,
                "fast-boot": "disable",
                "power-limit-set": str(self.limit_w),
                **{f"pcbsn{i}": f"PCB{i}" for i in range(3)},
            },
            "system": {
                "api": "3.0.3",
                "fwversion": FIRMWARE,
                "platform": "H616",
                "apiswitch": "0" if Fault.LOCKED in self.faults else "1",
                "ledstatus": "auto",
            },
            "power": {"type": "P463", "fanspeed": 6000, "vin": 230.0, "pin": round(self.plant.draw_w())},
            "error-code": [{"540": "2026-11-26 07:00:00", "reason": "no chips"}]
            if self.plant.is_dead
            else [],
            "salt": self.salt,
        }

    def _status(self) -> dict[str, Any]:
        hash_th = self.plant.hashrate_th()
        up_s = int(self.plant.clock() - self.plant.booted_at_s)
        summary = {
            "elapsed": up_s,
            "bootup-time": up_s + 90,
            "hash-average": hash_th,
            "hash-realtime": hash_th,
            "factory-hash": self.plant.nameplate_th,
            "power-realtime": round(self.plant.draw_w()),
            "power-5min": 3400,  # lags by so much that it means nothing after an order
            "power-limit": self.limit_w if self.tells_limit else 2_147_483_647,
            "up-freq-finish": 0 if self.plant.is_moving() else 1,
            "board-temperature": [62.0, 63.0, 62.5],
            "environment-temperature": 24.0,
            "fan-speed-in": 4200,
            "fan-speed-out": 4260,
        }
        boards = [{"id": i, "slot": i, "hash-average": hash_th / 3, "effective-chips": 156} for i in range(3)]
        pools = {} if self.plant.asleep else {"pools": [POOL | {"stratum-active": True}]}
        return {
            "summary": summary,
            "edevs": [b | {"chip-temp-min": 60.0, "chip-temp-max": 80.0} for b in boards],
            **pools,
        }


def _said(code: int, message: Any, command: str) -> dict[str, Any]:
    return {"code": code, "when": int(time.time()), "msg": message, "desc": command}
