"""What the API shows of power events: falls of the limit, and what each came to. As `barq.views`."""

from __future__ import annotations

from typing import TypedDict


class PowerEventView(TypedDict):
    """One fall of the limit; the formulas are in docs/verification.md. None = it cannot be said, or not yet."""

    id: str
    began_at: str
    ended_at: str | None
    is_final: bool
    source: str
    provenance: str
    reaction_s: float
    limit_before_w: float
    limit_w: float
    draw_at_fall_w: float
    entitled_w: float
    baseline_w: float | None
    baseline_since_at: str | None
    baseline_covered_s: float
    commanded_w: float | None
    measured_mean_w: float | None
    measured_min_w: float | None
    measured_max_w: float | None
    complied_at: str | None
    released_at: str | None
    time_to_comply_s: float | None
    held_mean_w: float | None
    depth_w: float | None
    depth_share: float | None
    duration_s: float | None
    covered_s: float
    unmetered_s: float
    drawn_wh: float
    not_drawn_wh: float | None
    over_curtailment_w: float | None
    over_curtailment_share: float | None
    over_limit_s: float
    after_covered_s: float
    after_peak_w: float | None
    rebound_ratio: float | None
    plan_sha256: str | None
    plan_seq: int | None


class PowerEventPage(TypedDict):
    """Some power events, newest first, and where the next page begins (None = there is none)."""

    events: list[PowerEventView]
    next: str | None


class LogLineView(TypedDict):
    """A line of the log of events with all that its hash was made of."""

    seq: int
    at: str
    kind: str
    text: str
    job_id: str | None
    attempt_id: str | None
    data: str
    hash: str
    hash_before: str


class PlanProofView(TypedDict):
    """What would have been drawn otherwise: canonical JSON, and the line of the log that holds its hash."""

    text: str
    made_at: str
    falls_at: str
    line: LogLineView | None


class PowerEventDetail(PowerEventView):
    """A power event with the plan of what would have been drawn without it."""

    plan: PlanProofView | None
