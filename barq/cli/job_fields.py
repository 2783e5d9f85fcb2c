"""From what is written on the command line to checked jobs: files, a command, and options laid over them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from barq.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from barq.request import JobRequest

Fields = dict[str, Any]

_STDIN: Final = "-"
_TOPOLOGY: Final = ("required", "preferred")


def fields_of(files: Sequence[str], command: Sequence[str] | None) -> list[Fields]:
    """Return each job of the files, or the one that runs `command` here, as the fields that were written.

    Raises InvalidInput if there is nothing, both, or a file that makes no sense.
    """
    if files and command is not None:
        remedy = "give either job files, or a command after --"
        raise InvalidInput(
            f"both {files[0]!r} and a command", field="JOB.yaml", value=files[0], remedy=remedy
        )
    if command:
        return [{"entrypoint": list(command), "working_dir": str(Path.cwd())}]
    if not files:
        remedy = "name a job file, or write the command after --, as in: --gpus 2 -- python train.py"
        raise InvalidInput("there is no job", code="nothing_to_submit", remedy=remedy)
    return [request.model_dump(mode="json", exclude_unset=True) for name in files for request in _load(name)]


def checked(fields: Fields) -> JobRequest:
    """Return the job that `fields` describe. Raises InvalidInput, naming the first that makes no sense."""
    from barq.jobfile import parse_job

    return parse_job(fields, file="command line")


def overlaid(fields: Fields, options: Mapping[str, Any]) -> Fields:
    """Return the fields with the options laid over: tables field by field, lists one after the other."""
    merged = dict(fields)
    for name, value in options.items():
        there = merged.get(name)
        if isinstance(value, dict):
            merged[name] = {**(there or {}), **value}
        elif isinstance(value, list):
            merged[name] = list(dict.fromkeys([*(there or []), *value]))
        else:
            merged[name] = value
    return merged


def given(options: Mapping[str, Any]) -> Fields:
    """Return the options that were given: no None, no empty table or list."""
    return {name: value for name, value in options.items() if value is not None and value not in ({}, [])}


def node_count(text: str | None) -> int | str | None:
    """Return the nodes that --nodes means: a number, or a range as it was written."""
    return int(text) if text is not None and text.isascii() and text.isdecimal() else text


def topology_fields(text: str | None) -> Fields | None:
    """Return the fields that --topology makes; it wins over what a file says. Raises InvalidInput."""
    if text is None:
        return None
    kind, _, level = text.partition("=")
    if kind not in _TOPOLOGY or not level:
        remedy = "write required=LEVEL or preferred=LEVEL, such as required=rack"
        raise InvalidInput(
            f"--topology: {text[:80]!r} makes no sense", field="--topology", value=text, remedy=remedy
        )
    return {**dict.fromkeys(_TOPOLOGY), kind: level}


def variables(settings: Sequence[str]) -> dict[str, str]:
    """Return the variables that NAME=VALUE settings make; a NAME alone is passed on. Raises InvalidInput."""
    found = {}
    for setting in settings:
        name, has_value, value = setting.partition("=")
        if not has_value and name not in os.environ:
            remedy = f"write --env {name}=VALUE, or set it before"
            raise InvalidInput(f"--env: {name} is not set here", field="--env", value=name, remedy=remedy)
        if name in found:
            raise InvalidInput(
                f"--env: {name} is given twice", field="--env", value=name, remedy="keep one of them"
            )
        found[name] = value if has_value else os.environ[name]
    return found


def working_dir_fields(folder: str | None, *, upload: bool | None) -> Fields:
    """Return the fields that --working-dir and --upload make; they win over what a file says of both."""
    if folder is None:
        return given({"upload": upload})
    path = Path(folder).expanduser()
    wanted = not path.is_absolute() if upload is None else upload
    return {"working_dir": str(Path.cwd() / path), "upload": wanted}


def _load(name: str) -> list[JobRequest]:
    from barq.jobfile import MAX_FILE_BYTES, load_job_file, parse_job_text

    if name == _STDIN:
        return parse_job_text(sys.stdin.buffer.read(MAX_FILE_BYTES + 1), file="stdin", folder=Path.cwd())
    return load_job_file(name)
