"""Elastic gangs: as many nodes as there are and as power affords, never fewer than the least."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scheduler.core.decide import PowerAware
from scheduler.core.growing import payback_s
from scheduler.core.jobs import PauseCause
from tests.builders import SiteBuilder, commit, obey, site


def nodes(count: int, **policy: float) -> SiteBuilder:
    """A site of so many nodes of four GPUs."""
    world = site(**{"firm_w": 20_000.0, **policy})
    for number in range(1, count + 1):
        world.node(f"n{number}")
    return world


def size(world: SiteBuilder, name: str = "j") -> int:
    """On how many nodes the attempt of a job is; 0 = there is none."""
    return next((len(a.placements) for a in world.attempts.values() if a.job_id == name), 0)


@pytest.mark.parametrize("there, taken", [(1, 0), (2, 2), (3, 3), (4, 4), (6, 4)])
def test_a_gang_takes_what_there_is_between_its_bounds(there: int, taken: int) -> None:
    """All or nothing below the least, no more than the most."""
    world = nodes(there).limit_w(60_000).job("j", gpus=4, nodes=2, max_nodes=4)

    world.decided()

    assert size(world) == taken


def test_one_node_is_enough_for_who_says_so() -> None:
    """The range may begin at one."""
    world = nodes(1).limit_w(60_000).job("j", gpus=4, nodes=1, max_nodes=8)

    assert world.does() == ["start j on n1 at 400 W"]


def test_nodes_in_use_are_left_out() -> None:
    """Each member has the same number of GPUs, however many more a node has."""
    world = nodes(4).limit_w(60_000).running("other", "n2", gpus=3).job("j", gpus=2, nodes=2, max_nodes=8)

    world.decided()

    [attempt] = [a for a in world.attempts.values() if a.job_id == "j"]
    assert [p.node_id for p in attempt.placements] == ["n1", "n3", "n4"]
    assert {len(p.gpu_ids) for p in attempt.placements} == {2}


def test_it_starts_smaller_where_power_does_not_carry_all() -> None:
    """The largest that it carries, found without trying them all; with less power fewer, with too little none."""
    sizes = []
    for limit_w in range(6_000, 14_000, 250):
        world = nodes(8).limit_w(limit_w).job("j", gpus=4, nodes=2, max_nodes=8)
        world.decided()
        sizes.append(size(world))

    assert sizes == sorted(sizes)
    assert {0, 2, 3, 4, 5, 6, 7, 8} <= set(sizes)
    assert 1 not in sizes


def test_who_cannot_start_even_at_the_least_lacks_what_the_least_lacks() -> None:
    """The reason speaks of the smallest gang."""
    asks: dict[str, Any] = {"gpus": 4, "nodes": 2, "min_cap_w": 195.0}
    elastic = nodes(8).limit_w(7_500).job("j", max_nodes=8, **asks).decided().reasons["j"]
    rigid = nodes(8).limit_w(7_500).job("j", **asks).decided().reasons["j"]

    assert elastic == rigid
    assert elastic.code == "PowerUnavailable"


def test_after_a_withdrawal_it_goes_on_with_fewer_nodes() -> None:
    """It is suspended, releases its GPUs when that lasts, and starts from its commit at a size that power carries."""
    world = nodes(4, suspend_max_s=60.0).limit_w(20_000).job("j", gpus=4, nodes=1, max_nodes=4)
    world.settles()
    assert size(world) == 4

    world.limit_w(5_500)
    assert world.does() == ["suspend j"]
    world.passes(61.0)
    world.settles()

    assert size(world) in (1, 2, 3)
    attempt = world.attempts["j.2"]
    assert attempt.resume_from == commit(10)
    assert world.jobs["j"].failures == 0


def test_it_waits_at_its_least_size_for_what_never_fits() -> None:
    """A site that holds the least is enough; one that does not says so."""
    small = nodes(1).limit_w(60_000).job("j", gpus=4, nodes=2, max_nodes=8)
    assert small.decided().reasons["j"].code == "NeverFits"

    busy = nodes(2).limit_w(60_000).running("other", "n1").job("j", gpus=4, nodes=2, max_nodes=8)
    assert busy.decided().reasons["j"].code == "WaitingForResources"


def test_a_living_policy_sizes_as_a_fresh_one() -> None:
    """What is tried and taken back leaves no trace."""
    world = (
        nodes(6).limit_w(14_000).job("j", gpus=4, nodes=2, max_nodes=8).job("k", gpus=4, nodes=1, max_nodes=2)
    )
    for limit_w in (14_000, 11_000, 9_000, 16_000):
        world.limit_w(limit_w)
        fresh = PowerAware().decide(world.snapshot())
        lived = world.decided()
        assert (lived.attempts, lived.reasons, lived.drafts) == (fresh.attempts, fresh.reasons, fresh.drafts)
        world.passes(70.0)


def grown(world: SiteBuilder) -> list[str]:
    """What is done to a gang that could be larger, once all has been calm for a while."""
    world.passes(901.0)
    return world.does(obeyed=False)


def small_gang(free: int = 2, **spec: Any) -> SiteBuilder:
    """A gang that runs on one node, has a commit, and would take three; as many others are free."""
    world = nodes(1 + free).limit_w(60_000)
    world.running("j", "n1", **{"nodes": 1, "max_nodes": 3, **spec})
    world.jobs["j"] = replace(world.jobs["j"], last_commit=commit(10), save_s=4.0)
    return world


def test_a_gang_grows_into_what_was_free_for_long() -> None:
    """It saves, leaves and comes back on more nodes; it is told why, and nothing else is done."""
    world = small_gang()
    assert world.does(obeyed=False) == []

    assert grown(world) == ["save j"]

    attempt = world.attempts["j.1"]
    assert attempt.pause_cause is PauseCause.GROWTH
    obey(world, "n1")
    world.settles()
    assert size(world) == 3
    assert world.attempts["j.2"].resume_from == commit(10)
    assert grown(world) == []  # it is as large as it may be


def test_who_waits_comes_first() -> None:
    """Nobody grows while a job waits for anything."""
    world = small_gang().job("waits", gpus=8)
    world.jobs["waits"] = replace(
        world.jobs["waits"], spec=replace(world.jobs["waits"].spec, nodes=2, gpus=4)
    )
    world.running("other", "n2").running("third", "n3", gpus=1)

    assert grown(world) == []


@pytest.mark.parametrize(
    "changes",
    [{"flex": 2}, {"time_limit_s": 905.0}, {"max_nodes": None}],
    ids=["may not be paused", "is over too soon", "is not elastic"],
)
def test_a_gang_stays_as_it_is(changes: dict[str, Any]) -> None:
    """Where it may not be paused, or it would not pay."""
    assert grown(small_gang(**changes)) == []


def test_without_a_commit_it_would_begin_anew_and_stays() -> None:
    """Nobody's work is lost for more nodes."""
    world = small_gang()
    world.jobs["j"] = replace(world.jobs["j"], last_commit=None)

    assert grown(world) == []


