"""What is inside an emulated machine: watts that follow an order at their own pace, and hashes that follow them."""

from __future__ import annotations

import time
from collections.abc import Callable


class FastClock:
    """Time that runs `factor` times as fast as the wall's: a ramp of minutes takes a blink."""

    def __init__(self, factor: float = 400.0) -> None:
        self._factor = factor
        self._began_s = time.monotonic()

    def __call__(self) -> float:
        return (time.monotonic() - self._began_s) * self._factor


class Plant:
    """One machine's boards and power supply."""

    def __init__(
        self,
        *,
        nameplate_w: float = 3400.0,
        rest_w: float = 25.0,
        nameplate_th: float = 200.0,
        fall_w_per_s: float = 1700.0,
        rise_w_per_s: float = 60.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.nameplate_w = nameplate_w
        self.rest_w = rest_w
        self.nameplate_th = nameplate_th
        self.target_w = nameplate_w
        self.asleep = False
        self.is_deaf = False  #: says yes to everything, and goes on as it is
        self.is_dead = False  #: its boards no longer hash
        self.clock = clock or FastClock()
        self._fall_w_per_s = fall_w_per_s
        self._rise_w_per_s = rise_w_per_s
        self._from_w = nameplate_w
        self._at_s = self.clock()
        self._starts_at_s = 0.0
        self.booted_at_s = self._at_s - 86_400.0

    def aim_w(self) -> float:
        """Where its draw goes."""
        return self.rest_w if self.asleep or self.is_dead else self.target_w

    def draw_w(self) -> float:
        """What it draws now."""
        now_s, aim_w = self.clock(), self.aim_w()
        if aim_w <= self._from_w:
            return max(aim_w, self._from_w - self._fall_w_per_s * (now_s - self._at_s))
        rising_s = max(0.0, now_s - max(self._at_s, self._starts_at_s))
        return min(aim_w, self._from_w + self._rise_w_per_s * rising_s)

    def is_moving(self) -> bool:
        """Whether it runs and its draw is on its way."""
        return not self.asleep and abs(self.draw_w() - self.aim_w()) > 1.0

    def hashrate_th(self) -> float:
        """Slower than the watts, as chips are: the last watts bring the fewest hashes; the first 20 % bring none."""
        span_w = self.nameplate_w - self.rest_w
        part = (self.draw_w() - self.rest_w) / span_w
        return 0.0 if self.asleep or self.is_dead or part < 0.2 else self.nameplate_th * part**0.8

    def sleep(self) -> None:
        """Stop hashing."""
        self._order(asleep=True)

    def wake(self) -> None:
        """Hash again, at the last target."""
        self._order(asleep=False)

    def aim(self, target_w: float) -> None:
        """Draw this while awake."""
        self._order(target_w=target_w)

    def restart(self, boot_s: float, *, asleep: bool | None = None) -> None:
        """Its mining program, or all of it, starts anew: it draws its rest for `boot_s`, and then rises."""
        self._order(asleep=asleep)
        self._from_w = self.rest_w
        self._starts_at_s = self.clock() + boot_s
        self.booted_at_s = self.clock()

    def _order(self, *, asleep: bool | None = None, target_w: float | None = None) -> None:
        if self.is_deaf:
            return
        self._from_w = self.draw_w()
        self._at_s = self.clock()
        self.asleep = self.asleep if asleep is None else asleep
        self.target_w = self.target_w if target_w is None else target_w
