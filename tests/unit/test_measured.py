"""What was measured of a site counts where it is more careful, and elsewhere only by the operator's word."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from barq.cli.commission_facts import facts_of, read_facts
from barq.cli.local_site import keep_measured
from barq.doctor.finding import Grade
from barq.doctor.measured import OLD_DAYS, measured as look_at
from barq.doctor.place import Place
from barq.errors import NotFound, Refused
from barq.site.files import SiteFiles
from scheduler.errors import SettingsError
from scheduler.settings import Site, load_site

LOCAL = Path(__file__).parents[2] / "configs" / "sites" / "local.yaml"


def document() -> dict[str, Any]:
    """The site file `local.yaml`."""
    text: dict[str, Any] = yaml.safe_load(LOCAL.read_text(encoding="utf-8"))
    return text


def written(
    folder: Path,
    *,
    measured: object = "measured.yaml",
    days: float = 1,
    devices: dict[str, Any] | None = None,
    **figures: Any,
) -> Path:
    """A site file, and beside it what was measured."""
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(document()), encoding="utf-8")
    told = load_site(path).told()
    found = {
        "version": 1,
        "site": "local",
        "measured_at": (datetime.now(UTC) - timedelta(days=days)).isoformat(),
        "devices": devices or told.devices.model_dump(mode="json"),
        "figures": figures,
        "steps": [{"name": "what people read"}],
    }
    (folder / "measured.yaml").write_text(yaml.safe_dump(found), encoding="utf-8")
    path.write_text(yaml.safe_dump(document() | {"measured": measured}), encoding="utf-8")
    return path


def figures(site: Site) -> tuple[float, float, float]:
    """Overhead, base and restart that count."""
    return site.power.overhead, site.nodes[0].base_w, site.timing.restart_s


def test_what_is_higher_counts(tmp_path: Path) -> None:
    """Each figure by itself."""
    path = written(
        tmp_path, overhead=1.31, base_w={"node": 640.0}, restart_s=31.0, fall_s=2.9, fall_least_s=1.9
    )

    assert figures(load_site(path)) == (1.31, 640.0, 31.0)


def test_what_is_lower_does_not(tmp_path: Path) -> None:
    """A measurement makes no site less safe than its file."""
    path = written(tmp_path, overhead=1.1, base_w={"node": 500.0}, restart_s=2.0)

    assert figures(load_site(path)) == (1.25, 600.0, 20.0)


def test_what_is_lower_counts_where_it_is_accepted_by_name(tmp_path: Path) -> None:
    """And only that."""
    accepted = {"file": "measured.yaml", "accept": ["overhead"]}
    path = written(tmp_path, measured=accepted, overhead=1.1, base_w={"node": 500.0})

    assert figures(load_site(path)) == (1.1, 600.0, 20.0)


def test_a_base_above_the_firm_level_is_refused(tmp_path: Path) -> None:
    """The promise is checked with what counts."""
    with pytest.raises(SettingsError, match="firm_w"):
        load_site(written(tmp_path, base_w={"node": 3000.0}))


def test_a_fall_that_took_too_long_is_refused(tmp_path: Path) -> None:
    """For all that the meter can tell: one that may have been in time is left to doctor."""
    with pytest.raises(SettingsError, match=r"timing.fall_s = 3 s.*4\.2 s"):
        load_site(written(tmp_path, fall_s=5.2, fall_least_s=4.2))
    assert load_site(written(tmp_path, fall_s=3.5, fall_least_s=2.5)).timing.fall_s == 3.0


def test_other_devices_make_nothing_less_careful(tmp_path: Path) -> None:
    """What is higher counts still; nobody can accept what was measured on something else."""
    devices = {"nodes": {"node": {"count": 9}}, "miners": {}}

    assert figures(load_site(written(tmp_path, devices=devices, overhead=1.4)))[0] == 1.4
    accepted = {"file": "measured.yaml", "accept": ["overhead"]}
    with pytest.raises(SettingsError, match="other devices"):
        load_site(written(tmp_path, measured=accepted, devices=devices, overhead=1.1))


@pytest.mark.parametrize("name", ["../measured.yaml", "/etc/x.yaml", "barq.db", "site.yaml", "", ".x.yaml"])
def test_the_file_lies_beside_the_site_file(tmp_path: Path, name: str) -> None:
    """And is none of the site's own."""
    with pytest.raises(SettingsError, match=r"measured|name a file"):
        load_site(written(tmp_path, measured=name))


