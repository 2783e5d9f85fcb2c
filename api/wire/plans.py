"""The answer to a dry run, on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from api.wire.jobs import PLACEMENT, Placement, Reason
from api.wire.outlook import DeadlineView, ExpectedStart, Lacks
from api.wire.parts import Shown, example


class EffectView(Shown):
    """What the job would change for another one."""

    job_id: str
    text: str


class PlanView(Shown):
    """What would become of a job if it were submitted now. Nothing is stored."""

    model_config = ConfigDict(
        json_schema_extra=example(
            verdict="starts_now",
            placements=[PLACEMENT],
            cap_w=350.0,
            reason=None,
            position=None,
            waiting=None,
            ahead_gpus=None,
            lacks=None,
            expected_start=None,
            deadline=None,
            judged_on=None,
            effects=[
                {"job_id": "demo-3", "text": "demo-3 would be capped at 320 W per GPU instead of 400 W"}
            ],
            snapshot_at="2026-03-01T13:20:05Z",
            snapshot_age_s=12.5,
        )
    )

    verdict: Literal["starts_now", "waits", "never_fits"]
    placements: list[Placement] = Field(description="Where it would start now")
    cap_w: float | None = Field(description="Per GPU, at which it would start now")
    reason: Reason | None = Field(description="Why it would not start now")
    position: int | None = Field(None, description="Among those that queue, 1 = next")
    waiting: int | None = Field(None, description="How many would queue, itself counted")
    ahead_gpus: int | None = Field(None, description="GPUs that those ahead of it ask for")
    lacks: Lacks | None = None
    expected_start: ExpectedStart | None = None
    deadline: DeadlineView | None = Field(None, description="Null = it has none")
    judged_on: str | None = Field(None, description="Quantiles of a forecast; null = nothing is foreseen")
    effects: list[EffectView] = Field(description="What it would change for others at once")
    snapshot_at: datetime = Field(description="The site was then as it is taken to be")
    snapshot_age_s: float
