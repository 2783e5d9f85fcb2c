"""Memory, cores, and how many files and processes the system lets us have."""

from __future__ import annotations

import os
from typing import Final

from barq.doctor.finding import Finding, ok, warn
from barq.doctor.place import Place

LEAST_BYTES: Final = 4_000_000_000
GB: Final = 1_000_000_000
FEW_CORES: Final = 2
FEW_FILES: Final = 4096
FEW_PROCESSES: Final = 4096


def memory(place: Place) -> Finding:
    """Room for a site, which takes about 1 GB, and for jobs."""
    lines = (place.read("proc/meminfo") or "").splitlines()
    facts = {
        name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines) if rest
    }
    total, free = facts.get("MemTotal"), facts.get("MemAvailable", 0)
    if total is None:
        return warn("memory", "unknown", "nothing can be said", "see free -h")
    found = f"{free / GB:.1f} of {total / GB:.1f} GB free"
    if free < LEAST_BYTES:
        return warn(
            "memory",
            found,
            "a site takes about 1 GB, and jobs need the rest",
            "end what is not needed, or add some",
        )
    return ok("memory", found)


def cores(_place: Place, count: int | None = None) -> Finding:
    """Cores that we may use."""
    count = len(os.sched_getaffinity(0)) if count is None else count
    if count < FEW_CORES:
        return warn(
            "cores",
            f"{count} core",
            "jobs and the site take turns, so reactions are slow",
            "give it two or more",
        )
    return ok("cores", f"{count} cores")


def open_files(place: Place) -> Finding:
    """Each job and each open page takes a few."""
    return _limit(
        place, "Max open files", FEW_FILES, check="open-files", remedy="ulimit -n 65536, or LimitNOFILE="
    )


def processes(place: Place) -> Finding:
    """Ray alone takes some hundred threads."""
    return _limit(
        place, "Max processes", FEW_PROCESSES, check="processes", remedy="ulimit -u unlimited, or LimitNPROC="
    )


def _limit(place: Place, name: str, few: int, *, check: str, remedy: str) -> Finding:
    lines = (place.read("proc/self/limits") or "").splitlines()
    words = next((line.removeprefix(name).split() for line in lines if line.startswith(name)), None)
    if words is None:
        return warn(check, "unknown", "nothing can be said", "see ulimit -a")
    if words[0] != "unlimited" and int(words[0]) < few:
        return warn(check, f"{words[0]} at most", "a site with many jobs reaches that", remedy)
    return ok(check, f"{words[0]} at most")
