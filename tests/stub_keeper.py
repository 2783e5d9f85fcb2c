"""The real keeper with parts that only wait, as a program: `python tests/stub_keeper.py [--with-ray] --state DIR`.

With `--with-ray`, Ray and enrol are the real ones.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from barq.cli import keeper
from barq.site import crews
from barq.site.files import SiteFiles
from barq.site.parts import ENROL, RAY, Part, member_parts, site_parts
from barq.site.ray_head import RayHead
from barq.site.ray_member import RayMember

WAITS = "import signal; signal.pause()"
#: Leaves a grandchild that nobody knows of, in a session of its own, and goes on waiting.
LITTERS = """
import signal, subprocess, sys
start = "subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'], start_new_session=True)"
subprocess.run([sys.executable, "-W", "ignore", "-c", "import subprocess, sys; " + start])
signal.pause()
"""
#: As much of a Ray head as the keeper sees: a member in its session, and its address when it is ready.
RAY_HEAD = """
import json, pathlib, signal, subprocess, sys
site = json.loads(pathlib.Path(STATE, "run/site.json").read_text())
directory = pathlib.Path(site["ray_temp_dir"], "ray")
directory.mkdir()
subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
(directory / "ray_current_cluster").write_text(site["ray_address"])
signal.pause()
"""
FAILS = "raise SystemExit('cannot do it')"


def stub_parts(files: SiteFiles, head: RayHead, *, api_port: int, inherited: Mapping[str, str]) -> list[Part]:
    """The parts of the site, as harmless programs; `state/program-NAME` may hold another one."""
    return _harmless(files, site_parts(files, head, api_port=api_port, inherited=inherited))


def stub_member_parts(files: SiteFiles, ray: RayMember, *, inherited: Mapping[str, str]) -> list[Part]:
    """The same for a member of a site elsewhere."""
    return _harmless(files, member_parts(files, ray, inherited=inherited))


def _harmless(files: SiteFiles, parts: list[Part]) -> list[Part]:
    real = {RAY, ENROL} if "--with-ray" in sys.argv else set()
    return [
        part if part.name in real else replace(part, command=_program(files, part.name)) for part in parts
    ]


def _program(files: SiteFiles, name: str) -> list[str]:
    own = files.state / f"program-{name.replace(':', '-')}"
    usual = RAY_HEAD if name == RAY else WAITS
    program = own.read_text(encoding="utf-8") if own.exists() else usual
    return [sys.executable, "-W", "ignore", "-c", program.replace("STATE", repr(str(files.state)))]


def command(state: Path, *, with_ray: bool = False) -> list[str]:
    """How a test starts it."""
    return [
        sys.executable,
        str(Path(__file__).resolve()),
        *(["--with-ray"] if with_ray else []),
        "--state",
        str(state),
    ]


def main() -> int:
    """Run the keeper with these parts."""
    changed: Any = crews
    changed.site_parts, changed.member_parts = stub_parts, stub_member_parts
    return keeper.main([argument for argument in sys.argv[1:] if argument != "--with-ray"])


if __name__ == "__main__":
    sys.exit(main())
