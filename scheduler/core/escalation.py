"""What to do about a machine that does not do what it was told: tell it again, switch its outlet off, raise an alarm.

A machine's "OK" is no watt. From the order on, what it may draw beyond it is *in doubt*, until it is seen to obey: by
its outlet's meter, by an outlet that is off, or by the machine's own word. Whoever looks after machines keeps one
`Record` for each, calls `look` for each at each look, keeps `verdict.record` (over its own restarts too, before it
acts), and does `verdict.step`:

    verdict = look(record, Sight(...), rules)
    record = verdict.record                      # write it down first, then act
    match verdict.step:
        case Step.WAIT: ...                      # nothing is due
        case Step.RETRY: ...                     # tell the machine its order again
        case Step.SWITCH_OFF: ...                # outlet.switch(is_on=False)
        case Step.SWITCH_ON: ...                 # outlet.switch(is_on=True); it boots, and draws what it likes
        case Step.ALARM: ...                     # tell people `verdict.trouble`, once
    if verdict.read_outlet: ...                  # outlet.read(), and give it to the next look

A step that fails needs no word: the next looks see that nothing came of it. `in_doubt_w` and `counts_w` hold at every
look, whatever the step. `trouble` stays for as long as it is so; `Step.ALARM` comes once for each spell of doubt. After
a restart of the process or of the host, a kept record goes on as `record.resumed(...)`: nothing is held against a
machine from a time when nobody looked. `Sight`, `Rules` and `Record` are in `scheduler.core.obedience`.

The ladder for one spell of doubt, s after the order (`Rules`): 3 tell it again; 8 switch its outlet off, where it has
one; 5 later, or at 8 where it has none, the alarm; then both again every 10 until it is seen to obey. One that had
obeyed and falls silent, or starts by itself after a blip, is told again at once; while it is only silent, its outlet is
left alone for 60, for it may be just its network, and it counts at its nameplate anyway. So it is with one that is
silent after it was told to draw more, for it may be starting. An order that takes a machine long by its nature, such as
a power limit for which it starts anew, is given with its `takes_s`, by which all of this moves.

An outlet is switched off whenever the ladder says so: the limit goes first. It is switched on only if the ladder had
switched it off, after `min_off_s`, at most `most_on_per_day` times in 24 h, and where the machine may draw its
nameplate: after a loss of AC many start by themselves at full power. So whoever wants such a machine back allows it its
nameplate first; when it answers, `Step.RETRY` asks for its order to be told again, as some wake asleep. An outlet that
a person switched off stays off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, IntEnum, auto
from typing import Final

from scheduler.core.escalation_wording import trouble_of
from scheduler.core.obedience import (
    Record,
    Rules,
    Sight,
    fresh_outlet,
    fresh_word,
    is_misplaced,
    is_within,
    may_boot,
    may_flow_w,
)

_DAY_S: Final = 86_400.0


class Step(Enum):
    """What is due now."""

    WAIT = auto()
    RETRY = auto()  #: tell the machine its order again
    SWITCH_OFF = auto()
    SWITCH_ON = auto()
    ALARM = auto()  #: tell people


class Rung(IntEnum):
    """How far it has come. It never falls within one spell of doubt."""

    CALM = 0
    TOLD = 1
    RETRIED = 2
    CUT = 3  #: its outlet was switched off, and perhaps is
    ALARMED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to do and how much may flow."""

    step: Step
    rung: Rung
    counts_w: float  #: what it may draw: count it at this, and never at less
    in_doubt_w: float  #: the part of that which is beyond its order
    read_outlet: bool  #: whether the next look needs to know what its outlet says
    trouble: str  #: for people: which machine, what it was told, what may flow, what to do; "" = none
    record: Record


def look(record: Record, sight: Sight, rules: Rules) -> Verdict:
    """What is due for a machine as it is seen now. Pure: the same arguments, the same verdict."""
    record = _switched(_told(_of_today(record, sight.now_s), sight), sight, rules)
    flow_w = may_flow_w(record, sight, rules)
    if is_within(flow_w, sight.allowed_w, rules):
        record = _calm(record, sight)
        step, record = _back(record, sight, rules)
    else:
        record = _doubted(record, sight, flow_w, rules)
        step, record = _climb(record, sight, rules)
    return Verdict(
        step=step,
        rung=_rung(record),
        counts_w=max(flow_w, sight.allowed_w),
        in_doubt_w=max(0.0, flow_w - sight.allowed_w),
        read_outlet=bool(sight.outlet_address) and _is_asked(record, sight, rules),
        trouble=trouble_of(record, sight, flow_w, rules),
        record=record,
    )


