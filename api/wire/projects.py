"""Projects on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import ConfigDict, Field

from api.wire.parts import Shown, example

PROJECT: Final[dict[str, Any]] = {
    "name": "vision",
    "weight": 3.0,
    "nominal_gpus": 16,
    "borrowing_limit_gpus": 8,
    "lending_limit_gpus": None,
    "used_gpus": 20,
    "borrowed_gpus": 4,
    "lent_gpus": 0,
    "gpu_h": 812.5,
    "energy_wh": 260_000.0,
    "used_share": 0.62,
    "due_share": 0.6,
    "factor": 0.49,
    "rank": 2,
}


class ProjectView(Shown):
    """One project: what it is promised, what it has, what it has used, and whose turn it is."""

    model_config = ConfigDict(json_schema_extra=example(**PROJECT))

    name: str = Field(description="`others` = all that the site file does not name")
    weight: float = Field(description="Its part of the site over time, beside the weights of the others")
    nominal_gpus: int | None = Field(description="Its own; null = it shares what is nobody's")
    borrowing_limit_gpus: int | None = Field(description="Above its nominal; null = as many as are lent")
    lending_limit_gpus: int | None = Field(
        description="Of its nominal, to others; null = all it does not use"
    )
    used_gpus: int = Field(description="That its jobs hold now")
    borrowed_gpus: int | None = Field(description="Of these, above its nominal")
    lent_gpus: int | None = Field(
        description="Of its nominal, in use by others: in proportion to what is free"
    )
    gpu_h: float = Field(description="Used so far, decayed")
    energy_wh: float = Field(description="That its GPUs were entitled to so far, decayed")
    used_share: float = Field(description="Its part of all use, by energy and GPU-hours, 0 to 1")
    due_share: float = Field(description="Its part of all weights, 0 to 1")
    factor: float = Field(description="2^(-used_share / due_share): 1 = used nothing, 0.5 = what it was due")
    rank: int = Field(description="Whose jobs go first among equal priorities, 1 = first; equals share one")


class PotView(Shown):
    """The GPUs that are nobody's nominal, for all projects that have none."""

    nominal_gpus: int
    used_gpus: int
    borrowed_gpus: int
    lent_gpus: int


class Projects(Shown):
    """All projects of the site."""

    model_config = ConfigDict(
        json_schema_extra=example(
            half_life_s=604_800.0,
            energy_weight=0.5,
            used_at="2026-03-01T13:20:00Z",
            unassigned={"nominal_gpus": 16, "used_gpus": 4, "borrowed_gpus": 0, "lent_gpus": 4},
            projects=[PROJECT],
        )
    )

    half_life_s: float | None = Field(None, description="After so long use counts half")
    energy_weight: float | None = Field(None, description="Of energy beside GPU-hours, 0 to 1")
    used_at: datetime | None = Field(None, description="As of when use is told; it is renewed once a minute")
    unassigned: PotView | None = Field(None, description="Null where no project has a nominal")
    projects: list[ProjectView] = Field(description="Empty where the site file names none")
