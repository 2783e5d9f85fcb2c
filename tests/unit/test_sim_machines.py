"""Simulated days of partners whose machines run whole."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from scheduler.core.decide import Decision, PowerAware
from scheduler.core.fleets import AWAKE_W
from scheduler.core.machines import MachineKind
from scheduler.core.partners import Partner as Owner
from scheduler.core.snapshot import Snapshot
from scheduler.sim.fault_rates import FaultRates
from scheduler.sim.faulty import Faulty
from scheduler.sim.outcome import RunOutcome
from scheduler.sim.site import Partner, SimSite
from scheduler.sim.trial import SITE as TRIAL_SITE, trial_case
from scheduler.sim.workload import PowerTrace
from tests.simulated import SITE, busy_day, power, simulated
from tests.two_minds import TwoMinds

DAYS, DAY_S = 3.0, 86_400.0
KIND = MachineKind(max_w=3500, least_w=2200, min_on_s=600.0, min_off_s=300.0)
OWNERS = (
    Owner(partner_id="five", weight=5, groups=("m1",)),
    Owner(partner_id="three", weight=3, groups=("m2",)),
)
FLEETS = replace(
    SITE,
    partners=tuple(Partner(name=n, max_w=8 * 3500.0, machine=KIND) for n in ("m1", "m2")),
    owners=OWNERS,
)
MOST_W = 16 * 3500.0


@dataclass
class Watch:
    """Barq's own policy, and who was told to run or to sleep when."""

    name: str = "watch"
    switched_s: dict[str, list[float]] = field(default_factory=dict)  #: a wake first, then in turns
    policy: PowerAware = field(default_factory=lambda: PowerAware(explains=False))

    def shed(self, snapshot: Snapshot) -> Decision | None:
        """As Barq."""
        self._look(snapshot)
        return self.policy.shed(snapshot)

    def decide(self, snapshot: Snapshot) -> Decision:
        """As Barq."""
        self._look(snapshot)
        return self.policy.decide(snapshot)

    def too_soon_s(self) -> set[float]:
        """When a machine slept that had not run for its time. Fails where one woke too soon."""
        early = set()
        for times_s in self.switched_s.values():
            for number, (before_s, at_s) in enumerate(pairwise(times_s)):
                slept = number % 2 == 0
                if slept and at_s - before_s < KIND.min_on_s - 1e-3:
                    early.add(at_s)
                assert slept or at_s - before_s >= KIND.min_off_s - 1e-3
        return early

    def _look(self, snapshot: Snapshot) -> None:
        for miner in (m for g in snapshot.groups.values() for m in g.miners):
            known = self.switched_s.setdefault(miner.miner_id, [])
            at_s = miner.switched_boottime_s
            if at_s is not None and at_s not in known[-1:]:
                assert (miner.target_w > AWAKE_W) is (len(known) % 2 == 0), "no switch was missed"
                known.append(at_s)


def changing(seed: int) -> PowerTrace:
    """A limit that jumps every quarter of an hour to two hours, up and down and without notice."""
    chance, at_s = random.Random(seed), 0.0
    steps = []
    while at_s < DAYS * DAY_S:
        steps.append((at_s, chance.uniform(15_000.0, 45_000.0)))
        at_s += chance.choice([900.0, 1800.0, 3600.0, 7200.0])
    return power(*steps)


@pytest.fixture(scope="module")
def days() -> tuple[RunOutcome, Watch]:
    """Three of them."""
    watch = Watch()
    return simulated([], changing(1), hours=DAYS * 24, site=FLEETS, policy=watch), watch


def spans(outcome: RunOutcome) -> list[tuple[float, float]]:
    """Seconds and limit of each interval."""
    ends_s = [*(i.starts_s for i in outcome.intervals[1:]), outcome.window_s]
    return [(end_s - i.starts_s, i.limit_w) for i, end_s in zip(outcome.intervals, ends_s, strict=True)]


def test_partners_get_their_weights_in_whole_machines(days: tuple[RunOutcome, Watch]) -> None:
    """5 to 3 of what is mined, within one percent."""
    outcome, _ = days
    mined: Counter[str] = Counter()
    for i, (seconds, _limit_w) in zip(outcome.intervals, spans(outcome), strict=True):
        mined.update({name: watts * seconds for name, watts in i.miners_w.items()})

    assert mined["m1"] / mined.total() == pytest.approx(5 / 8, rel=0.01)
    assert mined["m2"] / mined.total() == pytest.approx(3 / 8, rel=0.01)


def test_nearly_all_that_is_left_for_them_is_mined(days: tuple[RunOutcome, Watch]) -> None:
    """97 % of what their machines could take."""
    outcome, _ = days
    left_ws = mined_ws = 0.0
    for i, (seconds, limit_w) in zip(outcome.intervals, spans(outcome), strict=True):
        left_ws += min(limit_w - i.ai_w - i.idle_w, MOST_W) * seconds
        mined_ws += sum(i.miners_w.values()) * seconds

    assert mined_ws >= 0.97 * left_ws


def test_the_limit_is_kept_within_its_reaction_time(days: tuple[RunOutcome, Watch]) -> None:
    """What is over it is so only just after it fell."""
    outcome, _ = days
    falls_s = [b.starts_s for a, b in pairwise(outcome.intervals) if b.limit_w < a.limit_w]
    for i, (seconds, limit_w) in zip(outcome.intervals, spans(outcome), strict=True):
        if i.site_w > limit_w + 1e-6:
            assert any(
                at_s <= i.starts_s and i.starts_s + seconds <= at_s + outcome.reaction_s for at_s in falls_s
            )


def test_no_machine_is_cycled_too_soon_but_for_a_limit_that_falls(days: tuple[RunOutcome, Watch]) -> None:
    """Nobody ever wakes before its time; who sleeps before it does so in the second of a fall."""
    outcome, watch = days
    falls_s = {b.starts_s for a, b in pairwise(outcome.intervals) if b.limit_w < a.limit_w}

    assert sum(len(times_s) for times_s in watch.switched_s.values()) > 100
    assert all(any(0 <= at_s - fell_s <= 1.0 for fell_s in falls_s) for at_s in watch.too_soon_s())


def test_beside_ai_work_too_and_a_memory_changes_nothing() -> None:
    """Hours with jobs that come and go."""
    jobs, trace = busy_day(7, hours=3.0, jobs_per_hour=20.0)
    policy = TwoMinds()
    outcome = simulated(jobs, trace, hours=3.0, site=FLEETS, policy=policy)

    assert policy.wrong == []
    assert any(i.ai_w for i in outcome.intervals)
    assert any(sum(i.miners_w.values()) for i in outcome.intervals)


@pytest.mark.parametrize("seed", [2, 9])
def test_the_promises_hold_with_faults(seed: int) -> None:
    """Lost orders, dead hosts, machines that lie: the trial judges every step."""
    kind = MachineKind(max_w=350, least_w=220, min_on_s=60.0, min_off_s=30.0)
    site: SimSite = replace(
        TRIAL_SITE,
        partners=tuple(
            Partner(name=n, max_w=60.0 + 350.0 * count, base_w=60.0, machine=kind)
            for n, count in (("m1", 4), ("m2", 3))
        ),
        owners=OWNERS,
    )
    case = replace(trial_case(seed, 5.0), site=site)
    outcome = asyncio.run(Faulty(case, FaultRates()).run())

    assert any(i.miners_w["m1"] > 60.0 for i in outcome.intervals)
