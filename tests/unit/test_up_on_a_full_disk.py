"""`barq up` where nothing can be written any more."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest
from sqlalchemy.exc import OperationalError

from barq.cli.local_site import DEFAULT_SITE
from barq.cli.up import start_site
from barq.errors import BarqError, InvalidInput
from barq.site.files import SiteFiles

SITE = Path("configs/sites/shadow.yaml")


def put_full(monkeypatch: pytest.MonkeyPatch, *, free: int) -> None:
    """SQLite finds no room for a table; so much is free to others."""

    def refuse(*_: object) -> NoReturn:
        raise OperationalError("CREATE TABLE t", {}, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr("scheduler.store.database.command.upgrade", refuse)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))


def test_a_full_disk_is_said_with_its_place_and_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever SQLite makes of it."""
    put_full(monkeypatch, free=100_000)

    with pytest.raises(InvalidInput) as refused:
        start_site(SITE, tmp_path)

    assert refused.value.message == f"{tmp_path} cannot keep the state of a site: its disk is full"
    assert str(refused.value.remedy).startswith("make room there, or name a directory")


def test_what_sqlite_says_is_told_without_the_names_of_its_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is room, as with a quota, its own words have to do."""
    put_full(monkeypatch, free=1 << 40)

    with pytest.raises(BarqError) as refused:
        start_site(SITE, tmp_path)

    shown = f"database sqlite:///{tmp_path / 'shadow.db'}: database or disk is full"
    assert refused.value.message == shown


def test_a_full_disk_costs_no_site_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the last time is still whole."""
    files = SiteFiles(tmp_path)
    files.create()
    files.site_file.write_bytes(SITE.read_bytes())

    def no_room(_descriptor: int, _data: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", no_room)
    with pytest.raises(InvalidInput, match="its disk is full"):
        start_site(DEFAULT_SITE, tmp_path)

    assert files.site_file.read_bytes() == SITE.read_bytes()
