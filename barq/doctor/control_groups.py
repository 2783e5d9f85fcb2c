"""Control groups: whether a job that the kernel killed for want of memory is told from one that crashed."""

from __future__ import annotations

import os
from pathlib import Path

from barq.doctor.finding import Finding, ok, warn
from barq.doctor.place import Place

_SIGNALS = "Barq stops, freezes and ends jobs by signals, process by process, and needs no group for it"


def control_groups(place: Place) -> Finding:
    """Whether version 2 is mounted, alone."""
    if place.at("sys/fs/cgroup/cgroup.controllers").exists():
        return ok("cgroup", "version 2")
    if place.at("sys/fs/cgroup/unified/cgroup.procs").exists():
        found = "version 1, and 2 without controllers (hybrid)"
    elif place.at("sys/fs/cgroup/memory").exists():
        found = "version 1"
    else:
        found = "not mounted"
    return warn(
        "cgroup",
        found,
        "a job that the kernel killed for want of memory is taken for one that crashed",
        "boot with systemd.unified_cgroup_hierarchy=1 (the default from Debian 11 and Ubuntu 21.10 on)",
    )


def freezer(place: Place) -> Finding:
    """Whether the group that we are in is ours to divide, and its parts can be frozen."""
    group = _own_group(place)
    if group is None:
        return ok("cgroup-freezer", "no group of version 2", _SIGNALS)
    if not (group / "cgroup.freeze").exists():
        return ok("cgroup-freezer", f"{group} has no freezer", _SIGNALS)
    if not (os.access(group, os.W_OK) and os.access(group / "cgroup.procs", os.W_OK)):
        return ok("cgroup-freezer", f"{group} is not ours to divide", _SIGNALS)
    return ok("cgroup-freezer", f"{group} is ours, with a freezer", _SIGNALS)


def memory_controller(place: Place) -> Finding:
    """Whether the memory of a group is counted."""
    group = _own_group(place)
    has = (place.read("sys/fs/cgroup/cgroup.controllers") or "").split()
    if group is None or not (group / "memory.events").exists() or "memory" not in has:
        return warn(
            "cgroup-memory",
            "no memory controller for our group",
            "a job that the kernel killed for want of memory is taken for one that crashed",
            "boot with cgroup_enable=memory, or run the site as a service with MemoryAccounting=yes",
        )
    return ok("cgroup-memory", "kills for want of memory are counted")


def _own_group(place: Place) -> Path | None:
    lines = (place.read("proc/self/cgroup") or "").splitlines()
    name = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)
    if name is None or not place.at("sys/fs/cgroup/cgroup.controllers").exists():
        return None
    group = place.at("sys/fs/cgroup") / name.lstrip("/")
    return group if group.is_dir() else None
