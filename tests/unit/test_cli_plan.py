"""`barq plan`, and what `barq why` tells of a start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.busy_site import PLAN, WHY, barq, busy_site
from tests.stub_site import problem

START: dict[str, Any] = {
    "earliest_at": "2026-03-01T12:20:00Z",
    "latest_at": "2026-03-01T14:00:00Z",
    "assumption": "running jobs use their whole time limits",
    "snapshot_at": "2026-03-01T11:59:48Z",
    "snapshot_age_s": 12.0,
}
RANGE = "2026-03-01 12:20 (in 20 min) to 2026-03-01 14:00 (in 2 h)"
QUEUED: dict[str, Any] = {
    "position": 3,
    "waiting": 12,
    "ahead_gpus": 10,
    "lacks": {"gpus": 2, "power_w": 0.0},
    "expected_start": START,
}
REASON = {
    "code": "WaitingForResources",
    "text": "needs 2 GPUs; 0 are free, 0 being released",
    "numbers": {},
    "remedy": "fewer GPUs",
}


@pytest.fixture
def job_file(tmp_path: Path) -> str:
    """A job of two GPUs in a folder that a submission would send."""
    path = tmp_path / "job.yaml"
    path.write_text("name: train\nentrypoint: python train.py\nworking_dir: .\nresources: {gpus: 2}\n")
    return str(path)


def test_what_would_start_says_where_and_exits_with_0(job_file: str) -> None:
    """The same body as a submission, without the folder; nothing else is asked of the site."""
    site = busy_site()

    result = barq(site, "plan", job_file, "--gpus", "4", "--priority", "3")

    assert result.exit_code == 0
    assert result.stdout == (
        "train would start now on node-1 at 350 W per GPU, as of a snapshot of 12 s ago\n"
    )
    body = {"name": "train", "entrypoint": "python train.py", "resources": {"gpus": 4}, "priority": 3}
    assert site.asked() == [("/api/v1/jobs:plan", body)]


def test_what_would_wait_says_why_and_until_when_and_exits_with_6(job_file: str) -> None:
    """Reason, remedy, position, range, and what it would change for others."""
    effects = [{"job_id": "demo-3", "text": "demo-3 would be capped at 320 W per GPU instead of 400 W"}]
    waits = {**PLAN, **QUEUED, "verdict": "waits", "placements": [], "cap_w": None}
    site = busy_site().on("POST", "/jobs:plan", {**waits, "reason": REASON, "effects": effects})

    result = barq(site, "plan", job_file)

    assert result.exit_code == 6
    assert result.stdout.splitlines() == [
        "train would wait: needs 2 GPUs; 0 are free, 0 being released [WaitingForResources]",
        "What would change it: fewer GPUs",
        "Position 3 of 12 that wait, 10 GPUs are asked for ahead of it",
        f"Expected start: {RANGE}",
        "  if running jobs use their whole time limits",
        "  as of a snapshot of 12 s ago",
        "What it would change for others:",
        "  demo-3 would be capped at 320 W per GPU instead of 400 W",
    ]


def test_what_can_never_fit_exits_with_4(job_file: str) -> None:
    """Whether the decision says so, or the site refuses it as it refuses a submission."""
    never = {**PLAN, "verdict": "never_fits", "placements": [], "cap_w": None, "reason": REASON}
    told = barq(busy_site().on("POST", "/jobs:plan", never), "plan", job_file)
    refusal = problem(422, "never_fits", "the site has at most 4", field="resources.gpus")
    refused = barq(busy_site().on("POST", "/jobs:plan", refusal), "plan", job_file)

    assert told.exit_code == 4
    assert told.stdout.startswith("train can never start here: needs 2 GPUs")
    assert (refused.exit_code, refused.stdout) == (4, "")


@pytest.mark.parametrize("words", [("plan",), ("plan", "none.yaml"), ("plan", "--gpus", "-1", "--", "true")])
def test_bad_input_is_refused_as_by_submit(words: tuple[str, ...]) -> None:
    """Before the site is asked."""
    site = busy_site()
    planned, submitted = barq(site, *words), barq(site, "submit", *words[1:])

    assert planned.exit_code == submitted.exit_code != 0
    assert planned.stderr == submitted.stderr
    assert site.requests == []


def test_several_jobs_are_planned_one_by_one(job_file: str) -> None:
    """Each would change what becomes of the next."""
    result = barq(busy_site(), "plan", job_file, job_file)

    assert result.exit_code == 2
    assert "plan them one by one" in result.stderr


def test_a_range_that_nobody_can_tell_says_so(job_file: str) -> None:
    """No dates are made up; one end may be known alone."""
    unknown = {**START, "earliest_at": None, "latest_at": None, "assumption": "no estimate: nobody says"}
    open_end = {**START, "latest_at": None}
    old = {**START, "earliest_at": "2026-03-01T11:59:49Z"}
    first = {**WHY, **QUEUED, "expected_start": unknown}
    second = {**WHY, **QUEUED, "position": None, "expected_start": open_end}
    site = busy_site().on("GET", "/jobs/demo-1/why", first)
    site.on("GET", "/jobs/demo-2/why", second)

    assert "Expected start: no estimate: nobody says" in barq(site, "why", "1").stdout.splitlines()
    lines = barq(site, "why", "2").stdout.splitlines()
    assert "Expected start: 2026-03-01 12:20 (in 20 min) or later" in lines
    assert not any(line.startswith(("Position", "Expected:")) for line in lines)

    site.on(
        "GET",
        "/jobs/demo-3/why",
        {**WHY, **QUEUED, "expected_start": old, "overtaken_until": "2026-03-01T14:00:00Z"},
    )
    lines = barq(site, "why", "3").stdout.splitlines()
    assert "Expected start: now to 2026-03-01 14:00 (in 2 h)" in lines
    text = "Jobs that have had little so far go before it, later ones too, until 2026-03-01 14:00 (in 2 h)"
    assert text in lines


def test_without_a_remedy_what_is_missing_would_change_it() -> None:
    """In numbers; who stands behind others is told of priority."""
    reason = {**REASON, "remedy": ""}
    site = busy_site().on("GET", "/jobs/demo-1/why", {**WHY, **QUEUED, "reason": reason})
    power = {**QUEUED, "position": 1, "lacks": {"gpus": 1, "power_w": 1500.0}}
    site.on("GET", "/jobs/demo-2/why", {**WHY, **power, "reason": reason})

    first, second = barq(site, "why", "1").stdout, barq(site, "why", "2").stdout

    assert "What would change it: 2 more free GPUs; a higher priority brings it forward\n" in first
    assert "What would change it: 1 more free GPU, 1.5 kW more\n" in second


def test_the_slack_before_a_deadline_is_told_whether_the_job_waits_or_not(job_file: str) -> None:
    """By `why` in place of nothing, and by a dry run of what would start."""
    told = {
        "at": "2026-03-01T18:00:00Z",
        "slack_s": 60.0,
        "work_left_s": 9.0,
        "text": "due at 18:00; so and so",
    }
    site = busy_site().on("GET", "/jobs/demo-1/why", {**WHY, "deadline": told})
    site.on("POST", "/jobs:plan", {**PLAN, "deadline": told})

    assert "Deadline: due at 18:00; so and so" in barq(site, "why", "1").stdout.splitlines()
    planned = barq(site, "plan", job_file, "--deadline", "6h", "--estimate", "1h")
    assert "Deadline: due at 18:00; so and so" in planned.stdout.splitlines()
    [(_, body)] = site.asked()
    assert (body["deadline"], body["estimate"]) == (21_600.0, 3600.0)


def test_a_forecast_is_named_where_a_start_is_judged_on_one(job_file: str) -> None:
    """By a dry run of what would start, and by `why` of what waits."""
    judged_on = "tier 4 may be cut, and is planned on the median of the forecast of feeder-12"
    site = busy_site().on("POST", "/jobs:plan", {**PLAN, "judged_on": judged_on})
    site.on("GET", "/jobs/demo-1/why", {**WHY, **QUEUED, "judged_on": judged_on})

    for words in (("plan", job_file), ("why", "1")):
        assert f"Forecast: {judged_on}" in barq(site, *words).stdout.splitlines()
