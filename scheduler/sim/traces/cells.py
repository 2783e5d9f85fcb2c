"""The cells of a table as numbers, counts and times; errors name file, line, column, value and remedy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from scheduler.errors import TraceError
from scheduler.series.csv_table import CsvTable
from scheduler.series.instants import EPOCH, SPELLINGS, Spelling, read_instants, recognise
from scheduler.sim.asked import EARLIEST_AT, LATEST_AT

_LOOKED_AT = 500
FROM_ZERO = "seconds from zero"
MOST = 1e12
"""A larger number is a slip, whatever it counts: seconds, GPUs, a priority."""


class BadRow(TraceError):
    """A row that cannot be a job. `kind` says it without the row, so that such rows can be counted."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class Cells:
    """The columns of one table, read one cell at a time."""

    def __init__(self, table: CsvTable) -> None:
        self.path = table.path
        self.columns = frozenset(table.columns)
        self._table = table
        self._texts: dict[str, list[str]] = {}

    def __len__(self) -> int:
        return len(self._table.rows)

    def text(self, row: int, column: str) -> str:
        """What stands there, without spaces around it; empty if nothing does."""
        return self._column(column)[row]

    def name(self, row: int, column: str) -> str:
        """What stands there. Raises `BadRow` if nothing does."""
        if not self.text(row, column):
            raise self.bad(row, column, "is empty")
        return self.text(row, column)

    def number(self, row: int, column: str, *, least: float = 0.0) -> float:
        """A number from `least` to `MOST`. Raises `BadRow`."""
        text = self.text(row, column)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.bad(row, column, "is no number")
        if value < least:
            raise self.bad(row, column, f"is below {least:g}")
        if value > MOST:
            raise self.bad(row, column, f"is above {MOST:g}")
        return value

    def count(self, row: int, column: str, *, least: int = 0) -> int:
        """A whole number, at least `least`; `8.0` is one. Raises `BadRow`."""
        self.number(row, column, least=least)
        return self.integer(row, column)

    def integer(self, row: int, column: str) -> int:
        """A whole number, which may be negative. Raises `BadRow`."""
        value = self.number(row, column, least=-math.inf)
        if value != int(value):
            raise self.bad(row, column, "is no whole number")
        return int(value)

    def times(self, column: str, zone: tzinfo) -> Times:
        """A column of times, all in one spelling. Raises `TraceError` where most of them are none."""
        texts = self._column(column)
        spelling = recognise(texts, zone) or _likeliest(texts, zone)
        if spelling is None:
            shown = next((text for text in texts if text), "")
            raise TraceError(
                f"{self.path}: column {column!r}: {shown!r} is no time; name the column of times, "
                "of seconds from zero or of dates"
            )
        read = read_instants(texts, spelling, zone)
        instants = [at if at is None or EARLIEST_AT <= at < LATEST_AT else None for at in read]
        dated = spelling.has_date and spelling.name != FROM_ZERO
        return Times(cells=self, column=column, instants=instants, dated=dated)

    def bad(self, row: int, column: str, why: str) -> BadRow:
        """The error for one cell."""
        line, text = self._table.lines[row], self.text(row, column)
        return BadRow(
            f"{self.path}: line {line}: column {column!r}: {text!r} {why}; correct the row, "
            "or leave such rows out with mend=yes in the map",
            kind=f"rows whose {column} {why}",
        )

    def line(self, row: int) -> int:
        """Where an editor shows the row."""
        return self._table.lines[row]

    def _column(self, name: str) -> list[str]:
        if name not in self._texts:
            self._texts[name] = self._table.column(name)
        return self._texts[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """A column of times, of which some may be unreadable."""

    cells: Cells
    column: str
    instants: Sequence[datetime | None]
    dated: bool  #: False for seconds from zero and bare times of day

    def at(self, row: int) -> datetime:
        """Raises `BadRow`."""
        at = self.instants[row]
        if at is None:
            raise self.cells.bad(row, self.column, "is no time like those above it")
        return at

    def seconds(self, row: int) -> float:
        """Since the file's zero, or Unix seconds of a date. Raises `BadRow`."""
        return (self.at(row) - EPOCH).total_seconds()


def _likeliest(texts: Sequence[str], zone: tzinfo) -> Spelling | None:
    """The spelling that reads most of a column some of whose cells none can read."""
    sample = [text for text in texts if text][:_LOOKED_AT]
    read = {s.name: sum(s.read(text, zone) is not None for text in sample) for s in SPELLINGS}
    best = max(SPELLINGS, key=lambda s: read[s.name])
    return best if 2 * read[best.name] > len(sample) else None
