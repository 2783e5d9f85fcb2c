"""group.json: what the guard of one group is told when it starts, on the site's head and on machines that join."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from scheduler.core.orders import GroupSpec
from scheduler.equipment import Miners
from scheduler.wire import dumps


def group_config(
    spec: GroupSpec,
    guard: Mapping[str, object],
    state: Path,
    miners: Miners | None = None,
    filler: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """The configuration of one group on the machine whose state directory is `state`.

    `guard` is what every guard of the site is told alike. Relative files that `miners` names are below `state`.
    `filler` is how the program on idle GPUs is run.
    """
    return {
        **guard,
        "spec": spec,
        "own_jobs_dir": str(state / "jobs"),
        "miners": miners.models() if miners is not None else [],
        "lan": miners.lan_config(state) if miners is not None else None,
        "filler": filler,
    }


def write_group(groups: Path, group_id: str, config: Mapping[str, object]) -> None:
    """Leave it where the guard of this group looks for it, below the directory of all groups. Raises OSError."""
    directory = groups / group_id
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "group.json").write_bytes(dumps(config))
