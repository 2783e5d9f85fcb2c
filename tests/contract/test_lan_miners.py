"""A LAN of emulated machines, all firmwares mixed, keeps the contract of miner drivers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.miner_driver import MinerDriverContract
from tests.miners.lan import MIXED, Site, lan, watts_of
from workers.fleet.lan import LanMiners


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One machine of each firmware, found and asleep."""
    with lan() as net:
        for make in MIXED:
            net.add(make)
        with Site(net, tmp_path_factory.mktemp("lan")) as site:
            site.wait_for_sleep()
            yield site


class TestLanMiners(MinerDriverContract):
    """Machines of four firmwares as one driver."""

    @pytest.fixture
    def driver(self, site: Site) -> LanMiners:
        """All of them asleep again."""
        site.miners.set_targets(dict.fromkeys(site.miners.max_w(), 0.0))
        site.wait_for_sleep()
        return site.miners

    def test_rests_count_in_the_base_and_the_others_above_it(self, driver: LanMiners) -> None:
        """As the site file says, while all of them obey."""
        watts = watts_of(driver.now())

        assert watts.base_w == pytest.approx(len(MIXED) * 25.0)
        assert watts.miners_max_w == pytest.approx(len(MIXED) * 3375.0)
