"""How fast a site obeys, from the giver's stamp to an outside meter: `python -m benchmarks.drops --drops 200 --json`.

A real site (`barq up`: Ray, guards, API, scheduler, store) with simulated GPUs and miners, full of jobs that are real
processes. A giver posts signed limits to it (`http_push`); a meter that no part of the site knows asks every device
for its draw four times a second and gives their mean each second. Every drop is from all that the site can draw to a
level from `--seed`; every fifth is the largest there is: to where nothing runs and no job keeps its GPU. Of ten drops
one, by chance, finds a node or the miners mute (its agent is stopped just before: no order reaches it), and one finds
the scheduler killed as the limit is sent; these go to the firm level at most, below which nobody could keep a limit
that he cannot be told of. Seconds are from the stamp of the message to the end of the first second of the meter that
is at or under the limit, with all that follow until the limit rises:

    comply_p50_s, comply_p95_s, comply_p100_s      of all drops; per kind of drop under `kinds`
    over_after_reaction_s                          seconds over the limit later than `reaction_s` after the stamp
    rebound_ratio                                  the highest second after a rise, of the limit then
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from barq.site.emergency import group_dirs, look
from barq.site.files import SiteFiles
from barq.site.processes import Process, all_stats
from barq.site.stopping import read_processes
from barq.webhook import SIGNATURE, sign
from benchmarks.job_watch import JobWatch
from benchmarks.site import MARGIN, OVERHEAD, BenchSite, Size, running_site, site_file
from scheduler.core.power import A100_SXM

JOB_DIR = Path(__file__).resolve().parent
JOB = (sys.executable, "-S", "-E", "-c", "from small_job import main; main()", "1")
SECRET: Final = "drops-of-the-benchmark-0"  # noqa: S105 - of a site that lives for minutes
REACTION_S: Final = 30.0
LOOKS_A_SECOND: Final = 4
RISE_S: Final = 20.0  #: for the draw to come back
LARGEST_EVERY: Final = 5
KINDS: Final = {"plain": 0.8, "mute": 0.1, "killed": 0.1}  #: of drops, and their shares
MINERS: Final = 8
MINER_W: Final = 1000.0
MINER_REST_W: Final = 20.0
SAY_AGAIN_S: Final = 5.0
LOOK_S: Final = 0.2
STEADY_S: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """One second of the meter: its end by CLOCK_REALTIME, and the mean draw in it."""

    ended_s: float
    draw_w: float


class OutsideMeter:
    """Asks every device for its draw, and keeps the mean of each second."""

    def __init__(self, state: Path) -> None:
        self._groups = group_dirs(state)
        self._seconds: list[Second] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outside meter", daemon=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Read inside the `with`."""
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()

    def since(self, at_s: float) -> list[Second]:
        """All whole seconds that began at or after an instant."""
        return [s for s in list(self._seconds) if s.ended_s - 1.0 >= at_s]

    def newest_w(self) -> float:
        """The draw in the newest second. 0 before the first."""
        return self._seconds[-1].draw_w if self._seconds else 0.0

    def _run(self) -> None:
        while not self._ended.is_set():
            began_s = time.time()
            looks = [self._look(began_s + i / LOOKS_A_SECOND) for i in range(LOOKS_A_SECOND)]
            time.sleep(max(0.0, began_s + 1.0 - time.time()))
            self._seconds.append(Second(ended_s=time.time(), draw_w=sum(looks) / len(looks)))

    def _look(self, at_s: float) -> float:
        time.sleep(max(0.0, at_s - time.time()))
        states = look(self._groups)
        if silent := [s for s in states if s.draw_w is None]:
            raise RuntimeError(f"the meter cannot read {silent[0].group_id}: {silent[0].error}")
        it_w = sum(s.draw_w or 0.0 for s in states if s.group_id.startswith("node"))
        return OVERHEAD * it_w + sum(s.draw_w or 0.0 for s in states if not s.group_id.startswith("node"))


