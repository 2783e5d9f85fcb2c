"""A statement as rows that anybody can add up, and the proof that it adds up: by the documented rules, from itself."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from barq.reporting.settlement_views import (
        AdjustmentView,
        GrantedView,
        IntervalView,
        LinkView,
        NoticeView,
        RateView,
        StatementView,
        TotalsView,
    )

CAUSES: Final = ("grid", "ai_preempt", "partner_request", "maintenance", "comms_loss", "fault")
WS_PER_MWH: Final = 3_600_000_000
HEADER: Final = (
    "starts_at",
    "number",
    "quality",
    "metered_ws",
    "granted_ws",
    "overdraw_ws",
    "baseline_ws",
    *(f"curtailed_{cause}_ws" for cause in CAUSES),
    "creditable_ws",
    "price_micro_per_mwh",
    "charge_micro",
    "credit_micro_per_mwh",
    "credit_due_micro",
    "credit_micro",
    "reading_start_ws",
    "reading_end_ws",
    "covered_ms",
    "heard_ms",
    "curtailed_ms",
    "confirmed_ms",
    "metering",
    "link",
    "hash_before",
    "hash",
    "unlisted_ms",
    "orders",
    "grants",
    "notices",
    "price_inputs",
    "credit_inputs",
    "reason",
    "by",
    "recorded_at",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The rows of a statement, sorted by time."""

    intervals: tuple[tuple[LinkView, IntervalView], ...]
    adjustments: tuple[tuple[LinkView, AdjustmentView], ...]

    def excused(self, starts_at: str) -> Sequence[str]:
        """Causes for which no credit is owed in the interval that begins then."""
        found = (i["draft"]["excused"] for _, i in self.intervals if i["draft"]["starts_at"] == starts_at)
        return next(found, ())


def written(statement: StatementView) -> Written:
    """Its intervals and its adjustments."""
    links = statement["links"]
    intervals = [(x, cast("IntervalView", x["row"])) for x in links if not x["number"]]
    adjustments = [(x, cast("AdjustmentView", x["row"])) for x in links if x["number"]]
    return Written(
        intervals=tuple(sorted(intervals, key=lambda pair: pair[1]["draft"]["starts_at"])),
        adjustments=tuple(sorted(adjustments, key=lambda pair: (pair[1]["starts_at"], pair[1]["number"]))),
    )


def amount_micro(energy_ws: int, micro_per_mwh: int) -> int:
    """The one rule of rounding: to the nearest micro-unit, half of one away from zero."""
    product = energy_ws * micro_per_mwh
    rounded = (2 * abs(product) + WS_PER_MWH) // (2 * WS_PER_MWH)
    return rounded if product >= 0 else -rounded


def creditable_ws(curtailed_ws: Mapping[str, int], excused: Sequence[str]) -> int:
    """What is owed for."""
    return sum(ws for cause, ws in curtailed_ws.items() if cause not in excused)


def total_of(statement: StatementView, name: str) -> int:
    """Measured and adjusted together."""
    both: list[dict[str, Any]] = [{**statement["measured"]}, {**statement["adjusted"]}]
    return sum(int(part[name]) for part in both)


# -- does it add up ------------------------------------------------------------------------------------------------


def complaints(statement: StatementView) -> list[str]:
    """What does not add up, empty if all does: amounts by their rates, totals, hashes, order of the chain."""
    rows = written(statement)
    found = [text for link in statement["links"] for text in _unchained(link)]
    found += _broken(statement)
    found += _unlike_log(statement)
    found += [text for _, interval in rows.intervals for text in _misreckoned(interval)]
    found += [text for _, interval in rows.intervals for text in _ungranted(interval)]
    found += _register(statement, rows)
    measured = _sums([{**i, **i["draft"]["energy"]} for _, i in rows.intervals])
    adjusted = _sums([{**a} for _, a in rows.adjustments])
    found += _differences("measured", statement["measured"], measured)
    found += _differences("adjusted", statement["adjusted"], adjusted)
    return found


