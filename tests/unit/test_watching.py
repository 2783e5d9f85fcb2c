"""What running work has use for, learned from reports: of whom, of whom not, and what a leader makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scheduler.core.decide import PowerAware
from scheduler.core.jobs import Phase
from scheduler.core.orders import Observed
from scheduler.core.power import A100_SXM
from scheduler.core.reasons import Code
from scheduler.core.stranded import REGAIN_S, WATCH_S
from scheduler.records import Stored
from scheduler.view import View
from scheduler.watching import Watching
from tests.told_site import ToldSite
from tests.unit.test_settings import loaded


class Hall:
    """Nodes `a` and `b` of four GPUs, a job on each, and a leader that watches them."""

    def __init__(self, *, limit_w: float = 9000.0, is_on: bool = True, **spec: Any) -> None:
        self.site = ToldSite(firm_w=500.0, overhead=1.0, margin=0.0, reclaim_stranded=is_on)
        self.site.under(PowerAware())
        self.site.node("a").node("b").limit_w(limit_w)
        self.site.running("light", "a", cap_w=300.0, **spec).running("heavy", "b", cap_w=300.0)
        self.watching = Watching(self.site.site)
        self.draws_w = {"a": 200.0}  #: of a GPU on a node; else what the model says
        self.share = 1.0  #: of any cap, above which the devices hold no draw
        self.rounds(1)

    def rounds(self, seconds: float, *, every_s: float = 4.0) -> None:
        """Decide, obey and report."""
        for _ in range(int(seconds / every_s) + 1):
            self.site.useful = self.watching.known(self.site.at)
            decision = self.site.decided()
            self.watching.follow(decision)
            self.reasons = decision.reasons
            self.site.passes(every_s)
            self.report()

    def report(self) -> None:
        """Every guard is heard."""
        for gid, group in self.site.groups.items():
            most_w = self.draws_w.get(gid, 1000.0)
            gpus = tuple(replace(g, draw_w=min(g.draw_w, most_w, self.share * g.cap_w)) for g in group.gpus)
            self.watching.hear(replace(group, gpus=gpus), self.site.attempts, self.site.at)

    def cap_w(self, name: str) -> float:
        """Under which a job runs."""
        return self.site.attempts[f"{name}.1"].cap_w

    def caps_w(self) -> dict[str, float]:
        """What is known."""
        return dict(self.watching.known(self.site.at).caps_w)


def test_what_a_light_job_leaves_goes_to_a_heavy_one() -> None:
    """Under a limit that leaves both 305 W a GPU, and the site no watt more."""
    hall = Hall(limit_w=1200.0 + 8 * 305.0)
    assert (hall.cap_w("light"), hall.cap_w("heavy")) == (310.0, 300.0)

    hall.rounds(WATCH_S + 20)

    assert hall.caps_w() == {"light.1": 240.0}
    assert (hall.cap_w("light"), hall.cap_w("heavy")) == (240.0, 370.0)


def test_who_is_capped_so_is_told_that_it_draws_less() -> None:
    """And not that the limit slows it."""
    hall = Hall()
    hall.rounds(WATCH_S + 10)

    reason = hall.reasons["light"]
    assert reason.code is Code.CAPPED
    assert reason.text == "capped at 240 of 400 W per GPU, well above what it draws: others get the rest"
    assert "heavy" not in hall.reasons


def test_who_is_capped_still_lower_is_told_against_what_it_has_use_for() -> None:
    """That is its full speed."""
    hall = Hall()
    hall.rounds(WATCH_S + 10)
    hall.site.limit_w(1200.0 + 8 * 205.0)
    hall.rounds(4)

    assert hall.reasons["light"].text.startswith("runs at 205 of 240 W per GPU, about ")
    assert hall.reasons["heavy"].text.startswith("runs at 205 of 400 W per GPU, about ")


def test_who_comes_to_need_more_gets_it_back_from_those_who_had_it() -> None:
    """Within seconds, and the next time it takes twice as long to take it away."""
    hall = Hall(limit_w=1200.0 + 8 * 305.0)
    hall.rounds(WATCH_S + 20)
    hall.draws_w = {}
    hall.rounds(10)
    assert hall.caps_w() == {}
    assert hall.cap_w("light") >= 300.0
    assert hall.cap_w("heavy") <= 310.0

    hall.draws_w = {"a": 200.0}
    hall.rounds(WATCH_S + 20)
    assert hall.caps_w() == {}
    hall.rounds(WATCH_S)
    assert hall.caps_w() == {"light.1": 240.0}


@pytest.mark.parametrize("share", [0.9, 0.94])
@pytest.mark.parametrize("light_w", [90.0, 200.0])
def test_a_device_that_holds_itself_below_any_cap_does_not_hide_that_work_needs_more(
    share: float, light_w: float
) -> None:
    """The worst case: light for long, so that its cap is low, then as heavy as can be; it gets what others have."""
    hall = Hall(limit_w=1200.0 + 8 * 305.0)
    hall.share, hall.draws_w = share, {"a": light_w}
    hall.rounds(WATCH_S + 20)
    assert hall.cap_w("light") < 305.0

    hall.draws_w = {}
    hall.rounds(20)
    assert hall.cap_w("light") >= 300.0
    hall.rounds(WATCH_S + 20)
    assert (hall.caps_w(), hall.cap_w("light") >= 300.0) == ({}, True)


def test_others_make_room_for_a_while_only() -> None:
    """After that it is as anybody else who runs below the common level."""
    hall = Hall()
    hall.rounds(WATCH_S + 10)
    hall.draws_w = {}
    hall.rounds(2)
    assert hall.watching.known(hall.site.at).regaining == ("light.1",)

    hall.rounds(REGAIN_S)
    assert hall.watching.known(hall.site.at).regaining == ()


@pytest.mark.parametrize("draw_w", [200.0, 1000.0])
def test_a_new_leader_gives_back_within_the_limit_what_it_did_not_learn(draw_w: float) -> None:
    """Or work that came to need more meanwhile would stay where it is; light work is found light again."""
    limit_w = 1200.0 + 8 * 305.0
    hall = Hall(limit_w=limit_w)
    hall.rounds(WATCH_S + 20)
    assert (hall.cap_w("light"), hall.cap_w("heavy")) == (240.0, 370.0)

    hall.watching, hall.draws_w = Watching(hall.site.site), {"a": draw_w}
    hall.watching.begin(hall.site.attempts, hall.site.at)
    for _ in range(5):
        hall.rounds(0)
        charged_w = sum(4 * A100_SXM.charge_w(hall.cap_w(name)) for name in ("light", "heavy"))
        assert 1200.0 + charged_w <= limit_w
    assert hall.cap_w("light") >= 300.0

    hall.rounds(WATCH_S + 20)
    assert hall.caps_w() == ({"light.1": 240.0} if draw_w == 200.0 else {})


def test_a_leader_begins_so_with_all_that_is_on_record() -> None:
    """Unless the site leaves it."""
    hall = Hall()
    specs = {gid: group.spec for gid, group in hall.site.groups.items()}
    stored = Stored(
        jobs=tuple(hall.site.jobs.values()),
        attempts=tuple(hall.site.attempts.values()),
        settled={},
        open_orders={},
        limits=(),
        last_cut_at=None,
        seq=0,
    )
    for is_on, expected in ((True, ("heavy.1", "light.1")), (False, ())):
        policy = replace(hall.site.site, reclaim_stranded=is_on)
        view = View(policy, specs, epoch=2, at=hall.site.at)
        view.restore(stored)
        assert view.snapshot(hall.site.at).useful.regaining == expected


def test_work_that_may_not_be_capped_keeps_all_its_watts() -> None:
    """Firm work, and such as says so itself."""
    specs: list[dict[str, Any]] = [{"flex": 0}, {"cap_ok": False}]
    for spec in specs:
        hall = Hall(**spec)
        hall.rounds(WATCH_S + 10)
        assert hall.cap_w("light") == 400.0


def test_no_cap_is_below_what_a_tier_or_a_job_was_promised() -> None:
    """Whatever it does next, it runs as fast as that."""
    specs: list[tuple[dict[str, Any], float]] = [({"flex": 2}, 240.0), ({"min_cap_w": 290.0}, 290.0)]
    for spec, cap_w in specs:
        hall = Hall(**spec)
        hall.rounds(WATCH_S + 10)
        assert hall.cap_w("light") == cap_w


def test_silence_and_a_pause_teach_nothing() -> None:
    """Only what runs without a break is known."""
    hall = Hall()
    hall.rounds(20 * WATCH_S, every_s=60.0)
    assert hall.caps_w() == {}

    hall.rounds(WATCH_S - 20)
    hall.site.facts("light.1", "a", observed=Observed.STARTING)
    hall.report()
    hall.rounds(100)
    assert hall.caps_w() == {}


def test_who_is_suspended_is_judged_by_nothing_that_was_learned() -> None:
    """He comes back as he would have."""
    hall = Hall()
    hall.rounds(WATCH_S + 10)
    hall.site.limit_w(2000.0)
    hall.rounds(0)

    assert hall.site.attempts["light.1"].phase is not Phase.RUN
    assert hall.caps_w() == {}


def test_a_site_may_leave_it(tmp_path: Path) -> None:
    """As its file says: otherwise it is done."""
    assert loaded(tmp_path).policy().reclaim_stranded
    power = {"firm_w": 3000, "reclaim_stranded": False}
    hall = Hall(is_on=loaded(tmp_path, power=power).policy().reclaim_stranded)
    hall.rounds(WATCH_S + 10)

    assert hall.caps_w() == {}
    assert hall.cap_w("light") == 400.0


def test_what_is_known_is_the_same_object_while_it_is_the_same() -> None:
    """So that a round costs nothing by it."""
    hall = Hall()
    hall.rounds(WATCH_S + 10)

    first = hall.watching.known(hall.site.at)
    hall.rounds(20)
    assert hall.watching.known(hall.site.at) is first
