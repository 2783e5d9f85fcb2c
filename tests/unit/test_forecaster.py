"""Having forecasts made: when, what is done without, and what a failure costs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from scheduler.core.hindsight import HISTORY
from scheduler.errors import StoreError
from scheduler.forecast_settings import ForecastSettings, History, Use
from scheduler.forecasting import forecaster as module
from scheduler.forecasting.forecaster import Forecaster, next_at
from scheduler.forecasting.worker import Request
from scheduler.hindsight import GOOD_FOR, Hindsight
from scheduler.predictions import STEPS, Made, Method, State, Told
from scheduler.sim.clock import SimClock
from tests.builders import T0
from tests.forecasts import KeptForecasts, sunny
from tests.unit.test_hindsight import OPEN

H = timedelta(hours=1)
ROWS = {m: ((100.0, 200.0, 300.0),) * STEPS for m in Method}
FAILED = Told(at=T0, state=State.FAILED, why="no luck")


class Bench:
    """A forecaster with its work done by the test."""

    def __init__(self, settings: ForecastSettings, *, days: float = 4.0, told: Told | None = None) -> None:
        self.now = T0
        self.book = KeptForecasts(sunny(T0 - timedelta(days=days), days), told)
        self.hindsight = Hindsight()
        self.requests: list[Request] = []
        self.answer: Told | None = None
        self.forecaster = Forecaster(
            settings, self.book, self.hindsight, self, state=Path("/s"), work=self.work
        )

    def now_(self) -> datetime:
        return self.now

    async def work(self, request: Request) -> Told:
        self.requests.append(request)
        made = Made(made_at=request.at, starts_at=request.at, rows=ROWS)
        usual = Told(at=request.at, state=State.MADE, why="w", made=made, method=Method.LEARNED)
        return usual if self.answer is None else replace(self.answer, at=request.at)

    @property
    def planned_on(self) -> str:
        return self.hindsight.over([OPEN], self.now)[0].forecast_by
