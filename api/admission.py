"""From what a person asks for to what the scheduler decides on."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from barq import contract
from barq.ranges import ArrayRange
from barq.request import JobRequest
from scheduler.core.jobs import ArrayPlace, JobSpec, Kind, Launch, Runtime, TopologyRequest
from scheduler.store.views import NotifyTarget

AUTO_INTERVAL_S: Final = 300.0
"""Between periodic checkpoints where the job file says `auto`."""
GRACE_S: Final = 30.0
"""Between the request to save and exit, and the kill."""
_AFTER_OK: Final = "afterok:"


def job_spec(
    request: JobRequest, *, job_id: str, jobs_dir: Path, at: datetime, index: int | None = None
) -> JobSpec:
    """The specification of the job `job_id`, whose files live under `jobs_dir`/`job_id`, submitted at `at`. Pure.

    A job without a `working_dir` or `package` runs in its output folder. `index` = which one of an array it is; its id
    is then that of the array and the index: "ID_INDEX".
    """
    place = None if index is None else _place(request, job_id, index)
    least, most = request.least_nodes, request.most_nodes
    return JobSpec(
        name=request.name if place is None else f"{request.name}[{place.index}]",
        launch=_launch(request, jobs_dir / job_id, place),
        gpus=request.resources.gpus,
        nodes=least,
        max_nodes=most if most > least else None,
        array=place,
        gpu_type=request.resources.gpu_type,
        node=request.resources.node,
        topology=_topology(request),
        priority=request.priority,
        kind=Kind(request.kind),
        flex=request.flex,
        cap_ok=request.power.cap_ok,
        min_cap_w=request.power.min_cap_w,
        max_failures=request.retry.max_failures,
        backoff_s=request.retry.backoff,
        begin_at=request.begin,
        time_limit_s=request.time_limit,
        deadline_at=deadline_at(request, at),
        estimate_s=request.estimate,
        dependencies=dependencies(request),
        project=request.project,
        queue=request.queue,
    )


def deadline_at(request: JobRequest, at: datetime) -> datetime | None:
    """By when a job that is submitted at `at` is to be done."""
    deadline = request.deadline
    return at + timedelta(seconds=deadline) if isinstance(deadline, float) else deadline


def notify_target(request: JobRequest) -> NotifyTarget | None:
    """Whom to tell of the job. Its secret is kept apart from the request, which everybody may see."""
    notify = request.notify
    if notify is None or notify.secret is None:
        return None
    return NotifyTarget(url=notify.url, events=tuple(notify.on), secret=notify.secret)


def dependencies(request: JobRequest) -> tuple[str, ...]:
    """The ids of the jobs that must have succeeded before."""
    return tuple(entry.removeprefix(_AFTER_OK) for entry in request.dependencies)


def _topology(request: JobRequest) -> TopologyRequest | None:
    asked = request.topology
    if asked is None:
        return None
    level = asked.required or asked.preferred or ""
    return TopologyRequest(level=level, is_required=asked.required is not None)


def _place(request: JobRequest, job_id: str, index: int) -> ArrayPlace:
    elements = request.elements or ArrayRange(indices=(index,))
    return ArrayPlace(
        id=job_id.rpartition("_")[0], index=index, count=len(elements.indices), most=elements.most
    )


def _launch(request: JobRequest, home: Path, place: ArrayPlace | None) -> Launch:
    output_dir = str(home / "output")
    interval = request.checkpoint.interval
    return Launch(
        command=_command(request.entrypoint),
        working_dir=request.working_dir or output_dir,
        env=(*sorted(request.env.items()), *_array_env(place)),
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


def _array_env(place: ArrayPlace | None) -> tuple[tuple[str, str], ...]:
    if place is None:
        return ()
    return (
        (contract.ENV_ARRAY_ID, place.id),
        (contract.ENV_ARRAY_INDEX, str(place.index)),
        (contract.ENV_ARRAY_COUNT, str(place.count)),
    )


def _runtime(request: JobRequest) -> Runtime:
    wanted = request.runtime
    if wanted is None:
        return Runtime()
    return Runtime(requirements=wanted.requirements or "", python=wanted.python or "", inherit=wanted.inherit)


def _command(entrypoint: str | list[str]) -> tuple[str, ...]:
    return ("/bin/sh", "-c", entrypoint) if isinstance(entrypoint, str) else tuple(entrypoint)
