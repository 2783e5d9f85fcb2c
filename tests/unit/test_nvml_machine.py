"""What a machine finds of its own GPUs, and how they count as a node."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pynvml
import pytest

from scheduler.core.entitlement import idle_w, nameplate_w
from scheduler.core.power import A100_SXM, PowerLimits
from tests.fake_nvml import FakeGpu, FakeLibrary, gpus, installed, replayed
from tests.waiting import wait_for
from workers.nvml.errors import KINDS, GpuError, GpuForbidden, GpuLost, GpuSilent, NoNvml
from workers.nvml.library import Nvml
from workers.nvml.machine import local_gpus

H100 = {
    "name": "NVIDIA H100 80GB HBM3",
    "architecture": pynvml.NVML_DEVICE_ARCH_HOPPER,
    "min_mw": 200_000,
    "max_mw": 700_000,
    "default_mw": 700_000,
    "limit_mw": 700_000,
    "instant_mw": 70_400,
}


class Falling(FakeGpu):
    """Its draw at each look; after the last one it is not told any more."""

    def __init__(self, draws_mw: Iterator[int], **said: Any) -> None:
        super().__init__(**{**said, "instant_mw": 0})
        self._draws_mw = chain([next(draws_mw)] * 2, draws_mw)  # opening the device takes a look of its own

    def __getattribute__(self, name: str) -> Any:
        if name != "instant_mw" or "_draws_mw" not in vars(self):
            return super().__getattribute__(name)
        return next(self._draws_mw, 0)


@pytest.fixture
def library() -> Iterator[FakeLibrary]:
    """A machine with two H100."""
    library = FakeLibrary(*gpus(2, **H100))
    with installed(library):
        yield library


def test_the_gpus_are_found_with_their_limits(library: FakeLibrary) -> None:
    """By UUID, with what the device says of its power; idle as measured and a little more."""
    machine = local_gpus()

    assert (machine.problem, machine.driver, machine.left_out, machine.silent) == (None, "550.54.15", (), ())
    assert [g.uuid for g in machine.usable] == [g.uuid for g in library.gpus]
    gpu = machine.usable[0]
    assert (gpu.model, gpu.draw_source, gpu.cap_problem) == ("h100-80gb-hbm3", "instant", None)
    assert gpu.limits == PowerLimits(min_w=200.0, max_w=700.0, idle_w=80.0)
    spec = machine.spec("n1", base_w=500.0)
    assert (spec.simulated, idle_w(spec), nameplate_w(spec)) == (False, 660.0, 1900.0)
    assert library.opened == 0


def test_a_real_h200_is_known_as_it_answered() -> None:
    """A recording of one in a virtual machine that has it whole: it has an instant reading, and none of the module."""
    recording = Path(__file__).parents[1] / "recordings" / "h200.json"
    with installed(replayed(recording.read_text(encoding="utf-8"))):
        (gpu,) = local_gpus().usable

    assert (gpu.name, gpu.model, gpu.draw_source) == ("NVIDIA H200", "h200", "instant")
    assert (gpu.persists, gpu.default_w, gpu.enforced_w) == (True, 700.0, 700.0)
    assert gpu.limits == PowerLimits(min_w=200.0, max_w=700.0, idle_w=90.0)


def test_a_measured_model_is_known_by_its_limits() -> None:
    """An A100 SXM of 400 W has the measured curve; one with other limits is only itself."""
    other = FakeGpu(uuid="GPU-b", max_mw=500_000)
    with installed(FakeLibrary(*gpus(1))):
        assert [g.model for g in local_gpus().usable] == [A100_SXM.name]
    with installed(FakeLibrary(other)):
        assert [g.model for g in local_gpus().usable] == ["a100-sxm4-80gb"]


def test_busy_gpus_rest_as_their_free_likes_do(library: FakeLibrary) -> None:
    """The draw of a GPU with work on it says nothing of rest; with none free, a share of the limit stands for it."""
    library.gpus[0].processes = lambda: {1: 2}
    library.gpus[0].instant_mw = 650_000
    assert [g.limits.idle_w for g in local_gpus().usable] == [80.0, 80.0]

    library.gpus[1].processes = lambda: {1: 2}
    assert [g.limits.idle_w for g in local_gpus().usable] == [175.0, 175.0]


def test_a_gpu_that_was_at_work_just_now_is_watched_until_it_rests(library: FakeLibrary) -> None:
    """It keeps its clocks for seconds after its last process: what it draws then would count for good."""
    falling_mw = iter([120_154, 75_567])
    library.gpus = [Falling(falling_mw, **H100)]
    assert [g.limits.idle_w for g in local_gpus(settle_s=0.5).usable] == [85.0]


def test_a_driver_that_fails_while_a_gpu_is_watched_costs_nothing(library: FakeLibrary) -> None:
    """The draw that it told first stands."""
    library.gpus = [Falling(iter([120_154]), **H100)]
    assert [g.limits.idle_w for g in local_gpus(settle_s=0.2).usable] == [135.0]


def test_without_permission_they_count_at_what_they_enforce(library: FakeLibrary) -> None:
    """Nothing can be lowered, so nothing is promised to be."""
    library.is_root = False
    gpu = local_gpus().usable[0]

    assert gpu.cap_problem == "only root may set its power limit"
    assert (gpu.limits.min_w, gpu.limits.max_w, gpu.limits.may_cap) == (700.0, 700.0, False)


def test_a_device_without_power_limits_counts_at_what_it_enforces(library: FakeLibrary) -> None:
    """Some cards cannot be told at all."""
    for function in ("nvmlDeviceGetPowerManagementLimitConstraints", "nvmlDeviceSetPowerManagementLimit"):
        library.gpus[0].faults[function] = pynvml.NVML_ERROR_NOT_SUPPORTED
    gpu = local_gpus().usable[0]

    assert "Not Supported" in str(gpu.cap_problem)
    assert not gpu.limits.may_cap


@pytest.mark.parametrize(
    "said, why",
    [
        ({"mig": (1, 1)}, "MIG"),
        ({"mig": (0, 1)}, "MIG"),
        ({"virtualization": pynvml.NVML_GPU_VIRTUALIZATION_MODE_VGPU}, "vGPU"),
        ({"virtualization": pynvml.NVML_GPU_VIRTUALIZATION_MODE_HOST_VGPU}, "vGPU"),
    ],
)
def test_a_gpu_that_would_be_measured_wrongly_is_left_out(
    library: FakeLibrary, said: dict[str, int], why: str
) -> None:
    """With the reason; what it may draw counts in the node's base."""
    for name, value in said.items():
        setattr(library.gpus[1], name, value)
    machine = local_gpus()

    assert len(machine.usable) == 1
    assert why in str(machine.left_out[0].obstacle)
    assert idle_w(machine.spec("n1", base_w=500.0)) == 500.0 + 700.0 + 80.0


