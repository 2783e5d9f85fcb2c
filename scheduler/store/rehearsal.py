"""What people may want in a hurry, done once before they do: what it takes is looked up and compiled then.

It is undone before anybody sees it, and so leaves no trace but, on PostgreSQL, a gap in the numbers of limits.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Final

from sqlalchemy import Engine

from scheduler.core.estop import EmergencyStop
from scheduler.store import stops, wishes
from scheduler.store.database import writing
from scheduler.store.wishes import NewLimit

_BY: Final = "rehearsal"
_LIMIT: Final = NewLimit(limit_w=0.0, reason=_BY, by=_BY)


class _Undone(Exception):
    """Takes the transaction back."""


def rehearse(engine: Engine, site: str, *, at: datetime) -> None:
    """Set a limit and release it, and stop the site, for nobody. Raises `StoreError`."""
    with suppress(_Undone), writing(engine) as session:
        wishes.add_limit(session, site, _LIMIT, at=at)
        wishes.release_limits(session, site, by=_BY, reason=_BY, at=at)
        stops.engage(session, site, EmergencyStop(id=_BY, reason=_BY, by=_BY, at=at))
        raise _Undone
