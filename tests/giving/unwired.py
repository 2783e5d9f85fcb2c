"""What no wire is needed for: a standing limit, a made-up day, and limits that people set."""

from __future__ import annotations

from scheduler.core.envelope import Envelope, Segment
from scheduler.ports import LimitSource
from scheduler.signals import constant, synthetic_day
from scheduler.signals.manual import SOURCE
from scheduler.signals.synthetic_day import DAY_S, STEP_S, Season
from scheduler.sim.clock import us
from tests.giving.giver import REACTION_S, Fetched, Giver, Scene, at_of, iso
from tests.giving.plan import Doc
from tests.giving.truth import Truth

SPEED = 60.0
RETRY_S = 3.0


class Contract(Giver):
    """`constant`: all that the site can have."""

    name = "constant"

    def _truth(self) -> Truth:
        return Truth(firm_w=self.scene.firm_w, stale_after_s=None)

    def begin(self) -> None:
        self.messages = 1
        self.truth.say(((0, self.scene.top_w),), stamp_us=0, heard_us=0)

    def open(self) -> LimitSource:
        options = {"limit_w": self.scene.top_w}
        return constant.open_source(self.name, options, base=self.scene.base, reaction_s=REACTION_S)


class MadeUpDay(Fetched):
    """`synthetic_day`, a day in half an hour or more, again and again, with as many withdrawals as it can have."""

    name = "synthetic_day"
    troubles = ()

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._speed = SPEED * scene.pace.busy
        self._day = synthetic_day.synthetic_day(scene.seed, Season.SUMMER, withdrawals=12)

    def _publish(self, _: object) -> None:
        self.standing.publish(self._now(), self.now_us)

    def _now(self) -> Doc:
        into_s = (self.now_us / 1e6 * self._speed) % DAY_S
        step = [s for s in self._day if s.at_s <= into_s][-1]
        started_us = self.now_us - us((into_s - step.at_s) / self._speed)
        return ((started_us, max(self.scene.firm_w, step.share * self.scene.top_w)),)

    def begin(self) -> None:
        """Right after each step: one that is seen too late would be taken for a rise that nobody allowed."""
        at_us, number = 0, 0
        while at_us < self.scene.end_us:
            self.at(at_us, self._publish)
            number += 1
            at_us = us(number * STEP_S / self._speed) + 1

    def open(self) -> LimitSource:
        options = {
            "max_w": self.scene.top_w,
            "min_w": self.scene.firm_w,
            "seed": self.scene.seed,
            "speed": self._speed,
            "withdrawals": 12,
            "loop": True,
            "began_at": iso(0),
        }
        return synthetic_day.open_source(self.name, options, base=self.scene.base, reaction_s=REACTION_S)


class Operator(Giver):
    """`manual`: limits of a person, in the store. One who is told that it is down tries again."""

    name = SOURCE

    def _truth(self) -> Truth:
        return Truth(firm_w=self.scene.firm_w, stale_after_s=None)

    def begin(self) -> None:
        self.truth.say(((0, self.scene.top_w),), stamp_us=0, heard_us=0)
        for step in self.plan.steps:
            self.at(step.at_us, self._set)

    def open(self) -> LimitSource | None:
        return None

    def _set(self, _: object) -> None:
        store, now_us = self.scene.store, self.now_us
        if not store.up:
            self.at(now_us + us(RETRY_S), self._set)
            return
        self.messages += 1
        at, limit_w = at_of(now_us), self.plan.shown(now_us)[0][1]
        by_hand = Envelope(
            source=SOURCE,
            issued_at=at,
            read_at=at,
            reaction_s=REACTION_S,
            segments=(Segment(starts_at=at, limit_w=limit_w, provenance="work on the feeder", giver_id="7"),),
        )
        store.limit(*([by_hand] if limit_w < self.scene.top_w else []))
        self.truth.say(((now_us, limit_w),), stamp_us=now_us, heard_us=now_us)
        self.scene.wake()
