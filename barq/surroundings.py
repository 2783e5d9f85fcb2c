"""What a job brings along and leaves behind: the runtime it wants, and files by URL. Models of the job file."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from barq.package import MAX_PATH_BYTES, check_path, is_hash
from barq.strict_json import ContractError

MAX_URLS: Final = 1000
MAX_URL_BYTES: Final = 2048
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://[!-~]+", re.ASCII)


def _inside(path: str) -> str:
    """A path that stays inside the folder it is looked up in; `.` is the folder itself."""
    if path == ".":
        return path
    clean = path.removeprefix("./").rstrip("/")
    try:
        check_path(clean)
    except ContractError as error:
        remedy = f"write a relative path of at most {MAX_PATH_BYTES} bytes, without '..'"
        raise ValueError(remedy) from error
    return clean


def _below(path: str) -> str:
    if path == ".":
        raise ValueError("name a file or folder; '.' is the working directory itself")
    return path


def _url(text: str) -> str:
    """A URL that can be stored and shown: it carries no secret."""
    if not _URL.fullmatch(text) or len(text) > MAX_URL_BYTES or "::" in text:
        raise ValueError('write a URL such as "s3://bucket/path" or "file:///srv/data"')
    if text.startswith("memory://"):
        raise ValueError("memory:// holds nothing for another process; write file:// or a store's URL")
    try:
        has_secret = urlsplit(text).password is not None
    except ValueError as error:
        raise ValueError('write a URL such as "s3://bucket/path"') from error
    if has_secret:
        raise ValueError("keep passwords out of URLs; give credentials through `env`")
    return text


def _hash(text: str) -> str:
    if not is_hash(text):
        raise ValueError("write the SHA-256 that an upload returned, in lower-case hex")
    return text


def _absolute(path: str) -> str:
    if not PurePosixPath(path).is_absolute() or not path.isprintable() or len(path.encode()) > MAX_PATH_BYTES:
        raise ValueError(
            "write the absolute path of an interpreter on the nodes, such as /usr/bin/python3.12"
        )
    return path


InsidePath = Annotated[str, AfterValidator(_inside)]
PackageName = Annotated[str, AfterValidator(_hash)]
Url = Annotated[str, AfterValidator(_url)]
Inputs = dict[Annotated[InsidePath, AfterValidator(_below)], Url]
Outputs = dict[InsidePath, Url]


class Runtime(BaseModel):
    """The Python that the job finds first in its PATH. Without it, the one that the site runs on."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    requirements: InsidePath | None = Field(
        None, description="Requirements file in working_dir; installed once per content into an environment"
    )
    python: Annotated[str, AfterValidator(_absolute)] | None = Field(
        None, description="Interpreter on the nodes; with requirements, what the environment is made from"
    )
    inherit: bool = Field(
        default=False,
        description="Whether the environment also sees what the site's own Python has, such as torch",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.requirements is None and self.python is None:
            raise ValueError("name requirements: FILE, or python: PATH")
        if self.inherit and (self.requirements is None or self.python is not None):
            raise ValueError("inherit goes with requirements, and without python; remove one of them")
        return self
