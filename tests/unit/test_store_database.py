"""Opening databases, transactions, and the schema on its way up and down."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, make_url, select, text
from sqlmodel import col

import scheduler.store
from scheduler.errors import StoreError
from scheduler.store.database import _patience, downgrade, migrate, open_database, reading, writing
from scheduler.store.event_tables import CounterfactualRow
from scheduler.store.tables import LeaderRow, SiteRow, Table
from tests.stores import KINDS, POSTGRES, T0, database

MIGRATE = "import sys; from scheduler.store.database import *; migrate(open_database(sys.argv[1]))"


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty, migrated database of each kind."""
    with database(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    """An empty, migrated SQLite file."""
    with database("sqlite", tmp_path) as opened:
        yield opened


def test_postgresql_is_looked_at() -> None:
    """The same tests run on PostgreSQL where there is one."""
    if not POSTGRES:
        pytest.skip(
            "BARQ_TEST_POSTGRES names no PostgreSQL database: its half of the store's tests is left out"
        )
    assert "postgresql" in KINDS


def test_the_migrations_make_the_tables_that_the_code_uses(engine: Engine) -> None:
    """No column, type, key or index differs between the two."""
    for module in iter_modules(scheduler.store.__path__):
        import_module(f"scheduler.store.{module.name}")  # tables are known once they are imported
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_down_takes_everything_away_and_up_brings_it_back(engine: Engine) -> None:
    """Nothing of a migration stays behind, and it can be run again."""
    downgrade(engine, "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    migrate(engine)
    assert set(Table.metadata.tables) <= set(inspect(engine).get_table_names())


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    """A process may migrate whenever it starts."""
    with writing(engine) as session:
        session.add(SiteRow(name="demo", next_number=5))
    migrate(engine)
    with reading(engine) as session:
        assert session.get_one(SiteRow, "demo").next_number == 5
        assert session.scalars(select(LeaderRow)).one().epoch == 0


def test_processes_that_migrate_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """Service and API may start together on a new site."""
    path = tmp_path / "barq.db"
    command = [sys.executable, "-c", MIGRATE, str(path)]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    ended = [(process.communicate(timeout=120)[1], process.returncode) for process in started]
    assert ended == [("", 0)] * 3
    engine = open_database(path)
    assert "jobs" in inspect(engine).get_table_names()
    engine.dispose()


def test_sqlite_is_set_to_lose_nothing(sqlite: Engine) -> None:
    """Write-ahead log, every commit on disk, foreign keys checked, ten seconds of patience."""
    with reading(sqlite) as session:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        assert [session.scalar(text(f"PRAGMA {p}")) for p in pragmas] == ["wal", 2, 1, 10_000]


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Jobs carry environment variables: others on the machine need not read them."""
    folder = tmp_path / "new" / "state"
    engine = open_database(folder / "barq.db")
    migrate(engine)
    with writing(engine) as session:
        session.add(SiteRow(name="demo"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    engine.dispose()
    assert "barq.db" in modes
    assert set(modes.values()) == {0o600}


def test_a_path_and_its_url_are_the_same_database(sqlite: Engine, tmp_path: Path) -> None:
    """Both ways to name a file are understood."""
    with writing(sqlite) as session:
        session.add(SiteRow(name="here"))
    by_url = open_database(f"sqlite:///{tmp_path / 'barq.db'}")
    with reading(by_url) as session:
        assert session.get(SiteRow, "here") is not None
    by_url.dispose()


def test_a_server_that_is_gone_is_given_up_soon() -> None:
    """Not after the hours for which TCP waits; what the URL says itself stands."""
    given = _patience(make_url("postgresql://barq@db/barq?connect_timeout=60"))
    assert given["tcp_user_timeout"] <= 10_000
    assert "connect_timeout" not in given
    assert _patience(make_url("postgresql+pg8000://barq@db/barq")) == {}


@pytest.mark.parametrize(
    "where, said",
    [
        ("mysql://host/barq", "'mysql' is not supported; use sqlite or postgresql"),
        ("sqlite://", "SQLite in memory dies with its connection; give the path of a file"),
        ("sqlite:///:memory:", "SQLite in memory dies"),
        ("://", "'://' is no URL; give a path or postgresql://user@host/name"),
    ],
)
def test_a_database_that_cannot_be_is_refused(where: str, said: str) -> None:
    """The message says what to give instead."""
    with pytest.raises(StoreError, match="database") as caught:
        open_database(where)
    assert said in str(caught.value)


def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """The message names the path."""
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(StoreError, match=r"file/barq\.db: .*give a path that can be written"):
        open_database(tmp_path / "file" / "barq.db")


def test_sql_errors_become_store_errors(engine: Engine) -> None:
    """Nobody outside has to know which database it is; a password is not told."""
    with pytest.raises(StoreError, match="no_such_table"), reading(engine) as session:
        session.execute(text("SELECT * FROM no_such_table"))


def test_a_failed_transaction_leaves_nothing(engine: Engine) -> None:
    """Any exception undoes all of it, also one that the store does not know."""

    def fail() -> None:
        with writing(engine) as session:
            session.add(SiteRow(name="half"))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with reading(engine) as session:
        assert session.get(SiteRow, "half") is None


def test_a_reader_sees_one_state_of_the_database(engine: Engine) -> None:
    """What is committed while it reads does not show, neither in part nor in whole."""
    with reading(engine) as session:
        assert session.scalars(select(col(SiteRow.name))).all() == []
        with writing(engine) as other:
            other.add(SiteRow(name="later"))
        assert session.scalars(select(col(SiteRow.name))).all() == []
    with reading(engine) as session:
        assert session.scalars(select(col(SiteRow.name))).all() == ["later"]


def test_times_come_back_as_aware_utc(engine: Engine) -> None:
    """To the microsecond, whatever zone they were given in."""
    at = T0.replace(microsecond=123456)
    with writing(engine) as session:
        session.add(CounterfactualRow(sha256="a", made_at=at, falls_at=at, plan=b""))
    with reading(engine) as session:
        row = session.scalars(select(CounterfactualRow)).one()
        assert (row.made_at, row.made_at.utcoffset(), row.seq) == (at, T0.utcoffset(), None)


def test_a_naive_time_is_refused(engine: Engine) -> None:
    """A time without a zone is no instant; nothing guesses one."""
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - the mistake under test
    row = CounterfactualRow(sha256="a", made_at=naive, falls_at=T0, plan=b"")
    with pytest.raises(StoreError, match="2026-01-01T00:00:00 has no time zone"), writing(engine) as session:
        session.add(row)


def test_the_database_file_survives_a_killed_writer(tmp_path: Path) -> None:
    """A process killed inside a transaction leaves what was committed before, and no lock."""
    path = tmp_path / "barq.db"
    migrate(open_database(path))
    script = (
        "import os, signal, sys\n"
        "from scheduler.store.database import *\n"
        "from scheduler.store.tables import SiteRow\n"
        "engine = open_database(sys.argv[1])\n"
        "with writing(engine) as session: session.add(SiteRow(name='kept'))\n"
        "with writing(engine) as session:\n"
        "    session.add(SiteRow(name='lost')); session.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    died = subprocess.run([sys.executable, "-c", script, str(path)], timeout=120, check=False)
    assert died.returncode == -9
    engine = open_database(path)
    with writing(engine) as session:
        session.add(SiteRow(name="after"))
    with reading(engine) as session:
        assert set(session.scalars(select(col(SiteRow.name)))) == {"kept", "after"}
    engine.dispose()
