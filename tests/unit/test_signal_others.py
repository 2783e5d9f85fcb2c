"""The small sources: a constant, limits by hand, the blueprint; and the simulated meter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scheduler.core.envelope import Envelope, Segment
from scheduler.core.snapshot import MeterReading
from scheduler.errors import MeterError, SettingsError, SignalError
from scheduler.signals import _blueprint
from scheduler.signals.constant import open_source as open_constant
from scheduler.signals.manual import Manual
from scheduler.signals.meter_simulated import SimulatedMeter, utc_now

T0 = datetime(2026, 6, 1, tzinfo=UTC)


def after(seconds: float) -> datetime:
    """So many seconds later."""
    return T0 + timedelta(seconds=seconds)


def by_hand(limit_w: float, *, from_s: float = 0.0, until_s: float | None = None) -> Envelope:
    """A limit that a person set."""
    return Envelope(
        source="operator",
        issued_at=after(from_s),
        read_at=after(from_s),
        reaction_s=20.0,
        segments=(Segment(starts_at=after(from_s), limit_w=limit_w, provenance=f"{limit_w:g} W"),),
        valid_until=None if until_s is None else after(until_s),
    )


async def test_a_constant_limit_has_always_been_and_will_be(tmp_path: Path) -> None:
    """It is never stale, and its provenance is the document's."""
    source = open_constant(
        "contract", {"limit_w": 12_000, "provenance": "clause 4"}, base=tmp_path, reaction_s=30.0
    )
    envelope = await source.read(T0)
    for at in (T0 - timedelta(days=9000), T0, T0 + timedelta(days=9000)):
        segment = envelope.limit_at(at)
        assert segment is not None
        assert (segment.limit_w, segment.provenance) == (12_000.0, "clause 4")
    assert envelope.stale_after_s is None


def test_a_constant_limit_below_nothing_is_refused(tmp_path: Path) -> None:
    """By name, field and value."""
    with pytest.raises(SettingsError, match=r"signals: contract: limit_w: .*at least 0, got -5"):
        open_constant("contract", {"limit_w": -5}, base=tmp_path, reaction_s=30.0)


async def test_without_limits_by_hand_nothing_is_said() -> None:
    """No segment is not a limit of zero."""
    envelope = await Manual(list, reaction_s=30.0).read(T0)
    assert (envelope.source, envelope.segments, envelope.valid_until) == ("operator", (), None)


async def test_of_several_limits_by_hand_the_lowest_holds() -> None:
    """And when it ends, the next lowest."""
    standing = [
        by_hand(5000.0),
        by_hand(1000.0, from_s=10, until_s=60),
        by_hand(3000.0, from_s=20, until_s=90),
    ]
    envelope = await Manual(lambda: standing, reaction_s=30.0).read(after(30))
    assert [((s.starts_at - T0).total_seconds(), s.limit_w) for s in envelope.segments] == [
        (10.0, 1000.0),
        (60.0, 3000.0),
        (90.0, 5000.0),
    ]
    assert (envelope.issued_at, envelope.reaction_s, envelope.valid_until) == (after(20), 20.0, None)


async def test_limits_by_hand_that_all_end_leave_nothing_behind() -> None:
    """The envelope ends with the last of them."""
    envelope = await Manual(
        lambda: [by_hand(1.0, until_s=60), by_hand(2.0, until_s=90)], reaction_s=30.0
    ).read(T0)
    assert envelope.valid_until == after(90)
    assert envelope.limit_at(after(90)) is None


async def test_the_blueprint_shows_how_to_fail(tmp_path: Path) -> None:
    """A source that gets nonsense says so, by name."""
    options = _blueprint.BlueprintOptions.model_construct(
        limit_w=float("nan"), reaction_s=None, stale_after_s=60.0
    )
    with pytest.raises(SignalError, match="mine: the limit is nan; check the device"):
        await _blueprint.Blueprint("mine", options, reaction_s=30.0).read(T0)


async def test_the_simulated_meter_shows_the_draw_of_now() -> None:
    """Each reading asks anew."""
    draws = iter([1000.0, 0.0])
    meter = SimulatedMeter(lambda: next(draws), now=lambda: T0)
    assert await meter.read() == MeterReading(draw_w=1000.0, measured_at=T0, source="simulated")
    assert (await meter.read()).draw_w == 0.0


@pytest.mark.parametrize("draw_w", [float("nan"), float("inf"), -1.0])
async def test_a_draw_that_cannot_be_is_no_reading(draw_w: float) -> None:
    """It would be believed otherwise."""
    with pytest.raises(MeterError, match="one of the groups reports nonsense"):
        await SimulatedMeter(lambda: draw_w).read()


def test_the_meters_own_clock_is_aware() -> None:
    """Real time, in UTC."""
    assert utc_now().utcoffset() == timedelta(0)
