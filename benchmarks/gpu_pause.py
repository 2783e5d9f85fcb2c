"""Real GPUs paused and resumed, judged from outside: `python -m benchmarks.gpu_pause --json`.

A real site (`barq up`) with the GPUs of this machine, and a real job on one: the example transformer, with 2 GB of
state (or more: --layers). An operator's limit takes all power but that of the machine at rest, and gives it back, once
for each round:

    plain     the site as it is
    killed    the scheduler is killed just before the limit is set
    damaged   one bit of the newest checkpoint is turned while the job is paused

Then a job that ignores the notice, and asks the GPU for work far ahead, meets the same limit. At the end the same
training runs undisturbed, by hand, and each step's loss must be the same to the bit. As root it sets power limits, as a
site does, and puts back what it found; as anybody else it sets nothing. Seconds are from the command:

    stop_s      until the draw has fallen by half         paused_s   until the site says that the job is paused
    comply_s    until it keeps the limit, for good        step_s     from power back to the next step
    saved_s     until the newest checkpoint is committed  freed_s    until the GPU's memory is free again

`--simulated` tries all of it on a simulated GPU, which proves nothing of a real one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from barq.errors import BarqError
from barq.site.files import SiteFiles
from barq.site.stopping import read_processes
from benchmarks.gpu_judge import Judge, below_s, freed_s, kept_s
from benchmarks.job_watch import PATIENCE_S, wait_for
from benchmarks.site import BenchSite, Size, running_site
from scheduler.core.power import A100_SXM
from workers.nvml.machine import SETTLE_S, local_gpus

EXAMPLES = Path(__file__).resolve().parent.parent / "configs" / "jobs" / "examples"
JOB: Final = "char_transformer.py"
LARGE: Final = ("--width", "1536", "--batch", "64")  #: 0.34 GB of weights and moments each layer
LAYERS: Final = 7
SMALL: Final = ("--width", "64", "--layers", "2", "--batch", "16")
KINDS: Final = ("plain", "killed", "damaged")
BASE_W: Final = 300.0
MARGIN: Final = 0.03
REACTION_S: Final = 30.0
WORK_S: Final = 6.0  #: of work before each fall
REST_S: Final = 3.0  #: after it, to see that the draw stays down
STUBBORN: Final = """\
import signal, torch
signal.signal(signal.SIGTERM, signal.SIG_IGN)
a = torch.randn(8192, 8192, device="cuda" if torch.cuda.is_available() else "cpu")
while True:
    b = a @ a
