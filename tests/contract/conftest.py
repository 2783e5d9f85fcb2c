"""What contract tests of the store have in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store_sides import Memory, Side, Sql
from tests.stores import KINDS, database


@pytest.fixture(params=["memory", *KINDS])
def side(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Side]:
    """One of the stores, empty."""
    if request.param == "memory":
        yield Memory()
        return
    with database(request.param, tmp_path) as engine:
        sql = Sql(engine)
        yield sql
        sql.store.close()
