"""What events of OpenADR 3 mean for the limit over time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler.core.envelope import Segment
from scheduler.core.given import Refusal
from scheduler.openadr.events import Refused, Rules
from scheduler.openadr.schedule import Schedule, Skew, compile_schedule
from scheduler.openadr.times import FOREVER, Untrue, instant, span
from scheduler.wire import dumps
from tests.vtn import LIMIT, event

T0 = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
RULES = Rules(subscription_w=20_000, emergencies=frozenset({"ALERT_GRID_EMERGENCY"}))
HALF_HOUR = timedelta(minutes=30)
SUBSCRIPTION, RESERVATION = "IMPORT_CAPACITY_SUBSCRIPTION", "IMPORT_CAPACITY_RESERVATION"
AVAILABLE, EMERGENCY = "IMPORT_CAPACITY_AVAILABLE", "ALERT_GRID_EMERGENCY"
NOW = {"start": "0001-01-01", "duration": "P9999Y"}


def compiled(*events: dict[str, Any], now: datetime = T0, rules: Rules = RULES, **more: Any) -> Schedule:
    """The schedule of these."""
    return compile_schedule(list(events), more.pop("programs", {}), rules, now, **more)


def steps(schedule: Schedule) -> list[tuple[float, float]]:
    """Minutes from T0 and kW of each segment; what has long begun begins at minus infinity."""
    return [(_minutes(s), s.limit_w / 1000) for s in schedule.segments]


def _minutes(segment: Segment) -> float:
    minutes = (segment.starts_at - T0).total_seconds() / 60
    return minutes if minutes > -10_000 else float("-inf")


def at_t0(event_id: str, values_kw: list[Any], **more: Any) -> dict[str, Any]:
    """Half an hour each, from T0 on."""
    return event(event_id, values_kw, **({"start": T0, "each": "PT30M"} | more))


def one(kind: str, value: Any, event_id: str = "e", **more: Any) -> dict[str, Any]:
    """An event that says one thing from now on, without end."""
    return event(event_id, [value], kind=kind) | {"intervalPeriod": NOW} | more


def test_intervals_follow_each_other_and_the_subscription_follows_them() -> None:
    """The schedule of an envelope, as a utility publishes it."""
    schedule = compiled(at_t0("plan", [50, 40]))
    assert steps(schedule) == [(0, 50), (30, 40), (60, 20)]
    assert [s.provenance for s in schedule.segments] == [
        "IMPORT_CAPACITY_LIMIT of event the plan (plan), interval 0",
        "IMPORT_CAPACITY_LIMIT of event the plan (plan), interval 1",
        "subscription in the site file",
    ]
    assert [s.document for s in schedule.segments] == ["event the plan (plan)", "event the plan (plan)", ""]


def test_the_document_is_the_event_with_its_program() -> None:
    """Where several are added up, all of them are named."""
    programs = {"44": {"id": "44", "programName": "surplus"}}
    events = [one(SUBSCRIPTION, 30, "s"), one(RESERVATION, 12, "r")]
    (segment,) = compiled(*events, programs=programs).segments
    assert segment.document == "event the s (s) of program surplus + event the r (r) of program surplus"


@pytest.mark.parametrize("event_id", ["", "half \ud83d", "nothing \0", "x" * 129])
def test_an_event_whose_id_cannot_be_written_down_is_refused(event_id: str) -> None:
    """What is on record, and in every document, is text: half a character would end whoever writes it."""
    schedule = compiled(at_t0(event_id, [50]))

    assert "1 to 128 printable characters" in schedule.refusals[0]
    assert [s.limit_w for s in schedule.segments] == [20_000]
    dumps((schedule.segments, schedule.refusals))


def test_an_interval_s_own_period_comes_before_the_event_s() -> None:
    """Part by part: a duration of its own, a start of its own, the rest as the event says."""
    plan = at_t0("plan", [50, 40, 30])
    plan["intervals"][1]["intervalPeriod"] = {"duration": "PT1H"}
    plan["intervals"][2]["intervalPeriod"] = {"start": (T0 + timedelta(hours=2)).isoformat()}
    assert steps(compiled(plan)) == [(0, 50), (30, 40), (90, 20), (120, 30), (150, 20)]


def test_intervals_may_bring_all_periods_themselves() -> None:
    """Then the event needs none; a start that means "now" follows the interval before."""
    plan = at_t0("plan", [50, 40]) | {"intervalPeriod": None}
    plan["intervals"][0]["intervalPeriod"] = {"start": T0.isoformat(), "duration": "PT10M"}
    plan["intervals"][1]["intervalPeriod"] = {"start": "0001-01-01T00:00:00", "duration": "PT20M"}
    assert steps(compiled(plan)) == [(0, 50), (10, 40), (30, 20)]


@pytest.mark.parametrize("missing", ["start", "duration"])
def test_an_interval_without_a_time_is_refused(missing: str) -> None:
    """Whatever it limits, nobody knows when."""
    plan = at_t0("plan", [50])
    del plan["intervalPeriod"][missing]
    schedule = compiled(plan)
    assert steps(schedule) == [(float("-inf"), 20)]
    assert f"interval 0 has no {missing}" in schedule.refusals[0]


def test_what_is_now_began_when_it_was_last_changed() -> None:
    """So that its end does not move with every reading."""
    plan = at_t0("plan", [50, 40], modificationDateTime=(T0 - timedelta(minutes=40)).isoformat())
    plan["intervalPeriod"] = {"start": "0001-01-01", "duration": "PT30M"}
    assert steps(compiled(plan)) == [(-10, 40), (20, 20)]


@pytest.mark.parametrize("start", ["0001-01-01", "0000-00-00", "0001-01-01T00:00:00Z"])
def test_an_event_without_length_is_cancelled(start: str) -> None:
    """Now, for no time at all."""
    plan = at_t0("plan", [50]) | {"intervalPeriod": {"start": start, "duration": "PT0S"}}
    schedule = compiled(plan)
    assert steps(schedule) == [(float("-inf"), 20)]
    assert schedule.refusals == ()


@pytest.mark.parametrize(
    "duration, expected",
    [
        ("PT45M", [(0, 50), (30, 40), (45, 20)]),
        ("PT90M", [(0, 50), (30, 40), (60, 50), (90, 20)]),
        ("PT0S", [(float("-inf"), 20)]),
    ],
)
def test_the_duration_of_an_event_cuts_or_repeats_it(
    duration: str, expected: list[tuple[float, float]]
) -> None:
    """Shorter than its intervals, or longer."""
    assert steps(compiled(at_t0("plan", [50, 40], duration=duration))) == expected


def test_a_pattern_without_end_is_known_for_two_days() -> None:
    """Begun years ago, it is where it should be."""
    plan = at_t0("plan", [50, 40], start=T0 - timedelta(days=3 * 365), duration="P9999Y")
    schedule = compiled(plan, now=T0 + timedelta(minutes=45))
    assert steps(schedule)[:3] == [(30, 40), (60, 50), (90, 40)]
    assert 2 * 48 < len(schedule.segments) < 2 * 50


def test_a_pattern_too_fine_to_be_meant_is_refused() -> None:
    """A second repeated for ever would be 170 000 steps."""
    schedule = compiled(at_t0("plan", [50, 40], each="PT1S", duration="P9999Y"))
    assert "repeat more than" in schedule.refusals[0]


@pytest.mark.parametrize(
    "priorities, limit_kw",
    [((0, 1), 50), ((1, 0), 40), ((3, 3), 40), ((None, 7), 40), ((7, None), 50), ((None, None), 40)],
)
def test_the_lowest_priority_number_counts(priorities: tuple[Any, Any], limit_kw: float) -> None:
    """Also against a lower limit; of equals, and of those without any, the lower power."""
    first, second = priorities
    schedule = compiled(at_t0("a", [50], priority=first), at_t0("b", [40], priority=second))
    assert steps(schedule)[0] == (0, limit_kw)


def test_an_event_of_higher_priority_interrupts_another() -> None:
    """After it the other goes on where it would be."""
    middle = at_t0("cut", [5], start=T0 + timedelta(minutes=20), each="PT20M", priority=0)
    schedule = compiled(at_t0("plan", [50, 40], priority=3), middle)
    assert steps(schedule) == [(0, 50), (20, 5), (40, 40), (60, 20)]


def test_reservations_add_to_the_subscription_and_a_limit_stands_above_both() -> None:
    """What is merely available is an offer, unless the contract says otherwise."""
    events = [one(SUBSCRIPTION, 30, "s"), one(RESERVATION, 12, "r"), one(AVAILABLE, 5, "a")]
    inf = float("-inf")
    (segment,) = compiled(*events).segments
    assert segment.limit_w == 42_000
    assert "the s (s), interval 0 + IMPORT_CAPACITY_RESERVATION of event the r (r)" in segment.provenance
    granted = Rules(subscription_w=20_000, count_available=True)
    assert [kw for _, kw in steps(compiled(*events, rules=granted))] == [47]
    assert steps(compiled(*events, at_t0("plan", [7]))) == [(0, 7), (30, 42)]
    assert steps(compiled()) == [(inf, 20)]


@pytest.mark.parametrize(
    "kind, watts",
    [
        ("CAPACITY_SUBSCRIPTION", 5_000),
        ("CAPACITY_RESERVATION", 25_000),
        ("IMPORT_RESERVATION_CAPACITY", 25_000),
        ("IMPORT_CAPACITY_RESERVATION_FEE", 20_000),
        ("EXPORT_CAPACITY_LIMIT", 20_000),
        ("PRICE", 20_000),
    ],
)
def test_other_spellings_and_other_matters(kind: str, watts: float) -> None:
    """As the guide's own examples spell them; prices and exports change nothing and are no news."""
    schedule = compiled(one(kind, 5))
    assert [s.limit_w for s in schedule.segments] == [watts]
    assert schedule.refusals == ()


