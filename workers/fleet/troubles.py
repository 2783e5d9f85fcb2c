"""What a person should know of a LAN's machines, each in one sentence that changes only when the fact does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from scheduler.core.inventory import Condition
from workers.fleet.config import LanConfig
from workers.fleet.firmware import Unusable
from workers.fleet.unit import Unit

SHOWN: Final = 100  #: names in one alarm, and alarms about single machines; the inventory has all
_MORE_W: Final = 1.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Troubles:
    """The machines as they are now."""

    config: LanConfig
    units: Sequence[Unit]
    strangers: Mapping[str, Unusable]

    def alarms(self) -> tuple[str, ...]:
        """Those in doubt one by one, the others together."""
        found = [*self._in_doubt(), self._lost(), self._unusable(), self._read_only(), self._missing()]
        return tuple(text for text in (*found, self._beyond(), self._larger()) if text)

    def _in_doubt(self) -> list[str]:
        found = [
            u
            for u in self.units
            if u.told.record.alarmed_at_s is not None and u.condition is not Condition.LOST
        ]
        more = found[SHOWN:]
        told = [
            f"miner {u.miner_id} at {u.miner.address} was told {u.allowed_w:.0f} W, does not show that it obeys, and "
            f"counts at {u.fixed_w:.0f} W; {_remedy(u)}"
            for u in found[:SHOWN]
        ]
        counts_w = sum(u.fixed_w for u in more)
        return [
            *told,
            _all("more miners do not show that they obey", more, f"they count at {counts_w:.0f} W"),
        ]

    def _lost(self) -> str:
        lost = [u for u in self.units if u.condition is Condition.LOST]
        counts_w = sum(u.fixed_w for u in lost)
        return _all(
            "miners are lost", lost, f"they count at {counts_w:.0f} W; look at their power and network"
        )

    def _unusable(self) -> str:
        bad = [u.miner_id for u in self.units if u.condition is Condition.UNUSABLE] + [*self.strangers]
        return _named("addresses cannot be used", bad, "`barq miners` says why")

    def _read_only(self) -> str:
        fixed = [u for u in self.units if u.is_fixed and not u.trouble]
        counts_w = sum(u.fixed_w for u in fixed)
        return _all("miners can only be read", fixed, f"they count at {counts_w:.0f} W all the time")

    def _missing(self) -> str:
        missing = self.config.count - len(self.units)
        if missing <= 0:
            return ""
        return (
            f"{missing} of {self.config.count} miners were not found and count at {missing * self.config.max_w:.0f} W; "
            "look at them, or correct count and addresses"
        )

    def _beyond(self) -> str:
        beyond = len(self.units) - self.config.count
        if beyond <= 0:
            return ""
        return (
            f"{beyond} miners more than the site file promises ({self.config.count}) were found; they are counted, but "
            "what the site may draw at worst was reckoned without them: correct count"
        )

    def _larger(self) -> str:
        large = [u for u in self.units if u.nameplate_w > self.config.max_w * _MORE_W]
        most_w = max((u.nameplate_w for u in large), default=0.0)
        return _all(
            f"miners take more than max_w, up to {most_w:.0f} W", large, "correct max_w, or their targets"
        )


def _remedy(unit: Unit) -> str:
    if unit.outlet is not None:
        return f"its outlet {unit.outlet.address} was switched off and does not show it: cut its breaker"
    return "look at the machine, or cut its supply"


def _all(what: str, units: Sequence[Unit], then: str) -> str:
    return _named(what, [u.miner_id for u in units], then)


def _named(what: str, names: Sequence[str], then: str) -> str:
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more, see `barq miners`" if len(names) > SHOWN else ""
    return f"{len(names)} {what} ({', '.join(names[:SHOWN])}{more}); {then}"
