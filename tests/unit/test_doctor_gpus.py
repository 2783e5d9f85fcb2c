"""`barq doctor` about GPUs, and what it records of them, over a fake of the driver's library."""

from __future__ import annotations

import json
from pathlib import Path

import pynvml
import pytest
from typer.testing import CliRunner

from barq.cli import app
from barq.doctor.finding import Finding, Grade
from barq.doctor.gpus import gpus as examined
from barq.doctor.place import Place
from barq.site.files import SiteFiles, exclusive
from tests.fake_nvml import FakeLibrary, gpus, installed, replayed
from workers.nvml.machine import local_gpus

OK, WARN, FAIL = Grade.OK, Grade.WARN, Grade.FAIL


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A machine without a site."""
    return Place(root=tmp_path / "root", environ={}, state=tmp_path / "state")


def findings(place: Place, library: FakeLibrary) -> dict[str, Finding]:
    """What is found on such a machine."""
    with installed(library):
        return {finding.check: finding for finding in examined(place)}


def grades(place: Place, library: FakeLibrary) -> dict[str, Grade]:
    """How it is graded."""
    return {name: finding.grade for name, finding in findings(place, library).items()}


def without_driver() -> FakeLibrary:
    """A library whose driver is not there."""
    library = FakeLibrary()
    library.faults["nvmlInitWithFlags"] = pynvml.NVML_ERROR_DRIVER_NOT_LOADED
    return library


def test_gpus_that_are_well(place: Place) -> None:
    """They are named, can be capped, keep their caps, and are not capped now."""
    found = findings(place, FakeLibrary(*gpus(2, persistence=1)))

    assert {f.grade for f in found.values()} == {OK}
    assert found["gpus"].found == "2 x NVIDIA A100-SXM4-80GB (a100-sxm-400w), driver 550.54.15"
    assert found["gpus"].means == "draw is read as: instant"


def test_each_fault_has_its_line(place: Place) -> None:
    """No permission, no persistence, a cap left behind, a GPU that is split, one that is lost."""
    library = FakeLibrary(*gpus(4, limit_mw=150_000), is_root=False)
    library.gpus[2].mig = (1, 1)
    library.gpus[3].faults["*"] = pynvml.NVML_ERROR_GPU_IS_LOST
    found = findings(place, library)

    assert {name: f.grade for name, f in found.items()} == {
        "gpus": OK,
        "gpu-caps": WARN,
        "gpu-persistence": WARN,
        "gpu-left-capped": WARN,
        "gpu-2": WARN,
        "gpu-3": FAIL,
    }
    assert all(f.remedy and "\n" not in f.remedy for f in found.values() if f.grade is not OK)
    assert "MIG" in found["gpu-2"].found
    assert found["gpu-left-capped"].remedy == "nvidia-smi -pl 400"


def test_a_site_that_runs_may_cap(place: Place) -> None:
    """Its caps are no leftovers."""
    files = SiteFiles(place.state)
    files.create()
    with exclusive(files.keeper_lock, wait=False):
        assert "gpu-left-capped" not in grades(place, FakeLibrary(*gpus(1, limit_mw=150_000)))


def test_no_gpu_is_no_fault_and_a_card_without_a_driver_is(place: Place) -> None:
    """The bus tells what is in the machine."""
    assert grades(place, without_driver()) == {"gpus": OK}
    for name, vendor, kind in (
        ("a", "0x10de", "0x030200"),
        ("b", "0x10de", "0x040300"),
        ("c", "0x8086", "0x030000"),
    ):
        device = place.at(f"sys/bus/pci/devices/{name}")
        device.mkdir(parents=True)
        (device / "vendor").write_text(f"{vendor}\n")
        (device / "class").write_text(f"{kind}\n")
    found = findings(place, without_driver())["gpus"]

    assert (found.grade, found.found.partition(",")[0]) == (FAIL, "1 NVIDIA GPUs are in the machine")


def test_gpus_none_of_which_can_be_used_are_a_fault(place: Place) -> None:
    """The reason stands below."""
    assert grades(place, FakeLibrary(*gpus(1, mig=(1, 1))))["gpus"] is FAIL


def test_what_is_recorded_replays_and_tells_nobody_which_machine(tmp_path: Path) -> None:
    """The same GPUs come out of it, without UUIDs and PIDs."""
    library = FakeLibrary(*gpus(2, name="NVIDIA H100 80GB HBM3", min_mw=200_000, max_mw=700_000))
    library.gpus[0].uuid = "GPU-5ec7e7-5ec7e7"
    library.gpus[1].processes = lambda: {424242: 10}
    path = tmp_path / "gpus.json"
    with installed(library):
        result = CliRunner(env={"BARQ_STATE": str(tmp_path / "state")}).invoke(
            app, ["doctor", "-q", "--record", str(path)]
        )
        before = local_gpus()
    with installed(replayed(path.read_text())):
        after = local_gpus()

    assert f"wrote {path}" in result.stderr
    assert not {"5ec7e7", "424242"} & set(path.read_text().replace("-", '"').split('"'))
    shown = [(g.name, g.limits, g.default_w, g.enforced_w, g.draw_source, g.processes) for g in before.gpus]
    assert [
        (g.name, g.limits, g.default_w, g.enforced_w, g.draw_source, g.processes) for g in after.gpus
    ] == shown
    assert json.loads(path.read_text())["gpus"][0]["instant_mw"] == 60_000


def test_without_a_gpu_there_is_nothing_to_record(tmp_path: Path) -> None:
    """One line, and no file."""
    path = tmp_path / "gpus.json"
    with installed(without_driver()):
        result = CliRunner(env={"BARQ_STATE": str(tmp_path)}).invoke(
            app, ["doctor", "-q", "--record", str(path)]
        )

    assert result.exit_code == 1
    assert "there is nothing to record" in result.stderr
    assert not path.exists()
