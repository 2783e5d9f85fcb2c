"""Twenty withdrawals over eight training jobs: no step is lost, and every loss curve is that of an undisturbed run."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.site_harness import EXAMPLES, SITE, RunningSite, running_site
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(400)

SEED = 20
WITHDRAWALS = 20
#: Four PyTorch jobs, and four that chain hashes: one number a step that depends on every step before it.
JOBS = [("char_transformer.py", 2), ("image_classifier.py", 2), ("counter.py", 4)]
STEPS = 80
SLOWLY = {"counter.py": ["--step-ms=200"]}  #: as slow as the others; what it counts is the same
#: One that no job can stay for, two at which all are held, one that leaves room for some, one for all at a lower cap.
LEVELS_W = [2300.0, 2750.0, 2750.0, 3300.0, 4600.0]
#: Over before a job can save, over in the middle of it, and longer than a job is held.
LAST_S = [0.5, 1.0, 3.0]
TIMING = SITE["timing"] | {"suspend_max_s": 2}


def words(seed: int) -> list[str]:
    """What makes a job that job."""
    return [f"--steps={STEPS}", f"--seed={seed}"]


def undisturbed(script: str, seed: int, out: Path) -> list[tuple[int, float]]:
    """The loss curve of the same job without Barq."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BARQ_")}
    command = [sys.executable, script, *words(seed), f"--out={out}"]
    subprocess.run(command, cwd=EXAMPLES, env=environment, check=True, capture_output=True)
    lines = (out / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    return [(int(x["step"]), float(x["loss"])) for x in map(json.loads, lines)]


def withdraw_at_random(site: RunningSite, ids: list[str]) -> None:
    """Withdraw power at random points of the jobs' work, deep and shallow, for short and long."""
    chance = random.Random(SEED)
    for count in range(WITHDRAWALS):
        goal = int(STEPS * len(ids) * (count + chance.random()) / (WITHDRAWALS + 1))
        wait_for(partial(reached, site, ids, goal), timeout_s=120.0, what=f"{goal} steps of all jobs")
        site.client.limit(chance.choice(LEVELS_W), reason=f"withdrawal {count}")
        time.sleep(chance.choice(LAST_S))
        site.client.release_limits()


def reached(site: RunningSite, ids: list[str], goal: int) -> bool:
    """Whether all jobs together have done `goal` steps."""
    return done(site, ids) >= goal


def done(site: RunningSite, ids: list[str]) -> int:
    """Steps of all jobs together."""
    return sum(len(site.steps(i)) for i in ids)


def test_twenty_withdrawals_lose_nothing(tmp_path: Path) -> None:
    """Eight jobs, twenty withdrawals at random moments: every curve is bit-equal to an undisturbed one."""
    with running_site(tmp_path / "state", timing=TIMING) as site:
        runs = {
            site.submit(script, *words(seed), *SLOWLY.get(script, []), name=f"{script[:4]}-{seed}"): (
                script,
                seed,
            )
            for script, count in JOBS
            for seed in range(count)
        }
        withdraw_at_random(site, [i for i, (script, _) in runs.items() if script not in SLOWLY])
        for job_id in runs:
            site.wait_state(job_id, "SUCCEEDED", "FAILED", timeout_s=120.0)
        curves = {i: [(int(s["step"]), float(s["loss"])) for s in site.steps(i)] for i in runs}
        pauses = sum(site.client.job(i)["attempts"] - 1 for i in runs)
        lost = sum(site.client.job(i)["lost_steps"] for i in runs)
        summary = site.client.summary()
    assert pauses > 0
    assert lost == 0
    assert summary["over_limit_s"] == 0, site.said("limit.")
    with ThreadPoolExecutor(max_workers=2) as pool:
        alone = {
            i: pool.submit(undisturbed, script, seed, tmp_path / i) for i, (script, seed) in runs.items()
        }
        assert curves == {i: curve.result() for i, curve in alone.items()}
