"""Dispatch instructions as the API shows them. As `barq.views`."""

from __future__ import annotations

from typing import TypedDict


class InstructionAnswerView(TypedDict):
    """What a person said to an instruction: acknowledged or refused."""

    verdict: str
    by: str
    at: str
    note: str


class InstructionEvidenceView(TypedDict):
    """What the site meter shows; `over_s` are seconds over the limit after it was due."""

    complied_at: str | None
    complied_w: float | None
    breached_at: str | None
    over_s: float


class InstructionView(TypedDict):
    """One change of the limit that a giver told, and what became of it."""

    id: str
    source: str
    giver_id: str | None
    provenance: str | None
    issued_at: str
    received_at: str
    starts_at: str
    due_at: str
    ends_at: str | None
    limit_w: float | None
    binding: bool
    state: str
    active: bool
    accepted_by: str | None
    reason: str | None
    answer: InstructionAnswerView | None
    evidence: InstructionEvidenceView
    over_at: str | None
    sentence: str


class InstructionPage(TypedDict):
    """Some instructions, and where the next page begins (None = there is none)."""

    instructions: list[InstructionView]
    next: str | None
