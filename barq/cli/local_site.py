"""Which site `barq up` starts: the one in a file, that of the last time, or one made of what this machine has."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

import barq
from barq.cli.output import say
from barq.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from barq.site.files import SiteFiles
    from scheduler.core.orders import GroupSpec
    from scheduler.settings import Site
    from workers.nvml.machine import LocalGpu, Machine

DEFAULT_SITE: Final = Path(barq.__file__).resolve().parent.parent / "configs" / "sites" / "local.yaml"

#: A guess at a server without its GPUs, until somebody measures it: boards, fans and processors at work.
BASE_W: Final = 200.0
BASE_PER_GPU_W: Final = 100.0
_MARGIN: Final = 0.03
_STEP_W: Final = 100.0
_REMEDY: Final = "see `barq doctor`, or say simulated: true"

_TEXT: Final = """\
# This machine. `barq up` wrote this file, for it found GPUs here and was given no other; it is read at each start.
# Nothing is known of the grid yet: put in what the site may draw, then `barq down` and `barq up`.
name: local

power:
  firm_w: {limit_w:.0f}          # what may always be drawn, also on loss of signal; now all that the machine can draw
  overhead: 1.0         # PUE of the hall, if the limit is counted at the hall's meter
  margin: {margin}          # share of any limit that stays free
  reaction_s: 30        # the shortest reaction time that any source of the limit grants

nodes:
  - prefix: node
    base_w: {base_w:.0f}          # the machine without its GPUs at work: an estimate, better measured at the plug
    simulated: false     # the GPUs that NVML finds: {found}

job_nice: 0

signals:
  - type: constant
    name: machine
    limit_w: {limit_w:.0f}
    provenance: "no limit is known: all that this machine can draw"
"""


def read_site(files: SiteFiles, site_file: Path | None, look: Callable[[], Machine]) -> tuple[str, Site]:
    """The text of the site file that counts, and what it says. Raises InvalidInput.

    Without a file, now or before, a machine with usable GPUs is a site of its own; any other one is simulated.
    """
    from scheduler.errors import SettingsError
    from scheduler.settings import load_site
    from scheduler.wiring import check_sources

    if site_file is None and not files.site_file.exists() and (machine := look()).usable:
        path = files.run / "found-site.yaml"
        path.write_text(site_text(machine), encoding="utf-8")
    else:
        path = site_file or (files.site_file if files.site_file.exists() else DEFAULT_SITE)
    if not path.exists():
        raise InvalidInput(f"there is no site file {path}", field="SITE.yaml", remedy="see configs/sites/")
    try:
        site = load_site(path)  # first, for it says of what is no text or no file what it is instead
        text = path.read_text(encoding="utf-8")
    except SettingsError as error:
        raise InvalidInput(in_one_line(str(error))) from error
    try:
        check_sources(site, files.state)
    except (SettingsError, OSError) as error:
        raise InvalidInput(f"{path}: {in_one_line(str(error))}") from error
    return text, site


def in_one_line(told: str) -> str:
    """All that is wrong with a file, a line each; in one line that names the file once."""
    file, _, _ = told.partition(": ")
    first, *others = [line.strip() for line in told.splitlines() if line.strip()] or [""]
    return "; also ".join([first, *(line.removeprefix(f"{file}: ") for line in others)])


def keep_measured(files: SiteFiles, site: Site, site_file: Path | None) -> None:
    """Put what was measured beside the copy of the site file, as it is beside the file itself."""
    if site.measured is None or site_file is None or site_file.resolve() == files.site_file.resolve():
        return
    kept = files.state / site.measured.file
    kept.write_bytes((site_file.parent / site.measured.file).read_bytes())


def find_gpus(
    site: Site, state: Path, look: Callable[[], Machine], *, is_running: bool
) -> dict[str, GroupSpec]:
    """What the real nodes of a site have, by group; while its guards run, what they were told. Raises InvalidInput."""
    from scheduler.errors import SettingsError

    try:
        found = site.found_before(state) if is_running else {}
        for group_id, base_w in site.real_nodes().items():
            if group_id not in found:
                found[group_id] = checked_machine(look(), remedy=_REMEDY).spec(group_id, base_w=base_w)
        site.check(found)
    except SettingsError as error:
        raise InvalidInput(str(error)) from error
    return found


def site_text(machine: Machine) -> str:
    """A site file for this machine: it may draw all that it can."""
    from scheduler.core.entitlement import nameplate_w

    base_w = BASE_W + BASE_PER_GPU_W * len(machine.usable)
    most_w = nameplate_w(machine.spec("node-1", base_w=base_w)) / (1 - _MARGIN)
    limit_w = math.ceil(most_w / _STEP_W) * _STEP_W
    return _TEXT.format(limit_w=limit_w, margin=_MARGIN, base_w=base_w, found=_names(machine.usable))


def checked_machine(machine: Machine, *, remedy: str) -> Machine:
    """The machine, once a person was told what it has. Raises InvalidInput if no GPU is of use."""
    for gpu in machine.left_out:
        say(f"GPU {gpu.index} ({gpu.name}) is left out and counts at {gpu.enforced_w:.0f} W: {gpu.obstacle}")
    for why in machine.silent:
        say(f"left out: {why}")
    if not machine.usable:
        raise InvalidInput(
            f"no GPU of this machine is of use: {machine.problem or 'see above'}",
            field="GPUs",
            remedy=remedy,
        )
    say(f"real GPUs: {_names(machine.usable)}, driver {machine.driver}")
    problems = {gpu.cap_problem for gpu in machine.usable if gpu.cap_problem}
    for problem in sorted(problems):
        say(f"they cannot be capped and count at their limit: {problem}")
    return machine


def _names(gpus: tuple[LocalGpu, ...]) -> str:
    """`8 x NVIDIA H100 80GB HBM3, 200-700 W each`: GPUs of one kind."""
    limits = gpus[0].limits
    span = f"{limits.min_w:.0f}-{limits.max_w:.0f}" if limits.may_cap else f"{limits.max_w:.0f}"
    return f"{len(gpus)} x {gpus[0].name}, {span} W each"
