"""What a statement says, as facts and rows of text: the same on the terminal and on the page."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Final

from barq.reporting.settlement import CAUSES, total_of, written
from barq.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from barq.reporting.settlement_views import BalancesView, IntervalView, PriceInputView, StatementView
    from barq.reporting.words import Rows

NOTHING: Final = "-"
_WS_PER_KWH: Final = 3_600_000
_UNIT: Final = 1_000_000
_INTERVAL_S: Final = 900


def kwh(energy_ws: int) -> str:
    """Energy to the watt-hour."""
    return f"{energy_ws / _WS_PER_KWH:,.3f} kWh"


def money(micro: int | None) -> str:
    """Whole micro-units: nothing is rounded away."""
    if micro is None:
        return "not known"
    sign, whole, rest = "-" if micro < 0 else "", abs(micro) // _UNIT, abs(micro) % _UNIT
    return f"{sign}{whole:,}.{rest:06d}"


def summary_facts(statement: StatementView) -> list[tuple[str, str]]:
    """The month in a few lines."""
    measured = statement["measured"]
    rows = written(statement)
    facts = [
        ("drawn", kwh(total_of(statement, "metered_ws"))),
        ("granted", kwh(measured["granted_ws"])),
        ("above what was granted", kwh(measured["overdraw_ws"])),
        ("curtailed", kwh(sum(_curtailed(statement, cause) for cause in CAUSES))),
        ("charge", money(total_of(statement, "charge_micro"))),
        ("credit", _credit(statement)),
        ("due", money(total_of(statement, "due_micro"))),
        ("intervals", f"{len(rows.intervals)} of {_passed(statement)} that are over"),
        ("read", format_duration(measured["heard_ms"] / 1000)),
        ("curtailed for", _curtailed_for(statement, [i for _, i in rows.intervals])),
    ]
    parts = (measured, statement["adjusted"])
    missed = sum(part.get("notices_missed", 0) for part in parts)
    if notices := sum(part.get("notices", 0) for part in parts):
        facts.append(("notice", f"{missed} of {notices} curtailments had too little"))
    if measured["unpriced"]:
        which = f"{measured['unpriced']} of {len(rows.intervals)} intervals"
        facts.append(("without a price", f"{which}: what is not known of them is in no sum"))
    return facts


def _passed(statement: StatementView) -> int:
    """Quarters of an hour of the month that are over; of some nothing may be on record."""
    since, until, now = (
        datetime.fromisoformat(at)
        for at in (statement["since_at"], statement["until_at"], statement["made_at"])
    )
    return max(0, int((min(until, now) - since).total_seconds() // _INTERVAL_S))


def _credit(statement: StatementView) -> str:
    credited, due = total_of(statement, "credit_micro"), total_of(statement, "credit_due_micro")
    return money(credited) if credited == due else f"{money(credited)} of {money(due)}: the cap of the month"


def _curtailed_for(statement: StatementView, intervals: Sequence[IntervalView]) -> str:
    seconds = total_of(statement, "curtailed_ms") / 1000
    most_s = intervals[-1]["draft"]["max_curtailed_s"] if intervals else None
    told = format_duration(seconds)
    if most_s is None:
        return told
    over = f": {format_duration(seconds - most_s)} more" if seconds > most_s else ""
    return f"{told} of {format_duration(most_s)} by contract{over}"


def _curtailed(statement: StatementView, cause: str) -> int:
    return sum(statement[part]["curtailed_ws"].get(cause, 0) for part in ("measured", "adjusted"))


def sum_rows(statement: StatementView) -> Rows:
    """Measured, adjusted, in all."""
    rows = [
        (
            name,
            kwh(part["metered_ws"]),
            kwh(sum(part["curtailed_ws"].values())),
            money(part["charge_micro"]),
            money(part["credit_micro"]),
            money(part["due_micro"]),
        )
        for name, part in (("measured", statement["measured"]), ("adjusted", statement["adjusted"]))
    ]
    total = (
        "in all",
        kwh(total_of(statement, "metered_ws")),
        kwh(sum(_curtailed(statement, cause) for cause in CAUSES)),
        money(total_of(statement, "charge_micro")),
        money(total_of(statement, "credit_micro")),
        money(total_of(statement, "due_micro")),
    )
    return ("", "DRAWN", "CURTAILED", "CHARGE", "CREDIT", "DUE"), [*rows, total]


def cause_rows(statement: StatementView) -> Rows:
    """A row for each cause that any energy was lost for."""
    intervals = [i for _, i in written(statement).intervals]
    excused = set(intervals[-1]["draft"]["excused"]) if intervals else set()
    rows = [
        (cause, kwh(ws), "excused" if cause in excused else "credited")
        for cause in CAUSES
        if (ws := _curtailed(statement, cause))
    ]
    return ("CAUSE", "CURTAILED", "BY CONTRACT"), rows


def notice_rows(statement: StatementView) -> Rows:
    """A row for each curtailment of which notice was due."""
    rows_written = written(statement)
    energies = [interval["draft"]["energy"] for _, interval in rows_written.intervals]
    told = [notice for energy in energies for notice in energy.get("notices", [])]
    told += [notice for _, change in rows_written.adjustments for notice in change.get("notices", [])]
    rows = [
        (
            notice["begun_at"],
            notice["cause"],
            f"{notice['given_s']:,} s",
            f"{notice['due_s']:,} s",
            "met" if notice["given_s"] >= notice["due_s"] else "missed",
        )
        for notice in sorted(told, key=lambda notice: notice["begun_at"])
    ]
    return ("CURTAILED FROM", "CAUSE", "NOTICE", "BY CONTRACT", ""), rows


def day_rows(statement: StatementView) -> Rows:
    """A row for each UTC day, as it was measured."""
    intervals = [i for _, i in written(statement).intervals]
    rows = []
    for day, same in groupby(intervals, key=lambda i: i["draft"]["starts_at"][:10]):
        of_day = list(same)
        energies = [i["draft"]["energy"] for i in of_day]
        rows.append(
            (
                day,
                kwh(sum(e["metered_ws"] for e in energies)),
                kwh(sum(sum(e["curtailed_ws"].values()) for e in energies)),
                money(sum(i["charge_micro"] or 0 for i in of_day)),
                money(sum(i["credit_micro"] or 0 for i in of_day)),
                format_duration(sum(e["heard_ms"] for e in energies) / 1000),
                ", ".join(sorted({i["quality"] for i in of_day})),
            )
        )
    return ("DAY (UTC)", "DRAWN", "CURTAILED", "CHARGE", "CREDIT", "READ", "QUALITY"), rows


def input_rows(statement: StatementView) -> Rows:
    """Every price input of the month: its value, whose word it is, in how many intervals it was used."""
    used: dict[tuple[str, str, int, str, str], int] = {}
    for _, interval in written(statement).intervals:
        draft = interval["draft"]
        for of, rate in (("price", draft["price"]), ("credit", draft["credit"])):
            for given in rate["inputs"]:
                key = (of, *_input(given))
                used[key] = used.get(key, 0) + 1
    rows = [
        (of, name, f"{value:,}", source, as_of, str(count))
        for (of, name, value, source, as_of), count in used.items()
    ]
    return ("OF", "INPUT", "VALUE", "SOURCE", "AS OF", "INTERVALS"), rows


def _input(given: PriceInputView) -> tuple[str, int, str, str]:
    return given["name"], given["value"], given["source"], given["as_of_at"] or "by contract"


def adjustment_rows(statement: StatementView) -> Rows:
    """A row for each adjustment."""
    rows = [
        (
            change["starts_at"],
            kwh(change["metered_ws"]),
            kwh(sum(change["curtailed_ws"].values())),
            money(change["charge_micro"]),
            money(change["credit_micro"]),
            change["by"],
            change["recorded_at"],
            change["reason"],
        )
        for _, change in written(statement).adjustments
    ]
    return ("INTERVAL", "DRAWN", "CURTAILED", "CHARGE", "CREDIT", "BY", "RECORDED", "REASON"), rows


def unpriced_rows(statement: StatementView) -> Rows:
    """Why intervals have no price, with how many."""
    counts: dict[str, int] = {}
    for _, interval in written(statement).intervals:
        if interval["quality"] == "unpriced":
            for why in _whys(interval):
                counts[why] = counts.get(why, 0) + 1
    return ("INTERVALS", "WHY WITHOUT A PRICE"), [(str(count), why) for why, count in counts.items()]


def _whys(interval: IntervalView) -> Iterator[str]:
    yield from {rate["why"] for rate in (interval["draft"]["price"], interval["draft"]["credit"])} - {""}


def balance_rows(found: BalancesView) -> Rows:
    """A row for each UTC day: where its energy went."""
    rows = []
    for day, same in groupby(found["balances"], key=lambda b: b["starts_at"][:10]):
        of_day = list(same)
        site_ws, losses_ws = (sum(b[name] for b in of_day) for name in ("site_ws", "losses_ws"))
        rows.append(
            (
                day,
                kwh(site_ws),
                kwh(sum(sum(b["partners_ws"].values()) for b in of_day)),
                kwh(sum(b["ai_ws"] for b in of_day)),
                kwh(sum(b["overhead_ws"] for b in of_day)),
                kwh(losses_ws),
                f"{100 * losses_ws / site_ws:.2f} %" if site_ws else NOTHING,
                f"{len(of_day)}, {format_duration(sum(b['covered_ms'] for b in of_day) / 1000)}",
            )
        )
    return ("DAY (UTC)", "SITE METER", "PARTNERS", "AI", "OVERHEAD", "LOSSES", "OF IT", "INTERVALS"), rows
