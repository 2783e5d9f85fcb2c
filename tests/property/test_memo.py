"""A memory is a cache: who remembers all rounds decides as one who sees the snapshot for the first time.

Over simulated sites with and without faults, over a site whose links fail, and over made-up ones where anything may
change between two rounds.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from scheduler.core.inventory import Wish
from scheduler.core.jobs import ArrayPlace, Desired
from scheduler.core.modes import AI_FIRST, Revenue
from scheduler.core.orders import NodePower, Observed
from scheduler.core.partners import HashpriceShare, Partner
from scheduler.core.power import PowerLimits
from scheduler.core.projects import Project, Usage, Used
from scheduler.core.proving import Margin, Proving
from scheduler.core.stranded import Useful
from scheduler.core.trim import TrimRule
from scheduler.sim.trial import trial
from tests.builders import launch
from tests.chain import figures, mines
from tests.property.test_domains import LossySiteOfDomains, LossySiteOfFedDomains
from tests.property.test_invariant import LossySite
from tests.simulated import SITE, busy_day, simulated
from tests.told_site import ToldSite
from tests.two_minds import TwoMinds

NODES = st.sampled_from(["a", "b", "c", "d"])
PROJECTS = (
    Project(name="a", weight=3.0, nominal_gpus=4, lending_limit_gpus=3),
    Project(name="b", nominal_gpus=3, borrowing_limit_gpus=4),
    Project(name="d", weight=2.0),
)
OTHER_GPUS = PowerLimits(min_w=120.0, max_w=300.0, idle_w=40.0)


@pytest.mark.parametrize("seed", [3, 8])
def test_a_memory_changes_nothing_on_a_site_with_faults(seed: int) -> None:
    """Dead hosts, lost messages, leaders that come and go."""
    policy = TwoMinds()
    trial(seed, minutes=6.0, policy=policy)

    assert policy.rounds > 300
    assert policy.wrong == []


@pytest.mark.parametrize("saves_at_once", [None, 1])
def test_a_memory_changes_nothing_on_a_site_with_standby(saves_at_once: int | None) -> None:
    """Hours of work that is cut, consolidated, woken for and made room for."""
    jobs, trace = busy_day(5, hours=6, jobs_per_hour=30)
    policy = TwoMinds()
    timing = replace(SITE.timing, saves_at_once=saves_at_once)
    simulated(jobs, trace, hours=6, policy=policy, site=replace(SITE, timing=timing))

    assert policy.rounds > 300
    assert policy.wrong == []


def test_sums_come_out_the_same_whatever_came_first() -> None:
    """To the last bit: in another order these would not."""
    policy = TwoMinds()
    built = ToldSite(firm_w=90_000.0).node("n", gpus=4).limit_w(90_000.0)
    for name, base_w, cap_w in (("b", 7732.3, 333.3), ("c", 3563.2, 280.7), ("a", 6909.6, 400.0)):
        built.miners(f"miners-{name}", max_w=0.0)
        group = built.groups[f"miners-{name}"]
        spec, account = replace(group.spec, base_w=base_w), replace(group.account, idle_w=base_w)
        built.groups[f"miners-{name}"] = replace(group, spec=spec, account=account)
        built.running(name, "n", gpus=1, cap_w=cap_w, cap_ok=name != "c")
        policy.decide(built.snapshot())
    for name in ("b", "a"):
        del built.attempts[f"{name}.1"], built.jobs[name]
        policy.decide(built.snapshot())

    assert policy.wrong == []


ANY_NUMBER = ArrayPlace(id="x", index=0, count=9)
ONE_AT_ONCE = ArrayPlace(id="y", index=0, count=9, most=1)


class LossySiteWithTwoMinds(LossySite):
    """The site of the invariant: whatever is lost, late, restarted or withdrawn."""

    minds: list[TwoMinds]

    def __init__(self) -> None:
        self.minds = []
        super().__init__()

    def new_mind(self) -> TwoMinds:
        """Each leader has its own."""
        self.minds.append(TwoMinds())
        return self.minds[-1]

    @invariant()
    def both_agree(self) -> None:
        """In every round so far."""
        assert [w for mind in self.minds for w in mind.wrong] == []


class LossySiteOfDomainsWithTwoMinds(LossySiteOfDomains, LossySiteWithTwoMinds):
    """And with limits below the site's meter."""


class LossySiteOfFedDomainsWithTwoMinds(LossySiteOfFedDomains, LossySiteWithTwoMinds):
    """And with sources of their own."""


