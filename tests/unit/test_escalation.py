"""Stories of machines that do not do what they were told, second by second."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from scheduler.core.escalation import Rung, Step, Verdict, is_held, look
from scheduler.core.obedience import OutletSaid, Record, Rules, Said, Sight

RULES = Rules()
NAMEPLATE_W, REST_W = 3400.0, 20.0


@dataclass
class Story:
    """One machine that was told something at second 100, and what is seen of it then."""

    told_at_s: float = 100.0
    allowed_w: float = REST_W
    takes_s: float = 0.0
    outlet_address: str = "10.0.0.9:161/7"
    record: Record = field(default_factory=Record)
    verdict: Verdict | None = None
    rules: Rules = RULES

    def look(self, at_s: float, said: Said | None = None, outlet: OutletSaid | None = None) -> Step:
        """What is due then."""
        sight = Sight(
            miner_id="m7",
            address="10.1.0.7:4028",
            now_s=at_s,
            told_at_s=self.told_at_s,
            allowed_w=self.allowed_w,
            nameplate_w=NAMEPLATE_W,
            takes_s=self.takes_s,
            said=said,
            outlet_address=self.outlet_address,
            outlet=outlet,
        )
        self.verdict = look(self.record, sight, self.rules)
        self.record = self.verdict.record
        return self.verdict.step

    def steps(
        self, until_s: int, seen: Any = lambda at_s: {}, *, since_s: int | None = None
    ) -> dict[int, Step]:
        """What is due at each second on which something is."""
        begin = int(self.told_at_s) if since_s is None else since_s
        found = {at_s: self.look(float(at_s), **seen(float(at_s))) for at_s in range(begin, until_s)}
        return {at_s: step for at_s, step in found.items() if step is not Step.WAIT}

    def tell(self, at_s: float, allowed_w: float) -> None:
        self.told_at_s, self.allowed_w = at_s, allowed_w

    @property
    def now(self) -> Verdict:
        assert self.verdict is not None
        return self.verdict


def sleeps(at_s: float) -> dict[str, Any]:
    """It says that it sleeps."""
    return {"said": Said(at_s=at_s, obeys=True, draw_w=15.0)}


def draws(at_s: float, draw_w: float = 3000.0) -> dict[str, Any]:
    """It says that it goes on drawing."""
    return {"said": Said(at_s=at_s, obeys=False, draw_w=draw_w)}


def off(at_s: float, draw_w: float | None = 0.0) -> dict[str, Any]:
    """Its outlet says that it is off."""
    return {"outlet": OutletSaid(at_s=at_s, is_on=False, draw_w=draw_w)}


def on(at_s: float, draw_w: float | None = 3000.0) -> dict[str, Any]:
    """Its outlet says that it is on."""
    return {"outlet": OutletSaid(at_s=at_s, is_on=True, draw_w=draw_w)}


def cut_story(**changes: Any) -> Story:
    """A machine that hung, and whose outlet was switched off at second 108, and is."""
    story = Story(**changes)
    assert story.steps(109) == {103: Step.RETRY, 108: Step.SWITCH_OFF}
    assert story.steps(120, off, since_s=109) == {}
    return story


def test_one_that_obeys_is_left_alone() -> None:
    """Nothing is due and nothing is in doubt once a machine is seen asleep."""
    story = Story()
    story.look(100.0)
    assert (story.now.in_doubt_w, story.now.rung) == (NAMEPLATE_W - REST_W, Rung.TOLD)
    assert story.steps(200, sleeps, since_s=101) == {}
    assert (story.now.in_doubt_w, story.now.counts_w, story.now.trouble) == (0.0, REST_W, "")
    assert story.now.rung is Rung.CALM


def test_one_that_says_ok_and_goes_on_is_told_again_cut_and_confirmed() -> None:
    """A liar is told again after 3 s and cut after 8; its outlet's word ends the doubt."""
    story = Story()
    assert story.steps(109, draws) == {103: Step.RETRY, 108: Step.SWITCH_OFF}
    assert story.now.in_doubt_w == 3000.0 - REST_W
    assert story.look(110.0, **off(109.5)) is Step.WAIT
    assert (story.now.in_doubt_w, story.now.rung) == (0.0, Rung.CUT)
    assert "m7 at 10.1.0.7:4028" in story.now.trouble
    assert "10.0.0.9:161/7 was switched off" in story.now.trouble