@pytest.mark.parametrize(
    "units, default, watts",
    [("KW", "KW", 5_000), ("MW", "KW", 5e6), ("kw", "MW", 5_000), ("W", "KW", 5), (None, "MW", 5e6)],
)
def test_units_are_as_the_descriptor_says(units: str | None, default: str, watts: float) -> None:
    """The event's, else the program's, else the site file's."""
    rules = Rules(subscription_w=1, unit=default)
    bare = one(LIMIT, 5) | {"payloadDescriptors": None}
    descriptor = {"payloadType": LIMIT, "units": units}
    own = bare | {"payloadDescriptors": [descriptor]}
    programs = {"44": {"payloadDescriptors": [descriptor]}}
    assert compiled(own, rules=rules).segments[0].limit_w == watts
    assert compiled(bare, rules=rules, programs=programs).segments[0].limit_w == watts


def test_a_unit_that_is_no_power_is_refused() -> None:
    """A limit in KWH is a mistake that could be off by anything."""
    schedule = compiled(at_t0("plan", [50], units="KWH"))
    assert "'KWH' is no unit of power; use KW, MW or W" in schedule.refusals[0]
    assert isinstance(schedule.refusals[0], Refusal)
    assert schedule.refusals[0].giver_id == "plan"


def test_each_step_names_the_events_that_tell_it() -> None:
    """What the site file says is nobody's word."""
    schedule = compiled(at_t0("plan", [50]), at_t0("cut", [20], priority=0))
    assert [s.giver_id for s in schedule.segments] == ["cut", None]


