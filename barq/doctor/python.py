"""Python and the packages of a site."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

from barq.doctor.finding import Finding, fail, ok, warn
from barq.doctor.place import Place

LEAST: Final = (3, 11)
#: What `barq[site]` installs, by the name that is imported.
SITE_PACKAGES: Final = ("ray", "fastapi", "uvicorn", "sqlmodel", "alembic", "pynvml")


def python(
    _place: Place, version: tuple[int, ...] = sys.version_info[:3], prefix: str = sys.prefix
) -> Finding:
    """The interpreter that everything here runs on."""
    name = ".".join(map(str, version))
    if version < LEAST:
        return fail(
            "python", f"Python {name}", "Barq needs 3.11 or newer", "make a new venv with python3.11 -m venv"
        )
    if prefix == sys.base_prefix:
        return warn(
            "python",
            f"Python {name}, no virtual environment",
            "an upgrade of the system may take packages away from a site that runs",
            "install Barq into a venv: python3 -m venv .venv && .venv/bin/pip install 'barq[site]'",
        )
    return ok("python", f"Python {name} in {prefix}")


def packages(_place: Place, needed: Sequence[str] = SITE_PACKAGES) -> Finding:
    """Whether a site can run here, or only the command line and jobs."""
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        return fail(
            "packages",
            f"not installed: {', '.join(missing)}",
            "no site or node can run here; submitting jobs to one elsewhere works",
            "pip install 'barq[site]'",
        )
    return ok("packages", "all that a site needs")
