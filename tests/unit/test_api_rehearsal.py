"""What the API does before anybody asks."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import routing

from api.app import create_app
from api.rehearsal import rehearse
from scheduler.errors import StoreError
from scheduler.store.desk import Desk
from tests.api_server import make_state


def test_no_route_is_put_together_while_somebody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a rehearsal all have been looked through, so that another look makes nothing anew."""
    app = create_app(make_state(tmp_path))
    rehearse(app)

    def unexpected(*_: object, **__: object) -> None:
        raise AssertionError("a route is put together")

    monkeypatch.setattr(routing, "_populate_api_route_state", unexpected)
    rehearse(app)


def test_a_store_that_is_busy_keeps_nobody_from_serving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Then the first limit takes a moment longer, and the log says why."""
    app = create_app(make_state(tmp_path))

    def busy(_: Desk) -> None:
        raise StoreError("database is locked")

    monkeypatch.setattr(Desk, "rehearse", busy)
    rehearse(app)
    assert "database is locked" in caplog.text
