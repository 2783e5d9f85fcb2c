"""How Hypothesis, signals and the garbage collector behave in this suite."""

from __future__ import annotations

import gc
import os
import signal

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "here",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # that would be the machine, and what else it does
    print_blob=True,
)
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)  # the same cases each time
settings.register_profile("worlds", settings.get_profile("here"), max_examples=10_000)  # as `make worlds`
settings.load_profile("ci" if os.environ.get("CI") else "here")

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # as under `make test &`: children would never see a Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Thousands of tests and all modules live to the end: no look for garbage goes through them again."""
    gc.collect()
    gc.freeze()
