"""What WhatsMiners have in common whatever their API: a limit in watts, a trim in percent of it, and how they start.

A limit starts the machine anew; a percentage does not, and does not outlive a start either.
"""

from __future__ import annotations

import math
from typing import Final

from workers.miners.port import Capabilities, MinerState, PercentTrim, Refused, WattTargets

_HASHLESS_S: Final = 15 * 60.0  #: one that hashes nothing for longer after its start is faulted
_LEAST_SHARE: Final = 0.5  #: a lower trim may make the machine start anew; no vendor says where that begins
_NO_LIMIT_W: Final = 20_000.0  #: 2147483647 and the like: none is set
_WHOLE: Final = 100.0


class PowerSetting:
    """The limit and the trim of one machine, as far as they are known here.

    `nameplate_w` is what it may be set to at most; without it, the limit that it was found with.
    """

    def __init__(self, address: str, *, nameplate_w: float | None) -> None:
        self._address = address
        self._nameplate_w = nameplate_w
        self._found_limit_w: float | None = None
        self._percent = _WHOLE
        self._elapsed_s = 0.0  #: since its mining program started, as it last said

    def found(self, limit_w: float | None) -> None:
        """Take in the limit that it tells."""
        if self._found_limit_w is None:
            self._found_limit_w = limit_w

    def has_run(self, elapsed_s: float | None) -> None:
        """Take in for how long it says to have run: whoever started it anew, its trim is gone."""
        if elapsed_s is None:
            return
        if elapsed_s < self._elapsed_s:
            self.starts_anew()
        self._elapsed_s = elapsed_s

    def starts_anew(self) -> None:
        """An order that ends its trim was taken."""
        self._percent = _WHOLE

    def trimmed(self, percent: int) -> float:
        """It took this trim."""
        self._percent = float(percent)
        return self._percent

    def target_w(self, limit_w: float | None) -> float | None:
        """What it is to draw by its limit and its trim."""
        return None if limit_w is None else limit_w * self._percent / _WHOLE

    def capabilities(self) -> Capabilities:
        """What it can do for whoever may write."""
        return Capabilities(
            pause=True, watts=self._watt_targets(), percent=PercentTrim(min_pct=_LEAST_SHARE * _WHOLE)
        )

    def limit_for(self, target_w: float) -> float:
        """The limit nearest below a target. Raises Refused where it has none so low."""
        targets = self._watt_targets()
        taken_w = None if targets is None else targets.nearest_below_w(target_w)
        if taken_w is None:
            raise Refused(f"{self._address}: target_w={target_w:g}: {_range(targets)}; or let it sleep")
        return taken_w

    def trim_for(self, percent: float) -> int:
        """The whole percentage at or below one. Raises Refused below the least."""
        taken = min(math.floor(percent), 100)
        if taken < _LEAST_SHARE * _WHOLE:
            raise Refused(
                f"{self._address}: percent={percent:g}: give {_LEAST_SHARE:.0%} or more, or let it sleep: "
                "trimmed lower it may start anew"
            )
        return taken

    def _watt_targets(self) -> WattTargets | None:
        most_w = self._nameplate_w or self._found_limit_w
        if most_w is None:
            return None
        return WattTargets(
            min_w=math.ceil(most_w * _LEAST_SHARE), max_w=float(math.floor(most_w)), restarts=True
        )


def limit_w(told: float | None) -> float | None:
    """The limit in watts that a machine tells; None where none is set."""
    return None if told is None or not 0 < told < _NO_LIMIT_W else told


def awake_state(
    *, hashrate_th: float | None, is_steady: bool, elapsed_s: float | None, error_codes: str
) -> tuple[MinerState, str]:
    """What one that is not asleep does, and its fault if it has one."""
    if hashrate_th:
        return (MinerState.RUNNING if is_steady else MinerState.RAMPING), ""
    if (elapsed_s or 0.0) < _HASHLESS_S:
        return MinerState.RAMPING, ""
    return MinerState.FAULTED, f"hashes nothing; error codes: {error_codes or 'none'}"


def _range(targets: WattTargets | None) -> str:
    if targets is None:
        return "it tells no limit to go by; give its nameplate"
    return f"it takes {targets.min_w:g} to {targets.max_w:g} W; give more"
