"""Mining partners whose machines run whole, round by round: what their groups are told, and what they are owed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.core.credit import Owed
from scheduler.core.decide import Decision, shed
from scheduler.core.entitlement import charged_w
from scheduler.core.fleets import AWAKE_W, next_targets_w
from scheduler.core.ledger import reported
from scheduler.core.machines import MachineKind
from scheduler.core.orders import GroupKind, GroupSpec, MinerReading
from scheduler.core.partners import Partner
from scheduler.core.snapshot import Snapshot
from tests.builders import T0, SiteBuilder

NODE_W = 600 + 4 * 55  #: a node of four GPUs with nothing on it
WHOLE = MachineKind(max_w=3500, min_on_s=600.0, min_off_s=300.0)


class MachineSite(SiteBuilder):
    """A site whose miner groups are machines that obey at once."""

    owed: Owed | None = None

    def machines(self, name: str, count: int = 3, kind: MachineKind = WHOLE) -> MachineSite:
        """A group of them, asleep for long."""
        spec = GroupSpec(
            group_id=name, kind=GroupKind.MINERS, base_w=0.0, miners_max_w=count * kind.max_w, machine=kind
        )
        self._group(spec)
        asleep = [MinerReading(miner_id=f"{name}{i}", target_w=0.0, draw_w=0.0) for i in range(count)]
        self.groups[name] = replace(self.groups[name], miners=tuple(asleep))
        return self

    def snapshot(self) -> Snapshot:
        """With what is owed, and the guards' clocks."""
        groups = {n: replace(g, reported_boottime_s=self._boottime_s()) for n, g in self.groups.items()}
        return replace(super().snapshot(), owed=self.owed, groups=groups)

    def decided(self, *, obeyed: bool = True) -> Decision:
        """And the guards choose the machines."""
        known = {n: g.miners for n, g in self.groups.items()}
        decision = super().decided(obeyed=obeyed)
        self.owed = decision.owed
        for name, group in self.groups.items():
            if group.spec.machine is not None:
                self._follow(name, known[name])
        return decision

    def awake(self) -> dict[str, int]:
        """Machines that run, by group."""
        return {
            n: sum(m.target_w > AWAKE_W for m in g.miners) for n, g in self.groups.items() if g.spec.machine
        }

    def _boottime_s(self) -> float:
        return 5000.0 + (self.at - T0).total_seconds()

    def _follow(self, name: str, miners: tuple[MinerReading, ...]) -> None:
        group, now_s = self.groups[name], self._boottime_s()
        targets_w = next_targets_w(WHOLE, miners, group.miners_target_w, boottime_s=now_s)
        followed = tuple(_told(m, targets_w[m.miner_id], now_s) for m in miners)
        charge_w = charged_w(group.spec, (), followed)
        account = reported(group.account, fence=group.account.sent, charged_w=charge_w, at=self.at)
        self.groups[name] = replace(group, miners=followed, draw_w=charge_w, account=account)


def _told(miner: MinerReading, target_w: float, now_s: float) -> MinerReading:
    switches = (target_w > AWAKE_W) is not (miner.target_w > AWAKE_W)
    switched_s = now_s if switches else miner.switched_boottime_s
    return replace(miner, target_w=target_w, draw_w=target_w, switched_boottime_s=switched_s)


def shared(surplus_w: float, *weights: int, **policy: object) -> MachineSite:
    """A node, a partner with three machines for each weight, and so much surplus."""
    partners = tuple(
        Partner(partner_id=name, groups=(name,), weight=weight)
        for name, weight in zip("abc", weights, strict=False)
    )
    built = MachineSite(partners=partners, **policy)
    built.node()
    for partner in partners:
        built.machines(partner.partner_id)
    built.limit_w(NODE_W + surplus_w)
    return built


def targets(built: SiteBuilder) -> dict[str, float]:
    """Of the miner groups."""
    return {gid: g.miners_target_w for gid, g in built.groups.items() if g.spec.miners_max_w}


def test_a_group_is_told_what_its_machines_can_land_on() -> None:
    """5 kW for each are one machine and a half: what is left makes one more, for one of them."""
    built = shared(12_000, 1, 1)
    built.settles()

    assert sorted(targets(built).values()) == [3500, 7000]
    assert sorted(built.awake().values()) == [1, 2]


def test_without_partners_the_machines_of_all_groups_are_the_sites_own() -> None:
    """Each takes what fits, none gets half a machine."""
    built = MachineSite().machines("m1").machines("m2")
    built.node()
    built.limit_w(NODE_W + 11_000)
    built.settles()

    assert sum(targets(built).values()) == 10_500
    assert sum(built.awake().values()) == 3


def test_a_part_of_a_watt_costs_no_machine() -> None:
    """7 kW in three parts are two machines."""
    built = MachineSite().machines("m1").machines("m2").machines("m3")
    built.node()
    built.limit_w(NODE_W + 7000)
    built.settles()

    assert sum(built.awake().values()) == 2


