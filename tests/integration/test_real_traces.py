"""Days that really were, from the public traces beside the repository; left out where they are not there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scheduler.errors import SettingsError
from scheduler.signals.replay import open_source

TRACES = Path(__file__).resolve().parents[2].parent / "shared" / "traces" / "power"
T0 = datetime(2026, 6, 1, tzinfo=UTC)

pytestmark = pytest.mark.skipif(not TRACES.is_dir(), reason=f"no power traces: {TRACES} is not there")

#: file, options, days that it plays, the row that it begins with
DAYS: list[tuple[str, dict[str, Any], float, str]] = [
    (
        "power_caiso_np15_high_curtailment_week",
        {"column": "Total_Curtailment_NP15_MW"},
        7.0,
        "Total_Curtailment_NP15_MW 84.9853 of 2024-04-01 00:00",
    ),
    (
        "power_caiso_np15_high_volatility_week",
        {"column": "Total_Curtailment_NP15_MW", "start": "2024-01-16", "hours": 24},
        1.0,
        "of 2024-01-16 00:00",
    ),
    (
        "power_aemo_sa1_5min_2023_2024",
        {"column": "RRP", "times": "end", "start": "2024-10-07", "hours": 24, "invert": True},
        1.0,
        "of 2024-10-07 00:00",
    ),
    (
        "power_de_hourly_2024_2026",
        {"column": "residual_load_mw_avg", "start": "2025-06-02", "hours": 168, "invert": True},
        7.0,
        "of 2025-06-02 00:00",
    ),
    (
        "solar_10cities_5min_1month",
        {"column": "Mumbai", "hours": 24},
        1.0,
        "Mumbai 0 of 1970-01-01 00:00",
    ),
    ("emerald_caiso_power_1min", {"column": "total"}, 445 / 1440, "total 92760.2 of 1970-01-01 14:00"),
    ("emerald_srp_power_1min", {"column": "total"}, 400 / 1440, "total 94172.9 of 2025-05-04 21:40"),
    (
        "power_caiso_mix_hourly_2020_2022",
        {"column": "power_production_solar_avg", "start": "2021-04-07", "hours": 48},
        2.0,
        "of 2021-04-07 00:00 (held: no value)",
    ),
]


@pytest.mark.parametrize("name, options, days, row", DAYS, ids=[d[0] for d in DAYS])
async def test_a_real_day_is_played(name: str, options: dict[str, Any], days: float, row: str) -> None:
    """Each file with its own spelling of time; the limit stays in its bounds and reaches the upper one."""
    plain = {"path": f"{name}.csv.gz", "max_w": 700_000.0, "min_w": 160_000.0, "speed": days * 1440}
    source = open_source("grid", plain | options, base=TRACES, reaction_s=30.0)
    seen = [
        await source.read(T0 + timedelta(seconds=s / 12)) for s in range(60 * 12)
    ]  # the whole trace in a minute
    segments = [segment for envelope in seen for segment in envelope.segments]
    assert {s.limit_w for s in segments} > {700_000.0}
    assert all(160_000.0 <= s.limit_w <= 700_000.0 for s in segments)
    assert segments[0].provenance.endswith(row)
    after_the_end = T0 + timedelta(seconds=60.1)
    assert (await source.read(after_the_end)).limit_at(after_the_end) is None


def test_a_table_without_time_is_refused() -> None:
    """A sweep of power caps is no day."""
    options = {"path": "emerald_dvfs_sweep.csv.gz", "column": "throughput", "max_w": 1.0}
    with pytest.raises(SettingsError, match=r"none of the columns .* reads as time; name time_column"):
        open_source("grid", options, base=TRACES, reaction_s=30.0)
