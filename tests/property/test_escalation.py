"""What the ladder guarantees for any machine, any PDU and any orders, second by second."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, strategies as st

from scheduler.core.escalation import Rung, Step, Verdict, look
from scheduler.core.obedience import OutletSaid, Record, Rules, Said, Sight

RULES = Rules(min_off_s=40.0, most_on_per_day=2)
NAMEPLATE_W, REST_W = 3400.0, 20.0


@dataclass(frozen=True)
class Behaviour:
    """How machine and PDU behave in one stretch of time."""

    seconds: int
    allowed_w: float
    obeys_after_s: int | None  #: None = never
    answers: bool
    pdu_answers: bool
    pdu_switches: bool


BEHAVIOURS = st.builds(
    Behaviour,
    seconds=st.integers(1, 90),
    allowed_w=st.sampled_from([REST_W, 1500.0, 2500.0, NAMEPLATE_W]),
    obeys_after_s=st.none() | st.integers(0, 12),
    answers=st.booleans(),
    pdu_answers=st.booleans(),
    pdu_switches=st.booleans(),
)
SOUND = Behaviour(30, NAMEPLATE_W, 0, answers=True, pdu_answers=True, pdu_switches=True)
STORIES = st.lists(BEHAVIOURS, min_size=1, max_size=12)


@dataclass
class World:
    """A machine at an outlet, and the guard that looks once a second."""

    has_outlet: bool
    is_metered: bool
    now_s: float = 1000.0
    record: Record = field(default_factory=Record)
    is_on: bool = True
    draw_w: float = REST_W
    said: Said | None = None
    outlet: OutletSaid | None = None
    looks: list[tuple[float, float, Verdict]] = field(
        default_factory=list
    )  #: when, the true draw, the verdict
    blind_s: float = 0.0

    def live(self, now: Behaviour) -> None:
        """Through one stretch: one order at its beginning."""
        told_at_s = self.now_s
        for second in range(now.seconds):
            self._draw(now, second)
            self._see(now)
            verdict = look(self.record, self._sight(told_at_s, now.allowed_w), RULES)
            self.record = verdict.record
            self.looks.append((self.now_s, self.draw_w, verdict))
            self._check(verdict, now.allowed_w)
            if now.pdu_switches and verdict.step in (Step.SWITCH_OFF, Step.SWITCH_ON):
                self.is_on = verdict.step is Step.SWITCH_ON
            self.now_s += 1.0

    def is_dark(self) -> bool:
        """Whether its outlet is off."""
        return not self.is_on

    def _draw(self, now: Behaviour, second: int) -> None:
        if not self.is_on:
            self.draw_w = 0.0
        elif now.obeys_after_s is not None and second >= now.obeys_after_s:
            self.draw_w = min(now.allowed_w, NAMEPLATE_W)
        elif self.draw_w == 0.0:
            self.draw_w = NAMEPLATE_W  # it starts by itself

    def _see(self, now: Behaviour) -> None:
        self.blind_s += 1.0
        if self.is_on and now.answers:
            self.said = Said(at_s=self.now_s, obeys=self.draw_w <= now.allowed_w, draw_w=self.draw_w)
            self.blind_s = 0.0
        if self.has_outlet and now.pdu_answers:
            draw_w = self.draw_w if self.is_metered else None
            self.outlet = OutletSaid(at_s=self.now_s, is_on=self.is_on, draw_w=draw_w)
            if self.is_metered or not self.is_on:
                self.blind_s = 0.0

    def _sight(self, told_at_s: float, allowed_w: float) -> Sight:
        return Sight(
            miner_id="m",
            address="a",
            now_s=self.now_s,
            told_at_s=told_at_s,
            allowed_w=allowed_w,
            nameplate_w=NAMEPLATE_W,
            said=self.said,
            outlet_address="o" if self.has_outlet else "",
            outlet=self.outlet,
        )

    def _check(self, verdict: Verdict, allowed_w: float) -> None:
        assert verdict.in_doubt_w == max(0.0, verdict.counts_w - allowed_w)
        assert verdict.counts_w >= allowed_w
        if self.blind_s == 0.0 or self.blind_s > RULES.outlet_fresh_s:
            assert verdict.counts_w >= self.draw_w
        if verdict.step in (Step.SWITCH_OFF, Step.SWITCH_ON):
            assert self.has_outlet
        if verdict.step is Step.SWITCH_ON:
            assert allowed_w >= NAMEPLATE_W
        if verdict.step is Step.ALARM or verdict.rung is Rung.ALARMED:
            assert verdict.trouble


def lived(story: list[Behaviour], *, has_outlet: bool = True, is_metered: bool = True) -> World:
    """The world after all that."""
    world = World(has_outlet=has_outlet, is_metered=is_metered)
    for behaviour in story:
        world.live(behaviour)
    return world


@given(story=STORIES, has_outlet=st.booleans(), is_metered=st.booleans())
def test_what_counts_is_never_less_than_what_may_flow(
    story: list[Behaviour], has_outlet: bool, is_metered: bool
) -> None:
    """Where something is read it counts at that at least; where nothing is, at its nameplate (`World` checks it)."""
    lived(story, has_outlet=has_outlet, is_metered=is_metered)


@given(story=STORIES, is_metered=st.booleans())
def test_no_outlet_is_cycled_faster_than_it_may(story: list[Behaviour], is_metered: bool) -> None:
    """Each return comes long enough after it was last switched off, and there are only so many."""
    off_s: float | None = None
    on_s: list[float] = []
    for now_s, _, verdict in lived(story, is_metered=is_metered).looks:
        if verdict.step is Step.SWITCH_OFF:
            off_s = now_s
        if verdict.step is Step.SWITCH_ON:
            assert off_s is not None
            assert now_s - off_s >= RULES.min_off_s
            on_s += [now_s] if not on_s or off_s > on_s[-1] else []
    assert len(on_s) <= RULES.most_on_per_day


@given(story=STORIES, has_outlet=st.booleans(), is_metered=st.booleans())
def test_it_only_climbs_while_it_is_in_doubt(
    story: list[Behaviour], has_outlet: bool, is_metered: bool
) -> None:
    """Within one spell of doubt no rung is gone back, and the alarm comes once."""
    highest: dict[float, Rung] = {}
    alarms: list[float] = []
    for _, _, verdict in lived(story, has_outlet=has_outlet, is_metered=is_metered).looks:
        spell_s = verdict.record.doubt_at_s
        if spell_s is None:
            highest.clear()
            alarms.clear()
            continue
        assert verdict.rung >= highest.get(spell_s, Rung.CALM)
        highest[spell_s] = verdict.rung
        alarms += [spell_s] if verdict.step is Step.ALARM else []
    assert len(set(alarms)) == len(alarms)


@given(
    story=STORIES,
    is_metered=st.booleans(),
    answers=st.booleans(),
    allowed_w=st.sampled_from([REST_W, 1500.0]),
)
def test_a_liar_with_an_outlet_is_off_within_ten_seconds(
    story: list[Behaviour], is_metered: bool, answers: bool, allowed_w: float
) -> None:
    """Whatever was before all was well: told less and drawing on, it is off and nothing is in doubt."""
    world = lived([*story, SOUND], is_metered=is_metered)
    if not world.is_on:
        return
    lie = Behaviour(11, allowed_w, None, answers, pdu_answers=True, pdu_switches=True)
    world.live(lie)
    assert world.is_dark()
    assert world.looks[-1][2].in_doubt_w == 0.0


@given(story=STORIES, has_outlet=st.booleans(), answers=st.booleans())
def test_what_cannot_be_switched_is_an_alarm_with_its_watts(
    story: list[Behaviour], has_outlet: bool, answers: bool
) -> None:
    """Without an outlet, or with one that says yes and does nothing, people know the watts within 15 s."""
    world = lived(story, has_outlet=has_outlet)
    if not world.is_on or world.draw_w <= REST_W + RULES.slack_w:
        return
    world.live(Behaviour(16, REST_W, None, answers, pdu_answers=True, pdu_switches=False))
    last = world.looks[-1][2]
    assert last.rung is Rung.ALARMED
    assert last.in_doubt_w >= world.draw_w - REST_W
    assert f"{last.counts_w:.0f} W" in last.trouble
