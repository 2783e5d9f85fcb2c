"""A limit that follows a price: full power while it is low, little while it is high, with a gap in between.

In the site file (`configs/sites/http.yaml` holds it with all keys):

    signals:
      - type: price
        name: day-ahead
        path: prices/day-ahead.csv      # relative to the site's state directory; or url: for JSON, see below
        zone: Europe/Brussels           # of times that name none themselves; needed only then
        below: 35                       # at this price or a lower one the site may draw on_w
        hysteresis: 10                  # above 35 + 10 it may draw off_w; or above: 45. In between nothing changes
        on_w: 480000
        off_w: 20000
        min_on_s: 3600                  # once on, it stays on for so long, whatever the price does

The file has a time, ISO 8601 or Unix seconds, and a price in each row; each price stands until the next one, the last
as long as the one before it, or for `last_row_s`. It is read again when it changes.

    time,price
    2026-06-01T06:00,31.20
    2026-06-01T07:00,52.75

With `url` instead of `path`, a JSON document is asked for every `every_s`: a list, at `prices_field`, of objects with a
time in `time_field` and a price in `price_field`. How the site shows who it is there: as for `http_poll`.

All prices that are known make steps that are known ahead. Where no price is known the limit is `off_w`: before the
first, and after the last, until new ones come. Prices may be negative, but have to be finite numbers. What the series
does not say, whether it was on when it began, is known from the series before it, or else it was off.

While the series cannot be read, or makes no sense, the last good one stands, and ages: after `stale_after_s` its limit
counts no more than the firm level.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from scheduler.connections.http import HttpOptions, Page, check_http
from scheduler.connections.messages import Refused, at_field, instant, number, read_json, shown
from scheduler.core.envelope import Envelope, Segment
from scheduler.errors import SettingsError, SignalError
from scheduler.series.csv_table import CsvTable, Sizes, read_table
from scheduler.series.csv_times import read_times, usual_last_s
from scheduler.signals import Options, ZoneName, read_options

MOST_BYTES: Final = 4_000_000
MOST_PRICES: Final = 50_000
SIZES: Final = Sizes(most_bytes=MOST_BYTES, most_rows=MOST_PRICES)
MAX_SECONDS: Final = 10 * 366 * 86_400.0
NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
EVER: Final = datetime.max.replace(tzinfo=UTC)
SETTLED_S: Final = 10.0  #: after a file without an end was written, it is taken as whole
SOON_S: Final = 15.0  #: after a failure it is asked for again, or after `every_s` if that is less


class PriceOptions(Options, HttpOptions):
    """What the site file says, beside who the site is to a server."""

    url: str = ""
    path: Path | None = None
    below: float
    above: float | None = None
    hysteresis: float | None = Field(default=None, ge=0)
    on_w: float = Field(gt=0)
    off_w: float = Field(ge=0)
    min_on_s: float = Field(default=0.0, ge=0, le=MAX_SECONDS)
    price_unit: str = ""  #: for people: EUR/MWh
    time_column: str = "time"
    price_column: str = "price"
    zone: ZoneName | None = None
    prices_field: str = ""
    time_field: str = "time"
    price_field: str = "price"
    every_s: float = Field(default=300.0, gt=0, le=86_400)
    last_row_s: float | None = Field(default=None, gt=0, le=MAX_SECONDS)
    reaction_s: float | None = Field(default=None, gt=0)  #: what is granted, if not as the site
    stale_after_s: float = Field(default=3600.0, gt=0)
    horizon_s: float = Field(
        default=72 * 3600.0, gt=0, le=MAX_SECONDS
    )  #: how much of the future is handed on

    def off_above(self) -> float:
        """The price above which it goes off."""
        return self.below + (self.hysteresis or 0.0) if self.above is None else self.above

    def complaint(self) -> str | None:
        """What does not go together."""
        if (self.path is None) == (not self.url):
            return "give either path or url"
        if self.above is not None and self.hysteresis is not None:
            return "above and hysteresis say the same; give one of them"
        if self.off_above() < self.below:
            return f"above = {self.above:g} is less than below = {self.below:g}; raise it"
        if self.off_w >= self.on_w:
            return f"off_w = {self.off_w:g} is not less than on_w = {self.on_w:g}; lower it"
        if self.url and self.stale_after_s < self.every_s + self.timeout_s:
            return f"stale_after_s = {self.stale_after_s:g} is shorter than every_s + timeout_s; raise it"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """From `starts_at` on, this is the price."""

    starts_at: datetime
    price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What is known of the price."""

    prices: tuple[Priced, ...]  #: rising in time, at least one
    ends_at: datetime  #: of the last one
    document: str  #: the file and its version, or where it was asked for


