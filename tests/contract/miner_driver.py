"""What every miner driver must do: a suite to derive from, with a fixture `driver` that makes one."""

from __future__ import annotations

import pytest

from scheduler.core.inventory import Condition
from tests.waiting import wait_for
from workers.miners.port import MinerDriver

RAMP_S = 60.0


class MinerDriverContract:
    """Derive, and give a fixture `driver` whose miners rest."""

    def test_each_miner_is_read(self, driver: MinerDriver) -> None:
        """There is one reading for each miner, at rest."""
        readings = driver.now().readings

        assert [r.miner_id for r in readings] == list(driver.max_w())
        assert all(r.target_w == 0 and r.draw_w == 0 for r in readings)

    def test_a_target_is_taken_and_followed(self, driver: MinerDriver) -> None:
        """The draw moves to the target, or as near below it as the miner can; down again it rests."""
        miner_id, max_w = next(iter(driver.max_w().items()))

        for target_w in (max_w * 0.75, 0.0):
            driver.set_targets({miner_id: target_w})
            taken_w = driver.now().readings[0].target_w
            assert taken_w == pytest.approx(target_w, abs=1.0)
            wait_for(
                lambda taken_w=taken_w: 0.8 * taken_w <= driver.now().readings[0].draw_w <= taken_w + 1.0,  # type: ignore[misc]
                timeout_s=RAMP_S,
                what="the miner draws its target",
            )

    def test_a_target_out_of_range_becomes_the_nearest(self, driver: MinerDriver) -> None:
        """No miner draws less than nothing or more than its nameplate, and it says what it took."""
        miner_id, max_w = next(iter(driver.max_w().items()))

        driver.set_targets({miner_id: max_w * 9})
        assert driver.now().readings[0].target_w == pytest.approx(max_w, abs=1.0)
        driver.set_targets({miner_id: -100.0})
        assert driver.now().readings[0].target_w == 0.0

    def test_many_are_told_at_once(self, driver: MinerDriver) -> None:
        """All targets stand when the call returns, however long the machines take."""
        driver.set_targets(driver.max_w())

        assert [r.target_w for r in driver.now().readings] == pytest.approx(
            list(driver.max_w().values()), abs=1.0
        )

    def test_its_machines_are_listed(self, driver: MinerDriver) -> None:
        """Each that can be told something is among the details, with watts at its plug."""
        details = {d.miner_id: d for d in driver.details()}

        for miner_id, max_w in driver.max_w().items():
            detail = details[miner_id]
            assert detail.nameplate_w - detail.rest_w == pytest.approx(max_w, abs=1.0)
            assert detail.condition is Condition.ASLEEP
        assert driver.alarms() == ()

    def test_the_miners_are_told_one_by_one(self, driver: MinerDriver) -> None:
        """A target for one leaves the others alone."""
        driver.set_targets({next(iter(driver.max_w())): 500.0})

        assert all(r.target_w == 0 for r in driver.now().readings[1:])

    def test_it_tells_since_when_a_miner_runs_or_sleeps(self, driver: MinerDriver) -> None:
        """Another target while it runs is no new start."""
        miner_id, max_w = next(iter(driver.max_w().items()))
        driver.set_targets({miner_id: max_w})
        woken_s = driver.now().readings[0].switched_boottime_s
        driver.set_targets({miner_id: max_w * 0.75})
        assert woken_s is not None
        assert driver.now().readings[0].switched_boottime_s == woken_s

        driver.set_targets({miner_id: 0.0})
        slept_s = driver.now().readings[0].switched_boottime_s
        assert slept_s is not None
        assert slept_s >= woken_s

    def test_an_unknown_miner_is_an_error(self, driver: MinerDriver) -> None:
        """Nobody tells what is not there."""
        with pytest.raises(KeyError):
            driver.set_targets({"no-such-miner": 100.0})
