"""What a person asks for: the job file as a checked model. The command line, the client and the API share it.

Unknown fields are refused; fields that belong to the language but are not honoured yet are refused by name.
Durations become seconds, sizes become bytes, times become aware UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from barq import contract
from barq.quantities import (
    DURATION_FORMS,
    MAX_BYTES,
    MAX_DURATION_S,
    SIZE_FORMS,
    parse_bytes,
    parse_duration_s,
)
from barq.ranges import Array, ArrayRange, Nodes, parse_array, parse_nodes
from barq.refusal import NotSupportedYet
from barq.surroundings import MAX_URLS, Inputs, Outputs, PackageName, Runtime
from barq.topology import Topology
from barq.webhook import checked_url

MAX_COMMAND_BYTES: Final = 64 * 1024
MAX_ENV_BYTES: Final = 64 * 1024
MAX_PATH_BYTES: Final = 4095
MAX_GPUS: Final = 100_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}", re.ASCII)
_DEPENDENCY = re.compile(r"afterok:[A-Za-z0-9][A-Za-z0-9._-]{0,126}", re.ASCII)
_YEARS: Final = range(1970, 2200)
#: Set for every job by the node it runs on.
_OURS: Final = frozenset(
    {
        contract.ENV_RANK,
        contract.ENV_LOCAL_RANK,
        contract.ENV_WORLD_SIZE,
        contract.ENV_MASTER_ADDR,
        contract.ENV_MASTER_PORT,
        "CUDA_VISIBLE_DEVICES",
    }
)


def _clean(text: str) -> str:
    """Text that a process, a file and a database can all hold."""
    if "\0" in text:
        raise ValueError("remove the NUL character")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("write text that is valid Unicode")
    return text


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("use 1 to 63 letters, digits, '.', '_' or '-', the first a letter or digit")
    return text


def _entrypoint(value: object) -> object:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError("write a command line as text, or a list of texts")
    if not words or not str(words[0]).strip():
        raise ValueError("name a command to run")
    size = sum(len(_clean(word).encode()) + 1 for word in words)
    if size > MAX_COMMAND_BYTES:
        raise ValueError(f"the command takes {size} bytes; keep it under {MAX_COMMAND_BYTES}")
    return value


def _path(text: str) -> str:
    if not _clean(text) or len(text.encode()) > MAX_PATH_BYTES:
        raise ValueError(f"write a path of 1 to {MAX_PATH_BYTES} bytes")
    return text


def _env_name(name: str) -> str:
    if not _ENV_NAME.fullmatch(name):
        raise ValueError("name variables with letters, digits and '_', the first no digit")
    if name.startswith("BARQ_") or name in _OURS:
        raise ValueError(f"{name} is set by Barq; remove it")
    return name


def _env_value(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**18 else value
    if isinstance(value, (bool, float)):
        raise ValueError("put quotes around it, so that it arrives as written")  # noqa: TRY004 - for pydantic
    return value


def _env(env: Mapping[str, str]) -> Mapping[str, str]:
    size = sum(len(name.encode()) + len(value.encode()) + 2 for name, value in env.items())
    if size > MAX_ENV_BYTES:
        remedy = f"keep them under {MAX_ENV_BYTES} and put the rest into a file"
        raise ValueError(f"the variables take {size} bytes; {remedy}")
    return env


def _kind(value: object) -> object:
    if value in ("service", "mining"):
        raise NotSupportedYet(f"kind {value} is not supported yet; write training or batch")
    return value


def _dependency(text: str) -> str:
    if not _DEPENDENCY.fullmatch(text):
        raise ValueError('write "afterok:JOB_ID"')
    return text


def _distinct(entries: list[str]) -> list[str]:
    if len(set(entries)) < len(entries):
        raise ValueError("name each dependency once")
    return entries


def _interval(value: object) -> object:
    return value if value == "auto" else _positive_s(value)


def _positive_s(value: object) -> float:
    seconds = parse_duration_s(value)
    if seconds < 1:
        raise ValueError("write at least 1 second")
    return seconds


def _instant(value: object) -> datetime:
    """An ISO 8601 time as aware UTC; one without an offset is UTC."""
    message = 'write a time such as "2026-03-01T06:00:00+01:00" (UTC if it has no offset)'
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(message) from error
    if at.year not in _YEARS:
        raise ValueError(f"write a year from {_YEARS.start} to {_YEARS.stop - 1}")
    return at


def _deadline(value: object) -> datetime | float:
    """An instant, or seconds from the submission on."""
    if isinstance(value, date) or (isinstance(value, str) and "-" in value):
        return _instant(value)
    try:
        return _positive_s(value)
    except ValueError as error:
        remedy = 'write a time such as "2026-03-01T06:00:00+01:00", or how long after the submission'
        raise ValueError(f"{remedy}: {DURATION_FORMS}") from error


def _schema(*forms: dict[str, Any], description: str, examples: list[Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [*forms], "description": description, "examples": examples})


def _text_like(pattern: re.Pattern[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern.pattern}$"})


def _seconds(at_least: float) -> dict[str, Any]:
    return {"type": "number", "minimum": at_least, "maximum": MAX_DURATION_S}


_TEXT_FORM: Final = {"type": "string", "maxLength": 40}
_WHOLE_FORM: Final = {"type": "integer", "exclusiveMinimum": -(10**18), "exclusiveMaximum": 10**18}
_DURATION_SCHEMA = _schema(
    _seconds(0), _TEXT_FORM, description=f"Seconds: {DURATION_FORMS}.", examples=["1h30m", 5400]
)
_POSITIVE_SCHEMA = _schema(
    _seconds(1), _TEXT_FORM, description=f"Seconds: {DURATION_FORMS}.", examples=["1h30m", 5400]
)
_BYTES_FORM: Final = {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_BYTES}
_SIZE_SCHEMA = _schema(_BYTES_FORM, _TEXT_FORM, description=f"Bytes: {SIZE_FORMS}.", examples=["16GiB"])

Name = Annotated[str, AfterValidator(_name), _text_like(_NAME)]
Text = Annotated[str, AfterValidator(_clean)]
DurationS = Annotated[float, BeforeValidator(parse_duration_s), _DURATION_SCHEMA]
PositiveS = Annotated[float, BeforeValidator(_positive_s), _POSITIVE_SCHEMA]
Bytes = Annotated[int, BeforeValidator(parse_bytes), _SIZE_SCHEMA]
Interval = Annotated[
    Literal["auto"] | float,
    BeforeValidator(_interval),
    _schema(_seconds(1), _TEXT_FORM, description=f'"auto", or {DURATION_FORMS}.', examples=["auto", "10m"]),
]
Command = Annotated[str | list[str], BeforeValidator(_entrypoint)]
Instant = Annotated[datetime, BeforeValidator(_instant)]
Deadline = Annotated[
    datetime | float,
    BeforeValidator(_deadline),
    _schema(
        {"type": "string", "format": "date-time"},
        _seconds(1),
        _TEXT_FORM,
        description="To be done by then, UTC if it has no offset; or so long after the submission",
        examples=["2026-03-01T06:00:00+01:00", "6h"],
    ),
]
EnvName = Annotated[str, AfterValidator(_env_name), _text_like(_ENV_NAME)]
EnvValue = Annotated[
    str,
    BeforeValidator(_env_value),
    AfterValidator(_clean),
    WithJsonSchema({"anyOf": [{"type": "string"}, _WHOLE_FORM]}),
]
Dependency = Annotated[str, AfterValidator(_dependency), _text_like(_DEPENDENCY)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Resources(_Part):
    """What each node must offer."""

    gpus: int = Field(1, ge=0, le=MAX_GPUS, description="GPUs on each node; 0 = the job needs none")
    gpu_type: Name | None = Field(
        None, description="GPU model, as `GET /api/v1/nodes` names it; any if absent"
    )
    node: Name | None = Field(None, description="Id of the node that it must be on; any if absent")
    cpus: float | None = Field(
        None, gt=0, le=100_000, description="CPU cores; kept with the job, not enforced yet"
    )
    memory: Bytes | None = Field(None, description="Memory; kept with the job, not enforced yet")


class Retry(_Part):
    """What happens after a failure. A pause for power is no failure and never spends the budget."""

    max_failures: int = Field(0, ge=0, le=1000, description="Failures after which it is tried again")
    backoff: DurationS = Field(1.0, description="Wait before the first retry; doubles with each failure")


class Checkpoint(_Part):
    """How often the job saves, and how many verified checkpoints are kept."""

    interval: Interval = "auto"
    keep: int = Field(2, ge=1, le=100)


class Power(_Part):
    """What may be done to the job when power is short."""

    cap_ok: bool = Field(default=True, description="Whether its GPUs may be capped")
    min_cap_w: float | None = Field(
        None, gt=0, le=10_000, description="W per GPU; never capped below this while running"
    )


class Notify(_Part):
    """A webhook that is told of the job, signed by a secret that nobody is ever shown again."""

    url: Annotated[str, AfterValidator(checked_url)] = Field(
        description="Where to POST to: https, on a public address unless the site allows others"
    )
    on: list[Literal["pause", "resume", "end"]] = Field(
        ["pause", "resume", "end"], min_length=1, max_length=3
    )
    secret: Annotated[str, AfterValidator(_clean)] | None = Field(
        None, min_length=16, max_length=200, repr=False, description="Key of the signature; never shown again"
    )
    secret_env: EnvName | None = Field(
        None, description="In a job file: the variable that holds the secret where `barq submit` runs"
    )

    @model_validator(mode="after")
    def _has_one_secret(self) -> Self:
        if (self.secret is None) == (self.secret_env is None):
            raise ValueError("give either secret or secret_env: the receiver knows by it who calls")
        return self


class JobRequest(_Part):
    """One job as asked for: the content of a job file, and the body of `POST /api/v1/jobs`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "char-transformer",
                    "entrypoint": "python train.py --epochs 3",
                    "working_dir": "/home/ada/char-transformer",
                    "env": {"SEED": "7"},
                    "resources": {"gpus": 2, "gpu_type": "a100-sxm-400w"},
                    "priority": 10,
                    "retry": {"max_failures": 2, "backoff": "10s"},
                    "flex": 4,
                    "checkpoint": {"interval": "10m", "keep": 2},
                },
                {
                    "name": "score",
                    "kind": "batch",
                    "entrypoint": ["python", "score.py", "data.npz"],
                    "time_limit": "2h",
                    "array": "0-99%4",
                },
            ]
        }
    )

    name: Name = "job"
    project: Name = "default"
    queue: Name = "default"
    priority: int = Field(0, ge=-1_000_000, le=1_000_000, description="A larger number is sooner")
    kind: Annotated[Literal["training", "batch"], BeforeValidator(_kind)] = "training"
    entrypoint: Command = Field(description="Text for `sh -c`, or a list of arguments")
    working_dir: Annotated[str, AfterValidator(_path)] | None = Field(
        None,
        description="Absolute here; in a job file relative to it. The job's output folder if absent",
    )
    upload: bool | None = Field(
        None,
        description="Whether working_dir is sent with the job, else it is a path on the nodes. "
        "Not given, it is sent if it is written relative",
    )
    package: PackageName | None = Field(
        None,
        description="An uploaded working directory, of which the job gets a copy; instead of working_dir",
    )
    runtime: Runtime | None = None
    inputs: Inputs = Field(
        default_factory=dict,
        max_length=MAX_URLS,
        description="PATH in the working directory: URL that is fetched to it before the job starts",
    )
    outputs: Outputs = Field(
        default_factory=dict,
        max_length=MAX_URLS,
        description="PATH in $BARQ_OUTPUT_DIR: URL that it is copied to when the job has succeeded or is paused",
    )
    env: Annotated[dict[EnvName, EnvValue], AfterValidator(_env)] = Field(
        default_factory=dict, max_length=1000
    )
    resources: Resources = Resources()
    nodes: Nodes = 1
    topology: Topology | None = None
    array: Array = None
    dependencies: Annotated[list[Dependency], AfterValidator(_distinct)] = Field(
        default_factory=list,
        max_length=1000,
        description='Jobs, or arrays with all their jobs, that must have succeeded: "afterok:ID"',
    )
    begin: Instant | None = Field(None, description="Not before this time; UTC if it has no offset")
    deadline: Deadline | None = None
    estimate: PositiveS | None = Field(
        None, description="How long it runs at full speed, as you guess; the time limit if absent"
    )
    time_limit: PositiveS | None = Field(None, description="Running time after which the job is ended")
    retry: Retry = Retry()
    flex: int = Field(4, ge=0, le=4, description="0 = firm, never shed for power … 4 = may be paused at will")
    checkpoint: Checkpoint = Checkpoint()
    power: Power = Power()
    notify: Notify | None = Field(None, description="Tell a webhook when it pauses, resumes and ends")

    @property
    def least_nodes(self) -> int:
        """The fewest nodes that it runs on."""
        return parse_nodes(self.nodes)[0]

    @property
    def most_nodes(self) -> int:
        """The most nodes that it takes."""
        return parse_nodes(self.nodes)[1]

    @property
    def elements(self) -> ArrayRange | None:
        """The jobs that it makes, None for a single one."""
        return None if self.array is None else parse_array(self.array)

    @field_validator("package")
    @classmethod
    def _is_alone(cls, package: str | None, info: ValidationInfo) -> str | None:
        if package is not None and info.data.get("working_dir") is not None:
            raise ValueError("give either working_dir or package")
        return package


PARTS: Final = (JobRequest, Resources, Topology, Retry, Checkpoint, Power, Runtime, Notify)
"""The models of the job file."""
