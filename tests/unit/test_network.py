"""Where a site listens: remembered, for other machines know it; and what they must be able to reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from barq.errors import InvalidInput
from barq.site.files import SiteFiles
from barq.site.network import Network, choose_network, read_network, what_to_open
from barq.site.ray_head import PORTS_FROM

NEAR = "127.0.0.9"


@pytest.fixture
def files(tmp_path: Path) -> SiteFiles:
    """An empty state directory."""
    made = SiteFiles(tmp_path / "state")
    made.create()
    return made


def test_a_site_is_for_this_machine_alone_unless_told_otherwise(files: SiteFiles) -> None:
    """On any free ports."""
    assert choose_network(files, host=None, port=0) == Network()
    assert read_network(files).is_local


def test_address_and_ports_are_the_same_after_a_restart(files: SiteFiles) -> None:
    """Until somebody says otherwise; another address begins with the usual ports."""
    assert choose_network(files, host=NEAR, port=0) == Network(host=NEAR, port=PORTS_FROM)
    assert choose_network(files, host=None, port=9000) == Network(host=NEAR, port=9000)
    assert choose_network(files, host=None, port=0) == read_network(files) == Network(host=NEAR, port=9000)
    assert choose_network(files, host="127.0.0.10", port=0).port == PORTS_FROM
    assert choose_network(files, host="127.0.0.1", port=0) == Network()


@pytest.mark.parametrize("wrong", ["192.0.2.200", "here", "0.0.0.0", "::1"])  # noqa: S104 - refused
def test_an_address_that_is_none_of_this_machine_is_refused(files: SiteFiles, wrong: str) -> None:
    """Before anything is remembered."""
    with pytest.raises(InvalidInput, match="listen"):
        choose_network(files, host=wrong, port=0)
    assert read_network(files) == Network()


def test_what_must_be_reachable_is_said_when_anybody_could() -> None:
    """Ports, and what protects them; nothing for a site of one machine."""
    assert what_to_open("127.0.0.1:7481") == what_to_open("") == []
    told = " ".join(what_to_open(f"{NEAR}:7481"))
    assert f"7480-7579 of {NEAR}" in told
    assert "plain HTTP" in told