"""


@dataclass(slots=True, kw_only=True)
class Run:
    """One job under a limit that comes and goes."""

    site: BenchSite
    judge: Judge
    limit_w: float
    job_id: str
    rounds: list[dict[str, Any]] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """What the site keeps of the job."""
        return self.site.state / "jobs" / self.job_id

    def once(self, kind: str) -> None:
        """Withdraw power, do what the round is for, and give power back."""
        self._await_steps(2)
        time.sleep(WORK_S)
        fall, at_s = self.withdraw(kind)
        newest = max((self.folder / "checkpoints").glob("step-*"))
        saved_s = _seconds(json.loads((newest / "manifest.json").read_bytes())["saved_at"]) - at_s
        size_bytes = (newest / "rank-0.state").stat().st_size
        if kind == "damaged":
            turn_a_bit(newest / "rank-0.state")
        self.rounds.append(
            fall | {"saved_s": saved_s, "commit_bytes": size_bytes, "step_s": self.give_back()}
        )
        print(json.dumps(self.rounds[-1]), file=sys.stderr)

    def withdraw(self, kind: str) -> tuple[dict[str, Any], float]:
        """All but the machine at rest; what was seen of it, and the instant of the command."""
        busy, at_s = self.judge.since(time.time() - REST_S), time.time()
        busy_w, pids = sum(s.draw_w for s in busy) / len(busy), self._pids()
        if kind == "killed":
            read_processes(SiteFiles(self.site.state))["scheduler"].send(signal.SIGKILL)
        self.site.client.limit(self.limit_w, reason=f"benchmark: {kind}")
        paused_s = wait_for(self._is_paused, "paused") - at_s
        time.sleep(REST_S)
        seen = self.judge.since(at_s)
        fall = {
            "kind": kind,
            "busy_w": busy_w,
            "stop_s": below_s(seen, watts=busy_w / 2, since_s=at_s),
            "comply_s": kept_s(seen, watts=self.limit_w - BASE_W, since_s=at_s),
            "paused_s": paused_s,
            "freed_s": freed_s(seen, since_s=at_s),
            "paused_w": seen[-1].draw_w,
            "used_bytes": [busy[-1].used_bytes, seen[-1].used_bytes],
            "said_s": {e["kind"]: _seconds(e["at"]) - at_s for e in self._events(at_s)},
            "is_named": set(busy[-1].pids) == pids,
        }
        return fall, at_s

    def give_back(self) -> float:
        """Seconds until the job did another step."""
        before, at_s = len(self.steps()), time.time()
        self.site.client.release_limits(reason="benchmark")
        return self._await_steps(before + 1) - at_s

    def steps(self) -> list[dict[str, Any]]:
        """What the job wrote of its steps."""
        path = self.folder / "output" / "steps.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def end(self) -> None:
        """Cancel the job, and wait until it is gone."""
        self.site.client.cancel(self.job_id)
        self.site.client.wait([self.job_id], timeout_s=PATIENCE_S)

    def _await_steps(self, count: int) -> float:
        return wait_for(lambda: time.time() if len(self.steps()) >= count else None, f"{count} steps")

    def _is_paused(self) -> float | None:
        try:
            state = self.site.client.job(self.job_id)["state"]
        except BarqError:  # the scheduler was just killed
            return None
        return time.time() if state in ("PAUSED", "PENDING") else None

    def _pids(self) -> set[int]:
        """The process that Barq knows as this job's."""
        paths = self.site.state.glob(f"groups/*/attempts/{self.job_id}.*/facts.json")
        said = [json.loads(path.read_bytes()) for path in paths]
        return {facts["job"]["pid"] for facts in said if facts["job"] and not facts["is_final"]}

    def _events(self, since_s: float) -> list[Any]:
        return [e for e in self.site.client.events(self.job_id) if _seconds(e["at"]) >= since_s]


def turn_a_bit(path: Path) -> None:
    """In its middle."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        (byte,) = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def compared(done: Sequence[dict[str, Any]], undisturbed: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Steps that are missing, that were done again, and whose loss is not that of the undisturbed run."""
    losses = {line["step"]: line["loss"] for line in undisturbed}
    times = Counter(line["step"] for line in done)
    return {
        "steps": len(times),
        "missing": sum(1 for step in range(max(times) + 1) if step not in times),
        "done_again": sum(1 for count in times.values() if count > 1),
        "other_losses": sum(1 for line in done if line["loss"] != losses.get(line["step"])),
    }


def undisturbed(words: Sequence[str], steps: int, folder: Path) -> list[dict[str, Any]]:
    """The same training by hand, from the start, in one go."""
    command = [sys.executable, str(EXAMPLES / JOB), *words, "--steps", str(steps), "--out", str(folder)]
    with (folder / "log").open("w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log, cwd=folder)
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]


def stubborn(site: BenchSite, judge: Judge, limit_w: float) -> dict[str, Any]:
    """A job without the contract, that ignores SIGTERM too."""
    run = Run(site=site, judge=judge, limit_w=limit_w, job_id=_submit(site, ("-c", STUBBORN)))
    wait_for(lambda: site.client.job(run.job_id)["state"] == "RUNNING" or None, "the stubborn job")
    time.sleep(2 * WORK_S)
    fall, _ = run.withdraw("stubborn")
    run.end()
    site.client.release_limits(reason="benchmark")
    return fall


