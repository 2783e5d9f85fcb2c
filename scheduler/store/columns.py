"""Column types that mean the same on SQLite and on PostgreSQL, and the keys of rows."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, TypeDecorator

from scheduler.errors import StoreError

#: A 64-bit integer; SQLite numbers rows by itself only in a column called INTEGER, which has 64 bits there.
BIG = BigInteger().with_variant(Integer(), "sqlite")


def utc_now() -> datetime:
    """The real time."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """An instant to the microsecond. In and out come aware datetimes, out always in UTC.

    SQLite keeps no zone and compares text, so what is stored is UTC there. A naive time raises `StoreError`.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse what has no zone; store UTC."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise StoreError(f"{value.isoformat()} has no time zone; give an aware time, in UTC if in doubt")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """An aware time in UTC, whatever the driver made of it."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
