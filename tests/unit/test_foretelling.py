"""What people see of the limit to come."""

from __future__ import annotations

from datetime import timedelta

from scheduler.foretelling import forecast_document
from tests.builders import site


def test_a_drop_between_two_rows_is_told_by_the_row_before() -> None:
    """Whoever reads the hours sees the least that each has, and not only how it begins."""
    built = site().node().limit_w(9000).falls_to_w(2000, in_s=1900).falls_to_w(7000, in_s=3500)
    snapshot = built.snapshot()

    def told_w(step: timedelta) -> list[float]:
        return [row["p50_w"] for row in forecast_document(snapshot, None, step=step)["rows"]]

    assert told_w(timedelta(hours=1))[:3] == [2000, 7000, 7000]
    assert told_w(timedelta(minutes=15))[:6] == [9000, 9000, 9000, 2000, 7000, 7000]
