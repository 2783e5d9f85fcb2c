"""Sources that jump about: their rises are held back, their falls never are, and it is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from scheduler.core.envelope import Envelope, Segment, unheard
from scheduler.core.reasons import Event
from scheduler.core.steady import AT_ONCE, SteadyRule
from scheduler.errors import SettingsError
from scheduler.settings import SignalSettings, load_site
from scheduler.steadying import Steadying
from scheduler.wiring import SOURCES, UNWATCHED, steady_rule
from tests.builders import T0

SITE = "name: s\npower: {firm_w: 9000}\nnodes: [{count: 1, gpus: 4, simulated: true}]\nsignals: [%s]\n"
SLOW = SteadyRule(rise_w_per_s=10.0, turns=None)


def at(after_s: float) -> datetime:
    """So many seconds into the story."""
    return T0 + timedelta(seconds=after_s)


class Feeder:
    """A source that is read by hand, as the service does it."""

    def __init__(self, rule: SteadyRule) -> None:
        self.events: list[Event] = []
        self.steadying = Steadying({"feeder": rule}, self.events.append, firm_w=3000.0)
        self.counts = unheard("feeder", at=T0, reaction_s=30.0)

    def says(self, after_s: float, *steps: tuple[float, float]) -> Feeder:
        """Read so late, it says (from when, W) for now and later."""
        segments = tuple(Segment(starts_at=at(s), limit_w=w, provenance="feeder 12") for s, w in steps)
        told = Envelope(
            source="feeder",
            issued_at=T0,
            read_at=at(after_s),
            reaction_s=30.0,
            segments=segments,
            stale_after_s=30.0,
        )
        self.counts = self.steadying.taken(told, at(after_s), known=self.counts)
        return self

    def w(self, after_s: float) -> float:
        """What counts then, by what is known."""
        segment = self.counts.limit_at(at(after_s))
        assert segment is not None
        return segment.limit_w

    @property
    def kinds(self) -> list[str]:
        """Of what was told."""
        return [e.kind for e in self.events]


def test_a_rise_climbs_from_what_counted_and_a_fall_is_at_once() -> None:
    """After a start that is the firm level; in stairs of five seconds."""
    feeder = Feeder(SLOW).says(0, (0, 5000))
    assert [feeder.w(s) for s in (0, 4.9, 5, 10)] == [3000, 3000, 3050, 3100]
    feeder.says(12, (0, 5000))
    assert [feeder.w(s) for s in (12, 15)] == [3100, 3150]
    assert feeder.w(1000) == 5000
    assert "rises by 10 W/s" in feeder.counts.segments[0].provenance
    assert feeder.says(13, (13, 3120)).w(19) == 3120
    assert feeder.says(20, (20, 2000)).w(20) == 2000


def test_a_rise_that_is_announced_climbs_from_its_start() -> None:
    """And a fall that is announced for the middle of it is where it was."""
    feeder = Feeder(SLOW).says(0, (0, 3000), (100, 3400), (120, 500), (200, 600))

    assert [feeder.w(s) for s in (0, 99, 100, 105, 119, 120, 199)] == [3000, 3000, 3000, 3050, 3150, 500, 500]
    assert [feeder.w(s) for s in (200, 209, 210)] == [500, 550, 600]


def test_after_a_silence_it_climbs_from_what_counted_meanwhile() -> None:
    """Which is the firm level, or less where less was said."""
    feeder = Feeder(SLOW).says(0, (0, 5000)).says(20, (0, 5000))
    assert feeder.w(20) == 3200
    assert feeder.says(60, (0, 5000)).w(60) == 3000


def test_a_rise_that_has_to_stand_does_not_count_before() -> None:
    """The least of the last ten seconds does."""
    feeder = Feeder(SteadyRule(settle_s=10.0, turns=None)).says(0, (0, 3000)).says(1, (1, 5000))
    assert [feeder.w(s) for s in (1, 10.9, 11)] == [3000, 3000, 5000]
    feeder.says(5, (5, 4000)).says(8, (8, 6000))
    assert [feeder.w(s) for s in (8, 11, 15, 17.9, 18)] == [3000, 4000, 4000, 4000, 6000]


def test_a_source_that_turns_too_often_is_held_back_until_it_is_calm() -> None:
    """Both are told; its falls count at once all the while."""
    feeder = Feeder(SteadyRule()).says(0, (0, 3000))
    for turn in range(1, 14):
        feeder.says(turn, (turn, 3000 + 500 * (turn % 2)))
    assert feeder.kinds == ["signal.unsteady"]
    assert "feeder jumps about" in feeder.events[0].text
    assert [feeder.w(s) for s in (13, 72, 73)] == [3000, 3000, 3500]
    assert "it turned 12 times in 10 min" in feeder.counts.segments[0].provenance
    assert feeder.says(20, (20, 1000)).w(20) == 1000
    for after_s in range(40, 700, 20):
        feeder.says(after_s, (20, 1000))
    assert feeder.kinds == ["signal.unsteady", "signal.steady"]
    assert feeder.says(701, (701, 5000)).w(701) == 5000


def test_steps_that_were_announced_are_no_turns() -> None:
    """A schedule may go up and down as often as it likes; nor is a tremble of a hundredth a turn."""
    feeder = Feeder(SteadyRule()).says(0, (0, 3000))
    for turn in range(1, 40):
        feeder.says(turn, (turn, 3000 + 500 * (turn % 2)), (turn + 1, 3500 - 500 * (turn % 2)))
    for turn in range(40, 80):
        feeder.says(turn, (turn, 3000 + 29 * (turn % 2)))

    assert feeder.kinds == []


def test_a_source_that_limits_nothing_any_more_is_not_held_back() -> None:
    """Others decide then; when it speaks again that counts at once, for it is no rise."""
    feeder = Feeder(SLOW).says(0, (0, 3000)).says(1)
    assert feeder.counts.segments == ()
    assert feeder.says(2, (2, 9000)).w(2) == 9000


def test_what_is_not_held_back_is_handed_on_as_it_is() -> None:
    """The envelope itself, whatever it says."""
    feeder = Feeder(SteadyRule())
    told = Envelope(source="feeder", issued_at=T0, read_at=T0, reaction_s=30.0, segments=())
    assert feeder.steadying.taken(told, T0, known=None) is told
    assert feeder.steadying.taken(told, T0, known=feeder.counts) is told


def test_the_site_file_says_how_a_source_is_held_back(tmp_path: Path) -> None:
    """Beside what the source itself knows; one that it says nothing of is watched, some are not."""
    path = tmp_path / "site.yaml"
    path.write_text(
        SITE % "{type: constant, limit_w: 9, steady: {rise_w_per_s: 5, settle_s: 3, turns: null}}"
    )
    signal = load_site(path).signals[0]

    assert signal.options() == {"limit_w": 9}
    assert steady_rule(signal) == SteadyRule(rise_w_per_s=5.0, settle_s=3.0, turns=None)
    rules = {kind: steady_rule(SignalSettings(type=kind)) for kind in SOURCES}
    assert {kind for kind, rule in rules.items() if rule == AT_ONCE} == UNWATCHED
    assert {rule for kind, rule in rules.items() if kind not in UNWATCHED} == {SteadyRule()}


@pytest.mark.parametrize("wrong", ["rise_w_per_s: 0", "settle_s: -1", "turns: 0", "hold_s: .nan", "speed: 3"])
def test_nonsense_is_refused_by_name(tmp_path: Path, wrong: str) -> None:
    """When the site file is read."""
    path = tmp_path / "site.yaml"
    path.write_text(SITE % f"{{type: constant, limit_w: 9, steady: {{{wrong}}}}}")

    with pytest.raises(SettingsError, match=rf"signals.0.steady.{wrong.split(':', maxsplit=1)[0]}"):
        load_site(path)
