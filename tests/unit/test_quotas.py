"""Quotas of projects as stories: who may start, who borrows of whom, and how lenders get back what is their own."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from scheduler.core.decide import decide
from scheduler.core.jobs import PauseCause
from scheduler.core.outlook import Outlook
from scheduler.core.projects import Project, Usage, Used
from scheduler.core.quotas import Quotas
from scheduler.core.reasons import Code, Reason
from scheduler.core.rehearsal import Verdict, rehearse
from tests.builders import SiteBuilder, commit, site
from tests.told_site import ToldSite

HOUR_S = 3600.0


def shared(*projects: Project, gpus: int = 8, **policy: Any) -> SiteBuilder:
    """A site of one node with ample power, and its projects."""
    return site(firm_w=90_000.0, projects=projects, **policy).node("n", gpus=gpus).limit_w(90_000.0)


def project(name: str, nominal: int | None = None, **limits: int) -> Project:
    """A project with its own GPUs."""
    return Project(
        name=name,
        nominal_gpus=nominal,
        borrowing_limit_gpus=limits.get("borrows"),
        lending_limit_gpus=limits.get("lends"),
    )


def ran(built: SiteBuilder, name: str, seconds: float = HOUR_S, **spec: Any) -> SiteBuilder:
    """A job that has been running for so long, and saved meanwhile unless told otherwise."""
    saved = spec.pop("last_commit", commit(5))
    built.running(name, spec.pop("on", "n"), last_commit=saved, **spec)
    attempt = built.attempts[f"{name}.1"]
    built.attempts[f"{name}.1"] = replace(attempt, running_at=built.at - timedelta(seconds=seconds))
    return built


def why(built: SiteBuilder, name: str) -> Reason:
    """Why a job waits after one more decision."""
    return decide(built.snapshot()).reasons[name]


def test_a_site_that_names_no_project_knows_no_quota() -> None:
    """Whatever its jobs call their projects."""
    built = site(firm_w=90_000.0).node("n", gpus=8).limit_w(90_000.0).job("j", gpus=8, project="x")

    assert built.does() == ["start j on n at 400 W"]


def test_a_project_has_its_own_and_no_more_where_nobody_lends() -> None:
    """The reason says so in numbers, and what would change it."""
    built = shared(project("a", 4), project("b", 4, lends=0))
    built.job("a1", gpus=4, project="a").job("a2", gpus=1, project="a").job("b1", gpus=4, project="b")
    built.settles()

    reason = why(built, "a2")
    assert sorted(built.attempts) == ["a1.1", "b1.1"]
    assert reason.code == Code.QUOTA_EXCEEDED
    assert reason.text == (
        "project a uses 4 GPUs of 4 nominal, 0 of them borrowed, and may have 0 more; it asks for 1"
    )
    assert reason.numbers == {
        "used_gpus": 4,
        "nominal_gpus": 4,
        "borrowed_gpus": 0,
        "available_gpus": 0,
        "asked_gpus": 1,
    }
    assert "borrowing_limit_gpus" in reason.remedy


def test_what_nobody_uses_is_borrowed() -> None:
    """All of it, where neither side sets a limit."""
    built = shared(project("a", 4), project("b", 4)).job("a1", gpus=8, project="a").settles()

    assert sorted(built.attempts) == ["a1.1"]


@pytest.mark.parametrize("limits", [({"borrows": 2}, {}), ({}, {"lends": 2})], ids=str)
def test_each_side_limits_what_is_borrowed(limits: tuple[dict[str, int], dict[str, int]]) -> None:
    """Who borrows, and who lends."""
    built = shared(project("a", 4, **limits[0]), project("b", 4, **limits[1]))
    for name in ("a1", "a2", "a3", "a4"):
        built.job(name, gpus=2, project="a")
    built.settles()

    assert sorted(built.attempts) == ["a1.1", "a2.1", "a3.1"]
    assert why(built, "a4").numbers["borrowed_gpus"] == 2


def test_what_the_lenders_own_jobs_wait_for_is_not_lent() -> None:
    """Though the borrower's job comes first in the queue, and the lender's waits for the node to be whole."""
    built = shared(project("a", 2), project("b", 6), gpus=8)
    ran(built, "x", gpus=1, project="a")
    built.job("a2", gpus=2, project="a", priority=5).job("b1", gpus=6, project="b")

    assert built.does(obeyed=False) == ["start b1 on n at 400 W"]
    assert why(built, "a2").code == Code.QUOTA_EXCEEDED


def test_a_quota_that_is_used_up_keeps_nobody_else_waiting() -> None:
    """However long its job waits, and however important it is."""
    built = shared(project("a", 4), project("b", 4, lends=0), patience_s=5.0)
    ran(built, "x", gpus=4, project="a")
    built.job("a2", gpus=1, project="a", priority=9).passes(60).job("b1", gpus=4, project="b")

    assert built.does() == ["start b1 on n at 400 W"]


def test_a_job_that_no_quota_can_ever_hold_is_told_so() -> None:
    """Its own and all that others lend, within its borrowing limit."""
    built = shared(project("a", 4, borrows=2), project("b", 4)).job("a1", gpus=7, project="a")
    reason = why(built, "a1")

    assert reason.code == Code.NEVER_FITS
    assert reason.numbers == {"asked_gpus": 7, "largest_gpus": 6, "nominal_gpus": 4}
    assert reason.text == "asks for 7 GPUs; project a can have 6 at most, what others lend included"


def test_who_is_not_named_shares_what_is_nobodys() -> None:
    """A new name is no way around another's quota, and no GPU is left to nobody."""
    built = shared(project("a", 2, lends=0), Project(name="c"), gpus=8)
    built.job("x1", gpus=4, project="new").job("c1", gpus=2, project="c").job("y1", gpus=1, project="newer")
    built.settles()

    assert sorted(built.attempts) == ["c1.1", "x1.1"]
    assert why(built, "y1").text.startswith("projects without a nominal use 6 GPUs of 6 nominal")


