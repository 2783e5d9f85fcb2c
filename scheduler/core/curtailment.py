"""What miners could not use, and for which cause: judged each second from what the loop knows. Pure, whole watts.

    shortfall = baseline - metered       baseline = min(what it may have, what it was last seen to take)

The shortfall of a group is explained in this order, each time as far as it goes:

1. nobody hears of the group                                        comms_loss (all of it)
2. machines that their owner paused                                 partner_request
3. what it was not given (baseline - granted)
     under an emergency stop or a limit by a person                 maintenance
     what mining would lack without any AI, too                     grid
     what AI holds of the room                                      ai_preempt
     the rest: steps of whole machines, minimum times, ramps        as the larger of the two, as lately, maintenance
4. what it was given and did not draw                               as lately (it ramps up again), else fault

"Lately" is the cause for which it was last not given all, for `RAMP_S`: machines need minutes to come back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

RAMP_S: Final = 600.0
"""How long a fleet may need to come back from a curtailment before it counts as faulted."""
FAULT_S: Final = 900.0
"""So long less than before while given all, and that is what it can take: broken machines are no baseline."""
STEADY: Final = 0.05
"""A draw within this share of the last one that was confirmed is the same machines at work."""
FREE: Final = 0.99
"""Given this share of what it can take, a group is held back by nobody."""


class Cause(StrEnum):
    """Why a partner's miners drew less than they could."""

    GRID = "grid"  #: the limit leaves no more, AI or not
    AI_PREEMPT = "ai_preempt"  #: AI holds the room
    PARTNER_REQUEST = "partner_request"
    MAINTENANCE = "maintenance"  #: an emergency stop, a limit by a person, or the site's own doing
    COMMS_LOSS = "comms_loss"
    FAULT = "fault"  #: it was given the watts and did not draw them


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What a group was seen to take. Watts are its whole draw, rest included."""

    confirmed_w: int | None = None  #: when it last had all it may have; None = never yet
    doubted_at: datetime | None = (
        None  #: since when it has all and draws less than that, or nothing is confirmed
    )
    cause: Cause | None = None  #: for which it was last not given all
    caused_at: datetime | None = None  #: when that still held

    def lately(self, at: datetime) -> Cause | None:
        """The cause of a curtailment that may still be felt."""
        if self.caused_at is None or (at - self.caused_at).total_seconds() > RAMP_S:
            return None
        return self.cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One group of a partner at an instant. Watts are its whole draw, rest included."""

    group_id: str
    takes_w: int  #: what its machines that are there can draw
    may_w: int  #: its part of the partner's cap
    granted_w: int  #: that it is told to draw at most
    metered_w: int  #: 0 where nobody hears of it
    paused_w: int = 0  #: of machines that their owner paused
    is_heard: bool = True
    presence: Presence = Presence()

    @property
    def most_w(self) -> int:
        """What it may have and could take, as it says itself."""
        return min(self.takes_w, self.may_w)

    @property
    def baseline_w(self) -> int:
        """What it would draw with nothing in its way: never the nameplate of what is broken.

        Before it was confirmed, what its guard says that it takes, less what it was given and does not draw.
        """
        if self.presence.confirmed_w is not None:
            return self._could_w
        undrawn_w = max(0, min(self.granted_w, self.most_w) - self.metered_w) if self.is_heard else 0
        return self.most_w - undrawn_w

    @property
    def _could_w(self) -> int:
        """The same with all of what is not confirmed."""
        confirmed_w = self.presence.confirmed_w
        return self.most_w if confirmed_w is None else min(confirmed_w, self.most_w)

    @property
    def is_free(self) -> bool:
        """Whether nothing holds it back."""
        return self.is_heard and not self.paused_w and self.granted_w >= self.most_w * FREE

    @property
    def shortfall_w(self) -> int:
        """What it draws less than it would."""
        return max(0, self.baseline_w - self.metered_w)

    @property
    def withheld_w(self) -> int:
        """Of its shortfall, what it was not given; its own pauses come before."""
        if not self.is_heard:
            return 0
        left_w = self.shortfall_w - min(self.paused_w, self.shortfall_w)
        return min(left_w, max(0, self._could_w - self.granted_w))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The site at that instant."""

    at: datetime
    room_w: int  #: that mining would have if there were no AI; may be below 0
    ai_w: int  #: that AI holds of it
    is_stopped: bool = False  #: an emergency stop, or a limit by a person, is in force


def confirmed(side: Side, at: datetime) -> Presence:
    """What is known of the group's availability after this reading."""
    known = side.presence
    if not side.is_heard:
        return known
    before_w = known.confirmed_w
    if before_w is not None and side.metered_w > before_w:
        return _seen(known, side.metered_w)
    if not side.is_free or known.lately(at) is not None:
        return _seen(known, before_w)
    if before_w is not None and side.metered_w >= before_w * (1 - STEADY):
        return _seen(known, side.metered_w)
    doubted_at = known.doubted_at or at
    wait_s = RAMP_S if before_w is None else FAULT_S
    if (at - doubted_at).total_seconds() >= wait_s:
        return _seen(known, side.metered_w)
    return replace(known, doubted_at=doubted_at)


