"""Arrays, as the API shows them."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from api.wire.parts import Shown, example


class ArrayView(Shown):
    """Jobs that were submitted as one array, by state."""

    model_config = ConfigDict(
        json_schema_extra=example(
            id="demo-12",
            name="score",
            owner="ada",
            count=100,
            most=4,
            submitted_at="2026-03-01T12:00:00Z",
            jobs={"PENDING": 90, "RUNNING": 4, "SUCCEEDED": 6},
        )
    )

    id: str = Field(description="No job has it; those of the array are called ID_INDEX")
    name: str
    owner: str
    count: int
    most: int | None = Field(description="That may hold GPUs at once; null = any number")
    submitted_at: datetime
    jobs: dict[str, int] = Field(description="How many are in each state that any is in")
