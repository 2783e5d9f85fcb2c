"""What the API shows, as types: the JSON of its answers, in base units (W, Wh, s), times as ISO 8601 UTC.

Keys are those of the answers. A site may add some; readers ignore what they do not know.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict, final

from barq.site_views import StopView


class ReasonView(TypedDict):
    """Why a job waits, is paused or failed."""

    code: str
    text: str
    numbers: NotRequired[dict[str, float]]
    remedy: NotRequired[str]


class PlacementView(TypedDict):
    """The GPUs of one node that a job holds."""

    node_id: str
    gpu_ids: list[str]


class CommitView(TypedDict):
    """A verified checkpoint."""

    step: int
    path: str


@final
class JobView(TypedDict):
    """One job. `gpus` is per node; `since_at` is when `state` was entered."""

    id: str
    owner: NotRequired[str]  #: the user who submitted it
    name: str
    project: str
    queue: str
    kind: str
    priority: int
    flex: int
    state: str
    desired: str
    reason: ReasonView | None
    gpus: int
    nodes: int  #: of an elastic gang the least
    max_nodes: NotRequired[int]
    array_id: NotRequired[str | None]
    array_index: NotRequired[int | None]
    placements: list[PlacementView]
    attempt: int | None
    attempts: int
    failures: int
    step: int | None
    last_commit: CommitView | None
    submitted_at: str
    since_at: str
    started_at: str | None
    ended_at: str | None
    deadline_at: NotRequired[str | None]
    lost_steps: int
    energy_wh: float | None
    shadow: NotRequired[bool]  #: it never runs, only a twin of it does
    spec: dict[str, Any]


@final
class ArrayView(TypedDict):
    """Jobs that were submitted as one array; `jobs` is how many are in each state."""

    id: str
    name: str
    owner: str
    count: int
    most: int | None
    submitted_at: str
    jobs: dict[str, int]


class JobPage(TypedDict):
    """Some jobs, and where the next page begins (None = there is none)."""

    jobs: list[JobView]
    next: str | None


class EventView(TypedDict):
    """Something that happened."""

    seq: int
    at: str
    kind: str
    text: str
    data: dict[str, Any]


class AttemptView(TypedDict):
    """One placement of a job."""

    id: str
    number: int
    state: str
    outcome: str | None
    cause: str | None
    placements: list[PlacementView]
    started_at: str | None
    ended_at: str | None
    resumed_step: int | None
    last_step: int | None
    lost_steps: int | None


class CheckpointView(TypedDict):
    """A checkpoint that was verified, or found damaged and set aside."""

    step: int
    path: str
    verified_at: str | None
    state: str
    why: str | None


class NotificationView(TypedDict):
    """One call of a job's webhook: waiting, delivered or given_up."""

    id: str
    event: str
    state: str
    created_at: str
    tries: int
    delivered_at: str | None
    next_at: str | None
    status: int | None
    error: str | None


class LacksView(TypedDict):
    """What is missing for a start."""

    gpus: int
    power_w: float


class ExpectedStartView(TypedDict):
    """A range for a start and what it rests on; None = nobody can tell that end."""

    earliest_at: str | None
    latest_at: str | None
    assumption: str
    snapshot_at: str
    snapshot_age_s: float


class EffectView(TypedDict):
    """What a job would change for another one."""

    job_id: str
    text: str


class DeadlineView(TypedDict):
    """By when a job is to be done, and how much room it has."""

    at: str
    slack_s: float
    work_left_s: float | None
    text: str


class PlanView(TypedDict):
    """What would become of a job: `verdict` is starts_now, waits or never_fits."""

    verdict: str
    placements: list[PlacementView]
    cap_w: float | None
    reason: ReasonView | None
    position: int | None
    waiting: int | None
    ahead_gpus: int | None
    lacks: LacksView | None
    expected_start: ExpectedStartView | None
    deadline: NotRequired[DeadlineView | None]
    judged_on: NotRequired[str | None]
    effects: list[EffectView]
    snapshot_at: str
    snapshot_age_s: float


class WhyView(TypedDict):
    """Why a job is where it is, and what would change it."""

    job_id: str
    state: str
    reason: ReasonView | None
    expected: dict[str, Any] | None
    position: NotRequired[int | None]
    waiting: NotRequired[int | None]
    ahead_gpus: NotRequired[int | None]
    overtaken_until: NotRequired[str | None]
    lacks: NotRequired[LacksView | None]
    expected_start: NotRequired[ExpectedStartView | None]
    deadline: NotRequired[DeadlineView | None]
    judged_on: NotRequired[str | None]
    history: list[str]
    checkpoint: dict[str, Any] | None


class GpuView(TypedDict):
    """One GPU: measured draw and enforced cap, W."""

    id: str
    model: str
    draw_w: float
    cap_w: float | None
    attempt_id: str | None


class MinerView(TypedDict):
    """One miner: ordered target and measured draw, W."""

    id: str
    target_w: float
    draw_w: float
    state: NotRequired[str | None]


class NodeView(TypedDict):
    """One node or group of miners."""

    id: str
    kind: str
    shadow: NotRequired[bool]  #: it is the twin of what nothing is acted on
    reachable: bool
    in_fallback: bool
    address: NotRequired[str]
    cordoned: NotRequired[bool]
    passed_over_until_at: NotRequired[str | None]  #: it gets no new work before, for starts failed there
    guard_on: NotRequired[str]  #: the machine on which miners have their guard; "" = the head
    unguarded: NotRequired[bool]  #: no guard is known to hold these miners: all that they can draw counts
    topology: NotRequired[dict[str, str]]
    estop: NotRequired[StopView | None]
    draw_w: float
    entitlement_w: float
    base_w: float
    gpus: list[GpuView]
    miners: list[MinerView]
    last_report_at: str | None
    alarms: list[str]


class AdmittedView(TypedDict):
    """What a machine needs to be part of a site. Holds two secrets: Ray's token and its own."""

    site: str
    ray_address: str
    ray_token: str
    token: NotRequired[str]  #: for it outlives its ticket; "" = as it has it
    guard: dict[str, Any]


class JoinedView(AdmittedView):
    """The same for a node."""

    filler: NotRequired[dict[str, Any] | None]  #: the program on its idle GPUs


class GuardedGroupView(TypedDict):
    """A group of miners, and what the site file says of it."""

    name: str
    told: dict[str, Any]


class JoinedGuardView(AdmittedView):
    """The same for a machine that guards miners: the groups that the site file leaves to it."""

    groups: list[GuardedGroupView]


class TokenView(TypedDict):
    """A token, without its text; `expires_at` None = never."""

    name: str
    user: str
    role: str
    created_at: str
    expires_at: str | None


class MadeTokenView(TokenView):
    """A new token with its text, which is shown this once."""

    token: str


class MeView(TypedDict):
    """Whose token it is, by its name, and what it may do on which site; `expires_at` None = never."""

    site: str
    user: str
    role: str
    token: str
    expires_at: str | None
