"""What a site file says of what mining brings: figures of the chain, who tells them, and the pool of its own miners.

    revenue:
      stale_after_s: 86400                # figures older than this rank nobody
      figures:                            # as known when the file was written; or leave it to the sources
        btc: 91000                        # in the site's currency
        difficulty: 152e12
        height: 925000
        fees_btc: 0.03                    # of a block
        source: desk of 20 November
        as_of_at: 2026-11-20T12:00:00Z
      sources:
        - {type: file, name: desk, path: chain/figures.json}
        - {type: url, name: node, url: "https://..."}
      house: {pool_fee: 0.02, pool_scheme: fpps}    # where the site's own miners hash

docs/revenue.md says what follows from it.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from scheduler.connections.http import HttpOptions, check_http
from scheduler.core.hashprice import SATOSHI, ChainFigures
from scheduler.core.partners import NO_POOL, HashpriceShare, PoolScheme, PoolTerms
from scheduler.errors import SettingsError
from scheduler.strict import Strict

MICRO: Final = 1_000_000
TAKEN_NAMES: Final = frozenset({"operator", "site-file"})
"""Origins of figures that are no sources."""
STALE_AFTER_S: Final = 86_400.0
Part = Annotated[Decimal, Field(ge=0, le=1, decimal_places=6, allow_inf_nan=False)]
"""A part of something, to a millionth."""
Money = Annotated[Decimal, Field(ge=-(10**6), le=10**6, decimal_places=6, allow_inf_nan=False)]
"""Per MWh, in the site's currency, to the micro-unit."""
Seconds = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
Whole = Annotated[Decimal, Field(ge=0, le=10**18, allow_inf_nan=False)]
"""A count that may be written like 152e12; what is behind the point is dropped."""
Text = Annotated[str, Field(min_length=1, max_length=200)]
SourceName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]


def micro(money: Decimal) -> int:
    """Whole micro-units; the settings of contracts allow no finer ones, and the rest is dropped."""
    return int(money * MICRO)


def satoshi(btc: Decimal) -> int:
    """Whole satoshi, rounded down."""
    return int(btc * SATOSHI)


def ppm(part: Decimal) -> int:
    """Whole millionths; the settings allow no finer ones."""
    return int(part * MICRO)


class PoolSettings(Strict):
    """Where miners hash, and what that pool keeps."""

    pool_fee: Part = Decimal(0)
    pool_scheme: PoolScheme | None = None  #: on the record only

    def pool(self) -> PoolTerms:
        """As the core knows it."""
        return PoolTerms(fee_ppm=ppm(self.pool_fee), scheme=self.pool_scheme)


class HashpriceShareSettings(Strict):
    """A partner's price that is a part of what hashing brings, by the live efficiency of its machines."""

    type: Literal["hashprice"]
    share: Annotated[Part, Field(gt=0)] = Decimal(1)  #: the site's, of what is left after the pool's fee
    floor_per_mwh: Annotated[Money, Field(ge=0)] | None = None

    def follows(self) -> HashpriceShare:
        """As the core knows it."""
        least = self.floor_per_mwh
        return HashpriceShare(
            share_ppm=ppm(self.share), floor_micro_per_mwh=None if least is None else micro(least)
        )


class FiguresSettings(Strict):
    """Figures that the file itself gives, with their date: they age like all others."""

    btc: Annotated[Decimal, Field(gt=0, le=10**12, allow_inf_nan=False)]
    difficulty: Annotated[Whole, Field(ge=1)]
    height: Annotated[int, Field(ge=0, le=10**9)]
    fees_btc: Annotated[Decimal, Field(ge=0, le=50, allow_inf_nan=False)] = Decimal(0)
    source: Text = "site file"
    as_of_at: AwareDatetime

    def figures(self, *, stale_after_s: float) -> ChainFigures:
        """As the core knows them. Raises ValueError."""
        return ChainFigures(
            btc_micro=micro(self.btc),
            difficulty=int(self.difficulty),
            height=self.height,
            fees_sat=satoshi(self.fees_btc),
            source=self.source,
            as_of_at=self.as_of_at,
            stale_after_s=stale_after_s,
        )


class Mapped(Strict):
    """Where in a document each figure stands: a JSON pointer (/a/b/0) or a key; of a CSV file, a column."""

    btc_field: Text = "btc"
    difficulty_field: Text = "difficulty"
    height_field: Text = "height"
    fees_field: Text | None = "fees_btc"  #: None = `fees_btc` of the site file
    fees_unit: Literal["BTC", "sat"] = "BTC"
    fees_btc: Annotated[Decimal, Field(ge=0, le=50, allow_inf_nan=False)] = Decimal(0)
    timestamp_field: Text | None = "as_of_at"  #: None = figures are of when they are read
    source_field: Text | None = None  #: what the giver calls its document


class FileSource(Mapped):
    """A file that is read again when it changes: JSON, or CSV whose newest row counts."""

    type: Literal["file"]
    name: SourceName
    path: Path  #: relative to the site's state directory
    poll_s: Annotated[float, Field(ge=1, le=86_400)] = 10.0


class AlsoUrl(HttpOptions):
    """Another document, that tells some of the figures: those of which it is said where they stand."""

    btc_field: Text | None = None
    difficulty_field: Text | None = None
    height_field: Text | None = None
    fees_field: Text | None = None
    timestamp_field: Text | None = None


class UrlSource(Mapped, HttpOptions):
    """A JSON document behind a URL, over HTTPS, and others that tell what it does not."""

    type: Literal["url"]
    name: SourceName
    poll_s: Annotated[float, Field(ge=10, le=86_400)] = 300.0
    also: Annotated[tuple[AlsoUrl, ...], Field(max_length=5)] = ()

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        documents: tuple[HttpOptions, ...] = (self, *self.also)
        try:
            for document in documents:
                check_http(self.name, document, part="revenue.sources")
        except SettingsError as error:
            raise ValueError(str(error)) from error
        return self


SourceSettings = Annotated[FileSource | UrlSource, Field(discriminator="type")]


def _each_once(sources: tuple[SourceSettings, ...]) -> tuple[SourceSettings, ...]:
    names = [s.name for s in sources]
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise ValueError(f"two sources are called {twice!r}; give each a name of its own")
    if taken := next((n for n in names if n in TAKEN_NAMES), None):
        raise ValueError(
            f"a source is called {taken!r}, as what people or this file tell is; use another name"
        )
    return sources


class MiningRevenue(Strict):
    """What mining brings, and on whose word."""

    stale_after_s: Seconds = STALE_AFTER_S
    figures: FiguresSettings | None = None
    sources: Annotated[tuple[SourceSettings, ...], AfterValidator(_each_once)] = ()
    house: PoolSettings | None = None
    """The pool of miners that no partner owns; with it, `mode: revenue` ranks them by what they bring."""

    @model_validator(mode="after")
    def _figures_make_sense(self) -> Self:
        self.told()
        return self

    def told(self) -> ChainFigures | None:
        """What the file itself says."""
        return None if self.figures is None else self.figures.figures(stale_after_s=self.stale_after_s)

    def house_pool(self) -> PoolTerms:
        """Where the site's own miners hash."""
        return NO_POOL if self.house is None else self.house.pool()
