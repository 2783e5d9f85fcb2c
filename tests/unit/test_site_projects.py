"""Site files with projects: taken over to the letter, and nonsense is refused with field, value and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from scheduler.core.projects import FairShare, Project
from scheduler.core.snapshot import SitePolicy, Snapshot
from scheduler.errors import SettingsError
from scheduler.settings import Site, load_site
from scheduler.sim.site_file import load_sim_site
from scheduler.wire import dumps, loads
from tests.builders import site

NODES = {"count": 1, "gpus": 2, "base_w": 600, "simulated": True}


def written(directory: Path, **document: Any) -> Path:
    """The file of a site of one node, and what a test adds."""
    path = directory / "site.yaml"
    plain = {"name": "s", "power": {"firm_w": 3000}, "nodes": [NODES]}
    path.write_text(yaml.safe_dump(plain | document), encoding="utf-8")
    return path


def loaded(directory: Path, **document: Any) -> Site:
    """As `barq up` reads it."""
    return load_site(written(directory, **document))


def test_a_site_that_names_no_projects_has_none(tmp_path: Path) -> None:
    """And remembers use by the defaults, should it name some."""
    policy = loaded(tmp_path).policy()

    assert (policy.projects, policy.fair_share) == ((), FairShare(half_life_s=604_800.0, energy_weight=0.5))


@pytest.mark.parametrize(
    "text,seconds", [("7d", 604_800.0), ("36h", 129_600.0), ("1.5h", 5400.0), (3600, 3600.0)]
)
def test_projects_are_taken_over_to_the_letter(tmp_path: Path, text: object, seconds: float) -> None:
    """Decisions get just that, on a real site and on a simulated one, through a recorded snapshot too."""
    given = [
        {
            "name": "Team A",
            "weight": 2.5,
            "nominal_gpus": 2,
            "borrowing_limit_gpus": 0,
            "lending_limit_gpus": 1,
        },
        {"name": "b"},
    ]
    path = written(tmp_path, projects=given, fair_share={"half_life": text, "energy_weight": 0})
    policy = load_site(path).policy()

    assert policy.projects == (
        Project(name="Team A", weight=2.5, nominal_gpus=2, borrowing_limit_gpus=0, lending_limit_gpus=1),
        Project(name="b"),
    )
    assert policy.fair_share == FairShare(half_life_s=seconds, energy_weight=0.0)
    simulated = load_sim_site(path).policy()
    assert (simulated.projects, simulated.fair_share) == (policy.projects, policy.fair_share)
    assert loads(SitePolicy, dumps(policy)) == policy


@pytest.mark.parametrize(
    "document,said",
    [
        ({"projects": [{"name": "a", "weight": 0}]}, "projects.0.weight"),
        ({"projects": [{"name": "a", "nominal_gpus": -1}]}, "projects.0.nominal_gpus"),
        ({"projects": [{"name": "a"}, {"name": "a"}]}, "two projects are called 'a'"),
        ({"projects": [{"name": "others"}]}, "use another name"),
        ({"projects": [{"name": "a", "borrowing_limit_gpus": 3}]}, "borrowing_limit_gpus = 3 of project 'a'"),
        ({"projects": [{"name": "a", "lending_limit_gpus": 3}]}, "lending_limit_gpus = 3 of project 'a'"),
        (
            {"projects": [{"name": "a", "nominal_gpus": 2, "lending_limit_gpus": 3}]},
            "lending_limit_gpus = 3 of project 'a' is above nominal_gpus = 2",
        ),
        ({"projects": [{"name": "a", "nominal_gpu": 2}]}, "remove the key or correct its spelling"),
        ({"fair_share": {"half_life": "a week"}}, "such as 12h or 7d (given: 'a week')"),
        ({"fair_share": {"half_life": "0d"}}, "fair_share.half_life"),
        ({"fair_share": {"energy_weight": 1.5}}, "fair_share.energy_weight"),
    ],
)
def test_nonsense_is_refused(tmp_path: Path, document: dict[str, Any], said: str) -> None:
    """With the file, the field, the value, and what to write instead."""
    with pytest.raises(SettingsError) as refused:
        loaded(tmp_path, **document)

    assert "site.yaml: " in str(refused.value)
    assert said in str(refused.value)


def test_a_snapshot_of_before_there_were_projects_still_loads() -> None:
    """A recording is a bug report: it is read as one of a site that names none."""
    snapshot = site().node().snapshot()
    old = dumps(snapshot).replace(b',"used":null', b"")
    fair_share = dumps(snapshot.site.fair_share)
    old = old.replace(b',"projects":[],"fair_share":' + fair_share, b"")

    assert b"fair_share" not in old
    assert loads(Snapshot, old) == snapshot
