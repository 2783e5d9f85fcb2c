"""The books of shadow mode, as the leader wrote them."""

from __future__ import annotations

import logging
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.shadow import ShadowDay
from scheduler.shadow import DAY
from scheduler.store.tables import CurrentRow
from scheduler.wire import WireError, loads

log = logging.getLogger(__name__)


def shadow_days(session: Session, *, limit: int, day: date | None = None) -> tuple[ShadowDay, ...]:
    """The books, the newest day first. A day of another version of Barq that cannot be read is left out."""
    key = col(CurrentRow.key)
    wanted = key.startswith(DAY, autoescape=True) if day is None else key == f"{DAY}{day.isoformat()}"
    rows = session.scalars(select(CurrentRow).where(wanted).order_by(key.desc()).limit(limit))
    return tuple(books for row in rows if (books := _read(row)) is not None)


def _read(row: CurrentRow) -> ShadowDay | None:
    try:
        return loads(ShadowDay, row.document)
    except WireError as error:
        log.warning("the books of %s cannot be read: %s", row.key, error)
        return None
