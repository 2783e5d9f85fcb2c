"""An emulated machine with the plain CGMiner API, as stock firmware serves it: it lets itself be read."""

from __future__ import annotations

from tests.miners.line import Answer, LineEmulator, said
from tests.miners.plant import Plant


class CgminerEmulator(LineEmulator):
    """One machine."""

    def __init__(self, plant: Plant | None = None) -> None:
        super().__init__(plant)
        self.version: dict[str, str] = {
            "BMMiner": "1.0.0",
            "API": "3.1",
            "Miner": "30.0.1.3",
            "CompileTime": "emulated",
            "Type": "Antminer S19j Pro",
        }
        self.unit = "GHS"

    def answer(self, command: str, parameter: str) -> Answer:
        match command:
            case "version":
                return {"STATUS": said("S", 22, "BMMiner versions"), "VERSION": [self.version]}
            case "summary":
                return {"STATUS": said("S", 11, "Summary"), "SUMMARY": [self._summary()]}
            case "pools":
                row = {"URL": "stratum+tcp://pool.example:3333", "User": "site.emulated", "Status": "Alive"}
                return {"STATUS": said("S", 7, "1 Pool(s)"), "POOLS": [row | {"Stratum Active": True}]}
            case "switchpool" | "addpool" | "ascdisable" | "quit" | "restart":
                return {"STATUS": said("E", 45, f"Access denied to '{command}' command")}
            case _:
                return {"STATUS": said("E", 14, "Invalid command")}

    def _summary(self) -> Answer:
        per_th = {"GHS": 1e3, "MHS": 1e6}[self.unit]
        elapsed_s = int(self.plant.clock() - self.plant.booted_at_s)
        return {"Elapsed": elapsed_s, f"{self.unit} 5s": self.plant.hashrate_th() * per_th}
