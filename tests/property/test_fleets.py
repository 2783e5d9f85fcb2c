"""What a group's machines are told holds at every step, whatever the target and however slowly they follow."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, strategies as st

from scheduler.core.fleets import AWAKE_W, next_targets_w
from scheduler.core.machines import MachineKind
from scheduler.core.orders import MinerReading

COUNT, STEPS = 5, 25
totals_w = st.lists(st.integers(0, 20_000), min_size=STEPS, max_size=STEPS)
waits_s = st.lists(st.sampled_from([0.2, 5.0, 100.0, 700.0]), min_size=STEPS, max_size=STEPS)


@st.composite
def kinds(draw: st.DrawFn) -> MachineKind:
    """Machines that can be trimmed, and such that cannot."""
    max_w = draw(st.integers(100, 4000))
    least_w = draw(st.none() | st.integers(1, max_w))
    return MachineKind(max_w=max_w, least_w=least_w, min_on_s=600.0, min_off_s=300.0)


class Fleet:
    """Machines that come a part of the way to their targets between two looks."""

    def __init__(self, kind: MachineKind) -> None:
        self.kind, self.now_s = kind, 1000.0
        self.miners = tuple(
            MinerReading(miner_id=f"m{i}", target_w=0.0, draw_w=0.0, joule_per_th=15.0 + i)
            for i in range(COUNT)
        )

    def told(self, total_w: float) -> dict[str, float]:
        """The next targets; they stand from now on."""
        targets_w = next_targets_w(self.kind, self.miners, total_w, boottime_s=self.now_s)
        self.miners = tuple(self._told(m, targets_w[m.miner_id]) for m in self.miners)
        return targets_w

    def wait(self, seconds: float, part: float) -> None:
        """Time passes, and they come this part of the way."""
        self.now_s += seconds
        self.miners = tuple(replace(m, draw_w=m.draw_w + part * (m.target_w - m.draw_w)) for m in self.miners)

    def charged_w(self) -> float:
        """What they may draw."""
        return sum(max(m.target_w, m.draw_w) for m in self.miners)

    def bound(self) -> set[str]:
        """Who may not be switched yet, but for what adding seconds rounds."""
        return {
            m.miner_id
            for m in self.miners
            if m.switched_boottime_s is not None
            and self.now_s - m.switched_boottime_s
            < (self.kind.min_on_s if m.target_w > AWAKE_W else self.kind.min_off_s) - 1e-6
        }

    def awake(self) -> set[str]:
        """Who was told to run."""
        return {m.miner_id for m in self.miners if m.target_w > AWAKE_W}

    def _told(self, miner: MinerReading, target_w: float) -> MinerReading:
        if (target_w > AWAKE_W) is (miner.target_w > AWAKE_W):
            return replace(miner, target_w=target_w)
        return replace(miner, target_w=target_w, switched_boottime_s=self.now_s)


@given(kinds(), totals_w, waits_s, st.floats(0.0, 1.0))
def test_nothing_is_raised_beyond_the_total_on_the_way(
    kind: MachineKind, totals: list[int], waits: list[float], part: float
) -> None:
    """What they may draw never grows beyond the total; what is above it only falls."""
    fleet = Fleet(kind)
    for total_w, wait_s in zip(totals, waits, strict=True):
        before_w = fleet.charged_w()
        targets_w = fleet.told(total_w)

        assert sum(targets_w.values()) <= total_w + 1e-6
        assert fleet.charged_w() <= max(total_w, before_w) + 1e-6
        assert kind.least_w is not None or set(targets_w.values()) <= {0.0, float(kind.max_w)}
        fleet.wait(wait_s, part)


@given(kinds(), totals_w, waits_s)
def test_nobody_is_cycled_too_soon_unless_the_total_demands_it(
    kind: MachineKind, totals: list[int], waits: list[float]
) -> None:
    """Who just fell asleep is never woken; who just woke sleeps only if the others' rest would not do."""
    fleet = Fleet(kind)
    for total_w, wait_s in zip(totals, waits, strict=True):
        bound, awake = fleet.bound(), fleet.awake()
        fleet.told(total_w)

        assert not bound & (fleet.awake() - awake)
        if bound & (awake - fleet.awake()):
            assert len(bound & awake) * (kind.least_w or kind.max_w) > total_w
            assert not fleet.awake() - awake
        fleet.wait(wait_s, 1.0)


@given(kinds(), totals_w, waits_s)
def test_asking_again_changes_nothing(kind: MachineKind, totals: list[int], waits: list[float]) -> None:
    """Once they follow, the same total tells them the same; so does what they have landed on."""
    fleet = Fleet(kind)
    for total_w, wait_s in zip(totals, waits, strict=True):
        for _ in range(2):
            fleet.told(total_w)
            fleet.wait(0.0, 1.0)
        targets_w = fleet.told(total_w)
        fleet.wait(0.0, 1.0)

        assert fleet.told(total_w) == targets_w
        assert fleet.told(sum(targets_w.values())) == targets_w
        fleet.wait(wait_s, 1.0)
