"""One machine of a LAN: what it was told, what it said, and what follows from both. No call here waits for anything."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from scheduler.core.condition import Evidence, Word, condition_of
from scheduler.core.escalation import Rung, Step, Verdict, look
from scheduler.core.fleets import AWAKE_W
from scheduler.core.inventory import Condition, Wish
from scheduler.core.machines import Trim
from scheduler.core.obedience import OutletSaid, Said, Sight, is_older
from scheduler.core.orders import MinerReading
from workers.fleet.config import LanConfig
from workers.fleet.firmware import Found
from workers.fleet.known import Known, Told, who
from workers.fleet.ordered import Ordered, today
from workers.miners.port import MachineReading, Miner, MinerState
from workers.miners.proof import REST_W, TOLERANCE, is_asleep
from workers.outlets.port import Outlet

_NEWS: Final = 0.05  #: an efficiency that changes by less is noise
_RAISED: Final = 0.02  #: a target above the nameplate by more was raised by its owner
_STEP_W: Final = 50.0
WAKE_AGAIN_S: Final = 15.0
TRIM_AGAIN_S: Final = 2.0
TRIM_S: Final = 30.0  #: a machine that is trimmed shows it by then, or is not trimmed any more;
DEAF_S: Final = 8.0  #: by then, if nothing of it has begun: as long as one has that is to sleep
_MOVES: Final = 0.98  #: of what it drew when it was told: one that draws less is on its way


class Unit(Ordered):
    """One machine."""

    def __init__(
        self,
        miner_id: str,
        known: Known,
        miner: Miner,
        config: LanConfig,
        *,
        told: Told | None = None,
        outlet: Outlet | None = None,
    ) -> None:
        super().__init__(miner_id, known, config, told=told, outlet=outlet)
        self.miner = miner
        self.outlet_said: OutletSaid | None = None
        self.reading: MachineReading | None = None
        self.missed = 0  #: calls without an answer since its last word
        self.is_shut = False  #: its trouble is that it did not let in who asked who it is
        self.complaint = ""  #: what went wrong last
        self.verdict: Verdict | None = None
        self.condition = Condition.LOST
        self.asked_at_s = 0.0  #: when an order last went out
        self._is_unheard = True  #: nobody had a word of it lately
        self._counted: MinerReading | None = None
        self._drew_w: float | None = None  #: when it was told what it is told now, if it ran then

    # -- what it was told ----------------------------------------------------------------------------------------

    def want(self, target_w: float, now_s: float) -> bool:
        """Take a target above its rest; True if it is another than before."""
        taken_w = self.taken_w(target_w)
        if taken_w == self.told.wanted_w:
            return False
        switches = (taken_w > AWAKE_W) is not self.is_to_work
        told = replace(self.told, wanted_w=taken_w, told_at_s=now_s)
        if switches:
            told = replace(told, switched_at_s=now_s)
        if switches and taken_w > AWAKE_W:
            told = replace(told, day=today(), cycles=self.cycles_today + 1)
        self._drew_w = self.draw_w if self.told.state is MinerState.RUNNING else None
        self.told = told
        self.verdict = None if self.verdict is None else self.judged(now_s)
        self._counted = None
        return True

    # -- what it said --------------------------------------------------------------------------------------------

    def hears(self, reading: MachineReading, asked_at_s: float) -> None:
        """Take in what it says of itself."""
        self.reading, self.missed, self.complaint = reading, 0, ""
        if (reading.target_w or 0.0) > self.nameplate_w * (1 + _RAISED):
            self.known = replace(self.known, nameplate_w=reading.target_w or 0.0)
        does = self._does(reading)
        may_grow = not does and reading.state in (MinerState.RAMPING, MinerState.FAULTED)
        is_vague = may_grow and (reading.draw_w or 0.0) <= self.nameplate_w
        said = Said(at_s=asked_at_s, obeys=does, draw_w=None if is_vague else reading.draw_w)
        self.told = replace(self.told, said=said, state=reading.state, joule_per_th=self._thrift(reading))

    def silent_s(self, now_s: float) -> float:
        """Since its last word."""
        return math.inf if self.told.said is None else now_s - self.told.said.at_s

    def misses(self, why: str) -> None:
        """It did not answer, or refused to."""
        self.missed += 1
        self.complaint = why

    def judge(self, now_s: float) -> Step:
        """What is due for it now."""
        verdict = self.verdict = self.judged(now_s)
        self._counted = None
        if verdict.record is not self.told.record:
            self.told = replace(self.told, record=verdict.record)
        self.condition = self._condition(now_s)
        self._is_unheard = self.silent_s(now_s) > self._rules.fresh_s
        if self.is_trimmed_in_vain and now_s - self.told.told_at_s > (DEAF_S if self.is_deaf else TRIM_S):
            self.spoil(now_s)
        return verdict.step

    def judged(self, now_s: float) -> Verdict:
        """How it is judged now; what was to be done about it is kept by `judge` alone."""
        return look(self.told.record, self._sight(now_s), self._rules)

    @property
    def is_trimmed_in_vain(self) -> bool:
        """Whether it is to run below its nameplate, and has not shown yet that it does."""
        said = self.told.said
        if not self.is_to_work or self.is_whole:
            return False
        return said is None or said.at_s < self.told.told_at_s or not said.obeys

    @property
    def is_deaf(self) -> bool:
        """Whether it ran, answers, and nothing of its trim has begun.

        A target in watts is told back by a machine that took it, long before its draw is there. A percentage is not,
        but the draw follows it at once.
        """
        reading, said, before_w = self.reading, self.told.said, self._drew_w
        if (
            reading is None
            or said is None
            or said.at_s < self.told.told_at_s
            or self.missed
            or before_w is None
        ):
            return False
        if self.identity.capabilities.percent is not None:
            return reading.draw_w is not None and reading.draw_w > before_w * _MOVES
        return reading.target_w is not None and reading.target_w > self.allowed_w * (1 + TOLERANCE)

    @property
    def again_s(self) -> float | None:
        """After how long it is told again, since it answers and does something else; None = it does as it was told.

        One that sleeps may be starting; one that does not know its trim is told that soon.
        """
        reading = self.reading
        if not self.is_to_work or reading is None or self.missed:
            return None
        if reading.state is MinerState.ASLEEP:
            return WAKE_AGAIN_S
        if self.identity.capabilities.percent is None and self.quick_watts is None:
            return None
        told_w, low = reading.target_w or 0.0, 1 - TOLERANCE
        if self.is_whole:
            return WAKE_AGAIN_S if 0 < told_w < self.nameplate_w * low else None
        return TRIM_AGAIN_S if told_w > self.allowed_w * (1 + TOLERANCE) else None

    @property
    def is_open(self) -> bool:
        """Whether it has still to show that it does what it was told."""
        return self.verdict is None or self.verdict.record.doubt_at_s is not None or self.is_trimmed_in_vain

    @property
    def is_late(self) -> bool:
        """Whether it was told again, and the next step of the ladder may be due at any moment."""
        return self.told.record.retried_at_s is not None

    @property
    def is_ruled(self) -> bool:
        """Whether it can be counted on to be told something. Who is not counts in the base of its group."""
        if (self.trouble and not self.is_switched) or self.is_fixed or self.verdict is None:
            return False
        if self.is_cut and self.verdict.counts_w <= self.rest_w:
            return True
        return self.condition is not Condition.LOST and self.verdict.rung is not Rung.ALARMED

    @property
    def counts_w(self) -> float:
        """What it may draw whatever it is told, at its plug."""
        worst_w = max(self.nameplate_w, self._last_draw_w)
        if self.verdict is None:
            return worst_w
        if self.is_cut or self.is_switched or not (self.trouble or self.is_fixed):
            return worst_w if self.is_trimmed_in_vain else self.verdict.counts_w
        return worst_w

    @property
    def fixed_w(self) -> float:
        """What it counts at in the base of its group while it is not ruled: figures that drift are no news there."""
        steps_w = math.ceil(self.counts_w / _STEP_W) * _STEP_W
        return steps_w if self.is_cut or self.counts_w > self.nameplate_w else self.nameplate_w

    @property
    def guessed_w(self) -> float:
        """Of what it counts at, what nobody read. One that its outlet puts to sleep may be ruled and not be read."""
        if self.is_ruled:
            return 0.0 if self.is_cut or not self._is_unheard else self.counts_w
        is_read = self.condition is not Condition.LOST and self.told.said is not None
        return max(0.0, self.fixed_w - self.draw_w) if is_read else self.fixed_w

    @property
    def in_doubt_w(self) -> float:
        """What may flow although it was told otherwise."""
        return max(0.0, self.counts_w - self._may_w) if self.is_open and not self.is_fixed else 0.0

    @property
    def miner_reading(self) -> MinerReading:
        """As the core counts it: above its rest. Made anew when it may be another."""
        if self._counted is None:
            self._counted = self._count()
        return self._counted

    def _count(self) -> MinerReading:
        least_w = self.least_w()
        return MinerReading(
            miner_id=self.miner_id,
            target_w=self.told.wanted_w,
            draw_w=max(0.0, (self.counts_w if self.in_doubt_w > 0 else self.draw_w) - self.rest_w),
            switched_boottime_s=self.told.switched_at_s,
            joule_per_th=self.told.joule_per_th,
            max_w=self.max_w,
            least_w=least_w,
            trim=Trim.NONE if least_w is None else Trim.WATTS,
            obeys=self.condition is not Condition.FAULTED or self.is_cut,
            is_worn=self.is_worn,
            wish=Wish.PROTECTED if self.is_switched else Wish.INHERIT,
        )

    @property
    def needs_target(self) -> bool:
        """Whether it would wake to another target than it should."""
        told_w = self.reading.target_w if self.reading is not None else None
        return not self.is_whole or (told_w is not None and told_w < self.nameplate_w * (1 - TOLERANCE))

    def found_again(self, found: Found, known: Known) -> None:
        """It was recognised anew: perhaps it is another machine now.

        If it is not, its trouble ends when it takes an order, unless that was to be recognised, and its nameplate is no
        less than it was: it may be trimmed now.
        """
        if self.is_shut:
            self.trouble, self.is_shut = "", False
        if found.identity != self.identity:
            self.trouble, self.reading = "", None
        if who(known.identity) == who(self.identity):
            known = replace(known, nameplate_w=max(known.nameplate_w, self.nameplate_w))
        else:
            self.told = replace(self.told, said=None, state=None)
        self.miner, self.known, self._counted = found.miner, known, None

    @property
    def metered_w(self) -> float | None:
        """By its outlet. That is read only while it matters: what the machine said since goes before it."""
        outlet, said = self.outlet_said, self.told.said
        if outlet is None or (said is not None and is_older(outlet, said, self._rules)):
            return None
        return outlet.draw_w

    # -- inside --------------------------------------------------------------------------------------------------

    @property
    def draw_w(self) -> float:
        """As last read, by its outlet where that measures; its nameplate where nobody knows."""
        if (metered_w := self.metered_w) is not None:
            return metered_w
        reading = self.reading
        if self.is_cut and self.verdict is not None and self.verdict.counts_w <= self.rest_w:
            return self.rest_w
        if reading is not None and reading.draw_w is not None:
            return reading.draw_w
        if self.told.said is not None and self.told.said.draw_w is not None:
            return self.told.said.draw_w
        is_down = self.told.state is MinerState.ASLEEP and self.condition is not Condition.LOST
        return self.rest_w if is_down or self.is_cut else self.nameplate_w

    @property
    def _last_draw_w(self) -> float:
        return self.told.said.draw_w or 0.0 if self.told.said is not None else 0.0

    @property
    def _may_w(self) -> float:
        """What it may draw by its order, as the ladder has it: who works may draw his nameplate."""
        return self.nameplate_w if self.is_to_work and self.is_whole else self.allowed_w

    def _does(self, reading: MachineReading) -> bool:
        """Whether it says that it draws no more than it was told."""
        if not self.is_to_work:
            return is_asleep(reading, rest_w=max(self.rest_w, REST_W))
        most_w = self.allowed_w * (1 + TOLERANCE)
        is_under = reading.draw_w is None or reading.draw_w <= most_w
        return is_under and (self.is_whole or reading.target_w is None or reading.target_w <= most_w)

    def _thrift(self, reading: MachineReading) -> float:
        """J/TH at whole work, told anew only where it is another: what is measured is noisy."""
        measured, known = reading.joule_per_th, self.told.joule_per_th
        if measured is None or not self.is_whole or abs(measured - known) <= _NEWS * known:
            return known
        return measured

    def _sight(self, now_s: float) -> Sight:
        told = self.told
        return Sight(
            miner_id=self.miner_id,
            address=self.miner.address,
            now_s=now_s,
            told_at_s=told.told_at_s,
            allowed_w=self.nameplate_w if self.is_to_work or self.is_fixed else self.rest_w,
            nameplate_w=self.nameplate_w,
            said=told.said,
            outlet_address="" if self.outlet is None else self.outlet.address,
            outlet=self.outlet_said,
        )

    def _condition(self, now_s: float) -> Condition:
        if self.is_switched and self.is_cut and not self.in_doubt_w:
            return Condition.RAMPING if self.is_to_work else Condition.ASLEEP
        return condition_of(
            self._evidence(now_s), lost_after_s=self._rules.fresh_s, ramp_s=self._config.ramp_s
        )

    def _evidence(self, now_s: float) -> Evidence:
        said, record = self.told.said, self.told.record
        return Evidence(
            is_usable=not self.trouble,
            is_to_work=self.is_to_work or self.is_fixed,
            told_s=now_s - self.told.told_at_s,
            word=None if self.told.state is None else Word(self.told.state),
            silent_s=0.0 if said is None else now_s - said.at_s,
            missed=self.missed > 0,
            is_in_doubt=record.doubt_at_s is not None,
            is_given_up=record.alarmed_at_s is not None,
            is_cut=self.is_cut,
        )