def test_passed_through_is_as_good_as_bare_metal(library: FakeLibrary) -> None:
    """A virtual machine that has the whole GPU measures and caps it as any other."""
    library.gpus[0].virtualization = pynvml.NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH

    assert len(local_gpus().usable) == 2


def test_one_node_offers_one_kind(library: FakeLibrary) -> None:
    """A small card for the screen is left out, however it is numbered."""
    library.gpus.insert(
        0, FakeGpu(uuid="GPU-t", name="NVIDIA T400", min_mw=20_000, max_mw=31_000, limit_mw=31_000)
    )
    machine = local_gpus()

    assert [g.index for g in machine.usable] == [1, 2]
    assert "NVIDIA H100" in str(machine.left_out[0].obstacle)


def test_a_gpu_that_does_not_answer_is_named(library: FakeLibrary) -> None:
    """The others are used."""
    library.gpus[0].faults["*"] = pynvml.NVML_ERROR_GPU_IS_LOST
    machine = local_gpus()

    assert len(machine.usable) == 1
    assert machine.silent[0].startswith("GPU 0:")


def test_a_machine_without_a_driver_says_so() -> None:
    """No exception: what is wrong is part of the answer."""
    library = FakeLibrary()
    library.faults["nvmlInitWithFlags"] = pynvml.NVML_ERROR_DRIVER_NOT_LOADED
    with installed(library):
        machine = local_gpus()

    assert "Driver Not Loaded" in str(machine.problem)
    assert machine.usable == ()


def test_a_strange_answer_ends_the_search(library: FakeLibrary) -> None:
    """Whatever the library does, the answer says so, and the connection is closed."""
    library.gpus[0].processes = lambda: {"nonsense": 1}  # type: ignore[dict-item]

    assert "TypeError" in str(local_gpus().problem)
    assert library.opened == 0


def test_a_driver_that_hangs_ends_the_search(library: FakeLibrary) -> None:
    """Nobody waits for it longer than told."""
    released = library.gpus[0].hangs = threading.Event()
    machine = local_gpus(patience_s=0.05)
    library.gpus[0].hangs = None
    released.set()

    assert "did not answer within" in str(machine.problem)
    wait_for(
        lambda: "NVML" not in {t.name for t in threading.enumerate()}, timeout_s=60, what="its thread ends"
    )


def test_every_error_of_nvml_is_one_of_ours(library: FakeLibrary) -> None:
    """The table names each constant of the library, and each becomes the kind that it says, with NVML's number."""
    known = {n for n in dir(pynvml) if n.startswith("NVML_ERROR_") and isinstance(getattr(pynvml, n), int)}
    assert set(KINDS) == known

    nvml = Nvml()
    for name, kind in KINDS.items():
        library.gpus[0].faults["nvmlDeviceGetPowerUsage"] = getattr(pynvml, name)
        with pytest.raises(kind, match=rf"nvmlDeviceGetPowerUsage: .*{getattr(pynvml, name)}") as caught:
            nvml.ask("nvmlDeviceGetPowerUsage", nvml.handles()[0])
        assert type(caught.value) is kind
    nvml.close()


@pytest.mark.parametrize("kind", [NoNvml, GpuLost, GpuSilent, GpuForbidden])
def test_our_errors_are_what_the_port_promises(kind: type[GpuError]) -> None:
    """A guard that knows only OSError survives all of them."""
    assert issubclass(kind, OSError)


def test_a_code_of_tomorrow_is_an_error_too(library: FakeLibrary) -> None:
    """A newer driver may answer what the table does not know."""
    library.gpus[0].faults["nvmlDeviceGetPowerUsage"] = 555
    nvml = Nvml()
    with pytest.raises(GpuError, match="555"):
        nvml.ask("nvmlDeviceGetPowerUsage", nvml.handles()[0])
