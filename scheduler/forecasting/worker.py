"""The process that makes a forecast: `python -m scheduler.forecasting.worker`, a request on stdin, `Told` on stdout.

It reads the site's database and writes nothing. It runs at the lowest priority, and the kernel ends it when it has used
too much of a CPU: nobody waits for it.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from scheduler.errors import BarqError
from scheduler.predictions import Quarter, State, Told
from scheduler.wire import dumps, loads

MOST_CPU_S: Final = 60
_NICE: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to make a forecast from."""

    at: datetime
    database: str
    path: str | None = None  #: of history from elsewhere, absolute
    map: str = ""


def made(request: Request) -> Told:
    """The forecast, or why there is none."""
    # Imported here, so that whoever sends requests needs none of it.
    from scheduler.forecasting.making import make  # noqa: PLC0415
    from scheduler.store.database import open_database  # noqa: PLC0415
    from scheduler.store.forecasts import SqlForecasts  # noqa: PLC0415

    engine = open_database(request.database)
    try:
        told = make(SqlForecasts(engine), _given(request), at=request.at)
    except BarqError as error:
        return Told(at=request.at, state=State.FAILED, why=f"no forecast: {error}")
    finally:
        engine.dispose()
    return replace(told, took_s=time.process_time())


def _given(request: Request) -> Sequence[Quarter]:
    if request.path is None:
        return ()
    from scheduler.forecasting.given_history import read_history  # noqa: PLC0415

    return read_history(Path(request.path), request.map)


def main() -> int:
    """Entry point of the process."""
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S))
    told = made(loads(Request, sys.stdin.buffer.read()))
    sys.stdout.buffer.write(dumps(told))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
