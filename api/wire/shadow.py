"""Shadow mode on the wire: the real site beside its twin, now and by day."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, ConfigDict, Field

from api.wire.parts import Sent, Shown, example
from scheduler.core.shadow import Figures, ShadowDay

MOST_DAYS: Final = 366
_WRITTEN: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
NOW: Final[dict[str, Any]] = {
    "at": "2026-03-01T13:20:05Z",
    "limit_w": 12_000.0,
    "twin_w": 11_400.0,
    "real_w": 12_900.0,
    "real_at": "2026-03-01T13:20:04Z",
    "real_source": "main-incomer",
    "real_missing": "",
}
_SIDE: Final[dict[str, Any]] = {
    "covered_s": 86_400.0,
    "uncovered_s": 0.0,
    "offered_wh": 288_000.0,
    "drawn_wh": 261_000.0,
    "unused_wh": 30_500.0,
    "ai_wh": None,
    "miners_wh": None,
    "over_s": 420.0,
    "over_wh": 310.0,
    "worst_over_w": 4100.0,
    "worst_at": "2026-03-01T09:12:40Z",
    "withdrawals": 6,
    "complied": 6,
    "comply_mean_s": 71.0,
    "comply_max_s": 190.0,
}
_TWIN: Final[dict[str, Any]] = _SIDE | {
    "drawn_wh": 279_000.0,
    "unused_wh": 9000.0,
    "ai_wh": 190_000.0,
    "miners_wh": 41_000.0,
    "over_s": 0.0,
    "over_wh": 0.0,
    "worst_over_w": 0.0,
    "worst_at": None,
    "comply_mean_s": 1.4,
    "comply_max_s": 2.0,
}
_DAY: Final[dict[str, Any]] = {
    "day": "2026-03-01",
    "real": _SIDE,
    "twin": _TWIN,
    "difference": {
        "compared_s": 86_400.0,
        "drawn_wh": 18_000.0,
        "unused_wh": -21_500.0,
        "over_s": -420.0,
        "over_wh": -310.0,
        "worst_over_w": -4100.0,
        "comply_max_s": -188.0,
    },
    "jobs_paused": 4,
    "jobs_finished": 11,
}


class ShadowNow(Shown):
    """What the site draws by its own meter, beside what its twin draws under the same limit, W at the site meter."""

    model_config = ConfigDict(json_schema_extra=example(**NOW))

    at: dt.datetime
    limit_w: float
    twin_w: float
    real_w: float | None = Field(description="Null = it could not be measured")
    real_at: dt.datetime | None
    real_source: str | None = Field(description="Who measured it")
    real_missing: str = Field(description="Why there is no reading; empty if there is")


class ShadowSide(Shown):
    """A day of the real site, or of its twin, by its own meter. Wh at the site meter."""

    covered_s: float
    uncovered_s: float = Field(description="Seconds of the day so far of which nothing is known")
    offered_wh: float = Field(description="Under the limit")
    drawn_wh: float
    unused_wh: float = Field(description="Under the limit and drawn by nobody")
    ai_wh: float | None = Field(description="Of GPUs that compute, with overhead; null = a meter cannot tell")
    miners_wh: float | None
    over_s: float = Field(description="Over the limit after the reaction time")
    over_wh: float = Field(description="Drawn then, beyond what was allowed")
    worst_over_w: float
    worst_at: dt.datetime | None
    withdrawals: int = Field(description="Falls of the limit below the draw")
    complied: int
    comply_mean_s: float | None
    comply_max_s: float | None

    @classmethod
    def of(cls, day: ShadowDay, side: Figures, now: dt.datetime) -> Self:
        """One side of the books."""
        told = {name: getattr(side, name) for name in cls.model_fields if name != "uncovered_s"}
        return cls.model_validate(told | {"uncovered_s": day.uncovered_s(side, now)})


class ShadowDifference(Shown):
    """The twin less the real site, over the seconds in which both are known. Below 0 = the twin had less of it."""

    compared_s: float
    drawn_wh: float
    unused_wh: float
    over_s: float
    over_wh: float
    worst_over_w: float
    comply_max_s: float | None = Field(description="Null = one of them never had to comply, or never did")

    @classmethod
    def of(cls, day: ShadowDay) -> Self | None:
        """What a day comes to; None where the real site was not measured."""
        real, twin = day.real, day.beside
        if not real.covered_s:
            return None
        names = ("drawn_wh", "unused_wh", "over_s", "over_wh", "worst_over_w")
        told = {name: getattr(twin, name) - getattr(real, name) for name in names}
        slowest = None
        if twin.comply_max_s is not None and real.comply_max_s is not None:
            slowest = twin.comply_max_s - real.comply_max_s
        return cls(**told, compared_s=min(real.covered_s, twin.covered_s), comply_max_s=slowest)


class ShadowDayView(Shown):
    """One UTC day of the real site and of its twin."""

    model_config = ConfigDict(json_schema_extra=example(**_DAY))

    day: dt.date
    real: ShadowSide | None = Field(description="Null = it was never measured")
    twin: ShadowSide
    difference: ShadowDifference | None
    jobs_paused: int = Field(description="Times that a job of the twin gave way")
    jobs_finished: int

    @classmethod
    def of(cls, day: ShadowDay, now: dt.datetime) -> Self:
        """The books of a day, as they are shown."""
        return cls(
            day=day.day,
            real=ShadowSide.of(day, day.real, now) if day.real.covered_s else None,
            twin=ShadowSide.of(day, day.twin, now),
            difference=ShadowDifference.of(day),
            jobs_paused=day.paused,
            jobs_finished=day.finished,
        )


class ShadowDays(Shown):
    """Days of shadow mode, the newest first. A site that acts has none."""

    model_config = ConfigDict(json_schema_extra=example(shadow=True, days=[_DAY]))

    shadow: bool = Field(description="Whether the site is in shadow mode")
    days: list[ShadowDayView]


def _written_out(day: object) -> object:
    """A bare number would be taken for seconds since 1970."""
    if isinstance(day, str) and not _WRITTEN.fullmatch(day):
        raise ValueError("write a day as 2026-03-01")
    return day


Day = Annotated[dt.date, BeforeValidator(_written_out)]


class DaysQuery(Sent):
    """Which days to give."""

    model_config = ConfigDict(strict=False)  # a query is text

    day: Day | None = Field(None, description="This UTC day only, as 2026-03-01")
    limit: int = Field(31, ge=1, le=MOST_DAYS, description="At most so many, the newest")
