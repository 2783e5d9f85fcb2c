"""Readers of the contract meet anything that a disk, a bug or a person can put in front of them."""

from __future__ import annotations

import json

from hypothesis import given, strategies as st

from barq.contract import Action, ContractError, JobPhase, JobStatus, PauseRequest
from barq.manifest import Manifest

OF_FILES = (
    "version",
    "seq",
    "action",
    "deadline_boottime_s",
    "reason",
    "rung",
    "state",
    "step",
    "commit",
    "save_s",
)
OF_MANIFEST = ("world", "files", "job", "attempt", "saved_at", "seal")
NUMBERS = st.integers() | st.floats()
LEAVES = st.none() | st.booleans() | NUMBERS | st.text() | st.sampled_from([*Action, *JobPhase])
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
RECORDS = st.dictionaries(st.sampled_from(OF_FILES + OF_MANIFEST), VALUES).map(json.dumps).map(str.encode)
SECONDS = st.none() | st.floats(0, 1e10)
COUNTS = st.integers(0, 2**53)


@given(data=st.binary(max_size=200) | RECORDS)
def test_readers_know_one_error(data: bytes) -> None:
    """Any bytes at all are understood, or refused with ContractError."""
    for reader in (PauseRequest.from_json, JobStatus.from_json, Manifest.from_bytes):
        try:
            reader(data)
        except ContractError as error:
            refusal = str(error)
            assert refusal


@given(
    seq=st.integers(1, 2**53),
    action=st.sampled_from(Action),
    deadline=SECONDS,
    reason=st.text(max_size=99),
    rung=st.integers(0, 4),
)
def test_requests_survive_the_journey(
    seq: int, action: Action, deadline: float | None, reason: str, rung: int
) -> None:
    """Any request that can be made is read as it was written."""
    request = PauseRequest(seq=seq, action=action, deadline_boottime_s=deadline, reason=reason, rung=rung)
    assert PauseRequest.from_json(request.to_json().encode()) == request


@given(seq=COUNTS, state=st.sampled_from(JobPhase), step=COUNTS, save_s=SECONDS)
def test_statuses_survive_the_journey(seq: int, state: JobPhase, step: int, save_s: float | None) -> None:
    """Any status that can be made is read as it was written."""
    status = JobStatus(seq=seq, state=state, step=step, commit=f"step-{step:09d}", save_s=save_s)
    assert JobStatus.from_json(status.to_json().encode()) == status