def measure(kinds: Sequence[str], *, layers: int, simulated: bool) -> dict[str, Any]:
    """All figures of one run."""
    gpus = _gpus(simulated=simulated)
    limit_w = (BASE_W + gpus.rest_w + 1) / (1 - MARGIN)
    firm_w = (BASE_W + gpus.held_w + 1) / (
        1 - MARGIN
    )  # a job must be able to hold its GPU while nobody is heard
    kind_of_node = {"gpus": 1, "simulated": True} if simulated else {"simulated": False}
    changes = {
        "power": {"firm_w": firm_w, "overhead": 1.0, "margin": MARGIN, "reaction_s": REACTION_S},
        "nodes": [kind_of_node | {"prefix": "node", "base_w": BASE_W}],
        "signals": [{"type": "constant", "name": "contract", "limit_w": 2 * (BASE_W + gpus.most_w)}],
    }
    words = SMALL if simulated else (*LARGE, "--layers", str(layers))
    with (
        running_site(Size(nodes=1, gpus=1), changes) as site,
        tempfile.TemporaryDirectory() as folder,
        Judge.at_work(
            Path(folder) / "judged", site.state / "groups" / "node-1", simulated=simulated
        ) as judge,
    ):
        script = str(EXAMPLES / JOB)
        job_id = _submit(site, (script, *words, "--steps", "1000000"))
        run = Run(site=site, judge=judge, limit_w=limit_w, job_id=job_id)
        for kind in kinds:
            run.once(kind)
        time.sleep(WORK_S)
        run.end()
        done, checkpoints = run.steps(), site.client.checkpoints(job_id)
        damaged = [c["step"] for c in checkpoints if c["state"] == "quarantined"]
        last = stubborn(site, judge, limit_w)
        print(json.dumps(last), file=sys.stderr)
        same = compared(done, undisturbed(words, 1 + max(s["step"] for s in done), Path(folder)))
    return {"gpus": gpus.name, "rounds": run.rounds, **same, "quarantined_steps": damaged, "stubborn": last}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """What there is: the draw of all at rest, with one of them held by a job that holds still, and at most, W."""

    name: str
    rest_w: float
    held_w: float
    most_w: float


def _gpus(*, simulated: bool) -> Gpus:
    """The GPUs of this machine. Raises SystemExit where there is none."""
    if simulated:
        rest_w, held_w, most_w = A100_SXM.idle_w, A100_SXM.held_w(), A100_SXM.tdp_w
        return Gpus(name="simulated", rest_w=rest_w, held_w=held_w, most_w=most_w)
    machine = local_gpus(settle_s=SETTLE_S)
    if not machine.usable:
        raise SystemExit(f"no GPU is of use here ({machine.problem}); --simulated tries the rest")
    models = [slot.power for slot in machine.spec("node-1", base_w=0.0).gpus]
    rest_w = sum(model.idle_w for model in models)
    return Gpus(
        name=f"{len(models)} x {machine.usable[0].name}, driver {machine.driver}",
        rest_w=rest_w,
        held_w=rest_w - models[0].idle_w + models[0].held_w(),
        most_w=sum(model.tdp_w for model in models),
    )


def _submit(site: BenchSite, words: Sequence[str]) -> str:
    request = {
        "name": "gpu-pause",
        "entrypoint": [sys.executable, *words],
        "working_dir": str(EXAMPLES),
        "resources": {"gpus": 1},
        "checkpoint": {"interval": "1h", "keep": 2},
    }
    return site.client.submit(request)["id"]


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_pause", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--rounds", nargs="+", choices=KINDS, default=["plain", "plain", "killed", "damaged"])
    parser.add_argument(
        "--layers", type=int, default=LAYERS, help="of the model on a real GPU: 0.34 GB of state each"
    )
    parser.add_argument("--simulated", action="store_true", help="on a simulated GPU: to try the benchmark")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args(arguments)
    figures = measure(options.rounds, layers=options.layers, simulated=options.simulated)
    print(json.dumps(figures, indent=None if options.json else 1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
