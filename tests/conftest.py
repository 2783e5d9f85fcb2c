"""How Hypothesis, signals and the garbage collector behave in this suite, and what may run beside what."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator

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


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Whole sites, marked `site`, are one group: with several workers only one of them stands at a time.

    It is by far the longest group, so it goes first. What shares a file shares its fixtures: a group each. Groups have
    to be there before pytest-xdist reads them, and the order is made when all others have made theirs.
    """
    for item in items:
        group = "site" if _is_site(item) else item.location[0]
        item.add_marker(pytest.mark.xdist_group(group))
    yield
    items.sort(key=lambda item: not _is_site(item))


def _is_site(item: pytest.Item) -> bool:
    return item.get_closest_marker("site") is not None
