"""group.json: accepted, or refused with the field, the value and the remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from workers.group_config import ConfigError, load

NODE: dict[str, Any] = {
    "spec": {
        "group_id": "n1",
        "kind": "node",
        "base_w": 400,
        "gpus": [{"gpu_id": "g0", "model": "a100-sxm-400w"}],
    }
}
MINERS: dict[str, Any] = {
    "spec": {"group_id": "m1", "kind": "miners", "base_w": 200, "miners_max_w": 3000},
    "miners": [{"miner_id": "m1", "nameplate_w": 3200, "idle_w": 200}],
}


def loaded(directory: Path, config: dict[str, Any]) -> object:
    """What a guard makes of a configuration."""
    path = directory / "group.json"
    path.write_text(json.dumps(config))
    return load(path)


@pytest.mark.parametrize("config", [NODE, MINERS], ids=["node", "miners"])
def test_a_plain_configuration_is_enough(tmp_path: Path, config: dict[str, Any]) -> None:
    """What is not said has a default."""
    assert loaded(tmp_path, config)


@pytest.mark.parametrize(
    "config, complaint",
    [
        (NODE | {"poll_s": 0}, "poll_s=0.*give seconds"),
        (NODE | {"pol_s": 1}, "pol_s"),
        (NODE | {"spec": NODE["spec"] | {"gpus": [{"gpu_id": "g", "model": "gtx"}]}}, "'gtx'.*a100-sxm-400w"),
        (MINERS | {"spec": MINERS["spec"] | {"base_w": 100}}, "base_w=100.*rest at 200 W"),
        (
            MINERS | {"spec": MINERS["spec"] | {"machine": {"max_w": 3100}}},
            "spec.machine.max_w=3100: is more than one of its miners draws",
        ),
        (
            MINERS | {"spec": MINERS["spec"] | {"miners_max_w": 9999}},
            "miners_max_w=9999.*3000 W above their rest",
        ),
    ],
)
def test_a_wrong_configuration_names_what_is_wrong(
    tmp_path: Path, config: dict[str, Any], complaint: str
) -> None:
    """Each mistake is told with its remedy."""
    with pytest.raises(ConfigError, match=complaint):
        loaded(tmp_path, config)