def test_a_lender_gets_back_what_is_its_own() -> None:
    """The borrower saves and leaves, though it is more important and waited for by nobody's patience."""
    built = shared(project("a", 4), project("b", 4))
    ran(built, "a1", gpus=4, project="a")
    ran(built, "a2", gpus=4, project="a", priority=3)
    built.job("b1", gpus=2, project="b")

    assert built.does() == ["save a1"]
    assert built.attempts["a1.1"].pause_cause is PauseCause.FAIR_SHARE_RECLAIM
    assert built.does() == ["end a1: PREEMPTED", "start b1 on n at 400 W"]
    assert why(built, "a1").code == Code.QUOTA_EXCEEDED


@pytest.mark.parametrize("priority", [0, 3])
def test_who_gave_back_what_it_borrowed_does_not_start_on_it_again(priority: int) -> None:
    """Whose turn it is, or how important it is: half of the site is cordoned, so that GPUs are short and quotas not."""
    built = shared(project("a", 2), project("b", 6), gpus=4).node("m", gpus=4)
    built.groups["m"] = replace(built.groups["m"], cordoned=True)
    built.used = Used(at=built.at, projects={"b": Usage(gpu_h=1.0)})
    ran(built, "a1", gpus=4, project="a", priority=priority)
    built.job("b1", gpus=2, project="b")

    assert built.does() == ["save a1"]
    assert built.does() == ["end a1: PREEMPTED", "start b1 on n at 400 W"]
    assert why(built, "a1").code == Code.WAITING_FOR_RESOURCES
    assert getattr(Outlook(built.snapshot()).of("a1"), "position", None) == 1


def test_who_comes_to_borrow_by_what_starts_first_comes_after_the_others() -> None:
    """The first of two alike is within its own, the second not."""
    built = shared(project("a", 2), project("b", 2), gpus=4)
    built.used = Used(at=built.at, projects={"b": Usage(gpu_h=1.0)})
    built.job("a1", gpus=2, project="a").job("a2", gpus=2, project="a").job("b1", gpus=2, project="b")

    assert built.does() == ["start a1 on n at 400 W", "start b1 on n at 400 W"]


def test_positions_are_told_with_borrowers_last() -> None:
    """However important they are."""
    built = shared(project("a", 2), project("b", 2), gpus=4).node("m", gpus=4)
    built.groups["m"] = replace(built.groups["m"], cordoned=True)
    built.running("x", "n", gpus=4, project="a")
    built.job("a1", gpus=2, project="a", priority=3).job("b1", gpus=2, project="b")
    outlook = Outlook(built.snapshot())

    assert [getattr(outlook.of(name), "position", None) for name in ("b1", "a1")] == [1, 2]


def test_no_more_is_asked_back_than_is_owed() -> None:
    """One borrower after another, as many as the lender's jobs need, and never what a borrower has of its own."""
    built = shared(project("a", 4), project("b", 4))
    for number in range(8):
        ran(built, f"a{number}", gpus=1, project="a")
    for number in range(6):
        built.job(f"b{number}", gpus=1, project="b")
    told: list[str] = []
    for _ in range(12):
        told += built.does()
        built.passes(1.0)

    assert sum(word.startswith("save") for word in told) == 4
    assert sum(a.job_id.startswith("b") for a in built.attempts.values()) == 4
    assert why(built, "b5").code == Code.QUOTA_EXCEEDED