def switched(series: Series, options: PriceOptions, *, on_since: datetime | None) -> tuple[Segment, ...]:
    """The limit at each price that changes it, rising in time; the last one is off.

    `on_since` = it was on before the first price, since then; None = it was off.
    """
    found: list[Segment] = []
    least_s, off_above = timedelta(seconds=options.min_on_s), options.off_above()
    for priced, next_at in _spans(series):
        is_dear = priced.price > off_above
        if on_since is None and priced.price <= options.below:
            on_since = priced.starts_at
        if on_since is not None:
            off_at = max(priced.starts_at, on_since + least_s) if is_dear else next_at
            if off_at > priced.starts_at:
                _add(found, _on(min(on_since, priced.starts_at), priced.price, options))
            if not is_dear or off_at >= next_at:
                continue
            _add(found, _off(off_at, priced.price, options))
            on_since = None
        else:
            _add(found, _off(priced.starts_at, priced.price, options))
    return tuple(replace(segment, document=series.document) for segment in found)


def _spans(series: Series) -> Iterator[tuple[Priced, datetime]]:
    """Each price with when it ends; what is not known is dear."""
    rows = (*series.prices, Priced(starts_at=series.ends_at, price=math.inf))
    yield from ((before, then.starts_at) for before, then in pairwise(rows))
    yield rows[-1], EVER


def _add(found: list[Segment], segment: Segment) -> None:
    if not found or found[-1].limit_w != segment.limit_w:
        found.append(segment)


def _on(at: datetime, price: float, options: PriceOptions) -> Segment:
    why = f"{_priced(price, options)}: on, until it is above {options.off_above():g}"
    return Segment(starts_at=at, limit_w=options.on_w, provenance=why)


def _off(at: datetime, price: float, options: PriceOptions) -> Segment:
    why = f"{_priced(price, options)}: off, until it is at most {options.below:g}"
    return Segment(starts_at=at, limit_w=options.off_w, provenance=why)


def _priced(price: float, options: PriceOptions) -> str:
    return f"price {price:g} {options.price_unit}".rstrip() if math.isfinite(price) else "no price is known"


def on_before(segments: Sequence[Segment], at: datetime, options: PriceOptions) -> datetime | None:
    """Since when it is on at `at`, by what was known; None = it is not."""
    in_force = [s for s in segments if s.starts_at <= at][-1:]
    return next((s.starts_at for s in in_force if s.limit_w == options.on_w), None)


# -- reading a series --------------------------------------------------------------------------------------------------


def read_csv(table: CsvTable, options: PriceOptions) -> Series:
    """Raises `SignalError` with file, line, value and remedy."""
    times = read_times(table, options.time_column, options.zone)
    texts = zip(table.lines, table.column(options.price_column), strict=True)
    prices = [_price(table, line, text) for line, text in texts]
    return Series(
        prices=tuple(Priced(starts_at=at, price=price) for at, price in zip(times, prices, strict=True)),
        ends_at=times[-1] + timedelta(seconds=options.last_row_s or usual_last_s(table, times)),
        document=table.named,
    )


def _price(table: CsvTable, line: int, text: str) -> float:
    try:
        price = float(text)
    except ValueError:
        price = math.nan
    if not math.isfinite(price):
        raise SignalError(f"{table.path}: line {line}: price: {text!r} is no price; give a number")
    return price


def read_document(payload: bytes, options: PriceOptions) -> Series:
    """Raises `Refused`."""
    listed = at_field(read_json(payload, most_bytes=MOST_BYTES), options.prices_field)
    what = options.prices_field or "the document"
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_PRICES:
        raise Refused(f"{what} is {shown(listed)}; send a list of 1 to {MOST_PRICES} prices there")
    prices = tuple(
        Priced(
            starts_at=instant(at_field(row, options.time_field), options.time_field),
            price=number(at_field(row, options.price_field), options.price_field),
        )
        for row in listed
    )
    for before, then in pairwise(prices):
        if then.starts_at <= before.starts_at:
            raise Refused(
                f"{then.starts_at.isoformat()} comes after {before.starts_at.isoformat()}; send times that rise"
            )
    ends_at = prices[-1].starts_at + _last(prices, options)
    return Series(prices=prices, ends_at=ends_at, document=options.url_shown())


def _last(prices: Sequence[Priced], options: PriceOptions) -> timedelta:
    if options.last_row_s is not None:
        return timedelta(seconds=options.last_row_s)
    if len(prices) == 1:
        raise Refused("one price does not say how long it stands; set last_row_s, or send another")
    return prices[-1].starts_at - prices[-2].starts_at


# -- the source --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The last series that counts."""

    segments: tuple[Segment, ...]
    issued_at: datetime
    heard_at: datetime