def test_an_emergency_holds_the_site_to_its_level() -> None:
    """For as long as the alert, whatever the priorities; a lower limit stays lower."""
    rules = Rules(subscription_w=20_000, emergency_w=9_000, emergencies=frozenset({EMERGENCY}))
    alert = event("alert", ["dark"], kind=EMERGENCY, start=T0 + timedelta(minutes=10), each="PT40M")
    plan = at_t0("plan", [50, 3], priority=0)
    assert steps(compiled(plan, alert, rules=rules)) == [(0, 50), (10, 9), (30, 3), (60, 20)]


@pytest.mark.parametrize("kind", [EMERGENCY, "ALERT_FIRE"])
def test_an_alert_without_a_level_is_told(kind: str) -> None:
    """It changes nothing, and the operator knows it."""
    schedule = compiled(one(kind, "dark"))
    assert steps(schedule) == [(float("-inf"), 20)]
    assert f"{kind}: emergency_w is not set for it" in schedule.refusals[0]


def test_a_random_start_brings_drops_early_and_rises_late() -> None:
    """By the same part of what is allowed each time it is read; another event gets another part."""
    plan = at_t0("plan", [50, 5, 50], start=T0 + HALF_HOUR)
    plan["intervalPeriod"]["randomizeStart"] = "PT10M"
    shifts = set()
    for ven in ("barq", "qarb"):
        schedule = compiled(plan, rules=Rules(subscription_w=20_000, ven=ven))
        assert compiled(plan, rules=Rules(subscription_w=20_000, ven=ven)) == schedule
        before, rise, drop, back, end = steps(schedule)
        shift = rise[0] - 30
        assert 0 < shift < 10
        assert [drop[0], back[0], end[0]] == pytest.approx([60 - shift, 90 + shift, 120])
        assert [kw for _, kw in (before, rise, drop, back, end)] == [20, 50, 5, 50, 20]
        shifts.add(shift)
    assert len(shifts) == 2


def test_a_rise_that_is_late_stays_late_as_time_passes() -> None:
    """The instant that was told is kept, also between the announced one and it."""
    plan = at_t0("plan", [50], start=T0)
    plan["intervalPeriod"]["randomizeStart"] = "PT10M"
    (_, (rise, _), _) = steps(compiled(plan, now=T0 - HALF_HOUR))
    for minutes in (0.0, rise / 2, rise, rise + 1):
        found = steps(compiled(plan, now=T0 + timedelta(minutes=minutes)))
        assert found[0][1] == (20 if minutes < rise else 50)