def test_jobs_of_different_shapes_ask_for_their_projects_own_once() -> None:
    """Four GPUs are owed, though jobs of two shapes wait for four each; another borrower keeps the rest."""
    built = shared(project("a", 0), project("b", 4), project("c", 4))
    for number in range(8):
        ran(built, f"a{number}", gpus=1, project="a")
    for number in range(4):
        built.job(f"b{number}", gpus=1, project="b").job(f"bb{number}", gpus=2, project="b")
    told: list[str] = []
    for _ in range(8):
        told += built.does(obeyed=False)
        built.passes(1.0)

    assert sum(word.startswith("save") for word in told) == 4


def test_nobody_knows_when_a_quota_is_free() -> None:
    """So no date is made up, in a dry run neither."""
    built = shared(project("a", 4), project("b", 4, lends=0))
    ran(built, "a1", gpus=4, project="a")
    made = rehearse(built.snapshot(), replace(built.jobs["a1"].spec, gpus=1))

    assert made.verdict is Verdict.WAITS
    assert made.reason is not None
    assert made.reason.code == Code.QUOTA_EXCEEDED
    assert made.prospect is not None
    assert made.prospect.start.assumption.startswith("no estimate: it waits for its project's quota")


def test_positions_are_told_in_the_order_of_turns() -> None:
    """As the queue is walked."""
    built = shared(Project(name="a"), Project(name="b"), gpus=1)
    built.running("x", "n", gpus=1, project="a").job("a1", project="a").job("b1", project="b")
    built.used = Used(at=built.at, projects={"a": Usage(gpu_h=1.0)})
    outlook = Outlook(built.snapshot())

    assert [getattr(outlook.of(name), "position", None) for name in ("b1", "a1")] == [1, 2]


def test_a_large_borrower_leaves_for_a_small_lender() -> None:
    """Nothing less can be given back."""
    built = shared(project("a", 2), project("b", 6))
    ran(built, "a1", gpus=8, project="a")
    built.job("b1", gpus=1, project="b")

    assert built.does() == ["save a1"]


@pytest.mark.parametrize(
    "spec", [{"seconds": 899.0}, {"last_commit": None}, {"flex": 2}], ids=["new", "never saved", "firm"]
)
def test_some_borrowers_are_not_asked_yet(spec: dict[str, Any]) -> None:
    """Nobody loses work for a lender, nor is moved right after a start."""
    built = shared(project("a", 4), project("b", 4))
    ran(built, "a1", gpus=8, project="a", **spec)
    built.job("b1", gpus=2, project="b")

    assert built.does() == []


def test_who_is_within_its_own_is_not_asked() -> None:
    """A lender beyond its own is a borrower like any other."""
    built = shared(project("a", 4), project("b", 4))
    ran(built, "a1", gpus=4, project="a")
    ran(built, "b1", gpus=4, project="b")
    built.job("b2", gpus=1, project="b")

    assert built.does() == []
    assert why(built, "b2").code == Code.QUOTA_EXCEEDED


def test_a_lender_that_lacks_power_gets_back_the_watts() -> None:
    """There are GPUs enough, but the borrowers use up the limit."""
    built = shared(project("a", 4), project("b", 4), gpus=16)
    ran(built, "a1", gpus=4, project="a", cap_w=250.0)
    ran(built, "a2", gpus=4, project="a", cap_w=250.0)
    built.limit_w(3100.0)  # idle base, and both
    built.job("b1", gpus=4, project="b", flex=4)
    built.decided()
    built.passes(1.0)

    assert any(a.pause_cause is PauseCause.FAIR_SHARE_RECLAIM for a in built.attempts.values())


@pytest.mark.parametrize("limit_w,words", [(90_000.0, []), (2300.0, ["save a1"])])
def test_nobody_is_asked_where_a_node_can_be_woken(limit_w: float, words: list[str]) -> None:
    """It takes minutes, but costs nobody a restart; without the watts for it the borrower leaves."""
    built = ToldSite(firm_w=90_000.0, projects=(project("a", 2), project("b", 6)))
    built.node("n", gpus=4).node("m", gpus=4, standby_w=50.0).limit_w(limit_w)
    ran(built, "a1", gpus=4, project="a")
    built.sleeping("m").job("b1", gpus=2, project="b")

    assert [word for word in built.does(obeyed=False) if not word.startswith("cap")] == words


def test_what_is_lent_is_told_in_proportion() -> None:
    """Nobody borrows of anybody in particular."""
    projects = (project("a", 0), project("b", 6, lends=4), project("c", 8))
    quotas = Quotas(projects, 14, {"a": 6})

    assert quotas.lent() == {"a": 0, "b": 2, "c": 4, "": 0}
