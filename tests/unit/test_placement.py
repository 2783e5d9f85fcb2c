"""Where gangs go: whole GPUs on enough nodes at once, or nowhere."""

from __future__ import annotations

from dataclasses import replace

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
