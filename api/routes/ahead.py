"""What is to be expected of the limit."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from api.context import Here
from api.problems import Refused
from api.wire.ahead import ForecastQuery, ForecastView
from scheduler.foretelling import forecast_document
from scheduler.predictions import DOCUMENT, Told
from scheduler.store.desk import Desk
from scheduler.wire import WireError, loads

log = logging.getLogger(__name__)

router = APIRouter(tags=["power"])


@router.get("/forecast")
def show_forecast(query: Annotated[ForecastQuery, Query()], here: Here) -> ForecastView:
    """Show the limit of the next 48 hours: as published, foreseen by sources or made from history; and the score."""
    newest = here.outlooks.newest()
    if newest is None:
        remedy = "wait until /readyz says ready"
        raise Refused(503, "not_ready", "the scheduler has not looked at the site yet", remedy=remedy)
    step = timedelta(seconds=query.step_s)
    return ForecastView.model_validate(forecast_document(newest.snapshot, _told(here.desk), step=step))


def _told(desk: Desk) -> Told | None:
    document = desk.current(DOCUMENT)
    try:
        return None if document is None else loads(Told, document.text)
    except WireError as error:
        log.warning("the last forecast cannot be read: %s", error)
        return None
