"""Each verb of a site as the request that it is: what to send, and where in the answer the result lies. No I/O.

`Client` and `AsyncClient` send these alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast
from urllib.parse import quote

from barq.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from barq.dispatch_views import InstructionPage, InstructionView
    from barq.event_views import PowerEventDetail, PowerEventPage
    from barq.forecast_views import ForecastView
    from barq.reporting.views import ComplianceView, CorrectionView
    from barq.request import JobRequest
    from barq.shadow_views import ShadowDays
    from barq.site_views import LimitView, PowerView, ProjectsView, StopView, SummaryView
    from barq.views import (
        ArrayView,
        AttemptView,
        CheckpointView,
        EventView,
        JobPage,
        JobView,
        JoinedView,
        MadeTokenView,
        MeView,
        NodeView,
        NotificationView,
        PlanView,
        TokenView,
        WhyView,
    )

    Job = JobRequest | Mapping[str, Any] | Path | str
    Jobs = Iterable[JobRequest | Mapping[str, Any]] | Path | str

T = TypeVar("T")

PAGE_SIZE: Final = 500
UPLOADS: Final = "/api/v1/uploads"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One request. The result is the whole answer, or what it holds under `key`."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    body: object = None
    key: str | None = None

    def result(self, answer: Any) -> T:  # noqa: ANN401 - JSON
        """Return the result that the JSON `answer` holds."""
        return cast("T", answer if self.key is None else answer[self.key])


def body_of(job: Job) -> dict[str, Any]:
    """Return the fields of one job. Raises InvalidInput for a file that holds none, or several."""
    if not isinstance(job, (Path, str)):
        return _body(job)
    bodies = bodies_of(job)
    if len(bodies) > 1:
        remedy = "submit them together: submit_many"
        raise InvalidInput(f"{job} holds {len(bodies)} jobs", field="job", value=str(job), remedy=remedy)
    return bodies[0]


def bodies_of(jobs: Jobs) -> list[dict[str, Any]]:
    """Return the fields of each job. Raises InvalidInput for a file that holds none."""
    return _bodies_of_file(jobs) if isinstance(jobs, (Path, str)) else [_body(job) for job in jobs]


def submit(body: Mapping[str, Any]) -> Call[JobView]:
    """Queue one job."""
    return post("/jobs", body)


def submit_many(bodies: list[dict[str, Any]]) -> Call[list[JobView]]:
    """Queue several jobs, all or none."""
    return post("/jobs:batch", {"jobs": bodies}, key="jobs")


def plan(body: Mapping[str, Any]) -> Call[PlanView]:
    """What would become of a job."""
    return post("/jobs:plan", body)


def upload_terms() -> Call[dict[str, Any]]:
    """How much a working directory may hold."""
    return get("/uploads")


def missing_blobs(names: Sequence[str]) -> Call[dict[str, Any]]:
    """Which blobs the site lacks."""
    return post("/uploads/missing", {"blobs": list(names)})


def jobs(
    *,
    state: str | None,
    name: str | None,
    project: str | None,
    owner: str | None,
    array: str | None,
    limit: int,
    after: str | None,
) -> Call[JobPage]:
    """One page of jobs."""
    params = {"state": state, "name": name, "project": project, "owner": owner, "array": array}
    return get("/jobs", {**params, "limit": limit, "after": after})


def job(job_id: str) -> Call[JobView]:
    """One job."""
    return get(_job_path(job_id))


def why(job_id: str) -> Call[WhyView]:
    """Why a job is where it is."""
    return get(_job_path(job_id, "why"))


def events(job_id: str | None) -> Call[list[EventView]]:
    """What happened to a job; lately on the site without one."""
    return get("/events" if job_id is None else _job_path(job_id, "events"), key="events")


def attempts(job_id: str) -> Call[list[AttemptView]]:
    """The placements of a job."""
    return get(_job_path(job_id, "attempts"), key="attempts")


def checkpoints(job_id: str) -> Call[list[CheckpointView]]:
    """The checkpoints of a job."""
    return get(_job_path(job_id, "checkpoints"), key="checkpoints")


def notifications(job_id: str) -> Call[list[NotificationView]]:
    """What a job's webhook was told."""
    return get(_job_path(job_id, "notifications"), key="notifications")


def logs(job_id: str, *, follow: bool, tail: int | None) -> Call[str]:
    """The output of a job, to be streamed."""
    return get(_job_path(job_id, "logs"), {"follow": "true" if follow else None, "tail": tail})


def control(job_id: str, verb: str) -> Call[JobView]:
    """Cancel, hold or release a job."""
    return post(_job_path(job_id, verb), None)


def array(array_id: str) -> Call[ArrayView]:
    """The jobs of an array by state."""
    return get(_array_path(array_id))


def control_array(array_id: str, verb: str) -> Call[ArrayView]:
    """Cancel, hold or release all jobs of an array."""
    return post(_array_path(array_id, verb), None)


def nodes() -> Call[list[NodeView]]:
    """The nodes and groups of miners."""
    return get("/nodes", key="nodes")


def forecast(*, step_s: int = 900) -> Call[ForecastView]:
    """The limit of the next 48 hours."""
    return get("/forecast", params={"step_s": step_s})


def projects() -> Call[ProjectsView]:
    """The projects."""
    return get("/projects")


def join_node(node: Mapping[str, Any]) -> Call[JoinedView]:
    """Take a node of another machine in."""
    return post("/nodes/join", node)


def let_node_leave(name: str) -> Call[None]:
    """Send a node that joined no new work."""
    return post(f"/nodes/{quote(name, safe='', errors='replace')}/leave", None)


def forget_node(name: str) -> Call[None]:
    """Count a node that joined no more."""
    return post(f"/nodes/{quote(name, safe='', errors='replace')}/forget", None)


