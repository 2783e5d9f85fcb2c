"""An emulated WhatsMiner with API 2: tokens that end, sealed orders, restarts for a limit, percentages that are lost.

Codes are those of the vendor's manual; the words of refusals are ours.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.miners.emulator import Fault
from tests.miners.line import Answer, LineEmulator, said
from tests.miners.plant import Plant
from workers.whatsminer.md5_crypt import md5_crypt

TOKEN_S = 1800.0
MOST_TOKENS = 100
RESTART_S = 20.0  #: of its mining program, in the plant's time
BOOT_S = 30.0
TOO_LOW_PERCENT = 30  #: trimmed lower it starts anew
SALT = "BQ5hoXV9"
PASSWORD = "owner-s"  # noqa: S105 (of an emulated machine)
GONE = b"Socket connect failed: Connection refused\n"  #: while its mining program is down


class WhatsminerV2Emulator(LineEmulator):
    """One machine."""

    def __init__(self, plant: Plant | None = None) -> None:
        super().__init__(plant)
        self.password = PASSWORD
        self.fw_ver = "20230803.11.REL"
        self.api_ver = "whatsminer v2.0.5"
        self.model = "M50SVH50"
        self.is_mute_asleep = False  #: has no summary while it is off
        self.limit_w = int(self.plant.nameplate_w)
        self.lent = 0  #: tokens in all
        self.delays_s: tuple[float, ...] = (
            0.0,
        )  #: between an order and its beginning, in turn, in the plant's time
        self._tokens: dict[str, float] = {}
        self._begun = 0
        self._due: list[tuple[float, Callable[[], None]]] = []
        self._down_until_s = float("-inf")

    # -- what a test does to it ----------------------------------------------------------------------------------

    def lends_all_tokens(self) -> None:
        """To others."""
        self._tokens |= {f"other-{i}": self.later_s + TOKEN_S for i in range(MOST_TOKENS)}

    def forgets_tokens(self) -> None:
        """As after a restart of its API."""
        self._tokens.clear()

    def reboots(self) -> None:
        """Whatever it was told, it mines afterwards."""
        self.forgets_tokens()
        self.plant.aim(self.limit_w)
        self._restart(BOOT_S, asleep=False)

    def draw_w(self) -> float:
        """What a meter at its plug shows."""
        self._begin_what_is_due()
        return self.plant.draw_w()

    # -- the wire ------------------------------------------------------------------------------------------------

    async def answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._begin_what_is_due()
        if self.plant.clock() < self._down_until_s:
            await reader.read(4096)
            await self.send(writer, GONE)
            return
        await super().answers(reader, writer)

    def _answer(self, request: Answer) -> Answer:
        if request.get("enc"):
            return self._sealed(str(request.get("data", "")))
        return super()._answer({"command": request.get("cmd", request.get("command", ""))})

    def _sealed(self, data: str) -> Answer:
        cipher = Cipher(algorithms.AES(hashlib.sha256(self._key().encode()).digest()), modes.ECB())  # noqa: S305
        try:
            plain = cipher.decryptor().update(base64.b64decode(data)).rstrip(b"\0")
            request = json.loads(plain)
        except ValueError:
            return self._refused(23, "Invalid JSON command")
        self.requests.append(json.dumps(request))
        if self._tokens.get(str(request.get("token")), float("-inf")) <= self.later_s:
            return self._refused(135, "check token error")
        answer = json.dumps(self._ordered(str(request.get("cmd", request.get("command"))), request)).encode()
        sealed = cipher.encryptor().update(answer + b"\0" * (-len(answer) % 16))
        return {"enc": base64.b64encode(sealed).decode()}

    def _key(self) -> str:
        return _key_of(self.password)

    # -- orders --------------------------------------------------------------------------------------------------

    def _ordered(self, command: str, request: Answer) -> Answer:
        if Fault.LOCKED in self.faults:
            return self._refused(45, "permission denied")
        orders = {
            "power_off": self._power_off,
            "power_on": self._power_on,
            "set_power_pct": lambda: self._trim(request.get("percent")),
            "adjust_power_limit": lambda: self._limit(request.get("power_limit")),
        }
        if command not in orders:
            return self._refused(14, "invalid cmd")
        return orders[command]() or self._said("S", 131, "API command OK")

    def _power_off(self) -> None:
        self._later(self.plant.sleep)
        self.plant.aim(self.limit_w)

    def _power_on(self) -> None:
        if self.plant.asleep:
            self._later(lambda: self._restart(0.0, asleep=False))

    def _trim(self, percent: Any) -> Answer | None:
        if not isinstance(percent, str) or not percent.isdigit() or int(percent) > 100:
            return self._refused(132, "API command ERROR")
        if int(percent) < TOO_LOW_PERCENT:
            self._restart(RESTART_S)
        else:
            self.plant.aim(self.limit_w * int(percent) / 100)
        return None

    def _limit(self, watts: Any) -> Answer | None:
        if not isinstance(watts, str) or not watts.isdigit():
            return self._refused(132, "API command ERROR")
        if not self.plant.is_deaf:
            self.limit_w = min(int(watts), int(self.plant.nameplate_w))
            self.plant.aim(self.limit_w)
            self._restart(RESTART_S)
        return None

    def _restart(self, boot_s: float, *, asleep: bool | None = None) -> None:
        if not self.plant.is_deaf:
            self.plant.restart(boot_s, asleep=asleep)
            self._down_until_s = self.plant.clock() + boot_s

    def _later(self, begin: Callable[[], None]) -> None:
        self._due.append((self.plant.clock() + self.delays_s[self._begun % len(self.delays_s)], begin))
        self._begun += 1
        self._begin_what_is_due()

    def _begin_what_is_due(self) -> None:
        now_s = self.plant.clock()
        due, self._due = [d for d in self._due if d[0] <= now_s], [d for d in self._due if d[0] > now_s]
        for _, begin in due:
            begin()

    # -- reads ---------------------------------------------------------------------------------------------------

    def answer(self, command: str, parameter: str) -> Answer:
        told = {
            "get_token": self._lend,
            "get_version": self._version,
            "get_miner_info": self._info,
            "status": self._status,
            "summary": self._summary,
            "devs": self._devs,
            "devdetails": self._details,
            "pools": _pools,
            "get_psu": lambda: self._said("S", 131, {"name": "P221B", "fan_speed": "6000"}),
            "get_error_code": lambda: self._said("S", 131, {"error_code": []}),
        }
        return told[command]() if command in told else self._refused(14, "invalid cmd")

    def _lend(self) -> Answer:
        self._tokens = {sign: end_s for sign, end_s in self._tokens.items() if end_s > self.later_s}
        if len(self._tokens) >= MOST_TOKENS:
            return self._refused(136, "over max connect")
        self.lent += 1
        newsalt, told_s = f"new{self.lent:05d}", str(int(time.time() + self.later_s))[-4:]
        self._tokens[md5_crypt(self._key() + told_s, newsalt)] = self.later_s + TOKEN_S
        return self._said("S", 134, {"time": told_s, "salt": SALT, "newsalt": newsalt})

    def _version(self) -> Answer:
        told = {"api_ver": self.api_ver, "fw_ver": self.fw_ver, "platform": "H616", "chip": "K88"}
        return self._said("S", 131, told)

    def _info(self) -> Answer:
        told = {"mac": "C4:08:28:00:00:01", "hostname": "emulated", "minersn": "WM-0001", "ledstat": "auto"}
        return self._said("S", 131, told)

    def _status(self) -> Answer:
        off = "true" if self.plant.asleep else "false"
        name = "btmineroff" if "v1." in self.api_ver else "mineroff"
        told = {name: off, "FirmwareVersion": self.fw_ver, "power_mode": "normal", "hash_percent": "0"}
        return self._said("S", 131, told)

    def _summary(self) -> Answer:
        if self.is_mute_asleep and self.plant.asleep:
            return self._refused(132, "API command ERROR")
        mhs = self.plant.hashrate_th() * 1e6
        up_s = int(self.plant.clock() - self.plant.booted_at_s)
        row = {
            "Elapsed": up_s,
            "Uptime": up_s + 90,
            "MHS av": mhs,
            "MHS 1m": mhs,
            "HS RT": mhs,
            "Temperature": 63.5,
            "Chip Temp Max": 88.0,
            "Env Temp": 24.0,
            "Power": round(self.plant.draw_w()),
            "Power Limit": self.limit_w,
            "Power Mode": "Normal",
            "Power Fanspeed": 6000,
            "Fan Speed In": 4200,
            "Fan Speed Out": 4260,
            "Factory GHS": int(self.plant.nameplate_th * 1000),
            "Upfreq Complete": 0 if self.plant.is_moving() else 1,
            "Btminer Fast Boot": "disable",
            "Error Code Count": 1 if self.plant.is_dead else 0,
            "Firmware Version": f"'{self.fw_ver}'",
            "MAC": "C4:08:28:00:00:01",
        }
        return {
            "STATUS": said("S", 11, "Summary"),
            "SUMMARY": [row | ({"Error Code 0": 540} if self.plant.is_dead else {})],
        }

    def _devs(self) -> Answer:
        mhs = self.plant.hashrate_th() * 1e6 / 3
        told = {"Temperature": 63.0, "Chip Temp Avg": 80.0, "Effective Chips": 156, "MHS 1m": mhs}
        return {
            "STATUS": said("S", 9, "3 ASC(s)"),
            "DEVS": [{"ASC": i, "Slot": i, "PCB SN": f"PCB{i}", **told} for i in range(3)],
        }

    def _details(self) -> Answer:
        told = {"Name": "SM", "Driver": "bitmicro", "Model": self.model}
        rows = [{"DEVDETAILS": i, "ID": i, **told} for i in range(3)]
        return {"STATUS": said("S", 69, "Device Details"), "DEVDETAILS": rows}

    @staticmethod
    def _said(letter: str, code: int, message: Any) -> Answer:
        return {"STATUS": letter, "When": int(time.time()), "Code": code, "Msg": message, "Description": ""}

    def _refused(self, code: int, message: str) -> Answer:
        return self._said("E", code, message)


@cache
def _key_of(password: str) -> str:
    """A machine makes it once; a thousand of them in one process take a second for it."""
    return md5_crypt(password, SALT)


def _pools() -> Answer:
    row = {"POOL": 1, "URL": "stratum+tcp://pool.example:3333", "User": "site.emulated", "Status": "Alive"}
    return {
        "STATUS": said("S", 7, "1 Pool(s)"),
        "POOLS": [row | {"Stratum Active": True, "Accepted": 7, "Rejected": 0}],
    }
