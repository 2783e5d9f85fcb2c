"""Each file under configs/ works as it is."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scheduler.ports import ListeningSource
from scheduler.settings import load_site
from scheduler.wiring import open_source

CONFIGS = Path(__file__).parents[2] / "configs"
SITES = sorted((CONFIGS / "sites").glob("*.yaml"))


def a_state_directory(tmp_path: Path) -> Path:
    """Where a played source remembers when its day began."""
    (tmp_path / "run").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("path", SITES, ids=[p.stem for p in SITES])
async def test_each_site_loads_and_knows_its_limit(path: Path, tmp_path: Path) -> None:
    """Every source opens under the name in the file, and says at once what the site may draw.

    One that has to hear it from a peer is not asked: nobody is there.
    """
    site = load_site(path)
    sources = [open_source(s, site, a_state_directory(tmp_path / s.name)) for s in site.signals]
    now = datetime.now(UTC)
    envelopes = [await s.read(now) for s in sources if not isinstance(s, ListeningSource)]

    assert [s.name for s in sources] == [s.name for s in site.signals] != []
    assert {e.source for e in envelopes} <= {s.name for s in site.signals}
    assert all(e.limit_at(now) is not None for e in envelopes)


@pytest.mark.parametrize("path", SITES, ids=[p.stem for p in SITES])
def test_each_site_is_called_like_its_file(path: Path) -> None:
    """`barq up demo` and what the site calls itself in job ids agree."""
    assert load_site(path).name == path.stem


@pytest.mark.parametrize("path", SITES, ids=[p.stem for p in SITES])
def test_each_site_explains_itself(path: Path) -> None:
    """An example is read before it is run: it begins with a sentence, and figures of power carry a comment."""
    lines = path.read_text(encoding="utf-8").splitlines()
    firm = [line for line in lines if "firm_w" in line]

    assert lines[0].startswith("# ")
    assert firm != []
    assert all(re.search(r"# \w", line) for line in firm)


@pytest.mark.parametrize(
    "file, types, names",
    [
        ("mqtt.yaml", ["constant", "mqtt", "dsx_flex"], ["grid-contract", "feeder-12", "dsx"]),
        (
            "http.yaml",
            ["constant", "http_poll", "http_push", "price"],
            ["grid-contract", "feeder-12", "feeder-13", "day-ahead"],
        ),
        ("modbus.yaml", ["constant", "surplus"], ["grid-contract", "own-solar"]),
    ],
)
def test_commented_sources_are_right_once_they_are_not_comments(
    tmp_path: Path, file: str, types: list[str], names: list[str]
) -> None:
    """Each block opens as it stands there: no key of it is unknown, and none is missing."""
    text = (CONFIGS / "sites" / file).read_text(encoding="utf-8")
    path = tmp_path / file
    path.write_text(re.sub(r"^  # (- type: | +\w+:)", r"  \1", text, flags=re.MULTILINE), encoding="utf-8")
    site = load_site(path)
    sources = [open_source(s, site, a_state_directory(tmp_path / s.name)) for s in site.signals]

    assert [s.type for s in site.signals] == types
    assert [s.name for s in sources] == names


@pytest.mark.parametrize("nth", [0, 1])
def test_commented_meters_are_right_once_they_are_not_comments(tmp_path: Path, nth: int) -> None:
    """Each block of `modbus.yaml` as it stands there: no key of it is unknown, and none is missing."""
    text = (CONFIGS / "sites" / "modbus.yaml").read_text(encoding="utf-8")
    blocks = re.findall(r"^# meter:\n(?:#   .*\n)+", text, flags=re.MULTILINE)
    path = tmp_path / "modbus.yaml"
    path.write_text(text + re.sub(r"^# ", "", blocks[nth], flags=re.MULTILINE), encoding="utf-8")

    assert len(blocks) == 2
    assert load_site(path).meter.type == "modbus"


@pytest.mark.parametrize("nth, types", [(0, ["redfish"]), (1, ["modbus", "redfish"])])
def test_commented_controllers_are_right_once_they_are_not_comments(
    tmp_path: Path, nth: int, types: list[str]
) -> None:
    """With each of the chains of meters in `redfish.yaml`."""
    text = (CONFIGS / "sites" / "redfish.yaml").read_text(encoding="utf-8")
    (bmcs,) = re.findall(r"^# bmcs:\n(?:#   .*\n)+", text, flags=re.MULTILINE)
    meters = re.findall(r"^# meter:\n(?:# .*\n)+", text, flags=re.MULTILINE)
    path = tmp_path / "redfish.yaml"
    path.write_text(text + re.sub(r"^# ", "", bmcs + meters[nth], flags=re.MULTILINE), encoding="utf-8")
    site = load_site(path)

    assert [m.type for m in (site.meter, *site.meters_behind)] == types
    assert site.bmcs[0].of("gpu-7").url == "https://gpu-7-bmc.example.net"
    assert site.bmcs[0].of("gpu-7").system == "1"
    assert site.bmcs[0].standby is not None


def test_the_commented_source_of_figures_is_right_once_it_is_no_comment(tmp_path: Path) -> None:
    """No key of it is unknown, and none is missing."""
    text = (CONFIGS / "sites" / "revenue.yaml").read_text(encoding="utf-8")
    path = tmp_path / "revenue.yaml"
    path.write_text(re.sub(r"^    # ", "    ", text, flags=re.MULTILINE), encoding="utf-8")

    assert [s.name for s in load_site(path).revenue.sources] == ["desk", "node"]
