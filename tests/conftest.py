"""How Hypothesis, signals and the garbage collector behave in this suite, and what may run beside what."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

#: Files whose tests start a whole site, or a Ray.
WHOLE_SITES: Final = frozenset(
    {
        "tests/browser/test_dashboard.py",
        "tests/integration/test_arrays.py",
        "tests/integration/test_lan_elsewhere.py",
        "tests/integration/test_lan_site.py",
        "tests/integration/test_many_nodes.py",
        "tests/integration/test_ray_cluster.py",
        "tests/integration/test_survival.py",
        "tests/integration/test_withdrawals.py",
    }
)

settings.register_profile(
    "here",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # that would be the machine, and what else it does
    print_blob=True,
)
settings.register_profile(
    "ci", settings.get_profile("here"), derandomize=True, max_examples=50
)  # the same cases each time, so that more of them find no more
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


class SitesOneByOne(LoadScopeScheduling):  # type: ignore[misc]  # the package carries no types
    """With several workers only one whole site stands at a time. What shares a file shares its fixtures."""

    def _split_scope(self, nodeid: str) -> str:
        file = _file_of(nodeid)
        return "whole sites" if file in WHOLE_SITES else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SitesOneByOne:
    """Who gives tests to workers: groups by a mark do not work with pytest-xdist 3.8 and pytest 9.2 together."""
    return SitesOneByOne(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Whole sites take by far the longest, so they go first: once all others have put tests in their order."""
    yield
    items.sort(key=lambda item: _file_of(item.nodeid) not in WHOLE_SITES)


def _file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]