class AnythingGoes(RuleBasedStateMachine):
    """Snapshots of which anything may differ from the last: what was decided is recorded, or never happens."""

    def __init__(self) -> None:
        super().__init__()
        self.mind = TwoMinds()
        self.made = 0
        self.site = ToldSite(
            firm_w=6000.0, overhead=1.25, patience_s=20.0, min_run_s=30.0, suspend_max_s=10.0, lease_s=6.0
        )
        self.site.under(self.mind)
        for name in ("a", "b", "c"):
            self.site.node(name, gpus=4, standby_w=None if name == "a" else 50.0)
        self.site.miners("m1", max_w=2000.0).miners("m2", max_w=333.3).limit_w(9000.0)

    # -- rounds ------------------------------------------------------------------------------------------------------

    @rule(
        obeyed=st.sampled_from([True, True, False]),
        seconds=st.sampled_from([0.0, 0.1, 1.0, 5.0]),
        rounds=st.integers(1, 4),
    )
    def a_round(self, obeyed: bool, seconds: float, rounds: int) -> None:
        """Decided, recorded, and perhaps obeyed."""
        for _ in range(rounds):
            self.site.decided(obeyed=False)
            self.site.passes(seconds)
            if obeyed:
                self.site.all_obey()

    @rule()
    def a_round_that_nobody_recorded(self) -> None:
        """The store was down."""
        self.mind.decide(self.site.snapshot())

    @rule(recorded=st.booleans())
    def a_reduction(self, recorded: bool) -> None:
        """Between two decisions."""
        reduction = self.mind.shed(self.site.snapshot())
        if reduction is not None and recorded:
            self.site.apply(reduction)

    @invariant()
    def both_agree(self) -> None:
        """In every round so far."""
        assert self.mind.wrong == []

    # -- time, power and people --------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.5, 6.0, 40.0, 100.0, 4000.0]))
    def time_passes(self, seconds: float) -> None:
        """And all report."""
        self.site.passes(seconds)

    @rule(name=NODES, seconds=st.sampled_from([0.5, 5.5, 7.0, 61.0, 300.0]))
    def a_node_is_silent(self, name: str, seconds: float) -> None:
        """For so long."""
        known = self.site.groups.get(name)
        self.site.passes(seconds)
        if known is not None:
            self.site.groups[name] = replace(self.site.groups[name], reported_at=known.reported_at)

    @rule(limit_w=st.sampled_from([1500.0, 3500.0, 5000.0, 7000.0, 9000.0, 14_000.0]))
    def a_limit(self, limit_w: float) -> None:
        """Without notice."""
        self.site.limit_w(limit_w)

    @rule(
        limit_w=st.sampled_from([0.0, 1500.0, 5000.0, 9000.0]), in_s=st.sampled_from([1.0, 4.0, 12.0, 60.0])
    )
    def a_step_is_announced(self, limit_w: float, in_s: float) -> None:
        """A change that is known."""
        self.site.falls_to_w(limit_w, in_s=in_s)

    @rule(
        low_w=st.sampled_from([0.0, 2500.0, 4000.0, 6500.0]),
        mid_w=st.sampled_from([2500.0, 6500.0, 9000.0]),
        in_s=st.sampled_from([0.0, 2.0, 30.0]),
        lasts_s=st.sampled_from([3.0, 60.0]),
    )
    def something_is_foreseen(self, low_w: float, mid_w: float, in_s: float, lasts_s: float) -> None:
        """Until somebody gives another limit."""
        self.site.foresees((in_s, {0.1: min(low_w, mid_w), 0.5: mid_w}), (in_s + lasts_s, {}))

    @rule(trim_w=st.sampled_from([-400.0, -31.7, 0.0, 250.0]), unmetered_w=st.sampled_from([0.0, 0.0, 300.0]))
    def the_meter_teaches(self, trim_w: float, unmetered_w: float) -> None:
        """That the model says too much, or too little."""
        self.site.corrected(trim_w, unmetered_w=unmetered_w)

    @rule(ai=st.sampled_from([None, 1_000, 20_000]), share_ppm=st.sampled_from([1_000_000, 300_000]))
    def all_are_ranked_by_revenue(self, ai: int | None, share_ppm: int) -> None:
        """Or not any more."""
        partners = tuple(
            Partner(partner_id=gid, groups=(gid,), follows=HashpriceShare(share_ppm=share_ppm))
            for gid in ("m1", "m2")
        )
        mode = AI_FIRST if ai is None else Revenue(gpu_h_micro=ai)
        self.site.site = replace(self.site.site, mode=mode, partners=() if ai is None else partners)

    @rule(
        age_s=st.sampled_from([None, 0.0, 3000.0, 9000.0]),
        j=st.sampled_from([0.0, 17.5, 60.0]),
        gid=st.sampled_from(["m1", "m2"]),
    )
    def figures_are_told(self, age_s: float | None, j: float, gid: str) -> None:
        """And machines tell how thrifty they are."""
        told = None if age_s is None else self.site.at - timedelta(seconds=age_s)
        self.site.chain = None if told is None else figures(as_of_at=told, stale_after_s=3600.0)
        mines(self.site, gid, j)

    @rule(share=st.sampled_from([None, 0.0, 0.013, 0.03]))
    def the_meter_proves(self, share: float | None) -> None:
        """That so much margin is enough; or the site has none that could."""
        rule = None if share is None else TrimRule(most=0.02, accuracy=0.01)
        self.site.site = replace(self.site.site, trim=rule)
        self.site.proven = None if share is None else Margin(share=share, why=Proving.PROVEN)

    @precondition(lambda self: self.site.attempts)
    @rule(
        data=st.data(), cap_w=st.sampled_from([None, 60.0, 205.0, 225.0, 310.0, 395.0]), regains=st.booleans()
    )
    def a_job_is_seen_to_draw_little(self, data: st.DataObject, cap_w: float | None, regains: bool) -> None:
        """Or not any more, and others may have to make room for it."""
        attempt_id = data.draw(st.sampled_from(sorted(self.site.attempts)))
        known = {
            k: w for k, w in self.site.useful.caps_w.items() if k in self.site.attempts and k != attempt_id
        }
        caps_w = known if cap_w is None else known | {attempt_id: cap_w}
        self.site.useful = Useful(caps_w=caps_w, regaining=(attempt_id,) if regains and cap_w is None else ())

    @rule(most=st.sampled_from([None, 1, 2]))
    def saves_take_turns(self, most: int | None) -> None:
        """Or do not any more."""
        self.site.site = replace(self.site.site, saves_at_once=most)

    @rule(projects=st.sampled_from([(), PROJECTS[:1], PROJECTS, PROJECTS[1:]]))
    def projects_are_named(self, projects: tuple[Project, ...]) -> None:
        """Or are not any more."""
        self.site.site = replace(self.site.site, projects=projects)

    @rule(a_h=st.sampled_from([0.0, 1.0, 5.0]), b_h=st.sampled_from([0.0, 2.0]))
    def use_is_told(self, a_h: float, b_h: float) -> None:
        """As it is once a minute."""
        self.site.used = Used(
            at=self.site.at, projects={"a": Usage(gpu_h=a_h), "b": Usage(gpu_h=b_h, kwh=1.0)}
        )

    @precondition(lambda self: self.site.jobs)
    @rule(data=st.data(), desired=st.sampled_from(Desired))
    def somebody_wants_something(self, data: st.DataObject, desired: Desired) -> None:
        """Hold, release or cancel. What is cancelled stays so: the store refuses to call it back."""
        job_id = data.draw(st.sampled_from(sorted(self.site.jobs)))
        if self.site.jobs[job_id].desired is not Desired.CANCEL:
            self.site.wants(job_id, desired)

    @rule(
        gpus=st.integers(1, 5),
        nodes=st.sampled_from([1, 1, 2]),
        flex=st.sampled_from([0, 1, 2, 3, 4, 4, 4]),
        priority=st.sampled_from([0, 0, 1]),
        scatter=st.booleans(),
        project=st.sampled_from(["a", "b", "c"]),
        later_s=st.sampled_from([None, None, 3.0, 50.0]),
        limit_s=st.sampled_from([None, None, 30.0]),
        due_s=st.sampled_from([None, None, 4.0, 40.0, 90.0]),
        max_nodes=st.sampled_from([None, None, 2, 3]),
        array=st.sampled_from([None, None, ANY_NUMBER, ONE_AT_ONCE]),
        data=st.data(),
    )
    def a_job(
        self,
        later_s: float | None,
        limit_s: float | None,
        due_s: float | None,
        data: st.DataObject,
        **spec: Any,
    ) -> None:
        """Of any kind; some wait for an hour, or for another job or an array, or have to be done by then."""
        self.made += 1
        names = [*sorted(self.site.jobs), ANY_NUMBER.id, ONE_AT_ONCE.id]
        others = st.lists(st.sampled_from(names), max_size=1)
        begin_at = None if later_s is None else self.site.at + timedelta(seconds=later_s)
        self.site.job(
            f"j{self.made}",
            begin_at=begin_at,
            time_limit_s=limit_s,
            deadline_at=None if due_s is None else self.site.at + timedelta(seconds=due_s),
            max_failures=data.draw(st.sampled_from([0, 2])),
            backoff_s=5.0,
            dependencies=tuple(data.draw(others)) if data.draw(st.booleans()) else (),
            launch=launch(
                grace_s=data.draw(st.sampled_from([1.0, 50.0])),
                checkpoint_auto=data.draw(st.booleans()),
                checkpoint_interval_s=data.draw(st.sampled_from([5.0, 5.0, 3000.0])),
            ),
            **spec,
        )
        number = replace(self.site.jobs[f"j{self.made}"], number=self.made)
        self.site.jobs[f"j{self.made}"] = number

    @precondition(lambda self: self.site.jobs)
    @rule(data=st.data())
    def a_job_is_gone(self, data: st.DataObject) -> None:
        """Without a word, if it has no attempt."""
        placed = {a.job_id for a in self.site.attempts.values()}
        if idle := sorted(self.site.jobs.keys() - placed):
            del self.site.jobs[data.draw(st.sampled_from(idle))]

    # -- nodes -------------------------------------------------------------------------------------------------------

    @rule(name=NODES, gpus=st.integers(1, 4), other=st.booleans(), standby=st.booleans())
    def a_node_comes_or_is_another(self, name: str, gpus: int, other: bool, standby: bool) -> None:
        """What it was before counts no more."""
        limits = OTHER_GPUS if other else None
        self.site.node(name, gpus=gpus, standby_w=50.0 if standby else None, limits=limits)

    @rule(name=NODES)
    def a_node_goes(self, name: str) -> None:
        """Whatever is on it."""
        self.site.groups.pop(name, None)

    @rule(name=st.sampled_from(["m1", "m2"]), wish=st.sampled_from(Wish), seen=st.booleans())
    def people_wish_something_of_machines(self, name: str, wish: Wish, seen: bool) -> None:
        """And their guard has taken it in, or not yet."""
        group = self.site.groups[name]
        wishes = () if wish is Wish.INHERIT else ((name, wish),)
        miners = tuple(replace(m, wish=wish) for m in group.miners) if seen else group.miners
        self.site.groups[name] = replace(group, miner_wishes=wishes, miners=miners)

    @rule(name=NODES, cordoned=st.booleans(), storage=st.sampled_from(["", "x", "y"]))
    def a_node_changes(self, name: str, cordoned: bool, storage: str) -> None:
        """Cordoned, or with other checkpoints."""
        if name in self.site.groups:
            group = self.site.groups[name]
            self.site.groups[name] = replace(group, cordoned=cordoned, storage=storage)

    @rule(name=NODES, power=st.sampled_from(NodePower))
    def a_node_goes_off_or_on(self, name: str, power: NodePower) -> None:
        """As it says itself, whatever it was told."""
        if name in self.site.groups and self.site.groups[name].spec.standby is not None:
            self.site.groups[name] = replace(self.site.groups[name], power=power)

    @rule(name=NODES, busy=st.booleans())
    def a_stranger_computes(self, name: str, busy: bool) -> None:
        """On the first GPU of a node, or no more."""
        if name in self.site.groups and self.site.groups[name].gpus:
            group = self.site.groups[name]
            first = replace(group.gpus[0], processes=int(busy))
            self.site.groups[name] = replace(group, gpus=(first, *group.gpus[1:]))

    # -- attempts ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.site.attempts)
    @rule(
        data=st.data(),
        seen=st.sampled_from(Observed),
        step=st.integers(0, 9),
        code=st.sampled_from([0, 1, 75, 85]),
    )
    def a_guard_tells(self, data: st.DataObject, seen: Observed, step: int, code: int) -> None:
        """Anything, of any member."""
        attempt = self.site.attempts[data.draw(st.sampled_from(sorted(self.site.attempts)))]
        for placement in attempt.placements:
            if placement.node_id in self.site.groups and data.draw(st.booleans()):
                fault = {"launch_error": "full"} if code == 75 else {}  # of the node
                ended = {"exit_code": code, **fault} if seen is Observed.ENDED else {}
                saved = (
                    {"committed_step": step, "committed_path": "/c/x", "save_s": step * 9.0}
                    if step > 4
                    else {}
                )
                self.site.facts(attempt.id, placement.node_id, observed=seen, step=step, **ended, **saved)


TestLossySiteWithTwoMinds = LossySiteWithTwoMinds.TestCase
TestLossySiteWithTwoMinds.settings = settings(max_examples=10, stateful_step_count=30)
TestLossySiteOfDomainsWithTwoMinds = LossySiteOfDomainsWithTwoMinds.TestCase
TestLossySiteOfDomainsWithTwoMinds.settings = settings(max_examples=10, stateful_step_count=30)
TestLossySiteOfFedDomainsWithTwoMinds = LossySiteOfFedDomainsWithTwoMinds.TestCase
TestLossySiteOfFedDomainsWithTwoMinds.settings = settings(max_examples=10, stateful_step_count=30)
TestAnythingGoes = AnythingGoes.TestCase
TestAnythingGoes.settings = settings(max_examples=40, stateful_step_count=40)
