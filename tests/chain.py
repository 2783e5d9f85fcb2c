"""Figures of the chain for tests: those of a report of late 2025, as of the time of the tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from scheduler.core.hashprice import ChainFigures
from scheduler.core.orders import MinerReading
from scheduler.errors import StoreError
from tests.builders import T0, SiteBuilder


def figures(*, as_of_at: datetime = T0, **changes: Any) -> ChainFigures:
    """A bitcoin at 91,000, difficulty 152e12, fees of 0.03: a hashprice of about 38."""
    told: dict[str, Any] = {
        "btc_micro": 91_000_000_000,
        "difficulty": 152_000_000_000_000,
        "height": 925_000,
        "fees_sat": 3_000_000,
        "source": "desk",
        "as_of_at": as_of_at,
    }
    return ChainFigures(**(told | changes))


def height_at(at: datetime) -> int:
    """About the height of the chain then: a block in ten minutes."""
    return round((at - datetime(2009, 1, 3, tzinfo=UTC)).total_seconds() / 600)


def mines(built: SiteBuilder, group: str, *joules_per_th: float) -> SiteBuilder:
    """The machines of a group tell these."""
    readings = tuple(
        MinerReading(miner_id=f"m{i}", target_w=0.0, draw_w=0.0, joule_per_th=j)
        for i, j in enumerate(joules_per_th)
    )
    built.groups[group] = replace(built.groups[group], miners=readings)
    return built


class KeptFigures:
    """The `FiguresBook` port in memory."""

    def __init__(self) -> None:
        self.told: list[tuple[ChainFigures, str]] = []
        self.is_down = False

    def newest(self) -> ChainFigures | None:
        return self.figures_at(datetime.max.replace(tzinfo=UTC))

    def figures_at(self, at: datetime) -> ChainFigures | None:
        if self.is_down:
            raise StoreError("the disk is full; make room")
        known = [(f.as_of_at, i) for i, (f, _) in enumerate(self.told) if f.as_of_at <= at]
        return self.told[max(known)[1]][0] if known else None

    def add(self, told: ChainFigures, *, origin: str, at: datetime) -> None:
        self.told.append((told, origin))
