"""Whatever comes as a job is a request or a refusal, never anything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from hypothesis import given, strategies as st

from barq.field_places import FIELD_PLACES
from barq.jobfile import JobFileError, JobRequest, parse_job, parse_job_text

T = TypeVar("T")
HERE = Path("/")
TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.sampled_from(["2..8", "1h", "auto"])
)
NAMES = st.sampled_from(sorted({name.rpartition(".")[2] for name in FIELD_PLACES})) | TEXT
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6)
)
JOBS = st.dictionaries(st.sampled_from(sorted(JobRequest.model_fields)), JSON, max_size=6).map(
    lambda fields: {"entrypoint": "true", **fields}
)


@given(JSON | JOBS)
def test_any_value_is_a_request_or_a_refusal(value: object) -> None:
    """A request survives its own JSON; a refusal can be printed and says what to do."""
    match _outcome(lambda: parse_job(value)):
        case JobFileError() as refusal:
            assert refusal.field
            assert refusal.remedy
            assert str(refusal).encode()
        case job:
            assert parse_job(json.loads(job.model_dump_json(exclude_unset=True))) == job


@given(JOBS)
def test_yaml_of_a_job_means_what_its_json_means(value: object) -> None:
    """The same text is accepted, or refused at the same field, by both readers."""
    text = json.dumps(value, ensure_ascii=True).replace("NaN", "0").replace("Infinity", "0")
    as_json = _outcome(lambda: parse_job_text(text.encode(), file="job", folder=HERE, is_json=True))
    as_yaml = _outcome(lambda: parse_job_text(text.encode(), file="job", folder=HERE))
    if isinstance(as_json, JobFileError):
        assert isinstance(as_yaml, JobFileError)
    elif "\\ud" not in text:  # YAML has no surrogate pairs
        assert as_yaml == as_json


@given(st.binary(max_size=200) | TEXT.map(lambda text: text.encode(errors="surrogatepass")), st.booleans())
def test_any_bytes_are_jobs_or_a_refusal(data: bytes, is_json: bool) -> None:
    """Damage never gets further than the one error."""
    match _outcome(lambda: parse_job_text(data, file="job", folder=HERE, is_json=is_json)):
        case JobFileError() as refusal:
            assert refusal.remedy
        case jobs:
            assert jobs


def _outcome(read: Callable[[], T]) -> T | JobFileError:
    """What reading gives: its answer or its refusal. Any other error fails the test."""
    try:
        return read()
    except JobFileError as refusal:
        return refusal