def _is_asked(record: Record, sight: Sight, rules: Rules) -> bool:
    """Whether its outlet is to be looked at. Nobody asks a thousand outlets while a thousand machines are told.

    One that does not show that it obeys, or was cut: all the time. One that says that it does: once after its order,
    where its outlet measures; and any outlet once before it matters.
    """
    outlet, told_s = sight.outlet, sight.now_s - sight.told_at_s
    if record.cut_at_s is not None or record.retried_at_s is not None:
        return True
    if told_s < rules.retry_after_s or record.doubt_at_s is not None:
        return False
    if outlet is None:
        return True
    return outlet.draw_w is not None and outlet.at_s < sight.told_at_s and not may_boot(sight)


# -- what is remembered --------------------------------------------------------------------------------------------


def _of_today(record: Record, now_s: float) -> Record:
    recent = tuple(at_s for at_s in record.on_at_s if now_s - at_s < _DAY_S)
    if recent == record.on_at_s and record.first_look_s is not None:
        return record
    return replace(record, on_at_s=recent, first_look_s=record.first_look_s or now_s)


def _told(record: Record, sight: Sight) -> Record:
    if record.allowed_w == sight.allowed_w:
        return record
    is_raise = record.allowed_w is not None and sight.allowed_w > record.allowed_w
    raised_s = sight.told_at_s if is_raise else record.raised_told_at_s
    return replace(record, allowed_w=sight.allowed_w, raised_told_at_s=raised_s)


def _switched(record: Record, sight: Sight, rules: Rules) -> Record:
    """What became of its outlet since the ladder switched it off. Whoever switched it on: it is held no more."""
    outlet = sight.outlet
    if record.cut_at_s is None:
        return record
    if record.on_told_at_s is not None:
        is_back = outlet is not None and outlet.is_on and outlet.at_s > record.on_told_at_s
        answers = sight.said is not None and sight.said.at_s > record.on_told_at_s
        return _on_again(record) if is_back or answers else record
    if outlet is None or outlet.at_s <= record.cut_at_s:
        return record
    if not outlet.is_on:
        return record if record.off_seen_at_s is not None else replace(record, off_seen_at_s=outlet.at_s)
    is_late = outlet.at_s > record.cut_at_s + rules.confirm_s and record.doubt_at_s is None
    return _on_again(record) if record.off_seen_at_s is not None or is_late else record


def _on_again(record: Record) -> Record:
    """With it ends the doubt of before: what flows now has another reason."""
    return replace(
        record,
        cut_at_s=None,
        off_seen_at_s=None,
        on_told_at_s=None,
        owes_telling=True,
        doubt_at_s=None,
        retried_at_s=None,
        off_told_at_s=None,
        alarmed_at_s=None,
    )


def _calm(record: Record, sight: Sight) -> Record:
    """It does as it was told, or cannot do otherwise."""
    if record.doubt_at_s is None and record.obeyed_told_at_s == sight.told_at_s:
        return record
    return replace(
        record,
        doubt_at_s=None,
        retried_at_s=None,
        off_told_at_s=None,
        alarmed_at_s=None,
        obeyed_told_at_s=sight.told_at_s,
    )


def _doubted(record: Record, sight: Sight, flow_w: float, rules: Rules) -> Record:
    """In doubt since the order; where it had obeyed that, since now.

    Orders that follow do not set the clock back, or one that never obeys would be let off by each. But one that
    came down to what the first of them said has obeyed that one, and is given time for the newest.
    """
    began = record.doubt_at_s is not None
    followed = (
        began
        and sight.allowed_w < record.doubt_allowed_w
        and record.alarmed_at_s is None
        and record.off_told_at_s is None
        and is_within(flow_w, record.doubt_allowed_w, rules)
    )
    if began and not followed:
        return record
    had_obeyed = record.obeyed_told_at_s == sight.told_at_s
    since_s = sight.now_s if had_obeyed else max(sight.told_at_s, record.first_look_s or 0.0)
    return replace(
        record,
        doubt_at_s=since_s,
        doubt_allowed_w=sight.allowed_w,
        retried_at_s=None,
        off_told_at_s=None,
        alarmed_at_s=None,
    )


