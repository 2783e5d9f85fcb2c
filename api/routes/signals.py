"""Limits that their givers push. The right to do so is a signature over the body, as on Barq's own webhooks."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Path as InPath, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from api.context import Context, Here
from api.openapi import REF, errors
from api.problems import Refused
from api.strict_body import complaint
from api.wire.signals import PushedLimit, PushTaken
from barq.refusal import shown
from barq.webhook import SIGNATURE, signed_at_s, verify
from scheduler.errors import SignalError
from scheduler.signals import http_push
from scheduler.signals.http_push import Inbox, Push, Record

log = logging.getLogger(__name__)
router = APIRouter(prefix="/signals", tags=["power"])

Name = Annotated[str, InPath(max_length=63, description="The source, as the site file calls it")]
_BODY = {
    "content": {"application/json": {"schema": {"$ref": REF.format(model=PushedLimit.__name__)}}},
    "required": True,
}
"""Written down by hand: the framework would read a body before its signature is looked at."""
_UNSIGNED = f"{SIGNATURE} is not that of a source of this name, to which limits are pushed"
_REMEDY = (
    'send one `t=SECONDS,v1=HEX`: HMAC-SHA256 of "SECONDS." and the body under the secret of the source; '
    "check its name and secret with the site's operator"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A push of which the giver's signature is right and fresh."""

    inbox: Inbox
    push: Push
    digest: str
    signed_at: datetime


async def _signed(name: Name, here: Here, request: Request) -> Signed:
    """Nothing of a body is looked at before its signature holds; what makes no sense then is answered and noted."""
    body, signatures = await request.body(), request.headers.getlist(SIGNATURE)
    return await run_sync(_checked, here, name, body, signatures[0] if len(signatures) == 1 else "")


def _checked(here: Context, name: str, body: bytes, signature: str) -> Signed:
    options = here.settings.pushed.get(name)
    if options is None:
        raise _unsigned()
    inbox = Inbox(name, options, base=here.settings.state_dir)
    signed_at = _signed_at(inbox, body, signature)
    digest = hashlib.sha256(body).hexdigest()
    return Signed(inbox=inbox, push=_pushed(inbox, body), digest=digest, signed_at=signed_at)


def _pushed(inbox: Inbox, body: bytes) -> Push:
    problem = complaint(body)
    if problem is not None:
        _note(inbox, problem.detail)
        raise Refused(422, problem.code, problem.detail, field=problem.field, remedy=problem.remedy)
    try:
        return PushedLimit.model_validate_json(body).push()
    except ValidationError as error:
        found = error.errors(include_url=False)
        _note(inbox, _explained(found[0]))
        raise RequestValidationError([{**e, "loc": ("body", *e["loc"])} for e in found]) from error


def _signed_at(inbox: Inbox, body: bytes, signature: str) -> datetime:
    try:
        secret = inbox.secret()
    except SignalError as error:
        raise _not_ready("the secret of this source cannot be read", error) from error
    told_s = signed_at_s(signature)
    if told_s is None or not verify(secret, signature, body, tolerance_s=inf):
        raise _unsigned()
    age_s = datetime.now(UTC).timestamp() - told_s
    if abs(age_s) > inbox.options.tolerance_s:
        raise _unsigned(
            f"{SIGNATURE} is of {abs(age_s):.0f} s {'ago' if age_s > 0 else 'ahead'}, and counts for "
            f"{inbox.options.tolerance_s:g} s",
            "sign anew at each try, and check the clocks here and at the giver",
        )
    return datetime.fromtimestamp(told_s, UTC)


@router.post("/{name}", responses=errors(409), openapi_extra={"requestBody": _BODY})
def push_limit(name: Name, signed: Annotated[Signed, Depends(_signed)]) -> PushTaken:
    """Take a limit from its giver: signed, dated, in order. The same again, signed anew, says that it still holds."""
    try:
        record = signed.inbox.take(
            signed.push, signed.digest, signed_at=signed.signed_at, at=datetime.now(UTC)
        )
    except http_push.Refused as error:
        _note(signed.inbox, f"delivery {signed.push.delivery!r}: {error}", delivery=signed.push.delivery)
        raise _refused(error) from error
    except SignalError as error:
        raise _not_ready("what is pushed cannot be kept", error) from error
    return _shown(name, record)


def _shown(name: str, record: Record) -> PushTaken:
    if record.taken is None:
        raise RuntimeError(f"{name}: what was taken is not there")
    push = record.taken.push
    return PushTaken(
        source=name,
        delivery=push.delivery,
        at=push.at,
        limit_w=push.limit_w,
        heard_at=record.taken.heard_at,
    )


def _note(inbox: Inbox, refused: str, *, delivery: str = "") -> None:
    """Have the scheduler tell it. That it cannot be kept changes nothing for who pushed it."""
    try:
        inbox.note(refused, delivery=delivery)
    except SignalError as error:
        log.warning("%s", error)


def _explained(first: ErrorDetails) -> str:
    field = ".".join(str(step) for step in first["loc"]) or "the body"
    return f"{field} = {shown(first['input'])}: {first['msg']}"


def _refused(error: http_push.Refused) -> Refused:
    status, code = (409, "out_of_order") if error.is_late else (422, "invalid_field")
    return Refused(
        status, code, str(error).partition("; ")[0], field=error.field, value=error.value, remedy=error.remedy
    )


def _unsigned(detail: str = _UNSIGNED, remedy: str = _REMEDY) -> Refused:
    """The same for a name that is not there as for a secret that is wrong."""
    return Refused(401, "unauthorized", detail, field=SIGNATURE, remedy=remedy)


def _not_ready(detail: str, error: SignalError) -> Refused:
    log.error("%s: %s", detail, error)
    return Refused(503, "not_ready", detail, remedy="have an operator look into the log of the API")
