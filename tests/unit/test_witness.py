"""What would have been drawn without a fall of the limit is on record with its hash, before the cut where it can be."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from scheduler.core.counterfactual import Counterfactual
from scheduler.core.power_events import PowerEvent, figures_of
from scheduler.records import TickRecord
from scheduler.witness import BASELINE
from tests.builders import site
from tests.obedient_site import ObedientSite


class Lived(ObedientSite):
    """A site with work on four GPUs, second by second: it draws what its guards report."""

    async def lives(self, seconds: int) -> None:
        """So many seconds, in each of which the meter is read, guards report, and orders go out."""
        for _ in range(seconds):
            await self.orders_after(1.0)
            self.measured(self.draw_w)

    @property
    def draw_w(self) -> float:
        """By what guards report."""
        return self.built.site.overhead * sum(g.draw_w for g in self.view.groups.values())

    @property
    def plans(self) -> list[Counterfactual]:
        """All that are on record."""
        return [plan for r in self.store.records for plan in r.counterfactuals]

    @property
    def power_events(self) -> list[PowerEvent]:
        """As they are on record."""
        return list(self.store.power_events.values())

    def first_cut_at(self) -> datetime:
        """When orders of a cut were first on record."""
        return next(r.last_cut_at for r in self.store.records if r.last_cut_at is not None)


async def working() -> Lived:
    """The job runs for a while."""
    there = Lived(site().node("a", gpus=4).limit_w(5000))
    await there.began()
    there.submit("j", gpus=4)
    await there.lives(10)
    assert there.draw_w > 1500
    return there


def logged(records: list[TickRecord]) -> list[dict[str, Any]]:
    """What the log tells of plans."""
    return [dict(e.data) for r in records for e in r.events if e.kind == BASELINE]


async def test_a_fall_that_is_known_ahead_has_its_plan_on_record_before_the_cut() -> None:
    """The plan says what ran and drew, the log holds its hash, and the event that follows names it."""
    there = await working()
    drawn_w = there.draw_w
    there.built.at = there.clock.now()
    there.built.falls_to_w(1000, in_s=90)
    there.tell_limits()
    await there.lives(20)
    assert (there.plans, there.power_events) == ([], [])
    await there.lives(100)

    [plan], [event] = there.plans, there.power_events
    assert plan.made_at < there.first_cut_at() < plan.falls_at <= event.began_at
    assert plan.sha256 == hashlib.sha256(plan.text.encode()).hexdigest() == event.plan_sha256
    assert [(e["plan_sha256"], e["falls_at"]) for e in logged(there.store.records)] == [
        (plan.sha256, plan.falls_at.isoformat())
    ]
    told = json.loads(plan.text)
    assert told["watts"]["draw_w"] == drawn_w
    assert [r["gpus"] for r in told["running"]] == [4]
    assert told["fall"] == {
        "at": plan.falls_at.isoformat(timespec="microseconds"),
        "limit_w": 1000,
        "source": "grid",
    }
    assert figures_of(event).time_to_comply_s == 0


async def test_a_fall_that_comes_unannounced_has_the_plan_of_right_before() -> None:
    """It is on record with the event, and is not of the site as it is cut already."""
    there = await working()
    drawn_w, before_at = there.draw_w, there.clock.now()
    there.limit_w(1000)
    await there.lives(5)

    [plan], [event] = there.plans, there.power_events
    [told] = [r for r in there.store.records if plan in r.counterfactuals]
    assert any(e.plan_sha256 == plan.sha256 for e in told.power_events)
    assert json.loads(plan.text)["watts"]["draw_w"] == drawn_w
    assert datetime.fromisoformat(json.loads(plan.text)["planned_at"]) <= before_at < plan.made_at
    assert (event.source, event.fall.limit_w) == ("grid", 1000)


async def test_an_event_is_on_record_from_its_fall_to_its_end() -> None:
    """It ends when the limit is back; what comes after is waited for."""
    there = await working()
    there.limit_w(1000)
    await there.lives(30)
    there.limit_w(5000)
    await there.lives(5)

    [event] = there.power_events
    figures = figures_of(event)
    assert not event.is_final
    assert figures.duration_s is not None
    assert figures.depth_w is not None
    assert 30 <= figures.duration_s <= 32
    assert figures.depth_w > 500


async def test_what_happened_while_the_store_was_down_is_on_record_later() -> None:
    """The plan, the line in the log, and the event."""
    there = await working()
    there.store.up = False
    there.limit_w(1000)
    await there.lives(5)
    assert (there.plans, there.power_events) == ([], [])
    there.store.up = True
    await there.lives(5)

    [plan], [event] = there.plans, there.power_events
    assert event.plan_sha256 == plan.sha256
    assert len(logged(there.store.records)) == 1


async def test_before_the_first_reading_nothing_is_planned_or_compared() -> None:
    """A draw that nobody read is not one of 0 W: no plan says so, and no baseline is made of it."""
    there = Lived(site().node("a", gpus=4).limit_w(5000))
    await there.began()
    there.built.at = there.clock.now()
    there.built.falls_to_w(500, in_s=20)
    there.tell_limits()
    for _ in range(22):
        await there.orders_after(1.0)
    await there.lives(3)
    assert (there.plans, there.power_events) == ([], [])
