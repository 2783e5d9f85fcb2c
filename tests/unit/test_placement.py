"""Where gangs go: whole GPUs on enough nodes at once, or nowhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from scheduler.core.orders import GpuReading
from scheduler.core.placement import ever_fits, place
from scheduler.core.plan import Plan
from scheduler.core.room import Room
from tests.builders import SiteBuilder, site


def placed(built: SiteBuilder, name: str) -> dict[str, tuple[str, ...]] | None:
    """Node -> GPUs, None where the job fits nowhere."""
    plan = Plan(built.snapshot())
    found = place(plan.jobs[name], Room(plan), plan)
    return None if found is None else {p.node_id: p.gpu_ids for p in found}


def test_it_takes_the_first_free_gpus() -> None:
    """In slot order, beside what is held."""
    built = site().node(gpus=4).running("other", "node-1", gpus=2).job("j", gpus=1)

    assert placed(built, "j") == {"node-1": ("2",)}


def test_best_fit_keeps_large_nodes_whole() -> None:
    """The node that has the fewest GPUs left over afterwards."""
    built = site().node("big", gpus=8).node("small", gpus=2).job("j", gpus=2)

    assert placed(built, "j") == {"small": ("0", "1")}


def test_a_gang_fits_as_a_whole_or_not_at_all() -> None:
    """Two nodes with two GPUs each are not one with four, nor three."""
    built = site().node("a", gpus=2).node("b", gpus=2)
    built.job("two", gpus=2, nodes=2).job("four", gpus=4).job("three", gpus=1, nodes=3)

    assert placed(built, "two") == {"a": ("0", "1"), "b": ("0", "1")}
    assert placed(built, "four") is None
    assert placed(built, "three") is None


def test_a_gpu_with_a_foreign_process_is_not_free() -> None:
    """What was seen on the device counts, not only what was ordered."""
    built = site().node(gpus=2).job("j", gpus=2)
    busy = GpuReading(gpu_id="0", draw_w=90.0, cap_w=100.0, processes=1)
    group = built.groups["node-1"]
    built.groups["node-1"] = replace(group, gpus=(busy, *group.gpus[1:]))

    assert placed(built, "j") is None


def test_no_new_work_for_a_silent_or_cordoned_node() -> None:
    """Five seconds without a report, or a person's word, are enough."""
    built = site().node("a").node("b").job("j", gpus=1)
    built.groups["a"] = replace(built.groups["a"], cordoned=True)
    built.passes(5.1)
    built.groups["a"] = replace(built.groups["a"], reported_at=built.at)
    silent = replace(built.groups["b"], reported_at=built.snapshot().led_since_at)
    built.groups["b"] = silent

    assert placed(built, "j") is None


def test_the_node_matters_where_it_is_named() -> None:
    """It waits for that one, even where another is free; one that is not there never comes."""
    built = site().node("a", gpus=2).node("b", gpus=2).running("other", "b", gpus=2)
    built.job("on-a", gpus=2, node="a").job("on-b", gpus=2, node="b").job("on-c", gpus=2, node="c")
    plan = Plan(built.snapshot())

    assert placed(built, "on-a") == {"a": ("0", "1")}
    assert placed(built, "on-b") is None
    assert [ever_fits(plan.jobs[name], plan) for name in ("on-a", "on-b", "on-c")] == [True, True, False]


def test_the_gpu_type_matters_where_it_is_named() -> None:
    """A type that the site does not have never fits."""
    built = site().node().job("any", gpus=1).job("h100", gpus=1, gpu_type="h100")
    plan = Plan(built.snapshot())

    assert placed(built, "any") is not None
    assert placed(built, "h100") is None
    assert [ever_fits(plan.jobs[n], plan) for n in ("any", "h100")] == [True, False]


def test_a_job_whose_checkpoints_are_on_one_node_stays_there() -> None:
    """Pinned means there or nowhere."""
    built = site().node("a", gpus=4).node("b", gpus=1).job("j", gpus=1)
    built.jobs["j"] = replace(built.jobs["j"], pinned_to=("a",))

    assert placed(built, "j") == {"a": ("0",)}


