"""Twenty withdrawals over eight training jobs: no step is lost, and every loss curve is that of an undisturbed run."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.site_harness import EXAMPLES, RunningSite, running_site

pytestmark = pytest.mark.timeout(400)

SEED = 20
WITHDRAWALS = 20
JOBS = [("char_transformer.py", 4), ("image_classifier.py", 4)]
STEPS = 150
#: Two that no job can stay for, one at which all are held, one that leaves room for some, one for all at a lower cap.
LEVELS_W = [2300.0, 2300.0, 2750.0, 3300.0, 4600.0]


def undisturbed(script: str, seed: int, out: Path) -> list[tuple[int, float]]:
    """The loss curve of the same job without Barq."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BARQ_")}
    command = [sys.executable, script, f"--steps={STEPS}", f"--seed={seed}", f"--out={out}"]
    subprocess.run(command, cwd=EXAMPLES, env=environment, check=True, capture_output=True)
    lines = (out / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    return [(int(x["step"]), float(x["loss"])) for x in map(json.loads, lines)]


def withdraw_at_random(site: RunningSite, ids: list[str]) -> int:
    """Withdraw power at random moments, shallow and deep, short and long; how often before all jobs were done."""
    chance = random.Random(SEED)
    for count in range(WITHDRAWALS):
        time.sleep(chance.uniform(0.2, 2.0))
        site.client.limit(chance.choice(LEVELS_W), reason=f"withdrawal {count}")
        time.sleep(chance.choice([1.0, 2.0, 7.0]))
        site.client.release_limits()
        if all(site.client.job(i)["state"] == "SUCCEEDED" for i in ids):
            return count + 1
    return WITHDRAWALS


def test_twenty_withdrawals_lose_nothing(tmp_path: Path) -> None:
    """Eight PyTorch jobs, twenty withdrawals at random moments: every curve is bit-equal to an undisturbed one."""
    with running_site(tmp_path / "state") as site:
        runs = {
            site.submit(script, f"--steps={STEPS}", f"--seed={seed}", name=f"{script[:4]}-{seed}"): (
                script,
                seed,
            )
            for script, count in JOBS
            for seed in range(count)
        }
        done = withdraw_at_random(site, list(runs))
        for job_id in runs:
            site.wait_state(job_id, "SUCCEEDED", "FAILED", timeout_s=120.0)
        curves = {i: [(int(s["step"]), float(s["loss"])) for s in site.steps(i)] for i in runs}
        pauses = sum(site.client.job(i)["attempts"] - 1 for i in runs)
        lost = sum(site.client.job(i)["lost_steps"] for i in runs)
        summary = site.client.summary()
    assert done == WITHDRAWALS
    assert pauses > 0
    assert lost == 0
    assert summary["over_limit_s"] == 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        alone = pool.map(lambda run: undisturbed(*run[1], tmp_path / run[0]), runs.items())
        assert curves == dict(zip(runs, alone, strict=True))
