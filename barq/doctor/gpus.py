"""GPUs: whether NVML knows them, whether they can be capped, and whether caps last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from barq.doctor.finding import Finding, fail, ok, warn
from barq.doctor.place import Place
from barq.site.files import SiteFiles, is_held

if TYPE_CHECKING:
    from workers.nvml.machine import LocalGpu, Machine

NVIDIA: Final = "0x10de"
DISPLAY: Final = "0x03"  #: the PCI classes of graphics and 3D controllers
PATIENCE_S: Final = 2.0
_SAME_W: Final = 1.0


def gpus(place: Place) -> list[Finding]:
    """All about the GPUs; one line where there are none."""
    try:
        from workers.nvml.machine import local_gpus
    except ImportError as error:
        return [warn("gpus", f"not looked for: {error}", "nothing can be said", "pip install 'barq[site]'")]
    machine = local_gpus(patience_s=PATIENCE_S)
    if machine.problem is not None or not (machine.gpus or machine.silent):
        return [_without(place, machine)]
    return [
        _found(machine),
        _permission(machine),
        _persistence(machine),
        *([] if is_held(SiteFiles(place.state).keeper_lock) else [_left_capped(machine)]),
        *(_left_out(gpu) for gpu in machine.left_out),
        *(_silent(why) for why in machine.silent),
    ]


def _without(place: Place, machine: Machine) -> Finding:
    cards = _cards(place)
    if not cards:
        return ok("gpus", "no NVIDIA GPU", "it can be the head of a site, or run a simulated one")
    return fail(
        "gpus",
        f"{cards} NVIDIA GPUs are in the machine, and NVML does not know them: {machine.problem or 'none is shown'}",
        "they cannot be used or measured, and draw power all the same",
        "install NVIDIA's driver, or restart after its upgrade; in a container: start it with --gpus all",
    )


def _cards(place: Place) -> int:
    """NVIDIA's GPUs on the PCI bus, whether or not a driver knows them."""
    devices = [path.parent.name for path in place.at("sys/bus/pci/devices").glob("*/vendor")]
    told = [
        (place.read(f"sys/bus/pci/devices/{d}/vendor"), place.read(f"sys/bus/pci/devices/{d}/class"))
        for d in devices
    ]
    return sum((v or "").strip() == NVIDIA and (c or "").startswith(DISPLAY) for v, c in told)


def _found(machine: Machine) -> Finding:
    if not machine.usable:
        return fail(
            "gpus",
            f"none of {len(machine.gpus) + len(machine.silent)} GPUs can be used",
            "see below",
            "see below",
        )
    first = machine.usable[0]
    return ok(
        "gpus",
        f"{len(machine.usable)} x {first.name} ({first.model}), driver {machine.driver}",
        f"draw is read as: {first.draw_source}",
    )


def _permission(machine: Machine) -> Finding:
    problems = sorted({gpu.cap_problem for gpu in machine.usable if gpu.cap_problem})
    if not problems:
        return ok("gpu-caps", "power limits can be set and are read back")
    return warn(
        "gpu-caps",
        "; ".join(problems),
        "GPUs count at their full limit: less work fits, and it is paused where it could have been slowed down",
        "run the site as root, or in a service with AmbientCapabilities=CAP_SYS_ADMIN",
    )


def _persistence(machine: Machine) -> Finding:
    lose = [str(gpu.index) for gpu in machine.usable if gpu.persists is False]
    if lose:
        return warn(
            "gpu-persistence",
            f"off on GPU {', '.join(lose)}",
            "caps are lost whenever no process uses the GPU, and each start of a job is slow",
            "nvidia-smi -pm 1, or enable nvidia-persistenced; a site that runs as root does it by itself",
        )
    return ok("gpu-persistence", "on, or always so")


def _left_capped(machine: Machine) -> Finding:
    capped = [gpu for gpu in machine.gpus if gpu.enforced_w < gpu.default_w - _SAME_W]
    if capped:
        shown = ", ".join(f"GPU {g.index} at {g.enforced_w:.0f} of {g.default_w:.0f} W" for g in capped)
        return warn(
            "gpu-left-capped",
            f"{shown}, and no site runs here",
            "a site leaves its last caps behind when it ends; other programs run slower",
            f"nvidia-smi -pl {capped[0].default_w:.0f}",
        )
    return ok("gpu-left-capped", "none is capped")


def _left_out(gpu: LocalGpu) -> Finding:
    return warn(
        f"gpu-{gpu.index}",
        f"{gpu.name} is left out: {gpu.obstacle}",
        f"no job runs on it, and it counts at {gpu.enforced_w:.0f} W",
        "see its line above; then `barq down` and `barq up`",
    )


def _silent(why: str) -> Finding:
    return fail(
        f"gpu-{why.split()[1].rstrip(':')}",
        why,
        "no job runs on it, and its draw is not known",
        "look at dmesg for Xid; nvidia-smi --gpu-reset, or restart the machine",
    )