def test_ever_fits_ignores_what_runs_now() -> None:
    """A full site is no reason to call a job impossible; a small one is."""
    built = site().node(gpus=4).running("other", "node-1").job("waits", gpus=4).job("never", gpus=5)
    plan = Plan(built.snapshot())

    assert [ever_fits(plan.jobs[n], plan) for n in ("waits", "never")] == [True, False]


# -- gangs whose last member is smaller, and jobs that any GPUs will do for ---


def test_the_last_member_goes_where_the_fewest_gpus_are_left_over() -> None:
    """The others need whole nodes; it does not."""
    built = site().node("a", gpus=4).node("b", gpus=4).node("c", gpus=4).node("small", gpus=2)
    built.job("j", gpus=4, nodes=3, last_gpus=2)

    assert placed(built, "j") == {
        "a": ("0", "1", "2", "3"),
        "b": ("0", "1", "2", "3"),
        "small": ("0", "1"),
    }


def test_a_last_member_may_share_with_nobody_of_its_gang() -> None:
    """A node holds one member of a gang at most."""
    built = site().node("a", gpus=8).job("j", gpus=4, nodes=2, last_gpus=2)

    assert placed(built, "j") is None
    assert placed(built.node("b", gpus=1), "j") is None
    assert placed(built.node("c", gpus=2), "j") == {"a": ("0", "1", "2", "3"), "c": ("0", "1")}


def test_a_job_that_any_gpus_will_do_for_takes_them_as_asked_where_it_can() -> None:
    """Scattered only where there is no other way, and then over the fewest nodes."""
    built = site().node("a", gpus=3).node("b", gpus=2).node("c", gpus=1).job("j", gpus=4, scatter=True)
    assert placed(built, "j") == {"a": ("0", "1", "2"), "b": ("0",)}

    assert placed(built.node("d", gpus=4), "j") == {"d": ("0", "1", "2", "3")}


def test_a_scattered_job_stays_within_one_place() -> None:
    """All its members read the same checkpoints."""
    built = site().node("a", gpus=2).node("b", gpus=2).job("j", gpus=4, scatter=True)
    for name, place_id in {"a": "x", "b": "y"}.items():
        built.groups[name] = replace(built.groups[name], storage=place_id)

    assert placed(built, "j") is None


@pytest.mark.parametrize(
    "spec, fits",
    [
        ({"gpus": 6, "scatter": True}, True),
        ({"gpus": 7, "scatter": True}, False),
        ({"gpus": 4, "nodes": 2, "last_gpus": 2}, True),
        ({"gpus": 4, "nodes": 2, "last_gpus": 3}, False),
        ({"gpus": 4, "nodes": 2}, False),
    ],
)
def test_what_can_be_placed_on_an_empty_site_is_not_called_impossible(
    spec: dict[str, Any], *, fits: bool
) -> None:
    """And what cannot, is."""
    built = site().node("a", gpus=4).node("b", gpus=2).job("j", **spec)
    plan = Plan(built.snapshot())

    assert ever_fits(plan.jobs["j"], plan) is fits
    assert (placed(built, "j") is not None) is fits


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.none() | st.integers(1, 3),
    st.booleans(),
)
def test_an_empty_site_takes_what_it_says_that_it_takes(
    sizes: list[int],
    gpus: int,
    nodes: int,
    last_gpus: int | None,
    scatter: bool,
) -> None:
    """Every placement has the GPUs that were asked for, each once, and as asked unless they may be scattered."""
    built = site()
    for i, size in enumerate(sizes):
        built.node(f"n{i}", gpus=size)
    last = last_gpus if last_gpus is not None and last_gpus < gpus and nodes > 1 else None
    built.job("j", gpus=gpus, nodes=nodes, last_gpus=last, scatter=scatter)
    found, plan = placed(built, "j"), Plan(built.snapshot())
    asked = [*[gpus] * (nodes - 1), last or gpus]

    assert ever_fits(plan.jobs["j"], plan) is (found is not None)
    if found is None:
        return
    assert sum(map(len, found.values())) == sum(asked)
    if not scatter:
        assert [len(held) for held in found.values()] == asked
