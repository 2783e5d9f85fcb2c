"""What would be done for the first time while somebody waits, done before anybody asks.

FastAPI puts a route together when it is first looked at, and the store compiles a statement when it is first run: tens
of milliseconds, for the first limit that is set after a start as for all else.
"""

from __future__ import annotations

import logging

from fastapi import FastAPI
from starlette.types import Scope

from api.context import Context
from scheduler.errors import StoreError

log = logging.getLogger(__name__)


def rehearse(app: FastAPI) -> None:
    """Look through all routes of `app`, and have its store do what may be wanted in a hurry. It leaves no trace."""
    nothing: Scope = {"type": "http", "method": "GET", "path": "/api/v1/-", "root_path": "", "headers": []}
    for route in app.routes:
        route.matches(nothing)
    context: Context = app.state.context
    try:
        context.desk.rehearse()
    except StoreError as error:
        log.warning("the first limit will take a moment longer: %s", error)
