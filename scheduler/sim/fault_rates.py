"""What can go wrong in a simulated site, how often it does, and how a person says so."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from scheduler.errors import TraceError
from scheduler.sim.maps import entries_of, parse_share


class Fault(StrEnum):
    """Something that is wrong for a while."""

    CUT = "cut"  #: no order reaches a group, and no report comes back; its guard goes on
    CRASH = "crash"  #: a node is without power
    STUBBORN = "stubborn"  #: miners say OK, report the target as their draw, and go on as before
    LEADERLESS = "leaderless"  #: the scheduler is dead
    STORELESS = "storeless"  #: nothing can be read or recorded
    SILENCE = "silence"  #: the source of the limit cannot be read
    LIE = "lie"  #: the meter reads by a factor wrong
    BLIND = "blind"  #: the meter cannot be read


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRates:
    """How often what goes wrong: shares of messages, and faults an hour of each group or of the site."""

    order_lost: float = 0.03
    order_late: float = 0.05
    report_lost: float = 0.03
    report_late: float = 0.05
    late_s: float = 4.0  #: at most
    save_fails: float = 0.1
    per_h: tuple[tuple[Fault, float, float], ...] = (  #: times an hour, and the longest, s
        (Fault.CUT, 1.5, 240.0),
        (Fault.CRASH, 0.5, 300.0),
        (Fault.STUBBORN, 1.0, 120.0),
        (Fault.LEADERLESS, 2.0, 90.0),
        (Fault.STORELESS, 2.0, 60.0),
        (Fault.SILENCE, 2.0, 90.0),
        (Fault.LIE, 1.0, 60.0),
        (Fault.BLIND, 1.0, 60.0),
    )

    def scaled(self, factor: float) -> FaultRates:
        """All of it so many times as often; as late and as long as before."""
        return replace(
            self,
            **{name: getattr(self, name) * factor for name in SHARES},
            per_h=tuple((fault, times * factor, longest_s) for fault, times, longest_s in self.per_h),
        )


SHARES: Final = ("order_lost", "order_late", "report_lost", "report_late", "save_fails")
AS_IN_SOAK: Final = FaultRates()
_MOST: Final = 10.0
"""Times the rates of `AS_IN_SOAK`: then every save fails."""
_MOST_PER_H: Final = 60.0
_TIMES: Final = "times as often as in make soak; or name what goes wrong, as in crash=0.5,order_lost=3%"


def parse_faults(text: str, *, option: str = "--faults") -> FaultRates:
    """`0.1`: all of it a tenth as often as in `make soak`. `crash=0.5,order_lost=3%`: what is named, nothing else.

    A fault is named with how often an hour it befalls the site, or each node or miner group where it is of those; the
    others with the share of messages or saves. Raises `TraceError` that names option, key, value and remedy.
    """
    if "=" not in text:
        return AS_IN_SOAK.scaled(_number(text, option, most=_MOST, unit=_TIMES))
    named = entries_of(text, option, (*Fault, *SHARES))
    shares = {name: _share(named[name], f"{option}: {name}") if name in named else 0.0 for name in SHARES}
    per_h = tuple(
        (
            fault,
            _number(named[fault], f"{option}: {fault}", most=_MOST_PER_H, unit="times an hour"),
            longest_s,
        )
        for fault, _, longest_s in AS_IN_SOAK.per_h
        if fault in named
    )
    return FaultRates(**shares, per_h=per_h)


def _share(text: str, option: str) -> float:
    share = parse_share(text, option=option)
    if share > 1.0:
        raise TraceError(f"{option}: {text!r} is more than all; write 0% to 100%")
    return share


def _number(text: str, option: str, *, most: float, unit: str) -> float:
    if re.fullmatch(r"\d+(?:\.\d*)?|\.\d+", text.strip(), re.ASCII) is None or float(text) > most:
        raise TraceError(f"{option}: {text!r} is no number from 0 to {most:g}, {unit}")
    return float(text)