def test_nodes_that_were_in_use_lately_do_not_count() -> None:
    """What is free for a moment is not worth a restart."""
    world = small_gang(free=1)
    world.passes(901.0)
    world.groups["n2"] = replace(world.groups["n2"], stirred_at=world.at)

    assert world.does(obeyed=False) == []
    assert grown(world) == ["save j"]


def test_it_grows_no_further_than_power_goes() -> None:
    """And not at all where the limit leaves nothing or is known to fall soon."""
    world = small_gang()
    world.passes(901.0)
    needed_w = world.policy.decide(world.snapshot()).planned_w

    falling = small_gang().limit_w(60_000).passes(901.0).limit_w(60_000).falls_to_w(needed_w, in_s=6.0)
    assert "save j" not in falling.does(obeyed=False)
    assert "save j" not in small_gang().passes(901.0).limit_w(needed_w).does(obeyed=False)


def test_it_grows_no_further_than_what_is_foreseen_carries() -> None:
    """By the median: a gang that may be moved may be cut, too."""
    low, mid = ({0.1: 1000.0, 0.5: w} for w in (60_000.0, 1000.0))

    for quantiles, grows in ((low, True), (mid, False)):
        world = small_gang().limit_w(60_000).passes(901.0).limit_w(60_000).foresees((6.0, quantiles))
        assert bool(grown(world)) is grows


def test_growth_pays_sooner_the_more_it_gains() -> None:
    """Node-seconds lost, over nodes gained."""
    assert payback_s(nodes=4, more=2, save_s=10.0, restart_s=20.0) == 60.0
    assert payback_s(nodes=4, more=4, save_s=10.0, restart_s=20.0) == 30.0
    slow = small_gang(free=1)
    slow.jobs["j"] = replace(slow.jobs["j"], save_s=1000.0)
    assert grown(slow) == []