class Giver:
    """Posts limits to the site, signed, and says each again until another takes its place."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=10.0)
        self._body = b""
        self._ended = threading.Event()
        self._lock = threading.Lock()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Say again what holds inside the `with`."""
        thread = threading.Thread(target=self._say_again, name="giver", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            self._http.close()

    def give(self, limit_w: float) -> float:
        """Tell a new limit; its stamp, by CLOCK_REALTIME."""
        with self._lock:
            at = datetime.now(UTC)
            said = {"delivery": uuid.uuid4().hex, "at": at.isoformat(), "limit_w": limit_w}
            self._body = json.dumps(said).encode()
            self._post()
        return at.timestamp()

    def _post(self) -> None:
        headers = {"Content-Type": "application/json", SIGNATURE: sign(SECRET, self._body)}
        self._http.post("/api/v1/signals/giver", content=self._body, headers=headers).raise_for_status()

    def _say_again(self) -> None:
        while not self._ended.wait(SAY_AGAIN_S):
            with self._lock:
                self._post()


@dataclass(slots=True, kw_only=True)
class Drop:
    """One fall of the limit, and what the meter saw of it."""

    kind: str  #: plain, mute or killed
    limit_w: float
    comply_s: float
    over_after_reaction_s: float
    rebound: float = 0.0


@dataclass(slots=True, kw_only=True)
class Drops:
    """A run over one site."""

    site: BenchSite
    size: Size
    meter: OutsideMeter
    giver: Giver
    chance: random.Random
    found: list[Drop] = field(default_factory=list)

    @property
    def full_w(self) -> float:
        """All that the site can draw."""
        return full_w(self.size)

    def run(self, drops: int) -> None:
        """One after the other."""
        for number in range(drops):
            (kind,) = self.chance.choices(tuple(KINDS), weights=tuple(KINDS.values()))
            least_w = rest_w(self.size) if kind == "plain" else firm_w(self.size)
            is_largest = number % LARGEST_EVERY == 0
            limit_w = least_w if is_largest else self.chance.uniform(least_w, 0.9 * self.full_w)
            drop = self._drop(kind, round(limit_w, 1))
            self.found.append(drop)
            print(
                f"{number + 1:>4} {kind:<6} to {limit_w / 1000:6.2f} kW: {drop.comply_s:5.1f} s, over after reaction "
                f"{drop.over_after_reaction_s:.0f} s",
                file=sys.stderr,
            )

    def _drop(self, kind: str, limit_w: float) -> Drop:
        with self._trouble(kind):
            stamp_s = self.giver.give(limit_w)
            if kind == "killed":
                _scheduler(self.site).send(signal.SIGKILL)
            self._wait_until_under(stamp_s, limit_w)
            time.sleep(self.chance.uniform(2.0, 5.0))
            seconds = self.meter.since(stamp_s)
        drop = judged(seconds, kind=kind, limit_w=limit_w, stamp_s=stamp_s)
        drop.rebound = self._rise()
        return drop

    @contextmanager
    def _trouble(self, kind: str) -> Iterator[None]:
        if kind != "mute":
            yield
            return
        agent = self.chance.choice(_agents(self.site))
        agent.send(signal.SIGSTOP)
        try:
            yield
        finally:
            agent.send(signal.SIGCONT)

    def _wait_until_under(self, stamp_s: float, limit_w: float) -> None:
        """Until a second is at or under the limit, or it is far too late for that."""
        while time.time() < stamp_s + 3 * REACTION_S:
            if (newest := self.meter.since(stamp_s)[-1:]) and newest[0].draw_w <= limit_w:
                return
            time.sleep(LOOK_S)

    def _rise(self) -> float:
        """Give all back, and wait until the draw grows no more; the highest second of it, of the limit."""
        stamp_s = self.giver.give(self.full_w)
        while time.time() < stamp_s + RISE_S and not self._has_risen(stamp_s):
            time.sleep(LOOK_S)
        return max((s.draw_w for s in self.meter.since(stamp_s)), default=0.0) / self.full_w

    def _has_risen(self, stamp_s: float) -> bool:
        """Whether three seconds in a row were no higher than the one before them, and something runs."""
        seconds = [s.draw_w for s in self.meter.since(stamp_s)]
        if len(seconds) <= STEADY_S:
            return False
        before_w, *newest = seconds[-1 - STEADY_S :]
        return max(newest) <= before_w and min(newest) > firm_w(self.size)


def judged(seconds: Sequence[Second], *, kind: str, limit_w: float, stamp_s: float) -> Drop:
    """What the meter says of one drop."""
    over = [s for s in seconds if s.draw_w > limit_w]
    after = [s for s in seconds if not over or s.ended_s > over[-1].ended_s]
    complied_s = after[0].ended_s if after else float("inf")
    late = [s for s in over if s.ended_s - 1.0 > stamp_s + REACTION_S]
    return Drop(
        kind=kind,
        limit_w=limit_w,
        comply_s=complied_s - stamp_s,
        over_after_reaction_s=float(len(late)),
    )


def full_w(size: Size) -> float:
    """A limit under which every GPU and every miner may run at its most."""
    return size.limit_w(A100_SXM.tdp_w) + MINERS * MINER_W / (1 - MARGIN)


def firm_w(size: Size) -> float:
    """The firm level: every job may hold its GPU, and no miner runs."""
    return size.hold_w + MINERS * MINER_REST_W / (1 - MARGIN)


def rest_w(size: Size) -> float:
    """The lowest limit that the site can keep: nothing runs, and nothing is held."""
    return size.rest_w + MINERS * MINER_REST_W / (1 - MARGIN)


def summary(drops: Sequence[Drop]) -> dict[str, Any]:
    """The figures by their keys."""
    return {
        "drops": len(drops),
        **_times(drops),
        "over_after_reaction_s": sum(d.over_after_reaction_s for d in drops),
        "rebound_ratio": round(max(d.rebound for d in drops), 3),
        "kinds": {k: _times([d for d in drops if d.kind == k]) for k in sorted({d.kind for d in drops})},
    }


def _times(drops: Sequence[Drop]) -> dict[str, float]:
    ranked = sorted(d.comply_s for d in drops)
    shares = {"comply_p50_s": 0.5, "comply_p95_s": 0.95, "comply_p100_s": 1.0}
    return {key: round(ranked[max(0, round(share * len(ranked)) - 1)], 2) for key, share in shares.items()}


def _scheduler(site: BenchSite) -> Process:
    return read_processes(SiteFiles(site.state))["scheduler"]


def _agents(site: BenchSite) -> list[Process]:
    """The agents of all groups: workers of the site's own Ray."""
    members = {p.pid for name, p in read_processes(SiteFiles(site.state)).items() if name.startswith("ray/")}
    pids = [s.pid for s in all_stats() if s.parent in members and _command(s.pid).startswith("ray::Agent")]
    return [agent for pid in sorted(pids) if (agent := Process.of(pid)) is not None]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def site_changes(size: Size, secret_file: Path) -> dict[str, Any]:
    """What this site has beside the one of the other benchmarks: miners, and a giver who pushes its limit."""
    giver = {"type": "http_push", "name": "giver", "secret_file": str(secret_file), "max_w": 2 * full_w(size)}
    miners = {"name": "miners", "count": MINERS, "max_w": MINER_W, "rest_w": MINER_REST_W, "simulated": True}
    return {
        "power": site_file(size)["power"] | {"firm_w": firm_w(size)},
        "miners": [miners],
        "signals": [{"type": "constant", "name": "contract", "limit_w": full_w(size)}, giver],
    }


def measure(*, drops: int, seed: int, nodes: int, gpus: int) -> dict[str, Any]:
    """Start a site full of jobs, let the limit fall, and take it down."""
    size = Size(nodes=nodes, gpus=gpus)
    with tempfile.TemporaryDirectory(prefix="barq-bench-secret-") as directory:
        secret_file = Path(directory) / "giver"
        secret_file.write_text(SECRET, encoding="utf-8")
        secret_file.chmod(0o600)
        with running_site(size, site_changes(size, secret_file)) as site:
            return _measured(site, size, drops, seed)


def _measured(site: BenchSite, size: Size, drops: int, seed: int) -> dict[str, Any]:
    meter, giver = OutsideMeter(site.state), Giver(site.client.url)
    with meter.running(), giver.running():
        giver.give(full_w(size))
        ids = [
            job["id"] for job in site.client.submit_many([_request(n) for n in range(size.nodes * size.gpus)])
        ]
        JobWatch(site.state).wait_for("running", ids)
        run = Drops(site=site, size=size, meter=meter, giver=giver, chance=random.Random(seed))
        run.run(drops)
    return summary(run.found)


def _request(number: int) -> dict[str, Any]:
    return {
        "name": f"drops-{number}",
        "entrypoint": [*JOB],
        "working_dir": str(JOB_DIR),
        "resources": {"gpus": 1},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drops", description=__doc__.splitlines()[0])
    parser.add_argument("--drops", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--gpus", type=int, default=4, help="of each node")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args(arguments)
    print(f"load before: {os.getloadavg()[0]:.2f}", file=sys.stderr)
    figures = measure(drops=options.drops, seed=options.seed, nodes=options.nodes, gpus=options.gpus)
    print(json.dumps(figures) if options.json else "\n".join(f"{k:<24} {v}" for k, v in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
