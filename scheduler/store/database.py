"""Opening the database, transactions, and bringing the schema up to date.

SQLite (write-ahead log, every commit synced to disk, one writer at a time) is the embedded default, PostgreSQL serves
a site. Nothing outside `scheduler.store` sees an SQL error: they all become `StoreError`.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from scheduler.errors import StoreError

BUSY_TIMEOUT_S = 10.0
"""How long a SQLite writer waits for the one before it."""
_PATIENCE = {
    "connect_timeout": 5,  # s
    "keepalives_idle": 5,  # s
    "keepalives_interval": 2,  # s
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # ms
}
"""Of connections to PostgreSQL, by the names of its library."""
_LOCK_LOOK_S = 0.001
_BE_PATIENT = f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000:.0f}"
_WRITES = "barq_writes"
_MIGRATION_LOCK = 0x62617271  # "barq"; the key of PostgreSQL's advisory lock


def open_database(where: str | Path) -> Engine:
    """An engine for a URL (`postgresql://...`, `sqlite:///...`) or for the path of a SQLite file.

    A new SQLite file can be read by its owner only. Connects to nothing yet, apart from making that file.
    Raises `StoreError` for a URL that makes no sense.
    """
    url = _url(where)
    if url.get_backend_name() == "sqlite":
        return _sqlite(url)
    if url.get_backend_name() == "postgresql":
        return _postgresql(url)
    raise StoreError(f"database: {url.drivername!r} is not supported; use sqlite or postgresql")


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to `revision`, in one transaction; a schema that is there already costs a look.

    Processes that do this at the same time do it one after the other. Raises `StoreError`, also for a schema that a
    newer version left.
    """
    with _connected(engine, writes=True) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        try:
            command.upgrade(_alembic(connection), revision)
        except CommandError as error:  # it knows no way from what is there
            remedy = "start the version of Barq that wrote it, or a newer one"
            message = f"database {engine.url}: its schema is of another version: {error}"
            raise StoreError(f"{message}; {remedy}") from error


def downgrade(engine: Engine, revision: str) -> None:
    """Take the schema back to `revision` ("base" = nothing left). Data in what is dropped is lost."""
    with _connected(engine, writes=True) as connection:
        command.downgrade(_alembic(connection), revision)


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """One consistent view of the database; nothing is kept. Raises `StoreError`."""
    with _connected(engine, writes=False) as connection, Session(bind=connection) as session:
        yield session


@contextmanager
def writing(engine: Engine) -> Iterator[Session]:
    """One transaction: committed at the end, undone by any exception. Raises `StoreError`."""
    with _connected(engine, writes=True) as connection, Session(bind=connection, autoflush=False) as session:
        yield session
        session.flush()


@contextmanager
def _connected(engine: Engine, *, writes: bool) -> Iterator[Connection]:
    try:
        connected = engine.connect().execution_options(**_options(engine, writes=writes))
        with connected as connection, connection.begin():
            yield connection
    except (SQLAlchemyError, sqlite3.Error) as error:
        shown = engine.url.render_as_string(hide_password=True)
        raise StoreError(f"database {shown}: {_first_line(error)}") from error


def _options(engine: Engine, *, writes: bool) -> dict[str, object]:
    """SQLite readers see one snapshot by themselves; PostgreSQL has to be asked."""
    if writes or engine.dialect.name != "postgresql":
        return {_WRITES: writes}
    return {"isolation_level": "REPEATABLE READ"}


def _first_line(error: Exception) -> str:
    """What the database says, without the driver's name for it."""
    return str(getattr(error, "orig", None) or error).partition("\n")[0]


def _url(where: str | Path) -> URL:
    if isinstance(where, Path) or "://" not in where:
        return URL.create("sqlite", database=str(Path(where).absolute()))
    try:
        return make_url(where)
    except ArgumentError as error:
        raise StoreError(
            f"database: {where!r} is no URL; give a path or postgresql://user@host/name"
        ) from error


def _postgresql(url: URL) -> Engine:
    try:
        return create_engine(url, pool_pre_ping=True, connect_args=_patience(url))
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(f"database: no driver for {url.drivername!r}; install psycopg") from error


def _patience(url: URL) -> dict[str, int]:
    """After how long a server that cannot be reached any more counts as gone: without it a dead line hangs for hours.

    What the URL itself says stands. Drivers that are not built on PostgreSQL's own library keep what they have.
    """
    known = url.get_driver_name() in {"psycopg", "psycopg_async", "psycopg2"}
    return {name: value for name, value in _PATIENCE.items() if known and name not in url.query}


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise StoreError("database: SQLite in memory dies with its connection; give the path of a file")
    _make_private(Path(url.database))
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _make_private(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(f"database {path}: {error.strerror}; give a path that can be written") from error


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """Have SQLAlchemy say BEGIN, not the driver, which would leave SELECT outside of any transaction."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    """Writers take the lock at once: a reader that turns writer half-way could only fail."""
    file = connection.connection.driver_connection  # asked directly: each request begins several times
    assert isinstance(file, sqlite3.Connection)  # noqa: S101 - what `_sqlite` opens
    if connection.get_execution_options().get(_WRITES, False):
        _begin_writing(file)
    else:
        file.execute("BEGIN")


def _begin_writing(file: sqlite3.Connection) -> None:
    """Take the lock soon after the writer before lets go: SQLite itself would sleep ever longer, to 0.1 s."""
    deadline_s = time.monotonic() + BUSY_TIMEOUT_S
    file.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                file.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > deadline_s:
                    raise
            else:
                return
            time.sleep(_LOCK_LOOK_S)
    finally:
        file.execute(_BE_PATIENT)


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _alembic(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