@pytest.mark.parametrize(
    "skew, expected",
    [
        (Skew(ahead=timedelta(minutes=5)), [(0, 50), (25, 5), (60, 50), (85, 20)]),
        (Skew(behind=timedelta(minutes=5)), [(5, 50), (30, 5), (65, 50), (90, 20)]),
    ],
)
def test_two_clocks_that_differ_give_the_safer_of_both_instants(
    skew: Skew, expected: list[tuple[float, float]]
) -> None:
    """A drop by the earlier clock, a rise by the later."""
    schedule = compiled(at_t0("plan", [50, 5, 50]), now=T0 - HALF_HOUR, skew=skew)
    assert steps(schedule)[1:] == expected


def test_an_end_by_our_clock_alone_is_none() -> None:
    """While the VTN's clock is behind, a low limit holds until it ends there."""
    low = at_t0("plan", [5])
    now, skew = T0 + timedelta(minutes=32), Skew(behind=timedelta(minutes=5))
    assert steps(compiled(low, now=now, skew=skew))[0][1] == 5
    assert steps(compiled(low, now=now))[0][1] == 20


def test_events_for_others_do_not_count() -> None:
    """By their targets, where the site file names its own; an event without targets is for all."""
    rules = Rules(subscription_w=20_000, targets=frozenset({"feeder-12"}))
    old = [{"type": "GROUP", "values": ["feeder-12"]}]
    for targets, limit_kw in ((["feeder-9"], 20), (["x", "feeder-12"], 50), (old, 50), ([], 50), (None, 50)):
        assert steps(compiled(one(LIMIT, 50, targets=targets), rules=rules))[0][1] == limit_kw


def test_several_values_count_as_their_lowest() -> None:
    """More than one is not defined for a capacity: the safest reading is taken."""
    plan = at_t0("plan", [50])
    plan["intervals"][0]["payloads"][0]["values"] = [50, 8, 60]
    assert steps(compiled(plan))[0] == (0, 8)


def test_a_report_alone_asks_nothing_of_the_power() -> None:
    """An event without intervals."""
    plan = at_t0("plan", [])
    del plan["intervals"]
    assert compiled(plan).refusals == ()


def test_what_is_no_list_of_events_is_refused_as_a_whole() -> None:
    """It is no answer, and must not look like an empty one."""
    with pytest.raises(Refused, match="no list"):
        compile_schedule({"events": []}, {}, RULES, T0)


@pytest.mark.parametrize(
    "events",
    [
        [one(LIMIT, 5, f"e{n}") for n in range(101)],
        [at_t0(f"e{n}", [5] * 1000, each="PT1M", start=T0 + n * timedelta(hours=17)) for n in range(4)],
    ],
    ids=["at once", "in all"],
)
def test_more_than_anybody_means_is_refused_as_a_whole(events: list[dict[str, Any]]) -> None:
    """A VTN gone wild must not keep the site busy, and leaving some out would be a guess."""
    with pytest.raises(Refused, match="end some"):
        compiled(*events)


def test_a_reading_changes_nothing_while_the_vtn_changes_nothing() -> None:
    """Within the hour the same segments come out, so that the loop is not woken for nothing."""
    plan = at_t0("plan", [50, 40], duration="P9999Y")
    assert (
        compiled(plan, now=T0 + timedelta(minutes=2)).segments
        == compiled(plan, now=T0 + timedelta(minutes=29)).segments
    )


@pytest.mark.parametrize(
    "text, seconds",
    [("PT30M", 1800), ("P1DT12H", 129_600), ("P2W", 1_209_600), ("PT0.5S", 0.5), ("P1Y", 31_536_000)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    """As ISO 8601 writes them."""
    assert span(text).total_seconds() == seconds


def test_ten_thousand_years_are_for_ever() -> None:
    """The convention of OpenADR."""
    assert span("P9999Y") == FOREVER


@pytest.mark.parametrize("text", ["", "P", "PT", "P1M", "30M", "-PT5M", "PT5", "PT1e9S", None, 30, "P1DT"])
def test_what_is_no_duration_is_refused(text: Any) -> None:
    """Months among it: nobody knows how long they are."""
    with pytest.raises(Untrue, match="no duration"):
        span(text)


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-02T00:00:00", "2026-11-02", 0, None, "2026-13-01T00:00:00Z"]
)
def test_what_is_no_instant_is_refused(text: Any) -> None:
    """A time without its offset among it."""
    with pytest.raises(Untrue, match="no time"):
        instant(text)
