"""An emulated machine with LuxOS: one session that ends after 60 s idle, curtailment, profiles, ATM.

Names of fields are those of its public API documents. Codes of refusals are not documented there: they are ours.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.miners.emulator import Fault
from tests.miners.line import Answer, LineEmulator, said
from tests.miners.plant import Plant

SESSION_IDLE_S = 60.0
PROFILES = {"265MHz": 1080.0, "365MHz": 1570.0, "465MHz": 2190.0, "565MHz": 2890.0, "default": 3400.0}
MODEL = "Antminer S21"
VERSION = "2026.9.1.100000"


class LuxosEmulator(LineEmulator):
    """One machine."""

    def __init__(self, plant: Plant | None = None) -> None:
        super().__init__(plant)
        self.profile = "default"
        self.atm = False
        self.session = ""
        self.takes_many = True  #: `a+b` in one request
        self.opened = 0
        self.version = {"API": "3.7", "LUXminer": VERSION, "Miner": f"LUXminer {VERSION}", "Type": MODEL}
        self._used_at_s = 0.0

    def holds_session(self) -> str:
        """Somebody else logs on."""
        return str(self._logon()["SESSION"][0]["SessionID"])

    def reboot(self) -> None:
        """Sleep survives it."""
        self.plant.restart(30.0)
        self.session = ""

    def answer_all(self, commands: list[str]) -> Answer | None:
        return super().answer_all(commands) if self.takes_many else None

    def answer(self, command: str, parameter: str) -> Answer:
        ordered = {"curtail": self._curtail, "profileset": self._set_profile, "atmset": self._set_atm}
        if command in ordered:
            return self._privileged(parameter, ordered[command])
        match command:
            case "logon":
                return self._logon()
            case "logoff":
                return self._privileged(parameter, self._logoff)
            case "session":
                live = self.session if self._is_live() else ""
                return {"STATUS": said("S", 319, "Session information"), "SESSION": [{"SessionID": live}]}
        told = self._told(command)
        if told is None:
            return {"STATUS": said("E", 14, "Invalid command")}
        return {"STATUS": said("S", 1, command), **told}

    def _now_s(self) -> float:
        return self.later_s

    def _is_live(self) -> bool:
        return bool(self.session) and self._now_s() - self._used_at_s < SESSION_IDLE_S

    def _logon(self) -> Answer:
        if self._is_live():
            return {"STATUS": said("E", 401, "Another session is active")}
        self.opened += 1
        self.session = f"lux{self.opened:05d}"
        self._used_at_s = self._now_s()
        return {
            "STATUS": said("S", 316, "Session created"),
            "SESSION": [{"SessionID": self.session}],
        }

    def _logoff(self, told: list[str]) -> Answer:
        self.session = ""
        return {"STATUS": said("S", 317, "Session terminated")}

    def _privileged(self, parameter: str, order: Callable[[list[str]], Answer]) -> Answer:
        session, *told = parameter.split(",")
        if not self._is_live() or session != self.session:
            return {"STATUS": said("E", 402, "Invalid session id")}
        self._used_at_s = self._now_s()
        if Fault.LOCKED in self.faults and order != self._logoff:
            return {"STATUS": said("E", 403, "Operation not permitted: the configuration is locked")}
        return order(told)

    def _curtail(self, told: list[str]) -> Answer:
        match told[:1]:
            case ["sleep"]:
                self.plant.sleep()
            case ["wakeup"] if not self.plant.asleep:
                return {"STATUS": said("E", 336, "Miner is already awake")}
            case ["wakeup"]:
                self.plant.wake()
            case _:
                return {"STATUS": said("E", 337, "Unknown curtailment action")}
        return {
            "STATUS": said("S", 335, "Curtailment command sent"),
            "CURTAIL": [{"Action": f"{told[0]} mode"}],
        }

    def _set_profile(self, told: list[str]) -> Answer:
        name = told[-1] if told else ""
        if name not in PROFILES:
            return {"STATUS": said("E", 340, f"Unknown profile {name}")}
        self.plant.aim(PROFILES[name])
        self.profile = name if not self.plant.is_deaf else self.profile
        return {"STATUS": said("S", 341, "Profile updated"), "PROFILE": [{"Profile": name}]}

    def _set_atm(self, told: list[str]) -> Answer:
        self.atm = "enabled=true" in told
        return {"STATUS": said("S", 342, "ATM updated"), "ATM": [{"Enabled": self.atm}]}

    def _told(self, command: str) -> Answer | None:
        plant = self.plant
        ghs = plant.hashrate_th() * 1000
        elapsed = int(plant.clock() - plant.booted_at_s)
        match command:
            case "version":
                return {"VERSION": [self.version]}
            case "config":
                return {"CONFIG": [self._config()]}
            case "power":
                return {"POWER": [{"PSU": False, "Watts": round(plant.draw_w())}]}
            case "profiles":
                return {"PROFILES": [_profile(name, watts) for name, watts in PROFILES.items()]}
            case "devs":
                return {"DEVS": [self._board(i, ghs) for i in range(3)]}
            case "summary":
                return {"SUMMARY": [{"Elapsed": elapsed, "GHS 5s": ghs, "GHS av": ghs, "Accepted": 7}]}
            case "stats":
                boards = {f"chain_rate{i}": f"{ghs / 3:.2f}" for i in (1, 2, 3)}
                told = {"chain_acn": "108", "temp_chip": "70-71-72-73", "temp_pcb": "57-58-58-59"}
                boards |= {f"{name}{i}": value for name, value in told.items() for i in (1, 2, 3)}
                row = {"Elapsed": elapsed, "GHS 5s": ghs, "GHS av": ghs, **boards}
                return {"STATS": [{"Type": MODEL, "LUXminer": VERSION}, row]}
            case _:
                return self._more(command)

    def _more(self, command: str) -> Answer | None:
        corners = ("TopLeft", "TopRight", "BottomLeft", "BottomRight")
        match command:
            case "temps":
                return {"TEMPS": [{"ID": i, "TEMP": i, **dict.fromkeys(corners, 58.0)} for i in range(3)]}
            case "pools":
                told = {"URL": "stratum+tcp://pool.example:3333", "User": "site.emulated", "Status": "Alive"}
                return {
                    "POOLS": [
                        {"POOL": 0, "GROUP": 0, "Accepted": 7, "Rejected": 0, "Stratum Active": True, **told}
                    ]
                }
            case "fans":
                return {"FANS": [{"FAN": i, "ID": i, "RPM": 3000, "Speed": 40} for i in range(4)]}
            case "atm":
                return {"ATM": [{"Enabled": self.atm}]}
            case "groups":
                return {"GROUPS": [{"GROUP": 0, "Name": "default", "Quota": 1, "ID": 0}]}
            case "tempctrl":
                return {"TEMPCTRL": [{"Mode": "Automatic", "Target": 60, "Hot": 75, "Dangerous": 85}]}
            case _:
                return None

    def _config(self) -> Answer:
        return {
            "CurtailMode": "Sleep" if self.plant.asleep else "None",
            "IsPowerSupplyOn": not self.plant.asleep,
            "IsAtmEnabled": self.atm,
            "IsPowerTargetSupported": False,
            "Profile": self.profile,
            "Model": MODEL,
            "MACAddr": "02:4C:55:58:00:01",
            "SerialNumber": "LUX-0001",
            "Hostname": "emulated",
            "NameplateTHS": self.plant.nameplate_th,
            "SystemStatus": "Mining",
            "ControlBoardType": "emulated",
            "RedLed": "off",
        }

    def _board(self, number: int, ghs: float) -> Answer:
        return {
            "ASC": number,
            "ID": number,
            "Status": "Dead" if self.plant.is_dead else "Alive",
            "Enabled": "Y",
            "IsRamping": self.plant.is_moving(),
            "MHS 5s": ghs * 1000 / 3,
            "Nominal MHS": self.plant.nameplate_th * 1e6 / 3,
            "Temperature": 58.0,
        }


def _profile(name: str, watts: float) -> Answer:
    told = {"Profile Name": name, "Step": "0", "Frequency": 500, "Voltage": 12.8, "IsTuned": True}
    return told | {"Watts": watts, "Hashrate": round(watts / 17.0, 1)}
