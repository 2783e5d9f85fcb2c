"""All checks at once, each with the same patience: one that hangs or breaks is a finding like any other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from barq.doctor import (
    bmcs,
    capacity,
    clocks,
    control_groups,
    disk,
    fillers,
    forecasting,
    gpus,
    lan,
    measured,
    meter,
    network,
    python,
    ray_here,
    rights,
    sources,
)
from barq.doctor.finding import Finding, fail, warn
from barq.doctor.place import Place

Check = Callable[[Place], Finding | Sequence[Finding]]

PATIENCE_S: Final = 10.0  #: a busy machine needs some seconds alone to load what reads a site file

CHECKS: Final[dict[str, Check]] = {
    "python": python.python,
    "packages": python.packages,
    "gpus": gpus.gpus,
    "cgroup": control_groups.control_groups,
    "cgroup-freezer": control_groups.freezer,
    "cgroup-memory": control_groups.memory_controller,
    "ray": ray_here.ray,
    "ray-variables": ray_here.ray_variables,
    "other-ray": ray_here.other_ray,
    "forecast": forecasting.forecasts,
    "clock-boottime": clocks.boottime,
    "clock-sync": clocks.synchronized,
    "clock-drift": clocks.drift,
    "state-dir": rights.state_directory,
    "token": rights.token,
    "root": rights.root,
    "loopback": network.loopback,
    "ports": network.ports,
    "api-port": network.api_port,
    "signals": sources.sources,
    "meter": meter.meter,
    "bmc": bmcs.bmcs,
    "lan": lan.lans,
    "fillers": fillers.fillers,
    "measured": measured.measured,
    "disk-space": disk.space,
    "disk-sync": disk.sync,
    "disk-kind": disk.file_system,
    "memory": capacity.memory,
    "cores": capacity.cores,
    "open-files": capacity.open_files,
    "processes": capacity.processes,
}


def examine(
    place: Place, checks: Mapping[str, Check] | None = None, *, patience_s: float = PATIENCE_S
) -> list[Finding]:
    """What every check finds, in their order. Raises nothing, and waits for none longer than `patience_s`."""
    checks = CHECKS if checks is None else checks
    found: dict[str, list[Finding]] = {}
    threads = [
        threading.Thread(target=_run, args=(name, check, place, found), daemon=True)
        for name, check in checks.items()
    ]
    for thread in threads:
        thread.start()
    give_up_s = time.monotonic() + patience_s
    for thread in threads:
        thread.join(max(0.0, give_up_s - time.monotonic()))
    return [finding for name in checks for finding in found.get(name) or [_late(name, patience_s)]]


def _run(name: str, check: Check, place: Place, found: dict[str, list[Finding]]) -> None:
    try:
        result = check(place)
    except Exception as error:  # noqa: BLE001 - one check that breaks must not hide what the others found
        result = fail(
            name,
            f"the check itself failed: {type(error).__name__}: {error}",
            "nothing is known of this",
            "please report it",
        )
    found[name] = [result] if isinstance(result, Finding) else list(result)


def _late(name: str, patience_s: float) -> Finding:
    return warn(
        name,
        f"no answer within {patience_s:g} s",
        "something that it asks hangs (a network file system, a driver), or this machine is very busy",
        "see dmesg, and run it again",
    )
