"""The steps of commissioning, in their order, each group brought back to rest before the next.

0. all at rest; 1. the miners at full and at rest again, some times over: on at least `min_on_s`, off at least
`min_off_s`; 2. each node: a job on all its GPUs, uncapped, capped, suspended, resumed, and sent off with a save.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from barq.commissioning.facts import MinerFacts, NodeFacts, SiteFacts
from barq.commissioning.fitting import Level
from barq.commissioning.response import NoAnswer, Point, Response, level_w, response, spacing_s
from barq.commissioning.watching import Here, Interrupted, Look, Watcher, awake
from barq.errors import BarqError, Refused

if TYPE_CHECKING:
    from barq.site_views import LimitView, PowerView
    from barq.views import JobView

FALLS: Final = 3
_SLACK_S: Final = 60.0  #: by which a limit outlives the patience of its step
_JOB_LASTS: Final = "1h"  #: at most
_PEOPLE: Final = "operator"  #: the source of limits that people set; they are listed one by one
_SHORT_S: Final = 2.0  #: windows that a suspension must last to be measured
_ENDED: Final = ("FAILED", "CANCELLED", "SUCCEEDED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change: what was ordered, and what meter and devices showed."""

    name: str
    group: str
    limit_w: float
    meter_w: float  #: once it had settled
    devices_w: float  #: of the group, by its own sensors: GPUs, or miners with their rest
    meter: Response | None = None  #: None = the change is lost in the noise, or too few readings show it
    devices: Response | None = None
    alone: bool = True  #: False: other groups moved too, and the meter saw all of them
    cap_w: float | None = None  #: that GPUs enforced
    seconds: float | None = None  #: from the order until the job was where it should be


@dataclass(slots=True)
class Findings:
    """Everything that was measured."""

    steps: list[Step] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)
    meter_source: str = ""
    resolution_s: float = 0.0  #: usual time between two readings of the meter


