"""From a request to what the scheduler decides on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from api.admission import AUTO_INTERVAL_S, GRACE_S, job_spec
from barq.jobfile import parse_job
from scheduler.core.jobs import JobSpec, Kind, Launch, Runtime

STATE = Path("/var/lib/barq")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def spec_of(**fields: object) -> JobSpec:
    """The specification of a job with these fields."""
    return job_spec(parse_job(fields), job_id="demo-7", jobs_dir=STATE / "jobs", at=NOON)


#: Where everything of job demo-7 lies.
LAUNCH = Launch(
    command=("python", "a.py"),
    working_dir="/home/ada",
    env=(("A", "1"), ("B", "2")),
    checkpoint_dir="/var/lib/barq/jobs/demo-7/checkpoints",
    output_dir="/var/lib/barq/jobs/demo-7/output",
    log_path="/var/lib/barq/jobs/demo-7/job.log",
    checkpoint_interval_s=60.0,
    keep=4,
    grace_s=GRACE_S,
)


def test_every_field_that_decisions_need_arrives() -> None:
    """Under the names and units of the core."""
    spec = spec_of(
        name="x",
        project="physics",
        queue="night",
        priority=5,
        kind="batch",
        entrypoint=["python", "a.py"],
        working_dir="/home/ada",
        env={"B": "2", "A": "1"},
        resources={"gpus": 4, "gpu_type": "a100-sxm-400w"},
        nodes=2,
        dependencies=["afterok:demo-1", "afterok:demo-2"],
        begin="2026-03-01T06:00:00Z",
        deadline="6h",
        estimate="90m",
        time_limit="2h",
        retry={"max_failures": 3, "backoff": "5s"},
        flex=2,
        checkpoint={"interval": "1m", "keep": 4},
        power={"cap_ok": False, "min_cap_w": 200},
    )

    assert spec == JobSpec(
        name="x",
        project="physics",
        queue="night",
        priority=5,
        kind=Kind.BATCH,
        gpus=4,
        gpu_type="a100-sxm-400w",
        nodes=2,
        dependencies=("demo-1", "demo-2"),
        begin_at=datetime(2026, 3, 1, 6, tzinfo=UTC),
        deadline_at=datetime(2026, 3, 1, 18, tzinfo=UTC),
        estimate_s=5400.0,
        time_limit_s=7200.0,
        max_failures=3,
        backoff_s=5.0,
        flex=2,
        cap_ok=False,
        min_cap_w=200.0,
        launch=LAUNCH,
    )


def test_text_is_run_by_a_shell_in_the_output_folder_with_an_automatic_interval() -> None:
    """The defaults of one line."""
    launch = spec_of(entrypoint="python a.py && echo done").launch

    assert launch.command == ("/bin/sh", "-c", "python a.py && echo done")
    assert launch.working_dir == launch.output_dir
    assert launch.checkpoint_interval_s == AUTO_INTERVAL_S


def test_what_a_job_brings_along_arrives() -> None:
    """Its package, runtime, inputs and outputs; without any of them there is nothing to prepare."""
    launch = spec_of(
        entrypoint="a",
        package="a" * 64,
        runtime={"requirements": "r.txt", "inherit": True},
        inputs={"b": "s3://x/b", "a": "s3://x/a"},
        outputs={".": "s3://x/out"},
    ).launch

    assert launch.package == "a" * 64
    assert launch.runtime == Runtime(requirements="r.txt", inherit=True)
    assert launch.inputs == (("a", "s3://x/a"), ("b", "s3://x/b"))
    assert launch.outputs == ((".", "s3://x/out"),)
    assert launch.needs_preparation
    assert not spec_of(entrypoint="a").launch.needs_preparation
    assert spec_of(entrypoint="a", runtime={"python": "/bin/python3"}).launch.needs_preparation
