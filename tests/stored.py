"""All that a site's database holds, to see that nothing was stored."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def everything(database: Path) -> list[str]:
    """The database as SQL, each table with each row."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return list(connection.iterdump())
