"""Figures in a file that somebody keeps up to date: JSON, or CSV (`.csv`) whose newest row counts.

In the site file:

    revenue:
      sources:
        - type: file
          name: desk
          path: chain/figures.json      # relative to the site's state directory; .csv = a table
          poll_s: 10                    # how often is looked whether it changed
          # where each figure stands, if not so: a key or JSON pointer; of a CSV file, the column
          btc_field: btc                # price of one bitcoin, in the site's currency
          difficulty_field: difficulty
          height_field: height
          fees_field: fees_btc          # mean fees of a block; fees_unit: BTC (or sat)
          timestamp_field: as_of_at     # ISO 8601 or Unix; null = as of when the file was written

    {"btc": 91000, "difficulty": 152.27e12, "height": 925000, "fees_btc": 0.03, "as_of_at": "2026-11-26T09:00:00Z"}

    as_of_at,btc,difficulty,height,fees_btc
    2026-11-26T09:00:00Z,91000,152.27e12,925000,0.03

Put a new file in its place by renaming. What is half written, no number, not finite, below 0 or out of order in time is
refused, as is what makes no sense after the figures that are known; those stand, and age.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from scheduler.connections.messages import Refused, read_json
from scheduler.core.hashprice import ChainFigures
from scheduler.errors import SignalError
from scheduler.figures.reading import Look, figures_of, look_into
from scheduler.revenue_settings import FileSource
from scheduler.series.csv_table import CsvTable, Sizes, read_table
from scheduler.series.csv_times import read_times

MOST_BYTES: Final = 4_000_000
SIZES: Final = Sizes(most_bytes=MOST_BYTES, most_rows=50_000)
Stamp = tuple[int, int, int]
_NOTHING: Final = (0, 0, 0)


class WatchedFile:
    """Reads the file when it changes, and says what it said last."""

    def __init__(self, settings: FileSource, *, base: Path, stale_after_s: float) -> None:
        self.name = settings.name
        self._settings = settings
        self._path = base / settings.path
        self._stale_after_s = stale_after_s
        self._stamp: Stamp = _NOTHING
        self._known: ChainFigures | None = None

    async def read(self, at: datetime) -> ChainFigures:
        """What the file says. Raises `SignalError` and `Refused` with file, field, value and remedy."""
        del at
        return await asyncio.to_thread(self._read)

    async def close(self) -> None:
        """Nothing is held open."""

    def _read(self) -> ChainFigures:
        stamp = self._look()
        if self._known is None or stamp != self._stamp:
            written_at = datetime.fromtimestamp(stamp[0] / 1e9, UTC)
            try:
                self._known = self._figures(written_at)
            except SignalError as error:  # of a table, which names the file
                raise Refused(str(error)) from error
            except Refused as error:
                raise Refused(f"{self._path}: {error}") from error
            self._stamp = stamp
        return self._known

    def _look(self) -> Stamp:
        """Taken before the file is opened: a change while it is read is seen the next time."""
        try:
            status = self._path.stat()
        except OSError as error:
            raise SignalError(f"{self._path}: {error.strerror}; put the figures there") from error
        if not self._path.is_file():  # a pipe would be waited for, perhaps for ever
            raise SignalError(f"{self._path}: it is no plain file; put one there")
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _figures(self, written_at: datetime) -> ChainFigures:
        look = self._of_table() if self._path.suffix == ".csv" else look_into(self._document())
        return figures_of(
            look, self._settings, by=str(self._path), at=written_at, stale_after_s=self._stale_after_s
        )

    def _document(self) -> object:
        try:
            with self._path.open("rb") as file:
                payload = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise Refused(f"{error.strerror}; make it readable to the site") from error
        return read_json(payload, most_bytes=MOST_BYTES)

    def _of_table(self) -> Look:
        """The last row. Times have to rise, so that it is the newest."""
        table, column = read_table(self._path, sizes=SIZES), self._settings.timestamp_field
        if not table.is_ended:
            raise Refused(
                "its last line has no end and may be half written; end it, or rename it into its place"
            )
        newest = {name: text for name, text in zip(table.columns, table.rows[-1], strict=True)}  # noqa: C416
        found: dict[str, object] = {name: text.strip() for name, text in newest.items()}
        if column is not None:
            found[column] = read_times(table, column, None)[-1].isoformat()
        return _column_of(table, found)


def _column_of(table: CsvTable, row: Mapping[str, object]) -> Look:
    def look(field: str) -> object:
        if field not in row:
            raise Refused(f"it has no column {field!r}; it has {', '.join(table.columns)}")
        return row[field]

    return look
