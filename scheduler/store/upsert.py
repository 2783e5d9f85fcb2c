"""INSERT ... ON CONFLICT DO UPDATE for many rows at once, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Executable, Table as SqlTable
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from scheduler.errors import StoreError
from scheduler.store.tables import Table


def upsert(
    session: Session, table: type[Table], rows: Sequence[dict[str, Any]], *, keep: Collection[str] = ()
) -> None:
    """Insert rows; where the primary key is taken, replace all given columns but those in `keep`.

    All rows have the same keys. With every column in `keep`, a row that is there already stays as it is.
    """
    if rows:
        dialect = session.get_bind().dialect.name
        session.connection().execute(_upserting(dialect, table, tuple(rows[0]), frozenset(keep)), rows)


@cache  # each tick asks for the same few
def _upserting(dialect: str, table: type[Table], names: tuple[str, ...], keep: frozenset[str]) -> Executable:
    keys = [column.name for column in sql_table(table).primary_key]
    changed = [name for name in names if name not in keys and name not in keep]
    insert = insert_for(dialect, table)
    if not changed:
        return insert.on_conflict_do_nothing(index_elements=keys)
    replaced = {name: insert.excluded[name] for name in changed}
    return insert.on_conflict_do_update(index_elements=keys, set_=replaced)


def sql_table(table: type[Table]) -> SqlTable:
    """The SQLAlchemy table behind a class."""
    return Table.metadata.tables[str(table.__tablename__)]


def insert_for(dialect: str, table: type[Table]) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that knows ON CONFLICT, in the dialect of that name."""
    target = sql_table(table)
    match dialect:
        case "sqlite":
            return sqlite.insert(target)
        case "postgresql":
            return postgresql.insert(target)
        case _:
            raise StoreError(f"database: {dialect!r} is not supported; use sqlite or postgresql")