# -- the steps -----------------------------------------------------------------------------------------------------


def _climb(record: Record, sight: Sight, rules: Rules) -> tuple[Step, Record]:
    """The next rung, where it is due."""
    now_s, age_s = sight.now_s, sight.now_s - (record.doubt_at_s or 0.0) - sight.takes_s
    has_obeyed = record.obeyed_told_at_s == sight.told_at_s
    if record.retried_at_s is None and (has_obeyed or age_s >= rules.retry_after_s):
        return Step.RETRY, replace(record, retried_at_s=now_s)
    if _is_due_off(record, sight, age_s, rules):
        return Step.SWITCH_OFF, replace(
            record, off_told_at_s=now_s, cut_at_s=now_s, off_seen_at_s=None, on_told_at_s=None
        )
    if record.alarmed_at_s is None and _is_alarm(record, sight, age_s, rules):
        return Step.ALARM, replace(record, alarmed_at_s=now_s)
    if record.alarmed_at_s is not None and _is_over(record.retried_at_s, rules.repeat_s, now_s):
        return Step.RETRY, replace(record, retried_at_s=now_s)
    return Step.WAIT, record


def _is_due_off(record: Record, sight: Sight, age_s: float, rules: Rules) -> bool:
    if not sight.outlet_address or is_misplaced(record, sight, rules):
        return False
    if record.off_told_at_s is None:
        return age_s >= _patience_s(record, sight, rules)
    return record.alarmed_at_s is not None and _is_over(record.off_told_at_s, rules.repeat_s, sight.now_s)


def _is_alarm(record: Record, sight: Sight, age_s: float, rules: Rules) -> bool:
    if not sight.outlet_address or is_misplaced(record, sight, rules):
        return age_s >= _patience_s(record, sight, rules)
    return record.off_told_at_s is not None and _is_over(record.off_told_at_s, rules.confirm_s, sight.now_s)


def _patience_s(record: Record, sight: Sight, rules: Rules) -> float:
    is_only_silent = (
        sight.told_at_s in (record.obeyed_told_at_s, record.raised_told_at_s)
        and fresh_word(sight, rules) is None
        and fresh_outlet(sight, rules) is None
    )
    return rules.lost_cut_after_s if is_only_silent else rules.cut_after_s


def _is_over(at_s: float | None, wait_s: float, now_s: float) -> bool:
    return at_s is None or now_s - at_s >= wait_s


def _back(record: Record, sight: Sight, rules: Rules) -> tuple[Step, Record]:
    """Give it its power back, where it may have all of it; tell it its order once it answers."""
    now_s = sight.now_s
    if record.cut_at_s is None:
        if record.owes_telling and sight.said is not None and fresh_word(sight, rules) is not None:
            return Step.RETRY, replace(record, owes_telling=False, retried_at_s=None)
        return Step.WAIT, record
    if not may_boot(sight):
        return Step.WAIT, record
    if record.on_told_at_s is not None:
        if _is_over(record.on_told_at_s, rules.repeat_s, now_s):
            return Step.SWITCH_ON, replace(record, on_told_at_s=now_s)
        return Step.WAIT, record
    if is_held(record, rules, now_s):
        return Step.WAIT, record
    return Step.SWITCH_ON, replace(record, on_told_at_s=now_s, on_at_s=(*record.on_at_s, now_s))


def is_held(record: Record, rules: Rules, now_s: float) -> bool:
    """Whether an outlet that is off, or would be switched off now, does not come back for a while."""
    if len(record.on_at_s) >= rules.most_on_per_day:
        return True
    return record.cut_at_s is not None and now_s - record.cut_at_s < rules.min_off_s


def _rung(record: Record) -> Rung:
    if record.alarmed_at_s is not None:
        return Rung.ALARMED
    if record.off_told_at_s is not None or record.cut_at_s is not None:
        return Rung.CUT
    if record.retried_at_s is not None:
        return Rung.RETRIED
    return Rung.CALM if record.doubt_at_s is None else Rung.TOLD