def test_without_an_outlet_it_is_an_alarm_with_the_watts() -> None:
    """Where nothing can be switched, people are told after 8 s, once, and the machine again every 10 s."""
    story = Story(outlet_address="")
    assert story.steps(130, draws) == {103: Step.RETRY, 108: Step.ALARM, 113: Step.RETRY, 123: Step.RETRY}
    assert "may draw 20 W and perhaps draws 3000 W (it says so itself); it has no outlet" in story.now.trouble
    assert not story.now.read_outlet


def test_an_outlet_that_says_ok_and_stays_on_is_an_alarm() -> None:
    """A PDU that does nothing is found by its own meter; both are tried again every 10 s."""
    story = Story()
    seen = lambda at_s: draws(at_s) | on(at_s, 3050.0)  # noqa: E731
    steps = story.steps(122, seen)
    assert steps == {
        103: Step.RETRY,
        108: Step.SWITCH_OFF,
        113: Step.ALARM,
        114: Step.RETRY,
        118: Step.SWITCH_OFF,
    }
    assert story.now.in_doubt_w == 3050.0 - REST_W
    assert "measures that" in story.now.trouble
    assert "does not show it" in story.now.trouble


def test_a_pdu_that_is_silent_leaves_the_nameplate_in_doubt() -> None:
    """What nobody sees counts in full, and is named."""
    story = Story()
    story.steps(120)
    assert story.now.counts_w == NAMEPLATE_W
    assert story.now.rung is Rung.ALARMED
    assert "does not answer, so its nameplate counts" in story.now.trouble


def test_a_meter_goes_before_the_machines_word() -> None:
    """A machine that says it sleeps while its outlet measures its draw is not believed."""
    story = Story()
    seen = lambda at_s: sleeps(at_s) | on(at_s)  # noqa: E731
    assert Step.SWITCH_OFF in story.steps(110, seen).values()
    assert story.now.in_doubt_w == 3000.0 - REST_W


def test_what_was_read_before_the_order_counts_for_nothing() -> None:
    """A machine that slept may be on its way up: the order starts all evidence anew."""
    story = Story()
    story.look(101.0, **(sleeps(99.0) | on(99.0, 15.0)))
    assert story.now.counts_w == NAMEPLATE_W


def test_orders_that_follow_do_not_let_a_liar_off() -> None:
    """A new order each second sets no clock back."""
    story, steps = Story(allowed_w=2000.0), []
    for second in range(100, 120):
        story.tell(float(second), 2000.0 - 10 * (second - 100))
        steps.append(story.look(second + 0.5, **draws(second + 0.4)))
    assert Step.SWITCH_OFF in steps


def test_one_that_follows_its_orders_with_a_lag_is_not_cut() -> None:
    """Who comes down to each order two seconds late does obey."""
    story, steps = Story(allowed_w=3000.0), []
    for second in range(100, 130):
        story.tell(float(second), 3000.0 - 100 * (second - 100))
        steps.append(story.look(second + 0.5, **draws(second + 0.4, 3200.0 - 100 * (second - 100))))
    assert Step.SWITCH_OFF not in steps


def test_one_that_falls_silent_counts_in_full_and_is_given_a_minute() -> None:
    """A lost machine that had obeyed is told again at once, and its outlet is left alone for 60 s."""
    story = Story()
    story.steps(150, sleeps)
    last = sleeps(149.0)
    steps = story.steps(230, lambda _: last, since_s=150)
    assert list(steps.items())[:3] == [(160, Step.RETRY), (220, Step.SWITCH_OFF), (225, Step.ALARM)]
    assert story.now.counts_w == NAMEPLATE_W


