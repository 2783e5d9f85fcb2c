"""One machine of a LAN by what it is and what it was told: the watts that it takes, and the least of them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

from scheduler.core.escalation import is_held
from scheduler.core.fleets import AWAKE_W
from workers.clock import boottime_s
from workers.fleet.config import LanConfig
from workers.fleet.known import Known, Told
from workers.miners.port import Capabilities, Identity, WattTargets
from workers.miners.proof import REST_W
from workers.outlets.port import Outlet

SPOILT_S: Final = 3600.0  #: a machine that shows no trim runs whole or sleeps for so long
_DAY_S: Final = 86_400


class Ordered:
    """Its identity and its order."""

    def __init__(
        self, miner_id: str, known: Known, config: LanConfig, *, told: Told | None, outlet: Outlet | None
    ) -> None:
        self._config = config
        self.miner_id = miner_id
        self.known = known
        self.outlet = outlet
        self.trouble = ""  #: why it cannot be told anything; "" = it can
        self.told = told or Told(wanted_w=float(self.max_w) if self.is_switched else 0.0)
        self._spoilt_until_s = 0.0  #: it does not take trims
        self._rules = replace(config.rules, slack_w=max(config.rules.slack_w, REST_W - config.rest_w))

    @property
    def identity(self) -> Identity:
        """Who it says it is."""
        return self.known.identity

    @property
    def rest_w(self) -> float:
        """What it draws asleep, at its plug."""
        return self._config.rest_w

    @property
    def nameplate_w(self) -> float:
        """The most that it draws, at its plug."""
        return self.known.nameplate_w

    @property
    def max_w(self) -> int:
        """The most that it draws above its rest."""
        return max(1, int(self.nameplate_w - self.rest_w))

    @property
    def is_read_only(self) -> bool:
        """Whether it takes no orders."""
        return not self.identity.capabilities.pause

    @property
    def is_switched(self) -> bool:
        """Whether its outlet is all that puts it to sleep: it takes no orders, or refuses them for good."""
        return (self.is_read_only or bool(self.trouble)) and self.outlet is not None

    @property
    def is_fixed(self) -> bool:
        """Whether it can be looked at and no more."""
        return self.is_read_only and self.outlet is None

    @property
    def is_to_work(self) -> bool:
        """Whether it was told to run."""
        return self.told.wanted_w > AWAKE_W

    @property
    def allowed_w(self) -> float:
        """What it may draw by what it was told, at its plug."""
        return self.rest_w + self.told.wanted_w if self.is_to_work else self.rest_w

    @property
    def is_whole(self) -> bool:
        """Whether it may draw all that it can."""
        return self.told.wanted_w >= self.max_w

    @property
    def cycles_today(self) -> int:
        """How often it was told to run since midnight UTC."""
        return self.told.cycles if self.told.day == today() else 0

    @property
    def is_cut(self) -> bool:
        """Whether its outlet was switched off for it."""
        return self.told.record.cut_at_s is not None

    @property
    def quick_watts(self) -> WattTargets | None:
        """Targets in watts that do not start it anew."""
        watts = self.identity.capabilities.watts
        return watts if watts is not None and not watts.restarts else None

    def spoil(self, now_s: float) -> None:
        """It does not take trims: it runs whole or sleeps for a while."""
        self._spoilt_until_s = now_s + SPOILT_S

    def least_w(self) -> int | None:
        """The lowest above its rest that it can be trimmed to within seconds."""
        can: Capabilities = self.identity.capabilities
        if self.is_cut or self.is_switched or boottime_s() < self._spoilt_until_s:
            return None
        least_w = self.quick_watts.min_w if self.quick_watts is not None else None
        if can.percent is not None:
            least_w = self.nameplate_w * (can.percent.min_pct + 1.0) / 100
        if least_w is None:
            return None
        above_w = int(least_w - self.rest_w) + 1
        return above_w if 0 < above_w <= self.max_w else None

    def taken_w(self, target_w: float) -> float:
        """The nearest that it takes and that is no more: below its lowest it sleeps."""
        least_w = self.least_w()
        lowest_w = self.max_w if least_w is None else least_w
        return float(min(max(target_w, lowest_w), self.max_w)) if target_w >= lowest_w - AWAKE_W else 0.0

    @property
    def is_worn(self) -> bool:
        """Whether only an emergency may switch it now."""
        if self.cycles_today >= self._config.max_cycles:
            return True
        return (self.is_cut or self.is_switched) and is_held(self.told.record, self._rules, boottime_s())


def today() -> int:
    """The day since 1970, UTC."""
    return int(time.time()) // _DAY_S
