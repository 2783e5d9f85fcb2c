"""The part of the service that reads sources of the limit: over a real view, with nothing behind it."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from scheduler.clock import SystemClock
from scheduler.service import Service
from scheduler.steadying import Steadying
from scheduler.view import View
from scheduler.watchman import Watchman
from tests.builders import site

FIRM_W = 6000.0


class ReadingService:
    """Reads sources by `service`; what it knows of them is in `view`, and what it tells with `watchman`."""

    def __init__(self) -> None:
        self.watchman = Watchman()
        self.view = View(site(firm_w=FIRM_W).site, {}, epoch=1, at=datetime.now(UTC))
        parts = SimpleNamespace(
            clock=SystemClock(),
            view=self.view,
            reconciler=SimpleNamespace(watchman=self.watchman),
            steadying=Steadying({}, self.watchman.tell, firm_w=FIRM_W),
            feeders={},
        )
        self.service = Service(cast("Any", parts))
