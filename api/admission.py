"""From what a person asks for to what the scheduler decides on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from barq.request import JobRequest
from scheduler.core.jobs import JobSpec, Kind, Launch, Runtime
from scheduler.store.views import NotifyTarget

AUTO_INTERVAL_S: Final = 300.0
"""Between periodic checkpoints where the job file says `auto`."""
GRACE_S: Final = 30.0
"""Between the request to save and exit, and the kill."""
_AFTER_OK: Final = "afterok:"


def job_spec(request: JobRequest, *, job_id: str, jobs_dir: Path) -> JobSpec:
    """The specification of the job `job_id`, whose files live under `jobs_dir`/`job_id`. Pure.

    A job without a `working_dir` or `package` runs in its output folder.
    """
    return JobSpec(
        name=request.name,
        launch=_launch(request, jobs_dir / job_id),
        gpus=request.resources.gpus,
        nodes=request.nodes,
        gpu_type=request.resources.gpu_type,
        priority=request.priority,
        kind=Kind(request.kind),
        flex=request.flex,
        cap_ok=request.power.cap_ok,
        min_cap_w=request.power.min_cap_w,
        max_failures=request.retry.max_failures,
        backoff_s=request.retry.backoff,
        begin_at=request.begin,
        time_limit_s=request.time_limit,
        dependencies=dependencies(request),
        project=request.project,
        queue=request.queue,
    )


def notify_target(request: JobRequest) -> NotifyTarget | None:
    """Whom to tell of the job. Its secret is kept apart from the request, which everybody may see."""
    notify = request.notify
    if notify is None or notify.secret is None:
        return None
    return NotifyTarget(url=notify.url, events=tuple(notify.on), secret=notify.secret)


def dependencies(request: JobRequest) -> tuple[str, ...]:
    """The ids of the jobs that must have succeeded before."""
    return tuple(entry.removeprefix(_AFTER_OK) for entry in request.dependencies)


def _launch(request: JobRequest, home: Path) -> Launch:
    output_dir = str(home / "output")
    interval = request.checkpoint.interval
    return Launch(
        command=_command(request.entrypoint),
        working_dir=request.working_dir or output_dir,
        env=tuple(sorted(request.env.items())),
        checkpoint_dir=str(home / "checkpoints"),
        output_dir=output_dir,
        log_path=str(home / "job.log"),
        checkpoint_interval_s=AUTO_INTERVAL_S if interval == "auto" else interval,
        checkpoint_auto=interval == "auto",
        keep=request.checkpoint.keep,
        grace_s=GRACE_S,
        package=request.package or "",
        runtime=_runtime(request),
        inputs=tuple(sorted(request.inputs.items())),
        outputs=tuple(sorted(request.outputs.items())),
    )


def _runtime(request: JobRequest) -> Runtime:
    wanted = request.runtime
    if wanted is None:
        return Runtime()
    return Runtime(requirements=wanted.requirements or "", python=wanted.python or "", inherit=wanted.inherit)


def _command(entrypoint: str | list[str]) -> tuple[str, ...]:
    return ("/bin/sh", "-c", entrypoint) if isinstance(entrypoint, str) else tuple(entrypoint)