def test_one_that_is_silent_while_it_starts_is_given_a_minute() -> None:
    """A machine that was told to draw more may not answer until it is up; below its nameplate it is in doubt."""
    story = Story()
    story.steps(150, sleeps)
    story.tell(150.0, 2500.0)
    steps = story.steps(215, since_s=150)
    assert steps == {153: Step.RETRY, 210: Step.SWITCH_OFF}
    assert story.now.in_doubt_w == NAMEPLATE_W - 2500.0


def test_an_order_that_takes_long_is_waited_for() -> None:
    """A machine that starts anew for a limit is in doubt and left alone for that time."""
    story = Story(allowed_w=2000.0, takes_s=90.0)
    assert story.steps(199) == {193: Step.RETRY, 198: Step.SWITCH_OFF}


def test_one_that_starts_by_itself_is_told_again_at_once() -> None:
    """After a blip of the site whole fleets start: the first look tells it again."""
    story = Story()
    story.steps(150, sleeps)
    assert story.look(150.0, **draws(150.0)) is Step.RETRY
    assert story.steps(160, draws, since_s=151) == {158: Step.SWITCH_OFF}


def test_one_at_its_nameplate_is_never_in_doubt() -> None:
    """A machine that may draw all it can is not missed."""
    story = Story(allowed_w=NAMEPLATE_W)
    assert story.steps(300) == {}
    assert story.now.in_doubt_w == 0.0


def test_an_outlet_comes_back_after_its_time_and_its_machine_is_told_again() -> None:
    """It is switched on when the machine may draw its nameplate, not before; then it hears its order."""
    story = cut_story()
    story.tell(130.0, 2000.0)  # less than it boots with
    assert story.steps(500, off, since_s=130) == {}
    assert "comes back when it may draw its 3400 W" in story.now.trouble
    story.tell(500.0, NAMEPLATE_W)
    assert story.look(500.0, **off(500.0)) is Step.SWITCH_ON
    assert story.steps(520, lambda at_s: on(at_s, 200.0), since_s=501) == {}
    seen = lambda at_s: on(at_s) | {"said": Said(at_s=at_s, obeys=True, draw_w=3000.0)}  # noqa: E731
    assert story.steps(540, seen, since_s=520) == {520: Step.RETRY}
    assert (story.now.rung, story.now.trouble) == (Rung.CALM, "")


def test_an_outlet_stays_off_for_its_least_time() -> None:
    """However soon the machine is to run again."""
    story = cut_story()
    story.tell(121.0, NAMEPLATE_W)
    assert next(iter(story.steps(600, off, since_s=121))) == 108 + RULES.min_off_s


def test_an_outlet_comes_back_only_so_often_in_a_day() -> None:
    """After that many times it stays off, and people are told why."""
    on_at_s = tuple(float(i) for i in range(RULES.most_on_per_day))
    story = cut_story(record=Record(on_at_s=on_at_s))
    story.tell(121.0, NAMEPLATE_W)
    assert story.steps(1000, off, since_s=121) == {}
    assert "switched on 4 times in 24 h and stays off" in story.now.trouble
    assert story.look(86_401.0, **off(86_401.0)) is Step.SWITCH_ON


def test_an_outlet_that_a_person_switched_off_stays_off() -> None:
    """Somebody may have their hands in the machine."""
    story = Story(allowed_w=NAMEPLATE_W)
    assert story.steps(1000, off) == {}
    assert "somebody else switched its outlet" in story.now.trouble


def test_an_outlet_of_another_machine_is_found_out() -> None:
    """A machine that goes on answering with its outlet off is on another one, and nothing more is switched."""
    story = Story()
    seen = lambda at_s: draws(at_s) | (off(at_s) if at_s > 108 else {})  # noqa: E731
    steps = story.steps(200, seen)
    assert list(steps.values()).count(Step.SWITCH_OFF) == 1
    assert Step.ALARM in steps.values()
    assert story.now.counts_w == 3000.0
    assert "correct its outlet in the site file" in story.now.trouble


