"""What is seen of one machine, and how much it may draw by that: its outlet's meter, its outlet's state, its own word.

What nobody knows counts at the nameplate. `scheduler.core.escalation` says what is done about it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How patient the ladder is."""

    retry_after_s: float = 3.0
    cut_after_s: float = 8.0
    confirm_s: float = 5.0  #: a PDU has so long to switch and to show it; then it is an alarm
    lost_cut_after_s: float = (
        60.0  #: instead, for one that is only silent: that had obeyed, or was told to draw more
    )
    repeat_s: float = 10.0  #: after the alarm, all is tried again so often
    fresh_s: float = 10.0  #: a machine's word counts for so long
    outlet_fresh_s: float = 30.0  #: and that of an outlet
    settle_s: float = 5.0  #: a machine may go on answering for so long after its outlet is off
    min_off_s: float = 300.0  #: an outlet that was switched off stays off for so long
    most_on_per_day: int = 4  #: in any 24 h
    tolerance: float = 0.05  #: a draw may pass its order by this share, or by
    slack_w: float = 50.0  #: so many W, whichever is more, before anything is done about it


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a machine said when it last answered. One on its way up to what it may draw obeys."""

    at_s: float  #: when it was asked
    obeys: bool  #: it sleeps where it is to sleep; else it neither draws nor aims at more than it may
    draw_w: float | None = None  #: at the plug; None = it does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class OutletSaid:
    """What its outlet said when it last answered."""

    at_s: float  #: when it was asked
    is_on: bool
    draw_w: float | None = None  #: measured; None = this PDU does not measure each outlet


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One machine, as it is seen at one moment. All times are on one clock that never goes back: CLOCK_BOOTTIME."""

    miner_id: str
    address: str
    now_s: float
    told_at_s: float  #: when it was first told what it is told now; telling it again changes nothing here
    allowed_w: float  #: what it may draw at the plug by that; its rest where it is to sleep
    nameplate_w: float
    takes_s: float = (
        0.0  #: what it is told takes it so long, e.g. a restart: in doubt meanwhile, and left alone
    )
    said: Said | None = None  #: None = never heard
    outlet_address: str = ""  #: as `Outlet.address`; "" = it has none
    outlet: OutletSaid | None = None  #: None = never heard


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is to be remembered of one machine from look to look. Plain values: keep it over restarts."""

    first_look_s: float | None = None  #: nothing is held against it from before
    allowed_w: float | None = None  #: by its newest order
    raised_told_at_s: float | None = None  #: the newest order that allowed it more than the one before
    doubt_at_s: float | None = None  #: since when it is in doubt without a pause
    doubt_allowed_w: float = 0.0  #: what it was allowed when that began
    retried_at_s: float | None = None  #: last, in this spell
    off_told_at_s: float | None = None  #: last, in this spell
    alarmed_at_s: float | None = None  #: last, in this spell
    obeyed_told_at_s: float | None = None  #: the newest order that it was seen to obey, by its `told_at_s`
    cut_at_s: float | None = None  #: its outlet was last switched off by the ladder, and is not on since
    off_seen_at_s: float | None = None  #: it was first seen to be off since
    on_told_at_s: float | None = None  #: it was told to switch on since, and not seen to yet
    owes_telling: bool = False  #: it lost its AC since it was last told
    on_at_s: tuple[float, ...] = ()  #: each time that it was switched on, in the last 24 h

    def resumed(self, now_s: float, *, has_rebooted: bool) -> Record:
        """After a restart. On a clock that began anew, all that was switched counts as switched just now."""
        kept = replace(
            Record(),
            cut_at_s=self.cut_at_s,
            owes_telling=self.owes_telling or has_rebooted,
            on_at_s=self.on_at_s,
        )
        if not has_rebooted:
            return kept
        return replace(
            kept,
            cut_at_s=None if self.cut_at_s is None else now_s,
            on_at_s=tuple(now_s for _ in self.on_at_s),
        )


def may_flow_w(record: Record, sight: Sight, rules: Rules) -> float:
    """What a machine may draw, by the best that is known; its nameplate where nothing is.

    A meter goes before the machine's word. What was read before the order says nothing of what came of it.
    """
    outlet, said = fresh_outlet(sight, rules), fresh_word(sight, rules)
    if outlet is not None and said is not None and said.at_s > outlet.at_s + rules.settle_s:
        outlet = None  # it is read while it matters: what it said before that is over
    if outlet is not None and outlet.at_s > _last_on_s(record) and not is_misplaced(record, sight, rules):
        if outlet.draw_w is not None and (not outlet.is_on or outlet.at_s >= sight.told_at_s):
            return outlet.draw_w
        if not outlet.is_on and outlet.draw_w is None:
            return 0.0
    if said is None:
        return max(sight.nameplate_w, _last_draw_w(sight))
    if said.draw_w is not None:
        return said.draw_w if said.obeys or said.draw_w > sight.allowed_w else sight.nameplate_w
    return sight.allowed_w if said.obeys else sight.nameplate_w


def _last_on_s(record: Record) -> float:
    """When its outlet was last told to switch on: what it said before that is over."""
    return max((*record.on_at_s[-1:], record.on_told_at_s or -1.0), default=-1.0)


def _last_draw_w(sight: Sight) -> float:
    """Its last word, however old, where it draws more than it should be able to."""
    return sight.said.draw_w or 0.0 if sight.said is not None else 0.0


def fresh_word(sight: Sight, rules: Rules) -> Said | None:
    """What the machine said since its order and lately; None = nothing that counts."""
    said = sight.said
    is_good = said is not None and said.at_s >= sight.told_at_s and sight.now_s - said.at_s <= rules.fresh_s
    return said if is_good else None


def fresh_outlet(sight: Sight, rules: Rules) -> OutletSaid | None:
    """What its outlet said lately; None = nothing that counts."""
    outlet = sight.outlet
    return outlet if outlet is not None and sight.now_s - outlet.at_s <= rules.outlet_fresh_s else None


def is_misplaced(record: Record, sight: Sight, rules: Rules) -> bool:
    """Whether the machine goes on answering although this outlet is off: it gets its power elsewhere."""
    outlet, said, since_s = fresh_outlet(sight, rules), sight.said, record.off_seen_at_s
    if outlet is None or outlet.is_on or said is None or since_s is None:
        return False
    return since_s + rules.settle_s < said.at_s <= outlet.at_s + rules.settle_s


def is_within(flow_w: float, allowed_w: float, rules: Rules) -> bool:
    """Whether a draw is near enough to what was allowed that nothing need be done."""
    return flow_w <= max(allowed_w * (1 + rules.tolerance), allowed_w + rules.slack_w)


def may_boot(sight: Sight) -> bool:
    """Whether it may draw all that a machine may draw that starts by itself."""
    return sight.allowed_w >= sight.nameplate_w
