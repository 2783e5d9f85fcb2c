"""A site on a virtual clock that `barq commission` is tried on: other overhead and bases than its file says."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from barq.commissioning.facts import MinerFacts, NodeFacts, SiteFacts
from barq.commissioning.watching import Watcher

TICK_S = 0.1
BEGAN_S = 1_000_000.0
BUSY = 0.95  #: of its cap a GPU draws at work
STARTS_S, SAVES_S = 3.0, 1.0
AWAKE_W = 300.0  #: a miner that draws less was not woken


def node(number: int = 1, **changes: Any) -> NodeFacts:
    """A node of four GPUs."""
    told: dict[str, Any] = {
        "node_id": f"node-{number}",
        "kind": "node",
        "simulated": True,
        "base_w": 600.0,
        "gpus": 4,
        "gpu_model": "a100",
        "tdp_w": 400.0,
        "idle_w": 55.0,
        "held_w": 95.0,
        "floor_w": 195.0,
    }
    return NodeFacts(**told | changes)


def facts(nodes: int = 1, miners: dict[str, float] | None = None, **changes: Any) -> SiteFacts:
    """What the file says of it."""
    groups = {name: MinerFacts(group_id=name, max_w=w, rest_w=80.0) for name, w in (miners or {}).items()}
    told: dict[str, Any] = {
        "name": "twin",
        "idle_base_w": 100.0 + 1.25 * nodes * (600.0 + 4 * 55.0) + 80.0 * len(groups),
        "overhead": 1.25,
        "auxiliary_w": 100.0,
        "margin": 0.03,
        "fall_s": 3.0,
        "restart_s": 20.0,
        "suspend_max_s": 60.0,
        "raise_delay_s": 10.0,
        "nodes": {f"node-{i + 1}": node(i + 1) for i in range(nodes)},
        "miners": groups,
    }
    return SiteFacts(**told | changes)


class CommissionedSite:
    """Answers as `barq.Client` does; `at` plans what happens when the clock has come so far."""

    def __init__(
        self,
        told: SiteFacts,
        *,
        overhead: float = 1.32,
        base_w: float = 650.0,
        lag_s: float = 0.0,
        noise_w: float = 0.0,
        rise_w_per_s: float = 500.0,
        fall_w_per_s: float = 2000.0,
        seed: int = 1,
    ) -> None:
        self.told, self.overhead, self.base_w = told, overhead, base_w
        self.lag_s, self.noise_w, self.rise, self.fall = lag_s, noise_w, rise_w_per_s, fall_w_per_s
        self.now_s, self.site_limit_w = BEGAN_S, 20_000.0
        self.limits: dict[str, dict[str, Any]] = {}
        self.set_w: list[float] = []  #: every limit that was ever set
        self.job_of: dict[str, dict[str, Any]] = {}
        self.others: list[dict[str, Any]] = []
        self.stop: dict[str, Any] | None = None
        self.quality, self.mode, self.reachable = "good", "ai-first", True
        self.planned: list[tuple[float, Callable[[], object]]] = []
        self._random = random.Random(seed)
        self._mined_w = dict.fromkeys(told.miners, 0.0)
        self._gpu_w = {n: t.gpus * t.idle_w for n, t in told.nodes.items()}
        self._shown_w = self._true_w()
        self._reading = (self.now_s, self._shown_w)
        self.woken, self._wakes = 0, dict.fromkeys(told.miners, False)  # how often a miner was told to work
        self.committed_w, self._beyond_w = told.idle_base_w, 0.0
        self._reported = dict(self._gpu_w), dict(self._mined_w)

    def watcher(self, **options: Any) -> Watcher:
        """Whoever walks through it, by its clock."""
        return Watcher(self, clock=lambda: self.now_s, sleep=self.sleep, **options)

    def at(self, seconds: float, do: Callable[[], object]) -> None:
        """Have something happen so long after the start."""
        self.planned.append((BEGAN_S + seconds, do))

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(round(seconds / TICK_S)):
            self._tick()

    def _tick(self) -> None:
        self.now_s = round(self.now_s + TICK_S, 3)
        for due in [one for one in self.planned if one[0] <= self.now_s]:
            self.planned.remove(due)
            due[1]()
        self.committed_w = self._books_w()
        beyond_w = max(0.0, self._reading[1] - self.committed_w) if self._is_calm() else self._beyond_w
        self._beyond_w = beyond_w
        room_w = self.limit_w * (1 - self.told.margin) - self.told.idle_base_w - beyond_w
        for job in self.job_of.values():
            self._lead(job, room_w)
        starting = [j for j in self.job_of.values() if j["state"] == "PENDING" and j["powered_s"] is not None]
        booked_w = self._books_w() - self.told.idle_base_w - sum(self._mined_w.values())
        aim_w = 0.0 if starting else max(0.0, room_w - booked_w)
        for name, told in self.told.miners.items():
            wanted_w = min(told.max_w, aim_w / len(self.told.miners))
            self.woken += self._mined_w[name] < AWAKE_W <= wanted_w and not self._wakes[name]
            self._wakes[name] = wanted_w >= AWAKE_W
            step_w = min(self.rise * TICK_S, max(-self.fall * TICK_S, wanted_w - self._mined_w[name]))
            self._mined_w[name] += step_w
        caps = {job["spec"]["resources"]["node"]: job["cap_w"] for job in self._running()}
        held = {j["spec"]["resources"]["node"] for j in self.job_of.values() if j["state"] == "SUSPENDED"}
        self._gpu_w = {
            n: 4 * (BUSY * caps[n] if n in caps else 95.0 if n in held else 55.0) for n in self.told.nodes
        }
        share = 1.0 if not self.lag_s else -math.expm1(-TICK_S / self.lag_s)
        self._shown_w += share * (self._true_w() - self._shown_w)
        if self.now_s - self._reading[0] >= 0.999:
            self._reading = self.now_s, self._shown_w + self._random.gauss(0.0, self.noise_w)
            self._reported = dict(self._gpu_w), dict(self._mined_w)

    def _lead(self, job: dict[str, Any], room_w: float) -> None:
        """The job goes where the limit leads it."""
        if job["state"] == "PREEMPTING" and self.now_s - job["told_s"] >= SAVES_S:
            job["state"] = "HELD"
        if job["state"] not in ("PENDING", "RUNNING", "SUSPENDED"):
            return
        cap_w = min(400.0, 5 * math.floor((room_w / (self.told.overhead * 4) + 55.0) / 5))
        if cap_w >= 195.0 and job["powered_s"] is None:
            job["powered_s"] = self.now_s
        if cap_w >= 195.0 and self.now_s - job["powered_s"] >= STARTS_S:
            job["state"], job["cap_w"], job["step"] = "RUNNING", cap_w, (job["step"] or 0) + 1
        elif job["state"] == "RUNNING":
            job["state"] = "SUSPENDED"

    def _books_w(self) -> float:
        """What orders allow."""
        jobs_w = sum(self.told.overhead * 4 * (job["cap_w"] - 55.0) for job in self._running())
        held = [job for job in self.job_of.values() if job["state"] in ("SUSPENDED", "PREEMPTING")]
        jobs_w += sum(self.told.overhead * 4 * (95.0 - 55.0) for _ in held)
        return self.told.idle_base_w + jobs_w + sum(self._mined_w.values())

    def _is_calm(self) -> bool:
        """Whether the meter shows what is drawn: the scheduler takes nothing for an excess that is only late."""
        return abs(self._shown_w - self._true_w()) < 1.0 and abs(self._reading[1] - self._true_w()) < 40.0

    def _running(self) -> list[dict[str, Any]]:
        return [job for job in self.job_of.values() if job["state"] == "RUNNING"]

    def _true_w(self) -> float:
        nodes_w = sum(self.base_w + w for w in self._gpu_w.values())
        return 100.0 + self.overhead * nodes_w + sum(self._mined_w.values()) + 80.0 * len(self._mined_w)

    @property
    def limit_w(self) -> float:
        """The lowest that stands now."""
        return min([self.site_limit_w, *(limit["limit_w"] for limit in self.limits.values())])

    # -- as the client -------------------------------------------------------------------------------------------

    def power(self) -> Any:
        at_s, draw_w = self._reading
        return {
            "site": self.told.name,
            "mode": self.mode,
            "limit_w": self.limit_w,
            "limit_source": "grid",
            "draw_w": draw_w,
            "committed_w": self.committed_w,
            "draw_measured_at": _text(at_s),
            "draw_quality": self.quality,
            "draw_source": "twin",
            "estop": self.stop,
            "sources": [{"name": "grid", "limit_w": self.site_limit_w}],
            "limits": list(self.limits.values()),
        }

    def nodes(self) -> Any:
        at, (gpus_w, mined_w) = _text(self._reading[0]), self._reported
        plain = {"reachable": self.reachable, "in_fallback": False, "last_report_at": at}
        caps = {job["spec"]["resources"]["node"]: job["cap_w"] for job in self._running()}
        nodes = [
            {"id": n, "kind": "node", "draw_w": 600.0 + w, **plain}
            | {"gpus": [{"draw_w": w / 4, "cap_w": caps.get(n, 100.0)} for _ in range(4)]}
            for n, w in gpus_w.items()
        ]
        miners = [
            {"id": n, "kind": "miners", "draw_w": 80.0 + w, "gpus": [], **plain} for n, w in mined_w.items()
        ]
        return nodes + miners

    def jobs(self, *, state: str | None = None) -> Any:
        own = [job for job in self.job_of.values() if job["state"] in ("RUNNING", "SUSPENDED", "PREEMPTING")]
        waiting = [job for job in self.job_of.values() if job["state"] in ("PENDING", "HELD")]
        return {"jobs": own + self.others if state == "active" else waiting}

    def job(self, job_id: str) -> Any:
        return self.job_of[job_id]

    def submit(self, job: dict[str, object]) -> Any:
        job_id = f"twin-{len(self.job_of) + 1}"
        made = {"id": job_id, "state": "PENDING", "step": None, "reason": None, "spec": job, "cap_w": 100.0}
        self.job_of[job_id] = made | {"powered_s": None}
        return self.job_of[job_id]

    def cancel(self, job_id: str) -> Any:
        self.job_of[job_id]["state"] = "CANCELLED"
        return self.job_of[job_id]

    def hold(self, job_id: str) -> Any:
        self.job_of[job_id] |= {"state": "PREEMPTING", "told_s": self.now_s}
        return self.job_of[job_id]

    def limit(self, limit_w: float, *, reason: str, for_s: float | None = None) -> Any:
        assert reason
        assert for_s is not None, (
            "a limit of the walk that does not end by itself outlives a walk that is killed"
        )
        self.set_w.append(limit_w)
        limit_id, ends_s = str(len(self.set_w)), self.now_s + for_s
        made: dict[str, Any] = {"id": limit_id, "limit_w": limit_w, "until_at": _text(ends_s)}
        self.limits[limit_id] = made
        self.at(ends_s - BEGAN_S, lambda: self.limits.pop(limit_id, None))
        return made

    def release_limits(self, *, reason: str | None = None, limit_id: str | None = None) -> Any:
        assert limit_id is not None, "the limits of other people are not the walk's to release"
        assert limit_id in self.limits, "a limit that ended before its step was over"
        return [self.limits.pop(limit_id)]


def _text(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat()
