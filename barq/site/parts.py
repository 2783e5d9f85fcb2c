"""Which processes make up a site, in the order in which they start, and when a dead one is tried again."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from barq.site.files import SiteFiles
from barq.site.ray_head import RAY_DIR, RayHead, without_ray
from barq.site.ray_member import RayMember

RAY = "ray"
ENROL = "enrol"
SCHEDULER = "scheduler"
API = "api"
KEEPER = "keeper"
GUARD_PREFIX = "guard:"
RAY_MEMBER_PREFIX = "ray/"  #: processes that Ray started, recorded so that exactly they can be ended

RAY_GONE = 3  #: status with which the drivers of Ray end when it does not answer any more
FIRST_DELAY_S = 0.2
LAST_DELAY_S = 5.0
HEALTHY_AFTER_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process of the site."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    needs_ray: bool = False  #: starts only once Ray is ready


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """When a part may start again: soon at first, then ever later, soon again after a healthy life."""

    delay_s: float = FIRST_DELAY_S
    due_s: float = 0.0  #: not before this
    started_s: float = 0.0
    restarts: int = 0

    def started(self, now_s: float) -> Self:
        """It runs from now on."""
        return replace(self, started_s=now_s)

    def ended(self, now_s: float) -> Self:
        """It ended now, unasked."""
        healthy = now_s - self.started_s >= HEALTHY_AFTER_S
        delay_s = FIRST_DELAY_S if healthy else self.delay_s
        return replace(
            self,
            due_s=now_s + delay_s,
            delay_s=min(2 * delay_s, LAST_DELAY_S),
            restarts=self.restarts + 1,
        )

    def is_due(self, now_s: float) -> bool:
        """Whether it may start now."""
        return now_s >= self.due_s


def site_parts(files: SiteFiles, head: RayHead, *, api_port: int, inherited: Mapping[str, str]) -> list[Part]:
    """All parts, in order of start. Guards, and so the jobs, never see what Ray needs."""
    plain = _plain(inherited)
    with_ray = _unbuffered(head.environment(inherited))
    state = ["--state", str(files.state)]
    where = ["--host", head.host, "--port", str(api_port)]
    return [
        Part(name=RAY, command=head.command(), environment=with_ray),
        *(_guard(files, group_id, plain) for group_id in files.group_ids()),
        _enrol(files, head, with_ray),
        Part(
            name=SCHEDULER,
            command=_module("scheduler.service", *state, "--ray-address", head.address),
            environment=with_ray,
        ),
        Part(name=API, command=_module("api", *state, *where), environment=plain),
    ]


def shadow_parts(files: SiteFiles, *, host: str, api_port: int, inherited: Mapping[str, str]) -> list[Part]:
    """All parts of a site that acts nothing: who decides, and who shows it."""
    plain, state = _plain(inherited), ["--state", str(files.state)]
    where = ["--host", host, "--port", str(api_port)]
    return [
        Part(name=SCHEDULER, command=_module("scheduler.service", *state), environment=plain),
        Part(name=API, command=_module("api", *state, *where), environment=plain),
    ]


def member_parts(files: SiteFiles, ray: RayMember, *, inherited: Mapping[str, str]) -> list[Part]:
    """The parts of a machine that belongs to a site elsewhere, in order of start. The guard waits for nobody."""
    plain = _plain(inherited)
    with_ray = _unbuffered(ray.environment(inherited))
    return [
        *(_guard(files, group_id, plain) for group_id in files.group_ids()),
        Part(name=RAY, command=ray.command(), environment=with_ray),
        _enrol(files, ray, with_ray),
    ]


def adoptable(alive: Collection[str], wanted: Collection[str], *, addresses_known: bool) -> frozenset[str]:
    """Which recorded processes that still run a new keeper keeps; it ends the others.

    Those that the site still wants, and what its Ray started. When the record of addresses is lost, only guards:
    they alone need no address, and jobs hang on them.
    """
    kept = {name for name in alive if name in wanted}
    if RAY in kept:
        kept |= {name for name in alive if name.startswith(RAY_MEMBER_PREFIX)}
    if not addresses_known:
        kept = {name for name in kept if name.startswith(GUARD_PREFIX)}
    return frozenset(kept)


def _guard(files: SiteFiles, group_id: str, environment: Mapping[str, str]) -> Part:
    config = files.groups / group_id / "group.json"
    command = _module("workers.guard", "--config", str(config))
    return Part(name=GUARD_PREFIX + group_id, command=command, environment=environment)


def _enrol(files: SiteFiles, ray: RayHead | RayMember, environment: Mapping[str, str]) -> Part:
    """Who sees to it that the groups of this machine have their agents, on this very raylet."""
    where = ["--ray-address", ray.address, "--ray-temp-dir", str(ray.temp_dir / RAY_DIR)]
    command = _module("workers.enrol", *where, "--groups", str(files.groups))
    return Part(name=ENROL, command=command, environment=environment, needs_ray=True)


def _plain(inherited: Mapping[str, str]) -> dict[str, str]:
    return _unbuffered(without_ray(inherited))


def _unbuffered(environment: Mapping[str, str]) -> dict[str, str]:
    return {**environment, "PYTHONUNBUFFERED": "1"}


def _module(name: str, *arguments: str) -> list[str]:
    """`-P`: nothing in the directory that we happen to be in is imported instead."""
    return [sys.executable, "-P", "-m", name, *arguments]
