"""Forecasts of the limit from its history: whether their library is there."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from barq.doctor.finding import Finding, ok, warn
from barq.doctor.place import Place


def forecasts(_place: Place) -> Finding:
    """The installed version, without importing it: that takes a second."""
    try:
        installed = version("scikit-learn")
    except PackageNotFoundError:
        return warn(
            "forecast",
            "scikit-learn is not installed",
            "the limit is not forecast from its history; a site runs without that",
            "pip install 'barq[forecast]'",
        )
    return ok("forecast", f"scikit-learn {installed}")
