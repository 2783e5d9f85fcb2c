"""One order to one machine, read back until it did what it was told or its time is up: what tests of drivers stand on.

A guard does so for a whole fleet, by `workers.fleet` and `scheduler.core.escalation`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, assert_never

from workers.miners.port import MachineReading, Miner, MinerError, MinerState, Unreachable
from workers.miners.proof import REST_W, TOLERANCE, is_asleep

POLL_S: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleep:
    """Stop hashing."""

    rest_w: float = REST_W


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """Hash again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetWatts:
    """Draw no more than this."""

    target_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimPercent:
    """Run at this share of full power. `full_w` is what 100 % draws."""

    percent: float
    full_w: float


Order = Sleep | Wake | TargetWatts | TrimPercent


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What came of an order."""

    is_confirmed: bool
    in_doubt_w: float  #: 0 once confirmed; else what it may go on drawing: its last word, or its nameplate
    after_s: float  #: from the order to the end
    last: MachineReading | None = None  #: read after the order
    error: MinerError | None = None  #: the last that went wrong, if any


async def carry_out(
    miner: Miner,
    order: Order,
    *,
    nameplate_w: float,
    deadline_s: float,
    poll_s: float = POLL_S,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Effect:
    """Tell it once, then read it until it obeys or `deadline_s` are over; the last read may take DEADLINE_S more.

    Lost contact counts as full draw. A refusal is final, but it is read once: perhaps it rests already.
    Never raises MinerError.
    """
    began_s = clock()
    error = await _tell(miner, order)
    is_final = error is not None and not isinstance(error, Unreachable)
    while True:
        last, lost = await _read(miner)
        is_confirmed = last is not None and obeys(order, last)
        after_s = clock() - began_s
        if is_confirmed or is_final or after_s + poll_s > deadline_s:
            break
        await pause(poll_s)
    in_doubt_w = 0.0 if is_confirmed else _in_doubt_w(last, nameplate_w)
    return Effect(
        is_confirmed=is_confirmed, in_doubt_w=in_doubt_w, after_s=after_s, last=last, error=lost or error
    )


def obeys(order: Order, seen: MachineReading) -> bool:
    """Whether what a machine says of itself is what it was told. State *and* watts: either alone may lie.

    A draw below a new target proves nothing while the machine still tells the old one: it may be on its way up.
    """
    match order:
        case Sleep(rest_w=rest_w):
            return is_asleep(seen, rest_w=rest_w)
        case Wake():
            return seen.state is MinerState.RUNNING
        case TargetWatts(target_w=target_w):
            return _is_within(seen, target_w) and (
                seen.target_w is None or seen.target_w <= target_w * (1 + TOLERANCE)
            )
        case TrimPercent(percent=percent, full_w=full_w):
            return _is_within(seen, full_w * percent / 100)
        case _:
            assert_never(order)


def _is_within(seen: MachineReading, target_w: float) -> bool:
    return seen.draw_w is not None and seen.draw_w <= target_w * (1 + TOLERANCE)


async def _tell(miner: Miner, order: Order) -> MinerError | None:
    try:
        match order:
            case Sleep():
                await miner.sleep()
            case Wake():
                await miner.wake()
            case TargetWatts(target_w=target_w):
                await miner.set_target_w(target_w)
            case TrimPercent(percent=percent):
                await miner.set_percent(percent)
            case _:
                assert_never(order)
    except MinerError as error:
        return error
    return None


async def _read(miner: Miner) -> tuple[MachineReading | None, MinerError | None]:
    try:
        return await miner.read(), None
    except MinerError as error:
        return None, error


def _in_doubt_w(last: MachineReading | None, nameplate_w: float) -> float:
    """Its own last word counts only while it gives one."""
    return nameplate_w if last is None or last.draw_w is None else last.draw_w
