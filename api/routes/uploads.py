"""Uploads: working directories, sent file by file under the hashes of their content; what is here is sent no more."""

from __future__ import annotations

import shutil
from pathlib import Path as PathOnDisk
from typing import Annotated, Any, Final

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Request
from fastapi.responses import FileResponse, Response
from starlette.requests import ClientDisconnect

from api.context import Context, Here
from api.openapi import errors
from api.problems import Refused
from api.pruning import prune_sometimes
from api.wire.uploads import Missing, UploadLimits, Wanted
from barq.blobs import CHUNK_BYTES, Blobs, Incoming, TooLarge, WrongContent
from barq.strict_json import ContractError

_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_BYTES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The content",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

LEAST_FREE_BYTES: Final = 1_000_000_000
"""So much of the disk is left alone, or a fiftieth of a small one: guards note each order on it before they act."""
_PART_OF_DISK: Final = 50

Name = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the content, lower-case hex")]

router = APIRouter(tags=["uploads"])


def blobs_of(here: Context) -> Blobs:
    """Where this site keeps what was uploaded."""
    return Blobs(here.settings.state_dir / "blobs")


@router.get("/uploads")
def upload_limits(here: Here) -> UploadLimits:
    """How much may be uploaded."""
    return UploadLimits(limit_bytes=here.settings.upload_limit_bytes)


@router.post("/uploads/missing")
def missing_blobs(wanted: Wanted, here: Here) -> Missing:
    """Which of these blobs have to be sent. Those that are here are kept for another 30 days."""
    return Missing(missing=blobs_of(here).missing(dict.fromkeys(wanted.blobs)))


@router.put("/uploads/blobs/{name}", status_code=204, openapi_extra=_BODY, responses=errors(400, 507))
async def put_blob(name: Name, request: Request, here: Here) -> None:
    """Send one blob. It is checked against its hash on the way, and kept whole or not at all."""
    limit_bytes = here.settings.upload_limit_bytes
    try:
        incoming = await run_sync(lambda: blobs_of(here).receive(name, limit_bytes=limit_bytes))
        with incoming:
            await _take_in(request, incoming, blobs_of(here).root)
            await run_sync(incoming.finish)
    except TooLarge as error:
        remedy = "leave the file out, or fetch it with `inputs`"
        raise Refused(413, "body_too_large", f"the blob is refused: {error}", remedy=remedy) from error
    except WrongContent as error:
        remedy = "send it again; was the file changed while it was sent?"
        raise Refused(
            422, "wrong_content", f"the blob is refused: {error}", field="name", remedy=remedy
        ) from error
    except ClientDisconnect as error:
        raise Refused(
            400, "broken_off", "the blob was not sent to its end", remedy="send it again"
        ) from error


async def _take_in(request: Request, incoming: Incoming, root: PathOnDisk) -> None:
    """To the disk in parts, which is waited for beside the loop."""
    part = bytearray()
    async for data in request.stream():
        part += data
        if len(part) >= CHUNK_BYTES:
            await run_sync(_write, incoming, bytes(part), root)
            part.clear()
    await run_sync(_write, incoming, bytes(part), root)


def _write(incoming: Incoming, part: bytes, root: PathOnDisk) -> None:
    disk = shutil.disk_usage(root)
    if disk.free < min(LEAST_FREE_BYTES, disk.total // _PART_OF_DISK):
        detail = f"the site's disk has {disk.free / 1e6:.0f} MB left, which are kept for guards and scheduler"
        remedy = "have an operator make room below the state directory, or fetch large files with `inputs`"
        raise Refused(507, "no_room", detail, remedy=remedy)
    incoming.write(part)


@router.get("/uploads/blobs/{name}", response_class=FileResponse, responses=_BYTES | errors(404))
def get_blob(name: Name, here: Here) -> Response:
    """Fetch one blob, as nodes do."""
    path = blobs_of(here).path(name)
    if blobs_of(here).missing([name]):
        raise Refused(404, "blob_not_found", f"there is no blob {name}", remedy="submit the job again")
    return FileResponse(path, media_type="application/octet-stream")


@router.put("/uploads/packages/{name}", status_code=204, openapi_extra=_BODY, responses=errors(409))
async def put_package(name: Name, request: Request, here: Here) -> None:
    """Send the manifest of a package, after its blobs."""
    data = await request.body()
    await run_sync(_keep_package, name, data, here)


def _keep_package(name: str, data: bytes, here: Context) -> None:
    try:
        blobs_of(here).put_package(name, data, limit_bytes=here.settings.upload_limit_bytes)
    except TooLarge as error:
        remedy = "leave out what the job does not need"
        raise Refused(413, "package_too_large", f"the package is refused: {error}", remedy=remedy) from error
    except (WrongContent, ContractError) as error:
        detail, _, remedy = str(error).partition("; ")
        raise Refused(422, "invalid_package", detail, field="files", remedy=remedy or None) from error
    except LookupError as error:
        detail, _, remedy = str(error).partition("; ")
        raise Refused(409, "blobs_missing", detail, field="files", remedy=remedy) from error
    prune_sometimes(blobs_of(here), here.desk)


@router.get("/uploads/packages/{name}", response_class=FileResponse, responses=_BYTES | errors(404))
def get_package(name: Name, here: Here) -> Response:
    """Fetch the manifest of a package, as nodes do."""
    check_package(name, here, status=404)
    return FileResponse(blobs_of(here).package_path(name), media_type="application/json")


def check_package(name: str, here: Context, *, field: str = "package", status: int = 422) -> None:
    """Raise Refused unless the package is here, whole; it counts as used now."""
    try:
        package = blobs_of(here).package(name)
        lacking = package is None or blobs_of(here).missing(package.blobs)
    except (WrongContent, ContractError):
        lacking = True
    if lacking:
        detail = f"there is no package {name} here"
        raise Refused(
            status, "package_not_found", detail, field=field, value=name, remedy="upload it (again)"
        )
