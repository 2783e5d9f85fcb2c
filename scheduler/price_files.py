"""Prices by which partners are settled: named series from CSV files, the chain's figures from whoever keeps them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from scheduler.contract_settings import PriceSeriesSettings
from scheduler.core.hashprice import ChainFigures
from scheduler.core.partners import Price
from scheduler.errors import SignalError
from scheduler.revenue_settings import micro
from scheduler.series.csv_table import CsvTable, Sizes, read_table
from scheduler.series.csv_times import read_times

SIZES = Sizes(most_bytes=16 * 1024 * 1024, most_rows=400_000)  #: four years of five minutes
_MOST = 10**6  #: per MWh, either way


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A file as it was read, and by what it is known to be the same one still."""

    stamp: tuple[int, int]
    source: str
    times: Sequence[datetime]
    values_micro: Sequence[int]


class SitePrices:
    """The port `Prices`. A file is read anew when it changes."""

    def __init__(
        self,
        series: Sequence[PriceSeriesSettings],
        base: Path,
        *,
        figures: Callable[[datetime], ChainFigures | None] = lambda _: None,
    ) -> None:
        self._series = {s.name: s for s in series}
        self._base = base
        self._figures = figures
        self._known: dict[str, _Read] = {}

    def figures_at(self, at: datetime) -> ChainFigures | None:
        """The chain's figures that were the newest at `at`."""
        return self._figures(at)

    def price_at(self, series: str, at: datetime) -> Price | None:
        """The value of the last row that begins at `at` or before. Raises `SignalError` if the file cannot be read."""
        settings = self._series.get(series)
        if settings is None:
            return None
        try:
            read = self._read(settings)
        except (OSError, SignalError) as error:
            raise SignalError(f"price series {series}: {error}") from error
        index = bisect_right(read.times, at)
        if not index:
            return None
        return Price(
            micro_per_mwh=read.values_micro[index - 1],
            source=read.source,
            as_of_at=read.times[index - 1],
            stale_after_s=settings.stale_after_s,
        )

    def _read(self, settings: PriceSeriesSettings) -> _Read:
        path = self._base / settings.path
        status = path.stat()
        stamp, known = (status.st_mtime_ns, status.st_size), self._known.get(settings.name)
        if known is not None and known.stamp == stamp:
            return known
        table = read_table(path, sizes=SIZES)
        read = _Read(
            stamp=stamp,
            source=table.named,
            times=read_times(table, settings.time_column, settings.zone),
            values_micro=_values_micro(table, settings.value_column),
        )
        self._known[settings.name] = read
        return read


def _values_micro(table: CsvTable, column: str) -> list[int]:
    return [
        _value_micro(table, line, text) for line, text in zip(table.lines, table.column(column), strict=True)
    ]


def _value_micro(table: CsvTable, line: int, text: str) -> int:
    """Per MWh. Raises `SignalError` with file, line, value and remedy."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or abs(value) > _MOST:
        raise SignalError(
            f"{table.path}: line {line}: price: {text!r} is no price per MWh; write a number like 52.50"
        )
    return micro(value)
