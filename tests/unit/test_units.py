"""Watts as people write them, and quantities as people read them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from barq.errors import InvalidInput
from barq.units import format_ago, format_duration, format_energy, format_power, parse_power_w

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text,power_w",
    [
        ("200kW", 200e3),
        ("1.5 MW", 1.5e6),
        ("350W", 350),
        ("350 w", 350),
        (" 2KW ", 2e3),
        ("0kW", 0),
        ("0.1kW", 100),
        ("1GW", 1e9),
    ],
)
def test_a_power_is_a_number_and_a_unit(text: str, power_w: float) -> None:
    """What an operator would write for a limit is understood, exactly."""
    assert parse_power_w(text) == power_w


@pytest.mark.parametrize(
    "text", ["200", "", "kW", "-5kW", "5mW", "5mw", "1,5MW", "1e3W", "5kWh", "5 k W", "\u0665kW"]
)
def test_a_doubtful_power_is_refused(text: str) -> None:
    """No unit, a milliwatt, a sign or a decimal comma is refused by field, value and remedy."""
    with pytest.raises(InvalidInput, match=r"such as 350W, 200kW or 1\.5MW") as caught:
        parse_power_w(text, field="POWER")

    assert (caught.value.field, caught.value.value) == ("POWER", text)


def test_an_absurd_power_is_refused() -> None:
    """A limit of a thousand gigawatts is a slip of the finger."""
    with pytest.raises(InvalidInput, match="write at most 1000 GW"):
        parse_power_w("1001GW")


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes the reader fail in any other way."""
    with suppress(InvalidInput):
        assert parse_power_w(text) >= 0


@pytest.mark.parametrize(
    "power_w,text",
    [
        (0, "0 W"),
        (0.4, "0 W"),
        (350.4, "350 W"),
        (999.6, "1 kW"),
        (1000, "1 kW"),
        (1499.9, "1.5 kW"),
        (12_345, "12.3 kW"),
        (412_000, "412 kW"),
        (999_949, "1 MW"),
        (1_250_000, "1.25 MW"),
        (-2000, "-2 kW"),
        (3e9, "3 GW"),
    ],
)
def test_power_reads_in_three_digits(power_w: float, text: str) -> None:
    """Three significant digits and the prefix that fits; whole watts below a kilowatt."""
    assert format_power(power_w) == text


def test_energy_reads_as_power_does() -> None:
    """Watt-hours have the same prefixes."""
    assert [format_energy(energy_wh) for energy_wh in (12, 1234, 5e6)] == ["12 Wh", "1.23 kWh", "5 MWh"]


@given(st.floats(min_value=0, max_value=1e12))
def test_a_power_that_is_shown_can_be_written(power_w: float) -> None:
    """What is printed reads back as the same power to three digits, or to half a watt."""
    assert parse_power_w(format_power(power_w)) == pytest.approx(power_w, rel=0.0051, abs=0.51)


@pytest.mark.parametrize(
    "duration_s,text",
    [
        (0, "0 s"),
        (0.05, "0.1 s"),
        (5, "5 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3601, "1 h"),
        (5400, "1 h 30 min"),
        (90_061, "1 d 1 h"),
        (-61, "-1 min 1 s"),
    ],
)
def test_a_duration_reads_in_two_units(duration_s: float, text: str) -> None:
    """The two largest units that matter."""
    assert format_duration(duration_s) == text


@pytest.mark.parametrize(
    "before_s,text",
    [
        (0.5, "now"),
        (1, "1 s ago"),
        (119, "1 min ago"),
        (7200, "2 h ago"),
        (200_000, "2 d ago"),
        (-1200, "in 20 min"),
    ],
)
def test_an_age_reads_in_its_largest_unit(before_s: float, text: str) -> None:
    """Past and future moments are told from now."""
    assert format_ago(NOON - timedelta(seconds=before_s), NOON) == text
