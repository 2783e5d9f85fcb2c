"""Dispatch instructions on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, ConfigDict, Field

from api.wire.parts import Sent, Shown, example
from api.wire.why import MAX_REASON, Why
from barq.request import Text

MAX_PAGE: Final = 1000
ANSWER: Final[dict[str, Any]] = {
    "verdict": "acknowledged",
    "by": "ada",
    "at": "2026-03-01T13:58:12Z",
    "note": "shift is told",
}
INSTRUCTION: Final[dict[str, Any]] = {
    "id": "d12",
    "source": "utility",
    "giver_id": "event-7",
    "provenance": "IMPORT_CAPACITY_LIMIT of event evening (event-7), interval 0",
    "issued_at": "2026-03-01T13:29:58Z",
    "received_at": "2026-03-01T13:30:00Z",
    "starts_at": "2026-03-01T14:00:00Z",
    "due_at": "2026-03-01T14:00:30Z",
    "ends_at": "2026-03-01T15:00:00Z",
    "limit_w": 40_000.0,
    "binding": True,
    "state": "complied",
    "active": True,
    "accepted_by": "barq",
    "reason": None,
    "answer": ANSWER,
    "evidence": {
        "complied_at": "2026-03-01T14:00:01Z",
        "complied_w": 38_400.0,
        "breached_at": None,
        "over_s": 0.0,
    },
    "over_at": None,
    "sentence": "at most 40.0 kW from 2026-03-01 14:00:00 UTC until 2026-03-01 15:00:00 UTC; kept",
}


class AnswerView(Shown):
    """What a person said: acknowledged or refused."""

    verdict: str
    by: str
    at: datetime
    note: str


class EvidenceView(Shown):
    """What the site meter shows."""

    complied_at: datetime | None = Field(description="The first reading at or under the limit")
    complied_w: float | None = Field(description="That reading, W")
    breached_at: datetime | None = Field(description="The first reading over it once it was due")
    over_s: float = Field(description="Seconds over it after it was due")


class InstructionView(Shown):
    """One change of the limit that a giver told, and what became of it."""

    model_config = ConfigDict(json_schema_extra=example(**INSTRUCTION))

    id: str
    source: str
    giver_id: str | None = Field(description="What its giver calls it; null = it gave no name")
    provenance: str | None
    issued_at: datetime = Field(description="By its giver, as far as it says so")
    received_at: datetime = Field(description="It came into sight, at most an hour before it starts")
    starts_at: datetime
    due_at: datetime = Field(description="The draw has to be at or under it from then on")
    ends_at: datetime | None = Field(description="null = until further notice")
    limit_w: float | None = Field(description="W at the site meter; null = it was refused, and is no limit")
    binding: bool = Field(description="Whether it holds even if a person refuses it")
    state: str = Field(description="accepted, complied, breached, ended, superseded or refused")
    active: bool = Field(description="Whether it holds or will hold")
    accepted_by: str | None
    reason: str | None = Field(description="Why it was refused or superseded, or ended early")
    answer: AnswerView | None = Field(description="What a person said; null = nobody did")
    evidence: EvidenceView
    over_at: datetime | None = Field(description="Nothing more becomes of it since then")
    sentence: str


class Instructions(Shown):
    """A page of dispatch instructions."""

    model_config = ConfigDict(json_schema_extra=example(instructions=[INSTRUCTION], next="0-12"))

    instructions: list[InstructionView]
    next: str | None = Field(description="`after` of the next page; null = this is the last one")


class InstructionQuery(Sent):
    """Which instructions to list."""

    model_config = ConfigDict(strict=False)  # a query is text

    state: str | None = Field(None, max_length=20, description="A state, or `active`", examples=["active"])
    source: str | None = Field(None, max_length=200, description="Who tells them", examples=["utility"])
    limit: int = Field(100, ge=1, le=MAX_PAGE, description="How many at most")
    after: str | None = Field(None, max_length=40, description="`next` of the page before")


def _trimmed(text: str) -> str:
    return text.strip()


class Acknowledgement(Sent):
    """Says that an instruction was seen."""

    model_config = ConfigDict(json_schema_extra=example(note="shift is told"))

    note: Annotated[Text, Field(max_length=MAX_REASON), AfterValidator(_trimmed)] | None = None


class Refusal(Sent):
    """Says that a person refuses an instruction. One that binds holds all the same."""

    model_config = ConfigDict(json_schema_extra=example(reason="the chiller is out, the load is critical"))

    reason: Why = Field(description="Why; it is on record, and told to who asks")
