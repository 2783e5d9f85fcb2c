"""What a shadow is made of: the mode in the site file, files of its own, and neither Ray nor guards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from barq.site.crews import ShadowCrew
from barq.site.files import SiteFiles
from scheduler.core.modes import AiFirst, Shares
from scheduler.errors import SettingsError
from scheduler.settings import Site, site_of

BASE: dict[str, Any] = {
    "name": "t",
    "power": {"firm_w": 6000},
    "nodes": [{"count": 1, "gpus": 4, "simulated": True}],
}


def loaded(mode: object) -> Site:
    """A small site with that mode."""
    return site_of(BASE | {"mode": mode}, Path("site.yaml"))


def test_a_shadow_decides_as_the_mode_that_it_is_of() -> None:
    """`mode: shadow` is of the default one; the core knows nothing of it."""
    assert loaded("shadow").is_shadow
    assert loaded("shadow").policy().mode == AiFirst()
    shared = loaded({"type": "shadow", "of": {"type": "shares", "mining": 0.2}})
    assert (shared.is_shadow, shared.policy().mode) == (True, Shares(mining=0.2))
    assert not loaded({"type": "shares", "mining": 0.2}).is_shadow


@pytest.mark.parametrize(
    "mode, words",
    [
        ({"type": "shadow", "of": {"type": "shares"}}, "mode.shadow.of.shares.mining: is missing"),
        ({"type": "shadow", "of": {"type": "shadow"}}, "mode.shadow.of.type = 'shadow' is not known"),
        ("shade", "mode.type = 'shade' is not known; did you mean shares or shadow"),
    ],
)
def test_nonsense_is_refused_by_name(mode: object, words: str) -> None:
    """Also below `of`; a shadow of a shadow is none."""
    with pytest.raises(SettingsError, match=words):
        loaded(mode)


def test_its_files_are_its_own(tmp_path: Path) -> None:
    """No guard finds a configuration, and the store is another one: nothing of a shadow becomes real."""
    files = SiteFiles(tmp_path)
    files.create()
    loaded("shadow").write_groups(tmp_path)

    assert (files.group_ids(), files.is_shadow) == ([], True)
    assert loaded("shadow").database(tmp_path) != loaded({"type": "ai-first"}).database(tmp_path)


def test_a_shadow_is_a_scheduler_and_an_api(tmp_path: Path) -> None:
    """Nobody who could act is started, and the API keeps its port over a restart of the keeper."""
    files = SiteFiles(tmp_path)
    files.create()
    crew = ShadowCrew(files, api_port=8888, environment={})

    assert [part.name for part in crew.parts()] == ["scheduler", "api"]
    assert not any(part.needs_ray for part in crew.parts())
    assert crew.address() == {"api_url": "http://127.0.0.1:8888"}
