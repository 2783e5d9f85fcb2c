"""Job files: one or several jobs in YAML or JSON, read on the machine of the person who submits them.

JobFileError    a file cannot be read, or a field in it is refused
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from barq.documents import Document, DocumentError, read_json, read_yaml
from barq.errors import InvalidInput
from barq.field_places import FIELD_PLACES
from barq.refusal import Refusal, dotted, explain
from barq.request import JobRequest, Notify

__all__ = ["MAX_FILE_BYTES", "JobFileError", "JobRequest", "load_job_file", "parse_job", "parse_job_text"]

MAX_FILE_BYTES: Final = 1_000_000


class JobFileError(InvalidInput):
    """A job file that is refused, and where: `file`, `line` (from 1, if known), `field` and its `value`.

    `field` None = the file as a whole; `value` None = there is none.
    """

    default_code = "invalid_job_file"

    def __init__(
        self,
        problem: str,
        *,
        file: str,
        remedy: str,
        line: int | None = None,
        field: str | None = None,
        value: str | None = None,
        code: str | None = None,
    ) -> None:
        where = f"{file}, line {line}" if line else file
        super().__init__(f"{where}: {problem}", code=code, field=field, value=value, remedy=remedy)
        self.file = file
        self.line = line


def load_job_file(path: Path | str) -> list[JobRequest]:
    """Return the jobs in the file at `path`: one or a list in each document; `.json` is JSON, all else YAML.

    A relative or absent `working_dir` is resolved against the file's folder; one that is written relative is to be
    sent (`upload`). Raises JobFileError.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise JobFileError(
            f"cannot be read ({why})", file=str(path), remedy="name a job file that you may read"
        ) from error
    is_json = file.suffix.lower() == ".json"
    return parse_job_text(data, file=str(path), folder=file.absolute().parent, is_json=is_json)


def parse_job_text(data: bytes, *, file: str, folder: Path, is_json: bool = False) -> list[JobRequest]:
    """Return the jobs in `data`, which came from `file` (a name for messages). Raises JobFileError."""
    jobs = []
    for document in _documents(data, file=file, is_json=is_json):
        for path, value in _entries(document):
            request = _checked(value, document=document, path=path, file=file)
            jobs.append(_placed(_with_secret(request, file=file), folder=folder))
    if not jobs:
        raise JobFileError("holds no job", file=file, remedy="write at least `entrypoint: COMMAND`")
    return jobs


def parse_job(value: object, *, file: str = "job") -> JobRequest:
    """Return the job that the plain value `value` describes. Raises JobFileError naming `file`."""
    return _checked(value, document=Document(value=value), path=(), file=file)


def _documents(data: bytes, *, file: str, is_json: bool) -> list[Document]:
    if len(data) > MAX_FILE_BYTES:
        raise JobFileError(f"is larger than {MAX_FILE_BYTES} bytes", file=file, remedy="split it")
    try:
        text = data.decode("utf-8-sig")
        return [read_json(text)] if is_json else read_yaml(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise JobFileError("is not UTF-8", file=file, line=line, remedy="save it as UTF-8") from error
    except DocumentError as error:
        field = dotted(error.path) if error.path else None
        problem = f"{field} {error.problem}" if field else error.problem
        raise JobFileError(problem, file=file, line=error.line, field=field, remedy=error.remedy) from error


def _entries(document: Document) -> Iterator[tuple[tuple[int, ...], object]]:
    """A document is one job, or a list of jobs."""
    if isinstance(document.value, list):
        yield from (((i,), value) for i, value in enumerate(document.value))
    else:
        yield (), document.value


def _checked(value: object, *, document: Document, path: tuple[int, ...], file: str) -> JobRequest:
    try:
        return JobRequest.model_validate(value)
    except ValidationError as error:
        refusal = _first(error)
        where = (*path, *refusal.path)
        raise JobFileError(
            f"{dotted(where)} {refusal.problem}",
            file=file,
            line=document.line_of(where),
            field=dotted(where),
            value=refusal.value or None,
            remedy=refusal.remedy,
            code=refusal.code,
        ) from error


def _first(error: ValidationError) -> Refusal:
    return explain(error.errors(include_url=False)[0], known=FIELD_PLACES)


def _with_secret(request: JobRequest, *, file: str) -> JobRequest:
    """The request with the secret of its webhook, where the file names the variable that holds it."""
    notify = request.notify
    if notify is None or notify.secret_env is None:
        return request
    try:
        found = Notify(url=notify.url, on=notify.on, secret=os.environ.get(notify.secret_env, ""))
    except ValidationError as error:
        raise JobFileError(
            f"notify.secret_env = {notify.secret_env} names a variable that is no secret",
            file=file,
            field="notify.secret_env",
            value=notify.secret_env,
            remedy=f"set {notify.secret_env} to 16 to 200 characters where you submit",
        ) from error
    return request.model_copy(update={"notify": found})


def _placed(request: JobRequest, *, folder: Path) -> JobRequest:
    """The request with a `working_dir` that means the same wherever the request is read on this machine.

    One that was written relative is a folder of the submitter's: it is sent, unless the file says otherwise.
    """
    wanted = os.path.expanduser(request.working_dir or ".")  # noqa: PTH111 - leaves an unknown ~user as it is
    if request.package is not None:
        return request
    changes: dict[str, object] = {"working_dir": str(folder / wanted)}
    if request.working_dir is not None and request.upload is None and not Path(wanted).is_absolute():
        changes["upload"] = True
    return request.model_copy(update=changes)
