"""A simulated miner group: follows its target, down and up after a while each."""

from __future__ import annotations

from typing import Any

from scheduler.core.inventory import Wish
from scheduler.core.orders import GuardReport, MinerReading
from scheduler.sim.clock import us
from scheduler.sim.guard import Leased


def reached_w(drawn_w: float, target_w: float, newest_w: float, *, is_stubborn: bool) -> float:
    """What draws `drawn_w` draws once the time is over that a target took, W; `newest_w` is the last that was told.

    A later one does not put off a fall. A rise is given up as far as it is above that.
    """
    if target_w < drawn_w:
        return drawn_w if is_stubborn else target_w
    return max(drawn_w, min(target_w, newest_w))


class SimMiners(Leased):
    """The miners of one partner. Until they follow a new target they draw by the old one."""

    def __init__(self, *args: Any, down_s: float, up_s: float, **kwargs: Any) -> None:  # noqa: ANN401 - as of `Leased`
        super().__init__(*args, **kwargs)
        self.target_w = 0.0
        self.mined_w = 0.0  #: what the miners themselves draw
        self._down_s, self._up_s = down_s, up_s
        self.is_stubborn = False  #: says OK to a lower target and goes on as before
        self._life = 0  #: how often power went: who fell with it follows no target of before
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
        if takes_s > 0:
            self.timeline.at(self.timeline.now_us + us(takes_s), self._arrive, (self._life, target_w))
        else:
            self._arrive((self._life, target_w))

    def draw_w(self) -> float:
        """What the group draws."""
        return 0.0 if self.is_dark else self.spec.base_w + self.mined_w

    def go_dark(self) -> None:
        """No power: nothing is drawn, and nothing heard."""
        self.is_dark, self.target_w, self.mined_w = True, 0.0, 0.0
        self._life += 1
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
        self._arrive((self._life, self.target_w))

    def _arrive(self, told: tuple[int, float]) -> None:
        life, target_w = told
        if life != self._life:
            return
        fell = target_w < self.mined_w
        self.mined_w = reached_w(self.mined_w, target_w, self.target_w, is_stubborn=self.is_stubborn)
        if fell:  # watts are free; a rise was counted with its target
            self.changed()
        else:
            self.risen += 1
            self._touched(self)
