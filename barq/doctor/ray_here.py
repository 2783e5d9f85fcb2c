"""Ray: whether Barq can start its own, and what of another may come in between."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from barq.doctor.finding import Finding, fail, ok, warn
from barq.doctor.place import Place

#: Releases of this line were tried.
TRIED: Final = "2.60."


def ray(_place: Place) -> Finding:
    """The installed version, without importing it: that takes a second."""
    try:
        installed = version("ray")
    except PackageNotFoundError:
        return fail("ray", "not installed", "nodes cannot be joined into a site", "pip install 'barq[site]'")
    if not installed.startswith(TRIED):
        return warn(
            "ray",
            f"Ray {installed}",
            f"Barq was tried with {TRIED}x only",
            "pip install 'barq[site]' in a venv of its own",
        )
    return ok("ray", f"Ray {installed}")


def ray_variables(place: Place) -> Finding:
    """Variables that speak to Ray."""
    found = sorted(name for name in place.environ if name.startswith("RAY_"))
    if found:
        return warn(
            "ray-variables",
            ", ".join(found),
            "Barq's own Ray and its jobs do not see them; a program that you start by hand does",
            f"unset {' '.join(found)}",
        )
    return ok("ray-variables", "none is set")


def other_ray(place: Place) -> Finding:
    """Clusters that run here and are not of a Barq site."""
    others = [
        pid for pid, words in _processes(place) if _is_head(words) and not any("/barq-" in w for w in words)
    ]
    if others:
        return warn(
            "other-ray",
            f"another Ray cluster runs here (PID {', '.join(map(str, others))})",
            "Barq starts its own beside it and never joins it; what it runs on the GPUs counts as foreign processes",
            "end it with `ray stop` if nobody needs it (that ends Barq's too: `barq down` first)",
        )
    return ok("other-ray", "none runs here")


def _is_head(words: list[str]) -> bool:
    return bool(words) and words[0].rpartition("/")[2] == "gcs_server"


def _processes(place: Place) -> list[tuple[int, list[str]]]:
    """The command line of each process."""
    found = []
    for path in place.at("proc").glob("[0-9]*/cmdline"):
        text = place.read(f"proc/{path.parent.name}/cmdline")
        if text:
            found.append((int(path.parent.name), text.split("\0")))
    return sorted(found)
