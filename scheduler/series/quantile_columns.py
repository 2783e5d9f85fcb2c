"""Quantiles of a forecast in the columns of a CSV file: `limit_p10`, `limit_p50` and so on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

from scheduler.core.envelope import Quantile
from scheduler.core.foresight import LOW, MEDIAN
from scheduler.errors import SignalError
from scheduler.series.csv_table import CsvTable

_PERCENT = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,3})?)")
SHAPE = "name quantiles p1 to p99, such as p10 and p50"

Columns = tuple[tuple[float, str], ...]
"""The share of each quantile and its column, rising in share."""


def share_of(name: str) -> float | None:
    """0.1 of `p10`; None for what names no quantile."""
    found = _PERCENT.fullmatch(name)
    percent = float(found[1]) if found else 0.0
    return round(percent / 100.0, 6) if percent > 0 else None


def quantile_columns(table: CsvTable, limit_column: str, named: Mapping[str, str]) -> Columns:
    """The columns that hold quantiles: those that are `named`, or those called like the limit, with `_p10` behind.

    None is fine. Raises `SignalError` for a column that is not there, and where what is planned on is not among them.
    """
    begins = f"{limit_column}_"
    called = {c.removeprefix(begins): c for c in table.columns if c.startswith(begins)}
    found = sorted((s, c) for name, c in (named or called).items() if (s := share_of(name)) is not None)
    for _, column in found:
        table.column(column)
    shares = [share for share, _ in found]
    if len(set(shares)) < len(shares):
        names = ", ".join(column for _, column in found)
        raise SignalError(f"{table.path}: columns {names}: one quantile is there twice; keep one of each")
    if found and (min(shares) > LOW or MEDIAN not in shares):
        names = ", ".join(column for _, column in found)
        raise SignalError(
            f"{table.path}: columns {names}: a forecast needs its median (p50) and p10 or a lower one; "
            f"add {limit_column}_p50 and {limit_column}_p10, or take these out"
        )
    return tuple(found)


def quantile_rows(
    table: CsvTable, columns: Columns, *, unit: str, unit_w: float
) -> list[tuple[Quantile, ...]]:
    """The quantiles of each row, none where all its cells are empty.

    Raises `SignalError` with file, line, column, value and remedy.
    """
    texts = [table.column(column) for _, column in columns]
    rows = (
        zip(table.lines, zip(*texts, strict=True), strict=True) if columns else ((n, ()) for n in table.lines)
    )
    return [_row(table, line, columns, cells, unit=unit, unit_w=unit_w) for line, cells in rows]


def _row(
    table: CsvTable, line: int, columns: Columns, cells: tuple[str, ...], *, unit: str, unit_w: float
) -> tuple[Quantile, ...]:
    if not any(cells):
        return ()
    found = tuple(_quantiles(table, line, columns, cells, unit=unit, unit_w=unit_w))
    for (lower, upper), (_, column), cell in zip(pairwise(found), columns[1:], cells[1:], strict=True):
        if upper.limit_w < lower.limit_w:
            raise SignalError(
                f"{table.path}: line {line}: {column}: {cell!r} is less than a lower quantile of the same row; "
                "let them rise with their numbers"
            )
    return found


def _quantiles(
    table: CsvTable, line: int, columns: Columns, cells: tuple[str, ...], *, unit: str, unit_w: float
) -> Iterator[Quantile]:
    for (share, column), cell in zip(columns, cells, strict=True):
        try:
            limit_w = float(cell) * unit_w
        except ValueError:
            limit_w = math.nan
        if not (math.isfinite(limit_w) and limit_w >= 0):
            raise SignalError(
                f"{table.path}: line {line}: {column}: {cell!r} is no limit; give {unit}, 0 or more, "
                "or leave all quantiles of the row empty"
            )
        yield Quantile(share=share, limit_w=limit_w)