def power() -> Call[PowerView]:
    """The site's power now."""
    return get("/power")


def power_events(
    *, since: str | None, until: str | None, limit: int, after: str | None
) -> Call[PowerEventPage]:
    """One page of falls of the limit."""
    return get("/power/events", {"since": since, "until": until, "limit": limit, "after": after})


def power_event(event_id: str) -> Call[PowerEventDetail]:
    """One fall of the limit."""
    return get(f"/power/events/{quote(event_id, safe='', errors='replace')}")


def limits() -> Call[list[LimitView]]:
    """The manual limits that stand."""
    return get("/power/limits", key="limits")


def limit(limit_w: float, *, reason: str, for_s: float | None) -> Call[LimitView]:
    """Limit the site."""
    ends: dict[str, Any] = {} if for_s is None else {"for_s": for_s}
    return post("/power/limits", {"limit_w": limit_w, "reason": reason, **ends})


def release_limits(*, reason: str | None, limit_id: str | None) -> Call[list[LimitView]]:
    """Release one manual limit, or all."""
    given = {"reason": reason, "id": limit_id}
    return post("/power/release", {k: v for k, v in given.items() if v is not None}, key="released")


def estop(*, reason: str, stop_id: str | None) -> Call[StopView]:
    """Stop the site."""
    return post("/power/estop", {"reason": reason} | ({} if stop_id is None else {"id": stop_id}))


def release_estop(*, reason: str) -> Call[list[StopView]]:
    """Release every stop that stands."""
    return post("/power/estop/release", {"reason": reason}, key="released")


def instructions(
    *, state: str | None, source: str | None, limit: int, after: str | None
) -> Call[InstructionPage]:
    """One page of dispatch instructions."""
    return get("/dispatch", {"state": state, "source": source, "limit": limit, "after": after})


def instruction(instruction_id: str) -> Call[InstructionView]:
    """One dispatch instruction."""
    return get(_instruction_path(instruction_id))


def acknowledge(instruction_id: str, *, note: str | None) -> Call[InstructionView]:
    """Say that a dispatch instruction was seen."""
    return post(_instruction_path(instruction_id, "acknowledge"), {} if note is None else {"note": note})


def refuse(instruction_id: str, *, reason: str) -> Call[InstructionView]:
    """Refuse a dispatch instruction."""
    return post(_instruction_path(instruction_id, "refuse"), {"reason": reason})


def shadow_days(*, day: str | None, limit: int) -> Call[ShadowDays]:
    """The days of shadow mode."""
    return get("/shadow/days", {"day": day, "limit": limit})


def summary() -> Call[SummaryView]:
    """The site's counters."""
    return get("/summary")


def compliance_report(month: str, *, tz: str) -> Call[ComplianceView]:
    """A month of energy by class."""
    return get("/reports/compliance", {"month": month, "tz": tz})


def correct_quarter(
    quarter_at: str, *, firm_wh: float, granted_wh: float, breach_wh: float, reason: str
) -> Call[CorrectionView]:
    """Add to the energy of a quarter of an hour."""
    change = {"firm_wh": firm_wh, "granted_wh": granted_wh, "breach_wh": breach_wh}
    return post("/reports/corrections", {"quarter_at": quarter_at, **change, "reason": reason})


def ready() -> Call[None]:
    """Whether the site works."""
    return Call(method="GET", path="/readyz")


def me() -> Call[MeView]:
    """Who asks."""
    return get("/me")


def tokens() -> Call[list[TokenView]]:
    """The tokens, without their texts."""
    return get("/tokens", key="tokens")


def create_token(
    user: str, *, role: str, expires_in_s: float | None, name: str | None
) -> Call[MadeTokenView]:
    """Make a token."""
    optional = {"expires_in_s": expires_in_s, "name": name}
    given = {field: value for field, value in optional.items() if value is not None}
    return post("/tokens", {"user": user, "role": role, **given})


def revoke_token(name: str) -> Call[TokenView]:
    """Take a token back."""
    return Call(method="DELETE", path=f"/api/v1/tokens/{quote(name, safe='', errors='replace')}")


def get(path: str, params: Mapping[str, Any] | None = None, *, key: str | None = None) -> Call[Any]:
    """Read what is at a path of the API."""
    return Call(method="GET", path=f"/api/v1{path}", params=params or {}, key=key)


def post(path: str, body: object, *, key: str | None = None) -> Call[Any]:
    """Send a body to a path of the API."""
    return Call(method="POST", path=f"/api/v1{path}", body=body, key=key)


def _job_path(job_id: str, verb: str = "") -> str:
    if not job_id:
        raise NotFound("there is no job ''", field="job_id", remedy="`barq jobs` lists them")
    return f"/jobs/{quote(job_id, safe='', errors='replace')}" + (f"/{verb}" if verb else "")


def _array_path(array_id: str, verb: str = "") -> str:
    return f"/arrays/{quote(array_id, safe='', errors='replace')}" + (f"/{verb}" if verb else "")


def _instruction_path(instruction_id: str, verb: str = "") -> str:
    return f"/dispatch/{quote(instruction_id, safe='', errors='replace')}" + (f"/{verb}" if verb else "")


def _bodies_of_file(path: Path | str) -> list[dict[str, Any]]:
    from barq.jobfile import load_job_file

    return [_body(request) for request in load_job_file(path)]


def _body(job: JobRequest | Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that were given, as JSON. Raises InvalidInput for what is no job."""
    if isinstance(job, Mapping):
        return dict(job)
    if not hasattr(job, "model_dump"):
        remedy = "give a mapping of its fields, a JobRequest, or the path of a job file"
        raise InvalidInput(f"{job!r} is no job", field="job", remedy=remedy)
    return job.model_dump(mode="json", exclude_unset=True)
