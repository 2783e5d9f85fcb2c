"""What the site file says of forecasts that are made from the history of the limit."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field

from scheduler.strict import Strict


class Use(StrEnum):
    """What such a forecast is for."""

    STARTS = "starts"  #: it is planned on: who starts, and when others may
    SHOW = "show"  #: it is made, judged and shown, and nothing else
    NOTHING = "nothing"  #: none is made


class History(Strict):
    """What the limit was before the site kept a record of it: a file, read as `barq simulate --power` reads one."""

    path: Path  #: relative to the site's state directory
    map: Annotated[str, Field(min_length=1)]  #: which column is what, in which unit and zone: as --power-map


class ForecastSettings(Strict):
    """Whether forecasts are made from the history of the limit, from what, and what for."""

    use: Use = Use.SHOW
    history: History | None = None
