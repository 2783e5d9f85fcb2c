"""A simulated miner group: follows its target, down and up after a while each."""

from __future__ import annotations

from typing import Any

from scheduler.core.inventory import Wish
from scheduler.core.orders import GuardReport, MinerReading
from scheduler.sim.clock import us
from scheduler.sim.guard import Leased


class SimMiners(Leased):
    """The miners of one partner. Until they follow a new target they draw by the old one."""

    def __init__(self, *args: Any, down_s: float, up_s: float, **kwargs: Any) -> None:  # noqa: ANN401 - as of `Leased`
        super().__init__(*args, **kwargs)
        self.target_w = 0.0
        self.mined_w = 0.0  #: what the miners themselves draw
        self._down_s, self._up_s = down_s, up_s
        self.is_stubborn = False  #: says OK to a lower target and goes on as before
        self._due_us = -1
        self._wish = Wish.INHERIT  #: they are told of as one, under the name of their group

    def follow(self) -> None:
        """Go for the target that stands."""
        stands = self.standing()
        self._fell(stands)
        wish = dict(self.wishes()).get(self.spec.group_id, Wish.INHERIT)
        if wish is not self._wish:
            self._wish = wish
            self.changed()
        target_w = 0.0 if wish is Wish.PAUSED else min(stands.miners_target_w, self.spec.miners_max_w)
        if target_w == self.target_w:
            return
        self.target_w = target_w
        self.changed()
        takes_s = self._down_s if target_w < self.mined_w else self._up_s
        self._due_us = self.timeline.now_us + us(takes_s)
        if takes_s > 0:
            self.timeline.at(self._due_us, self._arrive, self._due_us)
        else:
            self._arrive(self._due_us)

    def draw_w(self) -> float:
        """What the group draws."""
        return 0.0 if self.is_dark else self.spec.base_w + self.mined_w

    def go_dark(self) -> None:
        """No power: nothing is drawn, and nothing heard."""
        self.is_dark, self.target_w, self.mined_w, self._due_us = True, 0.0, 0.0, -1
        self._touched(self)

    def wake(self) -> None:
        """Power is back."""
        self.is_dark = False
        self.reboot()

    def report(self) -> GuardReport:
        """Everything, truthfully."""
        told_w = self.target_w if self.is_stubborn else self.mined_w
        reading = MinerReading(
            miner_id=self.spec.group_id, target_w=self.target_w, draw_w=told_w, wish=self._wish
        )
        return self._report(draw_w=self.spec.base_w + told_w, miners=(reading,))

    def behave(self, *, stubborn: bool) -> None:
        """Obey no more, or again."""
        self.is_stubborn = stubborn
        self._due_us = self.timeline.now_us
        self._arrive(self._due_us)

    def _arrive(self, due_us: int) -> None:
        if due_us != self._due_us:
            return
        fell = self.target_w < self.mined_w
        self.mined_w, self._due_us = max(self.target_w, self.mined_w if self.is_stubborn else 0.0), -1
        if fell:  # watts are free; a rise was counted with its target
            self.changed()
        else:
            self.risen += 1
            self._touched(self)
