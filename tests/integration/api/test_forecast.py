"""The limit of the hours to come, as the API tells it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.core.decide import decide
from scheduler.predictions import STEPS, Made, Method, Score, State, Tally, Told
from scheduler.store.database import open_database
from scheduler.store.forecasts import SqlForecasts
from scheduler.wire import dumps
from tests.api_site import ApiSite, refused, two_nodes
from tests.builders import T0

LOSSES = {Method.LEARNED: 8.0, Method.YESTERDAY: 10.0, Method.LAST: 20.0}


async def test_the_hours_to_come_are_shown_with_whose_word_they_are(site: ApiSite) -> None:
    """What is published until it ends, then what was made from history; and how good that has been."""
    refused(await site.client.get("/api/v1/forecast"), 503, "not_ready")
    world = two_nodes()
    world.envelopes = (replace(world.envelopes[0], valid_until=T0 + timedelta(hours=2)), *world.envelopes[1:])
    snapshot = world.snapshot()
    await site.record(snapshot_json=dumps(snapshot), decision_json=dumps(decide(snapshot)))
    site.context.outlooks._look_again_at = 0.0  # as if the time had passed
    bare = await site.get("/forecast", step_s=3600)
    assert (bare["state"], bare["made_at"], bare["scores"]) == (None, None, [])
    assert {row["by"] for row in bare["rows"]} == {"published"}

    rows = dict.fromkeys(Method, ((1000.0, 2000.0, 3000.0),) * STEPS)
    losses = {m: (Tally(until_h=1, count=9, pinball_w=(w, w, w), covered=0.8),) for m, w in LOSSES.items()}
    told = Told(
        at=T0,
        state=State.MADE,
        why="learned",
        history_days=9.0,
        made=Made(made_at=T0, starts_at=T0, rows=rows),
        method=Method.LEARNED,
        score=Score(since_at=T0 - timedelta(days=7), tallies=losses),
    )
    engine = open_database(site.settings.database)
    SqlForecasts(engine).keep(told)
    engine.dispose()
    shown = await site.get("/forecast", step_s=3600)

    assert [(r["p10_w"], r["p90_w"], r["by"]) for r in shown["rows"][:4]] == [
        (9000.0, 9000.0, "published"),
        (9000.0, 9000.0, "published"),
        (1000.0, 3000.0, "history"),
        (1000.0, 3000.0, "history"),
    ]
    assert (len(shown["rows"]), shown["is_used"], shown["method"]) == (49, False, "learned")
    assert (shown["skill"], shown["against"]) == (pytest.approx(0.2), "yesterday")
    assert shown["scores"][0]["by_lead"][0] == {
        "until_h": 1,
        "quarters": 9,
        "pinball_w": [8.0, 8.0, 8.0],
        "covered": 0.8,
    }