def test_a_relay_that_sticks_is_not_off() -> None:
    """An outlet that is off and measures watts all the same leaves them in doubt."""
    story = Story()
    story.steps(109)
    story.look(110.0, **off(109.0, 2900.0))
    assert story.now.in_doubt_w == 2900.0 - REST_W


def test_a_person_who_switches_it_on_again_ends_the_hold() -> None:
    """Then it is a machine like any other, told what it is to do, and cut again if it does not."""
    story = cut_story()
    steps = story.steps(140, lambda at_s: draws(at_s) | on(at_s), since_s=120)
    assert steps == {
        120: Step.RETRY,
        128: Step.SWITCH_OFF,
        133: Step.ALARM,
        134: Step.RETRY,
        138: Step.SWITCH_OFF,
    }


def test_a_restart_holds_nothing_against_a_machine() -> None:
    """An order of long ago is no reason to cut at the first look; what is off stays off for its time."""
    assert Story().look(10_000.0) is Step.WAIT
    story = cut_story()
    story.record = story.record.resumed(5.0, has_rebooted=True)
    story.tell(0.0, NAMEPLATE_W)
    assert next(iter(story.steps(400, off, since_s=6))) == 5 + RULES.min_off_s
    again = replace(cut_story().record).resumed(200.0, has_rebooted=False)
    assert (again.cut_at_s, again.doubt_at_s) == (108.0, None)


def test_a_machine_that_starts_by_itself_is_told_again_whatever_its_outlet_measured_before() -> None:
    """The outlet was read while it was in doubt; its own word of now is newer than that, and counts."""
    machine = Story()
    machine.look(101.0, **draws(101.0), outlet=OutletSaid(at_s=101.0, is_on=True, draw_w=3000.0))
    machine.look(102.0, **sleeps(102.0), outlet=OutletSaid(at_s=102.0, is_on=True, draw_w=15.0))
    assert machine.now.in_doubt_w == 0
    before = OutletSaid(at_s=102.0, is_on=True, draw_w=15.0)
    assert machine.look(106.0, **draws(106.0), outlet=before) is Step.WAIT, (
        "a meter goes before a word of the same time"
    )
    assert machine.look(109.0, **draws(109.0), outlet=before) is Step.RETRY
    assert machine.now.counts_w == 3000.0


def test_an_outlet_is_held_off_for_its_time_and_once_it_came_back_too_often() -> None:
    """Whoever shares watts gives such a machine none."""
    cut = Record(cut_at_s=100.0)
    assert is_held(cut, RULES, 100.0 + RULES.min_off_s - 1)
    assert not is_held(cut, RULES, 100.0 + RULES.min_off_s)
    assert not is_held(Record(), RULES, 0.0)
    assert is_held(Record(on_at_s=(1.0,) * RULES.most_on_per_day), RULES, 500.0)


def test_an_outlet_is_asked_once_it_matters() -> None:
    """Not while a fleet is told; of one that obeys once, where it measures; of one that does not, at each look."""
    story = Story()
    asked = {}
    for second in range(100, 110):
        at_s = float(second)
        story.look(at_s, **sleeps(at_s), **(on(105.0, 15.0) if second >= 106 else {}))
        asked[second] = story.now.read_outlet
    assert asked == {second: second in (103, 104, 105) for second in range(100, 110)}

    story.steps(113, draws, since_s=110)
    assert story.now.read_outlet


def test_an_outlet_that_does_not_measure_is_not_asked_of_one_that_obeys() -> None:
    """It could say only that it is on."""
    story = Story()
    story.look(104.0, **sleeps(104.0), **on(50.0, None))
    assert not story.now.read_outlet


def test_one_that_hangs_when_it_is_told_to_sleep_is_cut_like_one_that_lies() -> None:
    """Its last word is of before the order: patience is for who is known to have obeyed, or was told to draw more."""
    story = Story(allowed_w=NAMEPLATE_W)
    story.steps(150, draws)
    story.tell(150.0, REST_W)
    steps = story.steps(160, lambda _: draws(149.5), since_s=150)
    assert steps == {153: Step.RETRY, 158: Step.SWITCH_OFF}
