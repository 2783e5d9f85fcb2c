"""What people are told of a machine that does not do what it was told: which, what may flow, by whom, what to do."""

from __future__ import annotations

from scheduler.core.obedience import (
    Record,
    Rules,
    Sight,
    fresh_outlet,
    fresh_word,
    is_misplaced,
    may_boot,
)


def trouble_of(record: Record, sight: Sight, flow_w: float, rules: Rules) -> str:
    """The trouble with a machine that may draw `flow_w`, with its remedy; "" = none that a person need know of."""
    who = f"{sight.miner_id} at {sight.address}"
    if is_misplaced(record, sight, rules):
        return (
            f"{who}: answers although its outlet {sight.outlet_address} is off, so it gets its power elsewhere; "
            "correct its outlet in the site file, and switch that outlet on for whom it belongs to"
        )
    if record.doubt_at_s is not None and record.alarmed_at_s is not None:
        return f"{who}: {_of_doubt(record.doubt_at_s, sight, flow_w, rules)}"
    if record.cut_at_s is not None:
        return (
            f"{who}: did not do as it was told, and its outlet {sight.outlet_address} was switched off; "
            f"{_of_return(record, sight, rules)}"
        )
    outlet = fresh_outlet(sight, rules)
    if outlet is not None and not outlet.is_on and may_boot(sight):
        return (
            f"{who}: is to run, and somebody else switched its outlet {sight.outlet_address} off; switch it on when "
            "that is meant to end"
        )
    return ""


def _of_doubt(since_s: float, sight: Sight, flow_w: float, rules: Rules) -> str:
    outlet, said = fresh_outlet(sight, rules), fresh_word(sight, rules)
    if outlet is not None and outlet.draw_w is not None:
        by = f"its outlet {sight.outlet_address} measures that"
    elif said is not None:
        by = "it says so itself" if said.draw_w == flow_w else "it does not say what it draws"
    else:
        by = "it does not answer, so its nameplate counts"
    remedy = (
        f"its outlet {sight.outlet_address} was switched off and does not show it: look at the PDU, or cut its breaker"
        if sight.outlet_address
        else "it has no outlet that could be switched: look at the machine, or cut its breaker"
    )
    return (
        f"in doubt for {sight.now_s - since_s:.0f} s: may draw {sight.allowed_w:.0f} W and perhaps draws "
        f"{flow_w:.0f} W ({by}); {remedy}"
    )


def _of_return(record: Record, sight: Sight, rules: Rules) -> str:
    if not may_boot(sight):
        return f"it comes back when it may draw its {sight.nameplate_w:.0f} W again; look at the machine"
    if len(record.on_at_s) >= rules.most_on_per_day and record.on_told_at_s is None:
        return (
            f"it was switched on {len(record.on_at_s)} times in 24 h and stays off; mend the machine, then switch "
            "it on"
        )
    return "it is to run again, and comes back when its outlet was off for long enough"
