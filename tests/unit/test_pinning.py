"""A job goes on only where its checkpoints can be read, and says so when that makes it wait."""

from __future__ import annotations

from dataclasses import replace

from scheduler.core.jobs import CommitRef, Job, JobState
from scheduler.core.orders import Observed
from scheduler.core.placement import place
from scheduler.core.plan import Plan
from scheduler.core.reasons import Reason
from scheduler.core.room import Room
from tests.builders import SiteBuilder, site

SHARE = "put the jobs on storage that all nodes share (storage.jobs_dir in the site file)"


def keeping(built: SiteBuilder, **storage: str) -> SiteBuilder:
    """Each node keeps the checkpoints of its jobs in the place of this id."""
    for gid, where in storage.items():
        built.groups[gid] = replace(built.groups[gid], storage=where)
    return built


def apart(*, gpus: int = 4) -> SiteBuilder:
    """Nodes a and b share a place, c keeps its own."""
    built = site(firm_w=9000.0).node("a", gpus=gpus).node("b", gpus=gpus).node("c", gpus=gpus).limit_w(20_000)
    return keeping(built, a="shared", b="shared", c="own-c")


def committed(built: SiteBuilder, on: str) -> Job:
    """The job j runs there, and has just had a verified commit."""
    built.running("j", on, gpus=1)
    built.facts(
        "j.1",
        on,
        observed=Observed.RUNNING,
        step=8,
        committed_step=7,
        committed_path="/jobs/j/checkpoints/step-7",
    )
    built.decided(obeyed=False)
    return built.jobs["j"]


def waiting(built: SiteBuilder, storage: str, *readers: str, gpus: int = 1) -> SiteBuilder:
    """The job j was paused with a checkpoint in that place."""
    built.job(
        "j",
        state=JobState.PAUSED,
        gpus=gpus,
        last_commit=CommitRef(path="/jobs/j/checkpoints/step-7", step=7),
    )
    built.jobs["j"] = replace(built.jobs["j"], storage=storage, pinned_to=readers)
    return built


def nodes_of(built: SiteBuilder, name: str) -> list[str] | None:
    """Where the job would be placed."""
    plan = Plan(built.snapshot())
    found = place(plan.jobs[name], Room(plan), plan)
    return None if found is None else [p.node_id for p in found]


def reason(built: SiteBuilder) -> Reason:
    """Why j waits."""
    return built.decided(obeyed=False).reasons["j"]


def test_the_first_commit_binds_a_job_to_those_who_can_read_it() -> None:
    """The place is remembered, and the nodes by name."""
    job = committed(apart(), "a")

    assert (job.storage, job.pinned_to) == ("shared", ("a", "b"))


def test_a_job_that_others_cannot_follow_is_told_so_when_it_commits() -> None:
    """Once, as an event with the directory and the names."""
    built = apart()
    built.running("j", "c", gpus=1)
    built.facts(
        "j.1",
        "c",
        observed=Observed.RUNNING,
        step=8,
        committed_step=7,
        committed_path="/own/j/checkpoints/step-7",
    )

    first, second = built.decided(obeyed=False), built.decided(obeyed=False)

    assert [e.text for e in first.events if e.kind == "job.pinned"] == [
        "j: its checkpoints lie in /own/j/checkpoints, which only c can read"
    ]
    assert [e for e in second.events if e.kind == "job.pinned"] == []


def test_where_all_share_one_place_nothing_is_said() -> None:
    """The usual site of one machine."""
    built = keeping(site().node("a").node("b").limit_w(9000), a="one", b="one")
    job = committed(built, "a")

    assert job.pinned_to == ("a", "b")
    assert nodes_of(waiting(keeping(site().node("a").node("b"), a="one", b="one"), "one", "a", "b"), "j") == [
        "a"
    ]


def test_nodes_that_say_nothing_of_storage_share_it() -> None:
    """Guards without a jobs directory, as in recordings of old."""
    job = committed(site().node("a").node("b").limit_w(9000), "a")

    assert (job.storage, job.pinned_to) == ("", ())


def test_it_goes_on_only_where_its_checkpoints_are() -> None:
    """Other nodes are free, and of no use."""
    assert nodes_of(waiting(apart(), "own-c", "c"), "j") == ["c"]
    assert nodes_of(waiting(apart(), "shared", "a", "b"), "j") == ["a"]


def test_a_node_that_joins_later_may_take_it_if_it_reads_the_same_place() -> None:
    """Known by the id of the place, not by who was there at the time."""
    built = keeping(waiting(apart(), "own-c", "c").node("d", gpus=1), d="own-c")

    assert nodes_of(built, "j") == ["d"]
    built.decided(obeyed=False)
    assert built.jobs["j"].pinned_to == ("c", "d")


def test_a_node_that_lost_the_place_is_not_used_though_its_name_is_known() -> None:
    """A mount is gone: what it has now is another directory of the same name."""
    built = keeping(waiting(apart(), "shared", "a", "b"), a="own-a")

    assert nodes_of(built, "j") == ["b"]
    built.decided(obeyed=False)
    assert built.jobs["j"].pinned_to == ("b",)


def test_who_was_not_heard_of_yet_counts_as_last_known() -> None:
    """A scheduler that began a moment ago forgets nothing."""
    built = waiting(apart(), "own-c", "c")
    built.groups["c"] = replace(built.groups["c"], storage="", reported_at=None)

    assert nodes_of(built, "j") is None
    built.decided(obeyed=False)
    assert built.jobs["j"].pinned_to == ("c",)


def test_why_names_the_directory_the_nodes_and_the_remedy() -> None:
    """Four GPUs elsewhere are free; the one node that can read them is full."""
    built = apart().running("other", "c", gpus=4)

    found = reason(waiting(built, "own-c", "c"))

    assert found == Reason(
        code="WaitingForResources",
        text="needs 1 GPUs; its checkpoints lie in /jobs/j/checkpoints, which only c can read; 0 GPUs are free there",
        numbers={"needed_gpus": 1, "free_gpus": 0},
        remedy=f"{SHARE}, or wait for c",
    )


def test_why_says_when_the_only_reader_is_away() -> None:
    """Silent for longer than it takes to be called unreachable."""
    built = waiting(apart(), "own-c", "c").passes(6.0)
    built.groups["c"] = replace(built.groups["c"], reported_at=built.snapshot().led_since_at)

    assert reason(built).text == (
        "needs 1 GPUs; its checkpoints lie in /jobs/j/checkpoints, which only c can read; "
        "c cannot take work now"
    )


def test_it_never_fits_when_its_only_reader_left_the_site() -> None:
    """Others have room; none has the checkpoints."""
    built = waiting(apart(), "own-c", "c")
    del built.groups["c"]

    found = reason(built)

    assert (found.code, found.remedy) == ("NeverFits", "bring c back, or submit it anew")
    assert "which only c can read" in found.text


def test_a_gang_is_placed_where_all_members_read_the_same_checkpoints() -> None:
    """They write one commit together."""
    built = apart().running("other", "a", gpus=1).job("j", gpus=2, nodes=2)

    assert nodes_of(built, "j") == ["a", "b"]


def test_a_gang_on_nodes_that_share_nothing_never_fits_and_why_says_it() -> None:
    """Three nodes, three places."""
    built = keeping(apart(), a="own-a", b="own-b").job("j", gpus=1, nodes=2)

    found = reason(built)

    assert (found.code, found.remedy) == ("NeverFits", SHARE)
    assert found.text == (
        "asks for 1 GPUs on each of 2 nodes that read the same checkpoints; those that do are a; b; c"
    )