@pytest.mark.parametrize(
    "text", ["[]", "version: 2", "{version: 1, site: local}", "{", "version: 1\nfigures: {overhead: .nan}"]
)
def test_a_file_that_makes_no_sense_is_named(tmp_path: Path, text: str) -> None:
    """With what to do."""
    path = written(tmp_path)
    (tmp_path / "measured.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(SettingsError, match=r"measured\.yaml"):
        load_site(path)


def test_it_goes_where_the_site_file_goes(tmp_path: Path) -> None:
    """The site reads its own copy of both."""
    files = SiteFiles(tmp_path / "state")
    files.create()
    path = written(tmp_path, overhead=1.4)
    keep_measured(files, load_site(path), path)
    files.site_file.write_bytes(path.read_bytes())
    path.unlink()
    (tmp_path / "measured.yaml").unlink()

    assert load_site(files.site_file).power.overhead == 1.4
    keep_measured(files, load_site(files.site_file), None)


@pytest.mark.parametrize(
    "more, grade, says",
    [
        ({"overhead": 1.2}, Grade.OK, "1 day(s) ago"),
        ({"overhead": 1.3}, Grade.WARN, "power.overhead = 1.25, measured 1.3"),
        ({"fall_s": 3.4, "fall_least_s": 2.4}, Grade.WARN, "up to 3.4"),
        ({"days": OLD_DAYS + 2}, Grade.WARN, "days old"),
        ({"devices": {"nodes": {}, "miners": {}}}, Grade.WARN, "other devices"),
        ({"fall_s": 9.0, "fall_least_s": 8.0}, Grade.WARN, "up to 9"),
    ],
)
def test_doctor_says_what_is_apart(tmp_path: Path, more: dict[str, Any], grade: Grade, says: str) -> None:
    """Also what is too old, or was measured on something else."""
    written(tmp_path, **more)
    found = look_at(Place(root=tmp_path, environ={}, state=tmp_path))

    assert (found.grade, says in found.found) == (grade, True), found


def test_doctor_is_content_where_nothing_was_measured(tmp_path: Path) -> None:
    """No site, or one without the key; what cannot be read is told."""
    place = Place(root=tmp_path, environ={}, state=tmp_path)
    assert look_at(place).grade is Grade.OK
    (tmp_path / "site.yaml").write_bytes(LOCAL.read_bytes())
    assert look_at(place).grade is Grade.OK
    (tmp_path / "site.yaml").write_text("measured: {", encoding="utf-8")
    assert look_at(place).grade is Grade.WARN


def test_facts_are_those_of_the_site_file() -> None:
    """By the books: what a job's GPUs cost at each of their levels, and what is left at rest."""
    site = load_site(LOCAL)
    told = facts_of(site, {}, [])
    node = told.nodes["node-1"]

    assert (node.gpus, node.tdp_w, node.idle_w, node.held_w, node.kind) == (4, 400.0, 55.0, 95.0, "node")
    assert node.caps_w() == [300.0, 200.0]
    assert told.idle_base_w == site.idle_base_w()
    assert told.miners["miners"].max_w == 4 * 1180.0
    assert told.rest_w() < told.held_w(node) < told.capped_w(node, 200.0) < told.full_w(node)


def test_a_machine_without_a_site_is_told_so(tmp_path: Path) -> None:
    """And a site that only looks on cannot be measured."""
    with pytest.raises(NotFound, match="no site"):
        read_facts(tmp_path)
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(document() | {"mode": "shadow"}), encoding="utf-8")
    with pytest.raises(Refused, match="shadow"):
        read_facts(tmp_path)