class Price:
    """Reads the series again when it changes, and hands on what follows from it."""

    def __init__(self, name: str, options: PriceOptions, *, base: Path, reaction_s: float) -> None:
        self.name = name
        self._options = options
        self._reaction_s = options.reaction_s or reaction_s
        self._file = None if options.path is None else base / options.path
        self._page = Page(options, base=base, most_bytes=MOST_BYTES) if options.url else None
        self._stamp: tuple[int, int, int] | None = None
        self._asked_at: datetime | None = None
        self._wait_s = 0.0
        self._failure: str | None = None
        self._known: Known | None = None

    async def read(self, at: datetime) -> Envelope:
        """The step in force and those that follow. Raises `SignalError`."""
        if self._file is not None:
            await self._read_file(self._file, at)
        elif self._page is not None and self._is_due(at):
            await self._ask(self._page, at)
        if self._failure is not None or self._known is None:
            raise SignalError(self._failure or "no prices yet")
        return self._envelope(self._known, at)

    def refused(self) -> Sequence[str]:
        """Nothing: what makes no sense is why it cannot be read."""
        return ()

    async def close(self) -> None:
        """End the connection."""
        if self._page is not None:
            await self._page.close()

    async def _read_file(self, path: Path, at: datetime) -> None:
        stamp = _stamp(path)
        if self._known is None or stamp != self._stamp:
            table = await asyncio.to_thread(read_table, path, sizes=SIZES)
            written_at = datetime.fromtimestamp(stamp[0] / 1e9, UTC)
            _check_whole(table, written_at, at)
            self._take(await asyncio.to_thread(read_csv, table, self._options), issued_at=written_at, at=at)
            self._stamp = stamp
        else:
            self._heard(at)

    def _is_due(self, at: datetime) -> bool:
        """Also when the clock was set back."""
        return self._asked_at is None or not 0 <= (at - self._asked_at).total_seconds() < self._wait_s

    async def _ask(self, page: Page, at: datetime) -> None:
        self._asked_at, self._wait_s = at, self._options.every_s
        try:
            payload = await page.get()
            if payload is None:
                self._heard(at)
            else:
                self._take(
                    await asyncio.to_thread(read_document, payload, self._options), issued_at=at, at=at
                )
                page.taken()
        except (SignalError, Refused) as error:
            self._failure = f"{self._options.url_shown()}: {error}"
            self._wait_s = min(SOON_S, self._wait_s)
        else:
            self._failure = None

    def _take(self, series: Series, *, issued_at: datetime, at: datetime) -> None:
        known = self._known
        on_since = (
            None if known is None else on_before(known.segments, series.prices[0].starts_at, self._options)
        )
        segments = switched(series, self._options, on_since=on_since)
        if known is not None and segments == known.segments:
            issued_at = known.issued_at
        self._known = Known(segments=segments, issued_at=issued_at, heard_at=at)

    def _heard(self, at: datetime) -> None:
        if self._known is not None:
            self._known = replace(self._known, heard_at=at)

    def _envelope(self, known: Known, at: datetime) -> Envelope:
        options = self._options
        horizon_at = at + timedelta(seconds=options.horizon_s)
        begun = [s for s in known.segments if s.starts_at <= at][-1:] or [_off(NEVER, math.inf, options)]
        coming = [s for s in known.segments if at < s.starts_at <= horizon_at]
        return Envelope(
            source=self.name,
            issued_at=min(at, known.issued_at),
            read_at=min(at, known.heard_at),
            reaction_s=self._reaction_s,
            segments=(*begun, *coming),
            stale_after_s=options.stale_after_s,
        )


def _stamp(path: Path) -> tuple[int, int, int]:
    """Taken before the file is opened: a change while it is read is seen the next time."""
    try:
        status = path.stat()
    except OSError as error:
        raise SignalError(f"{path}: {error.strerror}; put the prices there") from error
    return status.st_mtime_ns, status.st_size, status.st_ino


def _check_whole(table: CsvTable, written_at: datetime, at: datetime) -> None:
    """Of half a file the last price may be cut short, and then it is a lower one. Raises `SignalError`."""
    if not table.is_ended and 0 <= (at - written_at).total_seconds() < SETTLED_S:
        raise SignalError(
            f"{table.path}: its last line is not ended, as of a file that is being copied; it counts {SETTLED_S:g} s "
            "after it was written, or at once with an end of line"
        )


def open_source(name: str, options: Mapping[str, Any], *, base: Path, reaction_s: float) -> Price:
    """The source that the site file describes. Raises `SettingsError`. Relative paths start at `base`."""
    checked = read_options(PriceOptions, name, options)
    if complaint := checked.complaint():
        raise SettingsError(f"signals: {name}: {complaint}")
    if checked.url:
        check_http(name, checked)
    return Price(name, checked, base=base, reaction_s=reaction_s)
