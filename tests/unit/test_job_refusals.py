"""Job files: how all that makes no sense is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from barq.errors import InvalidInput
from barq.jobfile import MAX_FILE_BYTES, JobFileError, parse_job, parse_job_text
from barq.refusal import NOT_YET, dotted, shown


def refused(text: str | bytes, *, is_json: bool = False) -> JobFileError:
    """The refusal of `text`."""
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(JobFileError) as caught:
        parse_job_text(data, file="job.yaml", folder=Path("/"), is_json=is_json)
    return caught.value


def refused_job(**fields: object) -> JobFileError:
    """The refusal of a job that would do but for `fields`."""
    with pytest.raises(JobFileError) as caught:
        parse_job({"entrypoint": "true", **fields})
    return caught.value


def test_an_error_tells_where_and_what_to_write() -> None:
    """File, line, field, value and remedy are in the message and beside it."""
    error = refused("name: a\nentrypoint: x\nresources:\n  gpus: -1\n")

    assert isinstance(error, InvalidInput)
    assert (error.file, error.line, error.field, error.value) == ("job.yaml", 4, "resources.gpus", "-1")
    assert str(error) == "job.yaml, line 4: resources.gpus = -1 is refused; write a number of at least 0"


def test_an_error_in_a_list_names_the_job() -> None:
    """The index and the line lead to it."""
    error = refused("- entrypoint: a\n- entrypoint: b\n  flex: 9\n")

    assert (error.field, error.line) == ("[1].flex", 3)


@pytest.mark.parametrize("name", sorted(NOT_YET - {"on_exit_codes", "max_wait"}))
def test_what_is_not_honoured_yet_is_refused_by_name(name: str) -> None:
    """Silence would let a person believe that it works."""
    error = refused_job(**{name: None})

    assert error.code == "not_supported"
    assert f"{name} is not supported yet" in str(error)


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"retry": {"on_exit_codes": [1]}}, "retry.on_exit_codes"),
        ({"power": {"max_wait": "1h"}}, "power.max_wait"),
        ({"kind": "service"}, "kind"),
        ({"kind": "mining"}, "kind"),
        ({"runtime": {"image": "pytorch:latest"}}, "runtime.image"),
    ],
)
def test_what_is_nested_and_not_honoured_yet_is_refused_too(fields: dict[str, object], field: str) -> None:
    """The same for fields of parts, and for values."""
    error = refused_job(**fields)

    assert (error.code, error.field) == ("not_supported", field)
    assert "not supported yet" in str(error)


def test_an_unknown_field_is_refused_with_its_neighbour() -> None:
    """A slip of the pen is not a wish that was heard."""
    error = refused("entrypoint: a\nresorces: {gpus: 4}\n")

    assert (error.code, error.field, error.line) == ("unknown_field", "resorces", 2)
    assert "did you mean resources?" in str(error)


@pytest.mark.parametrize(
    "text, meant",
    [
        ("gpus: 2\n", "resources.gpus"),
        ("resources: {gpu: 2}\n", "gpus"),
        ("retry: {priorty: 1}\n", "priority"),
    ],
)
def test_a_field_in_the_wrong_place_is_told_its_own(text: str, meant: str) -> None:
    """By its place, unless it is where it belongs and only spelled otherwise."""
    assert str(refused("entrypoint: a\n" + text)).endswith(f"did you mean {meant}?")


NONSENSE: list[tuple[dict[str, object], str]] = [
    ({"entrypoint": ""}, "entrypoint"),
    ({"entrypoint": "  \n"}, "entrypoint"),
    ({"entrypoint": []}, "entrypoint"),
    ({"entrypoint": ["", "a"]}, "entrypoint"),
    ({"entrypoint": ["a", 1]}, "entrypoint"),
    ({"entrypoint": None}, "entrypoint"),
    ({"entrypoint": "a\0b"}, "entrypoint"),
    ({"entrypoint": ["a", "\ud800"]}, "entrypoint"),
    ({"entrypoint": "a" * 70_000}, "entrypoint"),
    ({"name": ""}, "name"),
    ({"name": "-x"}, "name"),
    ({"name": "a b"}, "name"),
    ({"name": "é"}, "name"),
    ({"name": "../up"}, "name"),
    ({"name": "a" * 64}, "name"),
    ({"name": 3}, "name"),
    ({"project": "a/b"}, "project"),
    ({"queue": None}, "queue"),
    ({"priority": 1.5}, "priority"),
    ({"priority": "high"}, "priority"),
    ({"priority": True}, "priority"),
    ({"priority": 10**30}, "priority"),
    ({"kind": "inference"}, "kind"),
    ({"kind": []}, "kind"),
    ({"working_dir": ""}, "working_dir"),
    ({"working_dir": "a\0"}, "working_dir"),
    ({"working_dir": "a" * 5000}, "working_dir"),
    ({"working_dir": 5}, "working_dir"),
    ({"upload": "yes"}, "upload"),
    ({"package": "../x"}, "package"),
    ({"package": "a" * 64, "working_dir": "/srv"}, "package"),
    ({"runtime": {}}, "runtime"),
    ({"runtime": "python3"}, "runtime"),
    ({"runtime": {"requirements": "../r.txt"}}, "runtime.requirements"),
    ({"runtime": {"requirements": "/r.txt"}}, "runtime.requirements"),
    ({"runtime": {"requirements": "r\0"}}, "runtime.requirements"),
    ({"runtime": {"python": "python3"}}, "runtime.python"),
    ({"runtime": {"python": "/bin/py\0"}}, "runtime.python"),
    ({"runtime": {"python": "/bin/python", "inherit": True}}, "runtime"),
    ({"inputs": ["s3://a/b"]}, "inputs"),
    ({"inputs": {"a": "b"}}, "inputs.a"),
    ({"inputs": {"a": "memory://b"}}, "inputs.a"),
    ({"inputs": {"a": "s3://me:secret@host/b"}}, "inputs.a"),
    ({"inputs": {"a": "simplecache::s3://b"}}, "inputs.a"),
    ({"inputs": {"a": "s3://b\0"}}, "inputs.a"),
    ({"inputs": {".": "s3://b/c"}}, "inputs.."),
    ({"inputs": {"../a": "s3://b/c"}}, "inputs.../a"),
    ({"inputs": {"/a": "s3://b/c"}}, "inputs./a"),
    ({"outputs": {"a/../../b": "s3://b/c"}}, "outputs.a/../../b"),
    ({"outputs": {"a": None}}, "outputs.a"),
    ({"env": []}, "env"),
    ({"env": {"1A": "x"}}, "env.1A"),
    ({"env": {"A=B": "x"}}, "env.A=B"),
    ({"env": {"": "x"}}, "env."),
    ({"env": {"A": True}}, "env.A"),
    ({"env": {"A": 0.1}}, "env.A"),
    ({"env": {"A": None}}, "env.A"),
    ({"env": {"A": "x\0"}}, "env.A"),
    ({"env": {"A": "\udfff"}}, "env.A"),
    ({"env": {"A": 10**30}}, "env.A"),
    ({"env": {"BARQ_JOB_ID": "x"}}, "env.BARQ_JOB_ID"),
    ({"env": {"RANK": "0"}}, "env.RANK"),
    ({"env": {"CUDA_VISIBLE_DEVICES": "0"}}, "env.CUDA_VISIBLE_DEVICES"),
    ({"env": {"A": "x" * 70_000}}, "env"),
    ({"env": {f"A{i}": "" for i in range(1001)}}, "env"),
    ({"resources": None}, "resources"),
    ({"resources": []}, "resources"),
    ({"resources": {"gpus": -1}}, "resources.gpus"),
    ({"resources": {"gpus": 100_001}}, "resources.gpus"),
    ({"resources": {"gpus": "2"}}, "resources.gpus"),
    ({"resources": {"gpus": float("nan")}}, "resources.gpus"),
    ({"resources": {"gpu_type": ""}}, "resources.gpu_type"),
    ({"resources": {"cpus": 0}}, "resources.cpus"),
    ({"resources": {"cpus": float("inf")}}, "resources.cpus"),
    ({"resources": {"memory": "16G"}}, "resources.memory"),
    ({"resources": {"memory": 0}}, "resources.memory"),
    ({"resources": {"memory": True}}, "resources.memory"),
    ({"nodes": 0}, "nodes"),
    ({"nodes": 2.0}, "nodes"),
    ({"nodes": "2"}, "nodes"),
    ({"nodes": 10**6}, "nodes"),
    ({"dependencies": "afterok:a"}, "dependencies"),
    ({"dependencies": ["a"]}, "dependencies[0]"),
    ({"dependencies": ["afterany:a"]}, "dependencies[0]"),
    ({"dependencies": ["afterok:a", "afterok:a"]}, "dependencies"),
    ({"begin": 5}, "begin"),
    ({"begin": "tomorrow"}, "begin"),
    ({"begin": "0001-01-01T00:00+10:00"}, "begin"),
    ({"begin": "9999-01-01"}, "begin"),
    ({"deadline": "tomorrow"}, "deadline"),
    ({"deadline": "9999-01-01"}, "deadline"),
    ({"deadline": "0s"}, "deadline"),
    ({"deadline": True}, "deadline"),
    ({"deadline": float("nan")}, "deadline"),
    ({"deadline": ["6h"]}, "deadline"),
    ({"estimate": "0s"}, "estimate"),
    ({"time_limit": "0s"}, "time_limit"),
    ({"time_limit": "1 fortnight"}, "time_limit"),
    ({"time_limit": True}, "time_limit"),
    ({"time_limit": float("nan")}, "time_limit"),
    ({"time_limit": 10**400}, "time_limit"),
    ({"retry": {"max_failures": -1}}, "retry.max_failures"),
    ({"retry": {"max_failures": 1001}}, "retry.max_failures"),
    ({"retry": {"backoff": -1}}, "retry.backoff"),
    ({"retry": {"backoff": "11y"}}, "retry.backoff"),
    ({"flex": 5}, "flex"),
    ({"flex": -1}, "flex"),
    ({"flex": True}, "flex"),
    ({"checkpoint": {"interval": "never"}}, "checkpoint.interval"),
    ({"checkpoint": {"interval": 0}}, "checkpoint.interval"),
    ({"checkpoint": {"keep": 0}}, "checkpoint.keep"),
    ({"power": {"cap_ok": "yes"}}, "power.cap_ok"),
    ({"power": {"min_cap_w": 0}}, "power.min_cap_w"),
    ({"power": {"min_cap_w": float("inf")}}, "power.min_cap_w"),
]


@pytest.mark.parametrize(
    "fields, field", NONSENSE, ids=[f"{field}-{i}" for i, (_, field) in enumerate(NONSENSE)]
)
def test_nonsense_is_refused_at_its_field_with_a_remedy(fields: dict[str, object], field: str) -> None:
    """The message names the field, shows the value in a readable length and says what to do."""
    error = refused_job(**fields)

    assert error.field == field
    assert error.value
    assert len(str(error.value)) <= 80
    assert error.remedy
    str(error).encode()


@pytest.mark.parametrize("value", [None, 3, "text", [], True, ["entrypoint"]])
def test_a_job_that_is_no_mapping_is_refused(value: object) -> None:
    """There is nothing to name in it but itself."""
    with pytest.raises(JobFileError, match="mapping of fields"):
        parse_job(value)


def test_a_missing_entrypoint_is_named() -> None:
    """It is the one field without a default."""
    error = refused("name: a")

    assert (error.field, error.value) == ("entrypoint", None)
    assert str(error) == "job.yaml, line 1: entrypoint is missing; add it"


BAD_TEXT: list[tuple[str | bytes, int | None, str]] = [
    ("", None, "holds no job"),
    ("# nothing\n---\n", None, "holds no job"),
    ("[]", None, "holds no job"),
    ("entrypoint: a\nentrypoint: b", 2, "entrypoint is given twice"),
    ("entrypoint: a\nenv:\n  A: x\n  A: y", 4, "env.A is given twice"),
    ("entrypoint: [", 1, "is not YAML"),
    ("entrypoint: a\n\tname: b", 2, "is not YAML"),
    ("entrypoint: a\x07", 1, "YAML forbids"),
    ("a\nentrypoint: \0", 2, "YAML forbids"),
    (b"entrypoint: a\nname: \xff", 2, "not UTF-8"),
    ("entrypoint: !!python/object/apply:os.getcwd []", 1, "tag"),
    ("entrypoint: !mine a", 1, "tag"),
    ("a: !!binary aGk=", 1, "tag"),
    ("a: !!bool maybe", 1, "tag"),
    ("a: !!int maybe", None, "out of range"),
    ("? [a, b]\n: c", 1, "name that is not text"),
    ("priority: " + "9" * 5000, None, "out of range"),
    ("a: *unknown", 1, "is not YAML"),
    ("a: &a [*a]", 1, "levels"),
    ("[" * 5000, 1, "levels"),
    ("- a\n" * 30_000, 20_001, "parts"),
    (
        "a: &a [x,x]\nb: &b [*a,*a]\n"
        + "".join(f"k{i}: &k{i} [{', '.join(['*b'] * 99)}]\n" for i in range(99)),
        1,
        "parts",
    ),
    (b"#" * (MAX_FILE_BYTES + 1), None, "larger than"),
]


@pytest.mark.parametrize("text, line, words", BAD_TEXT, ids=range(len(BAD_TEXT)))
def test_text_that_is_no_job_file_is_refused_with_its_line(
    text: str | bytes, line: int | None, words: str
) -> None:
    """Damage, tricks and bombs end in the one error, quickly."""
    error = refused(text)

    assert words in str(error)
    assert error.line == line
    assert error.remedy


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "is not JSON"),
        ('{"entrypoint": "a", "entrypoint": "b"}', "entrypoint is given twice"),
        ('{"entrypoint": "a", "priority": NaN}', "NaN"),
        ('{"entrypoint": "a", "priority": -Infinity}', "-Infinity"),
        ('{"priority": ' + "9" * 5000 + "}", "too long"),
        ("[" * 200_000, "levels"),
        ('{"entrypoint": "\\ud800"}', "Unicode"),
    ],
    ids=range(7),
)
def test_bad_json_is_refused(text: str, words: str) -> None:
    """Python's reader is more lenient than JSON is; this one is not."""
    assert words in str(refused(text, is_json=True))


def test_values_in_messages_are_short_and_plain() -> None:
    """Whatever was sent can be printed anywhere."""
    cycle: list[object] = []
    cycle.append(cycle)

    assert shown("é" * 1000)[:-1].isascii()
    assert len(shown(["x" * 1000])) == 80
    assert shown(cycle) == "'list'"
    assert dotted(("jobs", 3, "env", "\ud800")) == "jobs[3].env.\\ud800"
