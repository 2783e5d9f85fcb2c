"""Uploads on the wire."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from api.wire.parts import Sent, Shown, example

MAX_NAMES: Final = 10_000
_EXAMPLE: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

BlobName = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class UploadLimits(Shown):
    """How much may be uploaded."""

    model_config = ConfigDict(json_schema_extra=example(limit_bytes=500_000_000))

    limit_bytes: int = Field(description="Of all files of one working directory together")


class Wanted(Sent):
    """The blobs that somebody wants to be here."""

    model_config = ConfigDict(json_schema_extra=example(blobs=[_EXAMPLE]))

    blobs: Annotated[list[BlobName], Field(max_length=MAX_NAMES)]


class Missing(Shown):
    """Those that are not."""

    model_config = ConfigDict(json_schema_extra=example(missing=[_EXAMPLE]))

    missing: list[str]