class Walk:
    """Leads one site through its steps. Whatever ends it, the site gets back what was taken."""

    def __init__(
        self, facts: SiteFacts, watcher: Watcher, *, tell: Callable[[str], None], falls: int = FALLS
    ) -> None:
        self._facts, self._watcher, self._site = facts, watcher, watcher.site
        self._tell, self._falls = tell, falls
        self._limit: LimitView | None = None
        self._job: JobView | None = None
        self._found = Findings()

    def run(self, nodes: Sequence[NodeFacts], miners: Sequence[MinerFacts]) -> Findings:
        """Go through all steps. Raises Refused before the first where the site is not fit for it, Interrupted later."""
        check_fit(self._site, self._facts, nodes)
        try:
            self._rest()
            if miners:
                self._miners(miners)
            for node in nodes:
                self._node(node)
        except BaseException:
            self._tell("it ends here: everything is given back, and nothing is written")
            raise
        finally:
            self.give_back()
        self._found.resolution_s = spacing_s(self._watcher.meter)
        return self._found

    def give_back(self) -> None:
        """End the job and release the limit. What cannot be told ends by itself; a person hears of it."""
        if self._job is not None:
            self._try(lambda job: self._site.cancel(job["id"]), self._job, "the job ends by its time limit")
        if self._limit is not None:
            self._try(
                lambda limit: self._site.release_limits(reason="commissioning is over", limit_id=limit["id"]),
                self._limit,
                f"the limit ends by itself at {self._limit.get('until_at')}",
            )
        self._job = self._limit = self._watcher.own_limit_w = None

    # -- steps ---------------------------------------------------------------------------------------------------

    def _rest(self) -> None:
        self._tell("everything at rest")
        on_s = max((m.min_on_s for m in self._facts.miners.values()), default=0.0)
        look = self._watcher.look()
        if on_s and look.miners_w() > sum(m.rest_w for m in self._facts.miners.values()) + 1.0:
            self._tell(f"miners run and may not be stopped sooner than {on_s:.0f} s after they began")
            self._wait(on_s, "miners")
        ordered_s = self._allow(self._facts.rest_w(), "all at rest")
        look = self._watcher.settle(ordered_s, "all at rest")
        self._found.meter_source = look.power.get("draw_source") or ""
        self._level("rest")

    def _miners(self, miners: Sequence[MinerFacts]) -> None:
        """All of them at once: what is left over is divided among the groups, and each is seen by its own reports."""
        on_s, off_s = max(m.min_on_s for m in miners), max(m.min_off_s for m in miners)
        names = ", ".join(m.group_id for m in miners)
        for turn in range(self._falls):
            self._tell(f"{names}: at full, {turn + 1} of {self._falls}")
            self._wait(off_s, names)
            self._change_miners("on", self._facts.miners_w(), miners)
            self._wait(on_s, names)
            self._change_miners("off", self._facts.rest_w(), miners)

    def _change_miners(self, name: str, limit_w: float, miners: Sequence[MinerFacts]) -> None:
        """As far as the limit allows, where that is less than all of them take."""
        ids = [m.group_id for m in miners]
        if name == "on":
            beyond_w = self._beyond_books_w() / (1.0 - self._facts.margin)
            limit_w = min(limit_w, self._others_w() - beyond_w)
        ordered_s = self._allow(limit_w, f"miners {name}")
        look = self._watcher.settle(ordered_s, f"miners {name}")
        metered = self._responded(self._watcher.meter, ordered_s)
        for gid in ids:
            self._found.steps.append(
                Step(
                    name=name,
                    group=gid,
                    limit_w=limit_w,
                    meter_w=self._metered_w(),
                    devices_w=look.nodes[gid]["draw_w"],
                    meter=metered,
                    alone=len(ids) == 1,
                    devices=self._responded(self._watcher.miners[gid], ordered_s),
                )
            )
        if name == "off":
            self._level("rest")

    def _node(self, node: NodeFacts) -> None:
        facts, gid = self._facts, node.node_id
        self._tell(f"{gid}: a job on all {node.gpus} GPUs, uncapped at {node.tdp_w:.0f} W each")
        self._start(node)
        for cap_w in node.caps_w():
            self._tell(f"{gid}: capped at {cap_w:.0f} W per GPU")
            self._to(node, f"cap {cap_w:.0f} W", facts.capped_w(node, cap_w), "RUNNING")
        if facts.suspend_max_s >= _SHORT_S * self._watcher.window_s and node.held_w < node.floor_w:
            self._tell(f"{gid}: suspended, and resumed")
            self._to(node, "suspend", facts.held_w(node), "SUSPENDED", is_level=False)
            self._wait(facts.raise_delay_s - self._watcher.window_s, "nothing is raised so soon after a cut")
            self._to(node, "resume", facts.full_w(node), "RUNNING")
        self._tell(f"{gid}: saved and sent off")
        self._leave(node)

    def _start(self, node: NodeFacts) -> None:
        """It waits for power before there is any, so that no miner is woken in its place."""
        self._job = self._site.submit(load_of(node))
        self._watcher.own_jobs.add(self._job["id"])
        ordered_s = self._allow(self._facts.full_w(node), f"{node.node_id} at full load")
        self._await_job("RUNNING", f"{node.node_id}: the job to start")
        self._record(node, "start", ordered_s, self._watcher.clock() - ordered_s)

    def _to(self, node: NodeFacts, name: str, limit_w: float, state: str, *, is_level: bool = True) -> None:
        """Move the job by a limit: to a cap, into suspension, or out of it."""
        ordered_s = self._allow(limit_w, f"{node.node_id}: {name}")
        self._await_job(state, f"{node.node_id}: {name}")
        self._record(node, name, ordered_s, self._watcher.clock() - ordered_s, is_level=is_level)

    def _leave(self, node: NodeFacts) -> None:
        """Its watts go with it, so that no miner is woken by them."""
        job = self._the_job()
        ordered_s = self._watcher.clock()
        self._site.hold(job["id"])
        self._allow(self._facts.rest_w(), "all at rest")
        self._await_job("HELD", f"{node.node_id}: the job to save and leave")
        took_s = self._watcher.clock() - ordered_s
        self._site.cancel(job["id"])
        self._job = None
        self._record(node, "leave", ordered_s, took_s, is_level=False)
        self._level("rest")

    # -- what the steps are made of ------------------------------------------------------------------------------

    def _allow(self, limit_w: float, what: str) -> float:
        """Limit the site for the next step in the place of the last one. The instant at which that was ordered."""
        before, was_w = self._limit, self._watcher.own_limit_w
        limit_w += self._beyond_books_w() / (1.0 - self._facts.margin)
        self._check_room(limit_w, what)
        self._watcher.own_limit_w = None  # until the new one is in force
        lasts_s = 3 * self._watcher.patience_s + _SLACK_S
        ordered_s = self._watcher.clock()
        self._limit = self._site.limit(limit_w, reason=f"commissioning: {what}", for_s=lasts_s)
        if before is not None:
            if was_w is not None and limit_w > was_w:
                ordered_s = self._watcher.clock()
            self._site.release_limits(reason="commissioning: next step", limit_id=before["id"])

        def is_in_force(look: Look) -> bool:
            self._check_room(limit_w, what, look.power)
            return abs(look.power["limit_w"] - limit_w) <= 1.0

        self._watcher.until(is_in_force, f"{what}: the limit")
        self._watcher.own_limit_w = limit_w
        return ordered_s

    def _beyond_books_w(self) -> float:
        """What the scheduler takes off the room of a site that draws more than its file says: steps need it on top."""
        power = self._site.power()
        return max(0.0, power.get("trim_w") or 0.0, power["draw_w"] - power["committed_w"])

    def _others_w(self, power: PowerView | None = None) -> float:
        """The lowest limit but ours."""
        power, own = power or self._site.power(), self._limit["id"] if self._limit else None
        given = [s["limit_w"] for s in power["sources"] if s["limit_w"] is not None and s["name"] != _PEOPLE]
        given += [limit["limit_w"] for limit in power["limits"] if limit["id"] != own]
        return min(given, default=power["limit_w"])

    def _check_room(self, limit_w: float, what: str, power: PowerView | None = None) -> None:
        others_w = self._others_w(power)
        if others_w < limit_w - 1.0:
            raise Interrupted(
                f"{what} needs a limit of {limit_w:.0f} W, and {others_w:.0f} W are there",
                remedy="measure again when there is more power",
            )

    def _wait(self, seconds: float, what: str) -> None:
        """Keep to the least time that machines stay on or off; our limit is renewed for it."""
        if seconds > 0:
            self._tell(f"{what}: {seconds:.0f} s")
            end_s = self._watcher.clock() + seconds
            self._renew(seconds)
            self._watcher.until(lambda _: self._watcher.clock() >= end_s, what, seconds + _SLACK_S)

    def _renew(self, seconds: float) -> None:
        if self._limit is None:
            return
        before, limit_w = self._limit, self._limit["limit_w"]
        lasts_s = seconds + 3 * self._watcher.patience_s + _SLACK_S
        self._limit = self._site.limit(limit_w, reason="commissioning: this level stands", for_s=lasts_s)
        self._site.release_limits(reason="commissioning: next step", limit_id=before["id"])

    def _await_job(self, state: str, what: str) -> None:
        job_id = self._the_job()["id"]

        def is_there(_: Look) -> bool:
            job = self._site.job(job_id)
            if job["state"] in _ENDED:
                why = job["reason"]["text"] if job["reason"] else job["state"]
                raise Interrupted(f"{what}: the job ended: {why}", remedy=f"see `barq logs {job_id}`")
            has_begun = state != "RUNNING" or (job["step"] or 0) > 0
            return job["state"] == state and has_begun

        self._watcher.until(is_there, what)

    def _record(
        self, node: NodeFacts, name: str, ordered_s: float, took_s: float, *, is_level: bool = True
    ) -> None:
        """Wait until it has settled, and note what was seen."""
        look = self._watcher.settle(self._watcher.clock(), f"{node.node_id}: {name}")
        gid = node.node_id
        self._found.steps.append(
            Step(
                name=name,
                group=gid,
                limit_w=self._watcher.own_limit_w or look.power["limit_w"],
                meter_w=self._metered_w(),
                devices_w=level_w(self._watcher.gpus[gid], self._watcher.window_s),
                meter=self._responded(self._watcher.meter, ordered_s),
                devices=self._responded(self._watcher.gpus[gid], ordered_s),
                cap_w=look.cap_w(gid),
                seconds=took_s,
            )
        )
        if is_level:
            self._level(f"{gid} {name}", loaded=gid)

    def _level(self, name: str, loaded: str | None = None) -> None:
        """What is drawn now, over the window in which nothing changed."""
        window_s = self._watcher.window_s
        level = Level(
            name=name,
            meter_w=self._metered_w(),
            gpus_w=sum(level_w(points, window_s) for points in self._watcher.gpus.values()),
            miners_w=sum(level_w(points, window_s) for points in self._watcher.miners.values()),
            loaded=loaded,
        )
        self._found.levels.append(level)
        self._tell(f"    {level.meter_w:.0f} W at the meter, {level.gpus_w:.0f} W by all GPUs")

    def _metered_w(self) -> float:
        return level_w(self._watcher.meter, self._watcher.window_s)

    def _responded(self, points: Iterable[Point], ordered_s: float) -> Response | None:
        since_s = ordered_s - self._watcher.window_s
        try:
            return response([p for p in points if p.at_s >= since_s], ordered_s)
        except NoAnswer:
            return None

    def _the_job(self) -> JobView:
        if self._job is None:
            raise Interrupted("there is no job", remedy="please report it")
        return self._job

    def _try(self, do: Callable[..., object], what: object, otherwise: str) -> None:
        try:
            do(what)
        except BarqError as error:
            self._tell(f"{error}: {otherwise}")


