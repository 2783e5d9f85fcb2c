"""The compliance report over HTTP, from what the scheduler recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from scheduler.core.grants import Grant
from scheduler.core.snapshot import Quality
from scheduler.records import PowerSample
from scheduler.store.database import writing
from scheduler.store.energy import record_sample
from tests.api_site import ApiSite, refused

AT = datetime(2026, 9, 30, 19, 0, tzinfo=UTC)  # October begins in Karachi
GRANT = Grant(limit_w=5000.0, source="grid", document="notice 118", feeder="f12", starts_at=AT)


def record(site: ApiSite, *draws_w: float, step_s: float = 10.0) -> None:
    """Samples from `AT` on, with 1 kW firm."""
    with writing(site.context.desk._engine) as session:
        for sample in samples(draws_w, step_s):
            record_sample(session, sample)


def samples(draws_w: Iterable[float], step_s: float) -> Iterator[PowerSample]:
    """Judged by the grant."""
    for i, draw_w in enumerate(draws_w):
        yield PowerSample(
            at=AT + timedelta(seconds=step_s * i),
            limit_w=5000.0,
            limit_source="grid",
            draw_w=draw_w,
            ai_w=draw_w,
            rest_w=0.0,
            miners_w=0.0,
            committed_w=5000.0,
            over_limit=draw_w > GRANT.limit_w,
            firm_w=1000.0,
            quality=Quality.GOOD,
            allowed=GRANT,
        )


async def test_a_month_is_shown_with_its_evidence(site: ApiSite) -> None:
    """Of the calendar in the zone that is asked for."""
    record(site, 3600.0, 3600.0, 6000.0, 3600.0, 0.0)
    found = await site.get("/reports/compliance", month="2026-10", tz="Asia/Karachi")
    hours = 10 / 3600
    assert (found["site"], found["since_at"], found["until_at"]) == (
        "t",
        "2026-09-30T19:00:00Z",
        "2026-10-31T19:00:00Z",
    )
    assert found["tally"]["firm_wh"] == pytest.approx(1000 * 4 * hours)
    assert found["tally"]["granted_wh"] == pytest.approx((2600 * 3 + 4000) * hours)
    assert found["tally"]["breach_wh"] == pytest.approx(1000 * hours)
    (quarter,) = found["quarters"]
    (evidence,) = quarter["evidence"]
    assert (evidence["document"], evidence["feeder"], evidence["starts_at"]) == (
        "notice 118",
        "f12",
        "2026-09-30T19:00:00Z",
    )
    assert found["breaches"][0]["over_limit_s"] == 10.0
    assert found["days"][0]["day"] == "2026-10-01"
    assert found["grants"][0]["granted_wh"] == pytest.approx(found["tally"]["granted_wh"])


def month_in(days: int) -> str:
    """That of a day so far from now."""
    return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m}"


async def test_a_month_that_has_not_begun_is_refused(site: ApiSite) -> None:
    """Zeros would say that nothing was drawn."""
    answer = await site.client.get("/api/v1/reports/compliance", params={"month": month_in(40), "tz": "UTC"})

    problem = refused(answer, 422, "invalid_field")
    assert (problem["field"], problem["value"]) == ("month", f'"{month_in(40)}"')
    assert f"{month_in(40)} has not begun: it begins at {month_in(40)}-01 00:00 (UTC)" in problem["detail"]
    assert problem["remedy"] == f"give a month up to {month_in(0)}, which is running"


async def test_a_month_that_is_running_says_so(site: ApiSite) -> None:
    """And one that is over does not."""
    running = await site.get("/reports/compliance", month=month_in(0))
    over = await site.get("/reports/compliance", month=month_in(-40))

    assert [month["running"] for month in (running, over)] == [True, False]


async def test_the_month_before_in_utc_has_it(site: ApiSite) -> None:
    """A quarter belongs to one month of a calendar."""
    record(site, 3600.0, 0.0)
    assert len((await site.get("/reports/compliance", month="2026-09"))["quarters"]) == 1
    assert (await site.get("/reports/compliance", month="2026-10"))["quarters"] == []


@pytest.mark.parametrize(
    "query,field,remedy",
    [
        ({}, "month", "add it"),
        ({"month": "2026-13"}, "month", "like 2026-10"),
        ({"month": "october"}, "month", "like 2026-10"),
        ({"month": "9999-01"}, "month", "like 2026-10"),
        ({"month": "2026-10", "tz": "Mars/Base"}, "tz", "like Asia/Karachi"),
        ({"month": "2026-10", "tz": "../etc/passwd"}, "tz", "like Asia/Karachi"),
    ],
)
async def test_what_is_no_month_or_zone_is_refused(
    site: ApiSite, query: dict[str, str], field: str, remedy: str
) -> None:
    """By its name, with one that would do."""
    answer = await site.client.get("/api/v1/reports/compliance", params=query)
    problem = refused(answer, 422, "invalid_field")
    assert field in problem["field"]
    assert remedy in problem["remedy"]


async def test_a_correction_is_in_the_report_and_stays_listed(site: ApiSite) -> None:
    """With who made it; a researcher may not."""
    record(site, 3600.0, 0.0)
    body = {"quarter_at": "2026-09-30T19:00:00Z", "granted_wh": -2.5, "reason": "certificate 88"}
    made = await site.client.post("/api/v1/reports/corrections", json=body)
    assert made.status_code == 201
    found = await site.get("/reports/compliance", month="2026-10", tz="Asia/Karachi")
    assert found["tally"]["draw_wh"] == pytest.approx(10.0 - 2.5)
    assert found["corrections"] == [made.json()]
    assert (made.json()["number"], made.json()["reason"]) == (1, "certificate 88")
    async with site.client_of("ada", "researcher") as ada:
        refused(await ada.post("/api/v1/reports/corrections", json=body), 403, "forbidden")
