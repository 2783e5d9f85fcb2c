"""A guard process on GPUs that NVML knows, over a fake of the driver's library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.core.orders import GpuSlot, GroupKind, GroupSpec, Observed
from scheduler.core.power import A100_SXM, PowerLimits
from tests.fake_nvml import gpus
from tests.guarding import BASE_W, PATIENCE_S, GuardedNode
from tests.waiting import wait_for

UUIDS = [gpu.uuid for gpu in gpus(2)]
LIMITS = PowerLimits(min_w=100.0, max_w=400.0, idle_w=60.0)
SLOTS = tuple(GpuSlot(gpu_id=uuid, model=A100_SXM.name, limits=LIMITS) for uuid in UUIDS)
SPEC = GroupSpec(group_id="n1", kind=GroupKind.NODE, base_w=BASE_W, gpus=SLOTS)
SHOW = "import os, time; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); time.sleep(99)"


class NvmlNode(GuardedNode):
    """Its GPUs are found through NVML."""

    module = "tests.nvml_guard"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NvmlNode]:
    """A guard with two free A100."""
    made = NvmlNode(tmp_path, spec=SPEC)
    try:
        made.start()
        yield made
    finally:
        made.close()


def caps_w(node: NvmlNode) -> list[float]:
    """The enforced cap of each GPU."""
    return [gpu.cap_w for gpu in node.report().gpus]


def test_a_job_gets_its_gpu_by_uuid_and_its_cap(node: NvmlNode) -> None:
    """The one that it was given and no other; the device is capped as ordered, the free one as low as it goes."""
    node.order(node.python("j-1.1", SHOW, gpu_ids=(UUIDS[1],), cap_w=250.0))
    node.await_observed("j-1.1", Observed.RUNNING)
    log = node.directory.parent / "j-1" / "job.log"

    wait_for(lambda: UUIDS[1] in log.read_text(), timeout_s=PATIENCE_S, what="the job names its GPU")
    assert log.read_text().strip() == UUIDS[1]
    wait_for(lambda: caps_w(node) == [100.0, 250.0], timeout_s=PATIENCE_S, what="the caps are set")
    assert {gpu.sensors.temperature_c for gpu in node.report().gpus if gpu.sensors} == {41.0}


def test_a_gpu_that_is_lost_costs_no_other_job_anything(node: NvmlNode) -> None:
    """It is named, counts at its last cap, and nothing can be placed on it; what runs beside it goes on."""
    node.order(node.python("j-1.1", SHOW, gpu_ids=(UUIDS[1],), cap_w=250.0))
    node.await_observed("j-1.1", Observed.RUNNING)
    wait_for(lambda: caps_w(node) == [100.0, 250.0], timeout_s=PATIENCE_S, what="the caps are set")
    (node.directory / "lost-0").touch()

    wait_for(lambda: node.report().gpus[0].lost, timeout_s=PATIENCE_S, what="it is lost")
    report = node.report()
    assert [slot.gpu_id for slot in report.spec.gpus] == [UUIDS[1]]
    assert report.spec.base_w == BASE_W + A100_SXM.charge_w(100.0)
    assert f"GPU {UUIDS[0]} does not answer; it counts as busy at its last cap, 100 W" in report.alarms[0]
    assert node.facts("j-1.1").observed is Observed.RUNNING