def check_fit(site: Here, facts: SiteFacts, nodes: Sequence[NodeFacts]) -> None:
    """Raises Refused unless the site is idle, is led as the walk needs it, and has the power for all steps."""
    power = site.power()
    if power["site"] != facts.name:
        raise Refused(
            f"the site that answers is {power['site']}, and the site file here is of {facts.name}",
            remedy="run it on the machine where `barq up` ran",
        )
    if (mode := power.get("mode", "ai-first")) != "ai-first":
        raise Refused(
            f"mode = {mode}: a limit would not say what jobs and what miners get",
            remedy="measure under mode: ai-first, the default, which changes no device",
        )
    if jobs := awake(site):
        raise Refused(
            f"{len(jobs)} job(s) run or wait, {jobs[0]['id']} first: the site is not idle",
            remedy="hold them with `barq hold ID`, or wait for them with --wait",
        )
    needed_w = max((facts.full_w(node) for node in nodes), default=facts.rest_w())
    if power["limit_w"] < needed_w:
        raise Refused(
            f"the limit is {power['limit_w']:.0f} W, and one node at full load needs {needed_w:.0f} W",
            remedy="wait for more power, or choose other groups with --group",
        )


def load_of(node: NodeFacts) -> dict[str, object]:
    """The job that keeps all GPUs of a node busy, and may be capped, suspended and sent off."""
    work = "busy-loop" if node.simulated else "matmul"
    return {
        "name": f"commissioning-{node.node_id}",
        "entrypoint": ["python", "-m", "barq.commissioning.load", work],
        "resources": {"gpus": node.gpus, "node": node.node_id},
        "flex": 4,
        "time_limit": _JOB_LASTS,
    }
