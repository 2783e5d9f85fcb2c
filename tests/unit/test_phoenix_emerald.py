"""Emerald's files are read as they are, and what is wrong with one is named by file, line and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler.errors import SignalError
from scheduler.sim.phoenix.emerald import (
    FILES,
    PERFORMANCE,
    SRP_POWER,
    SWEEP,
    JobPerformance,
    SweepPoint,
    missing,
    read_emerald,
    read_performance,
    read_power,
    read_sweep,
)
from tests.phoenix_data import write_files


def test_all_four_files_are_read(tmp_path: Path) -> None:
    """With both spellings of time, GPUs counted from the sweep's totals, and the row of the mean left out."""
    data = read_emerald(write_files(tmp_path))

    assert (data.srp.draws_w[0], len(data.srp.draws_w)) == (6000.0, 60)
    assert data.srp.starts_at.isoformat() == "2025-05-04T21:00:00+00:00"
    assert (data.caiso.starts_at.hour, data.caiso.mean_w(1, 3)) == (14, 5001.5)
    assert data.sweep[0] == SweepPoint(workload="train", cap_w=100.0, speed=0.2, draw_w=100.0, gpus=8)
    assert data.performance == (JobPerformance(job="train-x", workload="train", speed=0.6, tier=3),)


def test_missing_files_are_named(tmp_path: Path) -> None:
    """So that a person knows which to fetch; nothing is said where all are there."""
    assert all(name in missing(tmp_path) for name in FILES)
    write_files(tmp_path)
    assert missing(tmp_path) == ""
    (tmp_path / SWEEP).unlink()
    assert missing(tmp_path) == f"{tmp_path}: there is no {SWEEP}"


@pytest.mark.parametrize(
    "name, old, new, error",
    [
        (
            SRP_POWER,
            "14:03:00-07:00,6003",
            "14:03:00-07:00,x",
            r"line 5: column 'total': 'x': write a number",
        ),
        (SRP_POWER, "14:03:00-07:00,6003", "14:03:00-07:00,-6003", r"line 5: column 'total'"),
        (SRP_POWER, "14:03:00-07:00,6003", "14:09:00-07:00,6003", r"line 5: column 'timestamp'.*one minute"),
        (SRP_POWER, "timestamp,", "when,", r"no column 'timestamp'"),
        (SRP_POWER, "2025-05-04 14:00:00-07:00", "noon", r"column 'timestamp': 'noon' is no time"),
        (
            SWEEP,
            "train,200.0,0.6,1600.0",
            "train,200.0,0.6,1700.0",
            r"line 3: column 'total GPU power': '1700'",
        ),
        (SWEEP, "0.6,200.0\n", "nan,200.0\n", r"line 3: column 'normalized throughput': 'nan'"),
        (PERFORMANCE, "Flex 3", "Flex 9", r"line 2: column 'Flexibility': 'Flex 9': write Flex 0 to Flex 4"),
        (PERFORMANCE, "train-x ,0.6", "train-x ,fast", r"line 2: column 'Performance': 'fast'"),
        (PERFORMANCE, "Flex 3", "", r"column 'Flexibility': no row has one"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, old: str, new: str, error: str) -> None:
    """File, line, column, the value and what to do about it."""
    path = write_files(tmp_path) / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))

    with pytest.raises(SignalError, match=error) as raised:
        read_emerald(tmp_path)
    assert name in str(raised.value)


@pytest.mark.parametrize("read, name", [(read_power, SRP_POWER), (read_sweep, SWEEP)])
def test_a_file_without_rows_is_refused(tmp_path: Path, read: object, name: str) -> None:
    """A header alone is no day and no sweep."""
    path = write_files(tmp_path) / name
    path.write_text(path.read_text().partition("\n")[0] + "\n")

    with pytest.raises(SignalError, match=name):
        read(path)  # type: ignore[operator]


def test_a_tier_needs_a_job(tmp_path: Path) -> None:
    """A name without a run id is its own workload."""
    path = write_files(tmp_path) / PERFORMANCE
    path.write_text("Model,Performance,Flexibility\nplain,1.0,Flex 1\n")

    assert read_performance(path)[0].workload == "plain"