def _unchained(link: LinkView) -> Iterator[str]:
    body = json.dumps(link["row"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    made = hashlib.blake2b(link["hash_before"].encode() + body.encode(), digest_size=32).hexdigest()
    if made != link["hash"]:
        yield f"row {link['link']} was changed after it was written: its hash is {made[:16]}..., not as it says"


def _broken(statement: StatementView) -> Iterator[str]:
    """From the first row of the month to its last, each is chained to the one before it, and none is left out."""
    hashes = [(link["link"], link["hash_before"], link["hash"]) for link in statement["links"]]
    hashes += [(row["link"], row["hash_before"], row["hash"]) for row in statement.get("between", [])]
    for before, after in pairwise(sorted(hashes)):
        if after[0] != before[0] + 1 and "between" in statement:
            yield f"row {before[0] + 1} is missing"
        elif after[0] == before[0] + 1 and after[1] != before[2]:
            yield f"row {after[0]} is not chained to row {before[0]}"


def _unlike_log(statement: StatementView) -> Iterator[str]:
    """The newest interval that the event log knows of is there, and the same."""
    if (logged := statement.get("logged")) is None:
        return
    hashes = {link["link"]: link["hash"] for link in statement["links"]}
    if logged["link"] not in hashes:
        yield f"row {logged['link']} is missing: event {logged['seq']} of the log knows of it"
    elif hashes[logged["link"]] != logged["hash"]:
        yield f"row {logged['link']} is another one than event {logged['seq']} of the log knows"


def _misreckoned(interval: IntervalView) -> Iterator[str]:
    draft = interval["draft"]
    energy = draft["energy"]
    creditable = creditable_ws(energy["curtailed_ws"], draft["excused"])
    reckoned = (
        ("charge", energy["metered_ws"], draft["price"], interval["charge_micro"]),
        ("credit", creditable, draft["credit"], interval["credit_due_micro"]),
    )
    for name, energy_ws, rate, told in reckoned:
        should_be = _amount(energy_ws, rate)
        if should_be != told:
            yield f"{draft['starts_at']}: the {name} is {told}, by its rate it is {should_be}"
    due, given = interval["credit_due_micro"], interval["credit_micro"]
    if due is not None and given is not None and given > due:
        yield f"{draft['starts_at']}: the credit is {given}, more than the {due} that is due"


def _amount(energy_ws: int, rate: RateView) -> int | None:
    if rate["micro_per_mwh"] is None:
        return None if energy_ws else 0
    return amount_micro(energy_ws, rate["micro_per_mwh"])


def _ungranted(interval: IntervalView) -> Iterator[str]:
    """The grants that are listed are all of the interval, and come to what it says was granted."""
    energy, at = interval["draft"]["energy"], interval["draft"]["starts_at"]
    if not (grants := energy.get("grants")):
        return
    if sum(g["ms"] for g in grants) + energy.get("unlisted_ms", 0) != energy["covered_ms"]:
        yield f"{at}: its grants do not make up the time that is covered"
    least_ws = sum(g["granted_w"] * g["ms"] for g in grants) // 1000
    more_ws = energy["granted_ws"] - least_ws  # below a watt-second may come from the interval before
    if not energy.get("unlisted_ms") and more_ws not in (0, 1):
        yield f"{at}: granted_ws is {energy['granted_ws']}, its grants come to {least_ws}"


def _register(statement: StatementView, rows: Written) -> Iterator[str]:
    """Each row begins with the reading that the one before it ended with, in the order in which they were written."""
    for _, at, part in _measured(rows):
        if part["reading_end_ws"] - part["reading_start_ws"] != part["metered_ws"]:
            yield f"{at}: the readings differ by something else than the energy"
    between = [(row["link"], row["starts_at"], {**row}) for row in statement.get("between", [])]
    known = [one for one in (*_measured(rows), *between) if one[2]["reading_start_ws"] is not None]
    for (_, _, before), (_, at, after) in pairwise(sorted(known, key=lambda one: one[0])):
        if after["reading_start_ws"] not in (before["reading_end_ws"], 0):
            yield f"{at}: it does not begin with the reading that the interval before ended with"


def _measured(rows: Written) -> list[tuple[int, str, dict[str, Any]]]:
    """What was measured, by its number in the chain; what people added has no reading."""
    told: list[tuple[int, str, dict[str, Any]]] = []
    for link, interval in rows.intervals:
        told.append((link["link"], interval["draft"]["starts_at"], {**interval["draft"]["energy"]}))
    for link, change in rows.adjustments:
        if change.get("reading_start_ws") is not None:
            told.append((link["link"], change["starts_at"], {**change}))
    return told


def _sums(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    names = ("metered_ws", "charge_micro", "credit_due_micro", "credit_micro")
    sums = {name: sum(row.get(name) or 0 for row in rows) for name in names}
    sums |= {cause: sum(row["curtailed_ws"].get(cause, 0) for row in rows) for cause in CAUSES}
    return sums | {"due_micro": sums["charge_micro"] - sums["credit_micro"]}


def _differences(name: str, told: TotalsView, sums: Mapping[str, int]) -> Iterator[str]:
    values: dict[str, Any] = {**told, **dict.fromkeys(CAUSES, 0), **told["curtailed_ws"]}
    for key, value in sums.items():
        if values[key] != value:
            yield f"the total {name} {key} is {values[key]}, its rows add up to {value}"


# -- as a table ----------------------------------------------------------------------------------------------------


def table_of(statement: StatementView) -> str:
    """The whole CSV file: a row for each interval, and for each adjustment (`number` 1 and above)."""
    out = io.StringIO()
    writer = csv.DictWriter(out, HEADER, restval="", lineterminator="\n")
    writer.writeheader()
    rows = written(statement)
    lines = [_line(link, _interval(interval)) for link, interval in rows.intervals]
    lines += [
        _line(link, _adjustment(change, rows.excused(change["starts_at"])))
        for link, change in rows.adjustments
    ]
    writer.writerows(sorted(lines, key=lambda line: (line["starts_at"], line["number"])))
    return out.getvalue()


def _line(link: LinkView, values: dict[str, Any]) -> dict[str, Any]:
    chained = {name: link[name] for name in ("number", "link", "hash_before", "hash")}
    return {name: "" if value is None else value for name, value in {**values, **chained}.items()}


def _interval(interval: IntervalView) -> dict[str, Any]:
    draft = interval["draft"]
    energy, price, credit = draft["energy"], draft["price"], draft["credit"]
    numbers = {name: value for name, value in energy.items() if isinstance(value, int)}
    return {
        **numbers,
        **_by_cause(energy["curtailed_ws"]),
        "starts_at": draft["starts_at"],
        "quality": interval["quality"],
        "creditable_ws": creditable_ws(energy["curtailed_ws"], draft["excused"]),
        "price_micro_per_mwh": price["micro_per_mwh"],
        "charge_micro": interval["charge_micro"],
        "credit_micro_per_mwh": credit["micro_per_mwh"],
        "credit_due_micro": interval["credit_due_micro"],
        "credit_micro": interval["credit_micro"],
        "metering": draft["metering"],
        "orders": "; ".join(f"{g} {a} to {b}" for g, (a, b) in sorted(energy["orders"].items())),
        "grants": "; ".join(_granted(g) for g in energy.get("grants", [])),
        "notices": "; ".join(_notice(n) for n in energy.get("notices", [])),
        "price_inputs": json.dumps(price),
        "credit_inputs": json.dumps(credit),
        "reason": "; ".join(dict.fromkeys(rate["why"] for rate in (price, credit) if rate["why"])),
    }


def _granted(grant: GrantedView) -> str:
    orders = ", ".join(f"{group} {order}" for group, order in sorted(grant["orders"].items()))
    until = f", good until {grant['until_at']}" if grant["until_at"] else ""
    by = f"by {orders}{until}" if orders else "without an order"
    return f"{grant['granted_w']} W for {grant['ms']} ms from {grant['begins_at']} {by}"


def _notice(notice: NoticeView) -> str:
    met = "met" if notice["given_s"] >= notice["due_s"] else "missed"
    return f"{notice['begun_at']} {notice['cause']}: {notice['given_s']} s of {notice['due_s']} s, {met}"


def _adjustment(change: AdjustmentView, excused: Sequence[str]) -> dict[str, Any]:
    names = (
        "starts_at",
        "metered_ws",
        "charge_micro",
        "credit_due_micro",
        "credit_micro",
        "reason",
        "by",
        "recorded_at",
    )
    told: dict[str, Any] = {**change}
    return {
        **{name: told[name] for name in names},
        **{name: told.get(name) for name in ("reading_start_ws", "reading_end_ws", "curtailed_ms")},
        "notices": "; ".join(_notice(n) for n in change.get("notices", [])),
        **_by_cause(change["curtailed_ws"]),
        "creditable_ws": creditable_ws(change["curtailed_ws"], excused),
        "quality": "adjustment",
    }


def _by_cause(curtailed_ws: Mapping[str, int]) -> dict[str, int]:
    return {f"curtailed_{cause}_ws": curtailed_ws.get(cause, 0) for cause in CAUSES}
