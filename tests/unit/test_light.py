"""What a researcher imports starts quickly: nothing of a site, and no torch, comes with it."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"scheduler", "workers", "api", "ray", "fastapi", "uvicorn", "sqlmodel", "sqlalchemy", "alembic"}
HEAVY |= {"torch", "numpy", "psutil", "structlog"}
SITE_COMMANDS = {"up", "down", "node", "miners", "keeper", "demo", "doctor", "local_site"}

PROGRAM = """
import importlib, pkgutil, sys
import barq

site_commands, heavy = (set(words.split()) for words in sys.argv[1:])
for found in pkgutil.walk_packages(barq.__path__, "barq."):
    _, *path = found.name.split(".")
    if not (path[0] == "cli" and site_commands & set(path[1:])) and path[-1] != "__main__":
        importlib.import_module(found.name)
print(*sorted(heavy & set(sys.modules)))
"""


def test_importing_barq_loads_nothing_heavy() -> None:
    """Every module but the site commands, imported in a fresh interpreter, leaves the heavy ones out."""
    arguments = [" ".join(sorted(SITE_COMMANDS)), " ".join(sorted(HEAVY))]

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
