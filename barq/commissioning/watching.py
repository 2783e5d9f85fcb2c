"""Readings of meter and devices while a site is measured, and what ends the walk at once.

The walk is the only guest: any job of others, a limit below its own, a stop, a group that falls silent or lives by its
fallback, a meter that cannot be read, each raises `Interrupted`, which names what it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol

from barq.commissioning.response import Point, is_steady
from barq.errors import Refused

if TYPE_CHECKING:
    from barq.site_views import LimitView, PowerView
    from barq.views import JobPage, JobView, NodeView

LOOK_S: Final = 0.5  #: between two looks; the site tells of itself about once a second
_NEAR_W: Final = 1.0
_OF_THE_METER: Final = (None, "good", "stale")  #: a stale reading is no new one, and no wrong one either
_AWAKE: Final = 3  #: looks between two at the jobs


class Interrupted(Refused):
    """Something came between; nothing was measured. The message says what."""

    default_code = "commissioning_interrupted"


class Here(Protocol):
    """What of a site the walk needs: `barq.Client` has it."""

    def power(self) -> PowerView:
        """The site's power now."""
        ...

    def nodes(self) -> list[NodeView]:
        """Nodes and groups of miners."""
        ...

    def jobs(self, *, state: str | None = None) -> JobPage:
        """Some jobs."""
        ...

    def job(self, job_id: str) -> JobView:
        """One job."""
        ...

    def submit(self, job: dict[str, object]) -> JobView:
        """Queue a job."""
        ...

    def cancel(self, job_id: str) -> JobView:
        """End a job."""
        ...

    def hold(self, job_id: str) -> JobView:
        """Have a job save and leave."""
        ...

    def limit(self, limit_w: float, *, reason: str, for_s: float | None = None) -> LimitView:
        """Limit the site."""
        ...

    def release_limits(self, *, reason: str | None = None, limit_id: str | None = None) -> list[LimitView]:
        """Release a limit."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was shown at one look."""

    power: PowerView
    nodes: Mapping[str, NodeView]

    def gpus_w(self, node_ids: Sequence[str] | None = None) -> float:
        """What GPUs draw by their own sensors, of some nodes or of all."""
        nodes = self.nodes.values() if node_ids is None else [self.nodes[n] for n in node_ids]
        return sum(gpu["draw_w"] for node in nodes for gpu in node["gpus"])

    def miners_w(self) -> float:
        """What miners draw, their rest included."""
        return sum(n["draw_w"] for n in self.nodes.values() if n["kind"] == "miners")

    def cap_w(self, node_id: str) -> float | None:
        """The lowest cap that GPUs of a node enforce; None if one is not known."""
        caps_w = [gpu["cap_w"] for gpu in self.nodes[node_id]["gpus"]]
        known = [cap_w for cap_w in caps_w if cap_w is not None]
        return min(known) if known and len(known) == len(caps_w) else None


@dataclass(slots=True)
class Watcher:
    """Looks at the site, remembers every reading, and raises when the walk has to end."""

    site: Here
    window_s: float = 8.0  #: over which a level has to stand
    patience_s: float = 120.0  #: for each change
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    own_jobs: set[str] = field(default_factory=set)
    own_limit_w: float | None = None
    meter: list[Point] = field(default_factory=list)
    gpus: dict[str, list[Point]] = field(default_factory=dict)  #: by node
    miners: dict[str, list[Point]] = field(default_factory=dict)  #: by group
    _looks: int = 0

    def look(self) -> Look:
        """Look once. Raises Interrupted."""
        power = self.site.power()
        look = Look(power=power, nodes={node["id"]: node for node in self.site.nodes()})
        self._check(look)
        if self._looks % _AWAKE == 0:
            self.check_jobs()
        self._looks += 1
        _add(self.meter, power["draw_measured_at"], power["draw_w"])
        for gid, node in look.nodes.items():
            if node["kind"] == "miners":
                _add(self.miners.setdefault(gid, []), node["last_report_at"], node["draw_w"])
            else:
                _add(self.gpus.setdefault(gid, []), node["last_report_at"], look.gpus_w([gid]))
        return look

    def until(self, done: Callable[[Look], bool], what: str, patience_s: float | None = None) -> Look:
        """Look until something is so. Raises Interrupted, and Refused if it takes longer than the patience."""
        patience_s = self.patience_s if patience_s is None else patience_s
        end_s = self.clock() + patience_s
        while not done(look := self.look()):
            if self.clock() > end_s:
                raise Interrupted(
                    f"{what} took longer than {patience_s:.0f} s",
                    remedy="give it longer with --patience, or leave that group out with --group",
                )
            self.sleep(LOOK_S)
        return look

    def settle(self, since_s: float, what: str) -> Look:
        """Look until meter and GPUs are steady over a whole window after `since_s`."""

        def are_steady(_: Look) -> bool:
            after = [[p for p in points if p.at_s > since_s] for points in (self.meter, *self.gpus.values())]
            return all(is_steady(points, self.window_s) for points in after)

        return self.until(are_steady, f"{what}: to settle")

    def check_jobs(self) -> None:
        """Raises Interrupted if there is a job of others that runs or would."""
        if others := [job for job in awake(self.site) if job["id"] not in self.own_jobs]:
            raise Interrupted(
                f"{others[0]['id']} was submitted or released meanwhile",
                remedy="measure again when the site is idle: hold jobs that wait, or use --wait",
            )

    def _check(self, look: Look) -> None:
        power, remedy = look.power, "measure again when that is over"
        if power.get("estop"):
            raise Interrupted("the site is under an emergency stop", remedy=remedy)
        if self.own_limit_w is not None and power["limit_w"] < self.own_limit_w - _NEAR_W:
            raise Interrupted(
                f"the limit fell to {power['limit_w']:.0f} W ({power['limit_source']}), below the "
                f"{self.own_limit_w:.0f} W of this step",
                remedy=remedy,
            )
        if (quality := power.get("draw_quality")) not in _OF_THE_METER:
            raise Interrupted(f"the reading of the meter is {quality}", remedy="see `barq power`")
        for node in look.nodes.values():
            if not node["reachable"] or node["in_fallback"]:
                raise Interrupted(f"{node['id']} is silent, or lives by its fallback", remedy=remedy)


def awake(site: Here) -> list[JobView]:
    """The jobs that run, or would as soon as they can."""
    waiting = [job for job in site.jobs(state="waiting")["jobs"] if job["state"] != "HELD"]
    return site.jobs(state="active")["jobs"] + waiting


def _add(points: list[Point], at: str | None, w: float) -> None:
    """One more reading, unless it was seen before."""
    if at is None:
        return
    at_s = datetime.fromisoformat(at).timestamp()
    if not points or at_s > points[-1].at_s:
        points.append(Point(at_s=at_s, w=w))