def test_who_got_less_is_owed_and_gets_its_turn() -> None:
    """One machine's worth for two: in two days both had it for half of the time, in turns of hours."""
    built, hours, turns = shared(3600, 1, 1), {"a": 0, "b": 0}, 0
    last = None
    for _ in range(48):
        built.settles()
        awake = [n for n, count in built.awake().items() if count]
        assert len(awake) == 1
        turns += awake[0] != last
        last = awake[0]
        hours[last] += 1
        built.passes(3600.0)

    assert hours["a"] == pytest.approx(24, abs=3)
    assert 6 <= turns <= 30
    assert built.owed is not None
    assert sum(built.owed.credit_ws.values()) == 0


def test_a_leader_that_knows_of_no_debts_begins_without() -> None:
    """What is owed is all in the snapshot."""
    built = shared(3600, 1, 1)
    built.settles().passes(3600.0)
    built.decided()
    assert built.owed is not None
    assert set(built.owed.credit_ws.values()) != {0}

    built.owed = None
    assert built.decided().owed == Owed(at=built.at, shares_w={"a": 1800, "b": 1800})


def test_ai_waits_for_a_machine_that_just_woke_and_no_longer() -> None:
    """Until its minimum time on is over; the decision says when to look again."""
    built = shared(3600, 1)
    built.settles()
    assert built.awake() == {"a": 1}

    built.passes(60.0).job("j", gpus=4)
    decision = built.decided()
    assert built.awake() == {"a": 1}
    assert built.jobs["j"].state == "PENDING"
    assert decision.wake_at is not None
    assert 0 <= (decision.wake_at - T0).total_seconds() - 600 < 1

    built.passes(541.0).settles()
    assert built.awake() == {"a": 0}
    assert [a.job_id for a in built.attempts.values() if a.phase == "run"] == ["j"]


def test_a_limit_waits_for_nobody() -> None:
    """What the limit demands sleeps at once, just woken or not."""
    built = shared(7200, 1, 1)
    built.settles()
    built.passes(60.0).limit_w(NODE_W + 4000)

    decision = shed(built.snapshot())
    assert decision is not None
    assert sorted(decision.miners_w.values()) == [0, 3500]


def test_of_those_that_a_cut_may_choose_it_takes_one_that_has_run_long_enough() -> None:
    """B's machine woke a minute ago, A's long ago."""
    built = shared(3600, 1)
    built.settles().passes(3600.0)
    built.site = replace(
        built.site, partners=(*built.site.partners, Partner(partner_id="b", groups=("b",), weight=1))
    )
    built.machines("b")
    built.limit_w(NODE_W + 7200)
    built.settles().passes(60.0)
    assert built.awake() == {"a": 1, "b": 1}

    built.limit_w(NODE_W + 4000)
    decision = shed(built.snapshot())
    assert decision is not None
    assert decision.miners_w == {"a": 0, "b": 3500}


def test_after_a_cut_by_tiers_those_that_still_run_go_on() -> None:
    """B, of the larger tier, has just been told to sleep: what it is due meanwhile is mined by A, not lost."""
    built = shared(21_600, 1, 1)
    a, b = built.site.partners
    built.site = replace(built.site, partners=(replace(a, tier=1), b))
    built.settles().passes(3600.0)
    assert built.awake() == {"a": 3, "b": 3}

    built.limit_w(NODE_W + 10_600)
    assert built.decided().miners_w == {"a": 10_500, "b": 0}
    built.passes(10.0).decided()
    assert built.awake() == {"a": 3, "b": 0}

    built.passes(300.0).settles()
    assert built.awake() != {"a": 3, "b": 0}, "B is due its half once its machines may wake"


def test_of_one_tier_who_is_owed_most_gives_way_last() -> None:
    """B has been curtailed more than C: the cut takes C's machines, then B's, then A's of the smaller tier."""
    built = shared(31_600, 1, 1, 1)
    a, b, c = built.site.partners
    built.site = replace(built.site, partners=(replace(a, tier=1), b, c))
    built.settles().passes(3600.0)
    built.owed = Owed(at=built.at, credit_ws={"a": -(10**8), "b": 10**8, "c": 0}, shares_w={})

    for surplus_w, left in ((22_000, (3, 3, 0)), (15_000, (3, 1, 0)), (7500, (2, 0, 0))):
        built.limit_w(NODE_W + surplus_w)
        decision = shed(built.snapshot())
        assert decision is not None
        assert decision.miners_w == {n: 3500.0 * k for n, k in zip("abc", left, strict=True)}


def test_one_that_is_not_heard_of_leaves_its_part_to_the_others() -> None:
    """Its machines are as they are, and nothing is planned with them."""
    built = shared(7200, 1, 1)
    snapshot = built.snapshot()
    silent = replace(snapshot.groups["a"], reported_at=T0 - timedelta(seconds=30))
    decision = built.policy.decide(replace(snapshot, groups={**snapshot.groups, "a": silent}))

    assert decision.miners_w == {"a": 0.0, "b": 7000.0}
