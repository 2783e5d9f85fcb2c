"""A simulated miner group whose machines run whole: each is woken, put to sleep or trimmed as a guard would do it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from scheduler.core.fleets import AWAKE_W, fleet_of, next_targets_w
from scheduler.core.inventory import Wish
from scheduler.core.machines import MachineKind, free_at
from scheduler.core.orders import GuardReport, MinerReading, MinerWishes
from scheduler.sim.clock import us
from scheduler.sim.guard import Leased
from scheduler.sim.miners import reached_w


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """How many, of which kind, and how long one takes from a new target until it draws it."""

    kind: MachineKind
    count: int
    down_s: float
    up_s: float


class SimMachines(Leased):
    """The machines of one partner. Until one follows a new target it draws by the old one."""

    def __init__(self, *args: Any, machines: Machines, **kwargs: Any) -> None:  # noqa: ANN401 - as of `Leased`
        super().__init__(*args, **kwargs)
        self._machines = machines
        names = [f"{self.spec.group_id}-{i + 1}" for i in range(machines.count)]
        self._readings = self._at_rest(names)
        self._drawn_w = dict.fromkeys(names, 0.0)  #: by a true meter
        self._stubborn = False  #: says OK to a lower target, tells it as its draw, and goes on as before
        self._life = 0  #: how often power went: who fell with it follows no target of before
        self._look_us = -1
        self._wished: MinerWishes = ()  #: as the readings tell it

    def follow(self) -> None:
        """Go for the target that stands, in machines."""
        stands = self.standing()
        self._fell(stands)
        self._take_wishes()
        total_w = min(stands.miners_target_w, self.spec.miners_max_w)
        now_s = self.timeline.monotonic_s()
        readings = tuple(self._readings.values())
        targets_w = next_targets_w(self._machines.kind, readings, total_w, boottime_s=now_s)
        told = [m for m in readings if m.target_w != targets_w[m.miner_id]]
        for miner in told:
            self._tell(miner, targets_w[miner.miner_id], now_s)
        if told:
            self.changed()
        if sum(targets_w.values()) < total_w:
            self._look_again(now_s)

    def draw_w(self) -> float:
        """What the group draws."""
        return 0.0 if self.is_dark else self.spec.base_w + sum(self._drawn_w.values())

    def go_dark(self) -> None:
        """No power: nothing is drawn, and nothing heard."""
        self.is_dark = True
        self._life += 1
        at_rest = self._at_rest(self._readings)
        self._readings, self._drawn_w, self._wished = at_rest, dict.fromkeys(at_rest, 0.0), ()
        self._touched(self)

    def _at_rest(self, names: Iterable[str]) -> dict[str, MinerReading]:
        """Machines that tell as measured what the site file has of their kind."""
        joules = self._machines.kind.joule_per_th
        return {n: MinerReading(miner_id=n, target_w=0.0, draw_w=0.0, joule_per_th=joules) for n in names}

    def wake(self) -> None:
        """Power is back."""
        self.is_dark = False
        self.reboot()

    def report(self) -> GuardReport:
        """Everything, truthfully, but for the draw of those that do not obey."""
        miners = tuple(self._readings.values())
        return self._report(draw_w=self.spec.base_w + sum(m.draw_w for m in miners), miners=miners)

    def behave(self, *, stubborn: bool) -> None:
        """Obey no more, or again."""
        self._stubborn = stubborn
        if not stubborn:
            self._drawn_w = {m.miner_id: m.draw_w for m in self._readings.values()}
        self._touched(self)

    def _take_wishes(self) -> None:
        if (wished := self.wishes()) != self._wished:
            self._wished, wanted = wished, dict(wished)
            inherit = Wish.INHERIT
            self._readings = {n: replace(m, wish=wanted.get(n, inherit)) for n, m in self._readings.items()}
            self.changed()

    def _tell(self, miner: MinerReading, target_w: float, now_s: float) -> None:
        switches = (target_w > AWAKE_W) is not (miner.target_w > AWAKE_W)
        self._readings[miner.miner_id] = replace(
            miner,
            target_w=target_w,
            switched_boottime_s=now_s if switches else miner.switched_boottime_s,
        )
        takes_s = self._machines.down_s if target_w < miner.draw_w else self._machines.up_s
        if takes_s > 0:
            due_us = self.timeline.now_us + us(takes_s)
            self.timeline.at(due_us, self._arrive, (miner.miner_id, self._life, target_w))
        else:
            self._arrive((miner.miner_id, self._life, target_w))

    def _arrive(self, told: tuple[str, int, float]) -> None:
        name, life, target_w = told
        if life != self._life:
            return
        miner, drawn_w = self._readings[name], self._drawn_w[name]
        newest_w = miner.target_w
        said_w = reached_w(miner.draw_w, target_w, newest_w, is_stubborn=False)
        self._readings[name] = replace(miner, draw_w=said_w)
        self._drawn_w[name] = reached_w(drawn_w, target_w, newest_w, is_stubborn=self._stubborn)
        self.changed()
        if said_w < miner.draw_w:  # watts are free, for those that wait for them here too
            self.timeline.at(self.timeline.now_us, self._again, None)

    def _look_again(self, now_s: float) -> None:
        """When the next minimum time ends there may be more that fits."""
        now = self.timeline.now()
        fleet = fleet_of(self._machines.kind, tuple(self._readings.values()), now, boottime_s=now_s)
        ends_s = [(at - now).total_seconds() for at in free_at(fleet).values() if at > now]
        if not ends_s:
            return
        look_us = self.timeline.now_us + us(min(ends_s)) + 1
        if look_us < self._until_us and not self.timeline.now_us < self._look_us <= look_us:
            self._look_us = look_us
            self.timeline.at(look_us, self._again, None)

    def _again(self, _: None) -> None:
        if not self.is_dark:
            self.follow()