def _seen(known: Presence, confirmed_w: int | None) -> Presence:
    return Presence(confirmed_w=confirmed_w, cause=known.cause, caused_at=known.caused_at)


def curtailed(scene: Scene, sides: Sequence[Side]) -> dict[str, dict[Cause, int]]:
    """What each group lacks, W by cause, zeros left out. The causes of a group add up to its shortfall."""
    grid = _shares([s.withheld_w for s in sides], max(0, sum(s.baseline_w for s in sides) - scene.room_w))
    left = [s.withheld_w - g for s, g in zip(sides, grid, strict=True)]
    ai = _shares(left, scene.ai_w)
    return {s.group_id: _explained(scene, s, g, a) for s, g, a in zip(sides, grid, ai, strict=True)}


def remembered(known: Presence, causes: Mapping[Cause, int], side: Side, at: datetime) -> Presence:
    """The same, with the cause for which it is not given all now: of several the largest."""
    if not side.withheld_w:
        return known
    given = {c: w for c, w in causes.items() if c not in (Cause.FAULT, Cause.PARTNER_REQUEST)}
    if not given:
        return known
    return replace(known, cause=max(given, key=lambda c: given[c]), caused_at=at)


def _explained(scene: Scene, side: Side, grid_w: int, ai_w: int) -> dict[Cause, int]:
    if not side.is_heard:
        return _positive({Cause.COMMS_LOSS: side.shortfall_w})
    lately = side.presence.lately(scene.at)
    found = dict.fromkeys(Cause, 0)
    asked_w = min(side.paused_w, side.shortfall_w)
    found[Cause.PARTNER_REQUEST] = asked_w
    if scene.is_stopped:
        found[Cause.MAINTENANCE] += side.withheld_w
    else:
        found[Cause.GRID] += grid_w
        found[Cause.AI_PREEMPT] += ai_w
        found[_main(grid_w, ai_w) or lately or Cause.MAINTENANCE] += side.withheld_w - grid_w - ai_w
    found[lately or Cause.FAULT] += side.shortfall_w - asked_w - side.withheld_w
    return _positive(found)


def _main(grid_w: int, ai_w: int) -> Cause | None:
    if not grid_w and not ai_w:
        return None
    return Cause.GRID if grid_w >= ai_w else Cause.AI_PREEMPT


def _positive(found: Mapping[Cause, int]) -> dict[Cause, int]:
    return {cause: watts for cause, watts in found.items() if watts > 0}


def _shares(parts: Sequence[int], total: int) -> list[int]:
    """`total`, but no more than the parts, over the parts in proportion: whole, each at most its part."""
    whole = sum(parts)
    if total >= whole:
        return list(parts)
    shares, done, given = [], 0, 0
    for part in parts:
        done += part
        upto = done * total // whole
        shares.append(upto - given)
        given = upto
    return shares
