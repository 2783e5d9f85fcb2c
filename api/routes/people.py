"""Tokens, and who asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter

from api.context import Asking, Here
from api.openapi import errors
from api.roles import Caller, forbidden
from api.wire.people import MadeToken, Me, NewToken, Tokens, TokenView
from barq.roles import Role
from scheduler.store import tokens
from scheduler.store.refusals import TokenNotFound

router = APIRouter(tags=["people"])


@router.get("/me")
def show_me(here: Here, asking: Asking) -> Me:
    """Say whose token the request came with, what it may do, and when it ends."""
    token = asking.token
    return Me(
        site=here.settings.site,
        user=token.user,
        role=token.role,
        token=token.name,
        expires_at=token.expires_at,
    )


@router.get("/tokens")
def list_tokens(here: Here) -> Tokens:
    """List the tokens, without their texts; expired ones too, revoked ones not."""
    return Tokens(tokens=[TokenView.model_validate(token) for token in here.desk.tokens()])


@router.post("/tokens", status_code=201, responses=errors(409))
def make_token(body: NewToken, here: Here, asking: Asking) -> MadeToken:
    """Make a token for a person; its text is in this answer and nowhere else. 409 if its name is taken."""
    _check_rank(asking.caller, body.role, f"a token with the role {body.role}")
    lasts = None if body.expires_in_s is None else timedelta(seconds=body.expires_in_s)
    new = tokens.NewToken(
        user=body.user,
        role=body.role.value,
        name=body.name,
        expires_at=None if lasts is None else datetime.now(UTC) + lasts,
        by=asking.caller.person,
    )
    token, text = here.desk.make_token(new)
    return MadeToken(**TokenView.model_validate(token).model_dump(), token=text)


@router.delete("/tokens/{name}", responses=errors(404))
def revoke_token(name: str, here: Here, asking: Asking) -> TokenView:
    """Take a token back: from now on it opens nothing."""
    token = here.desk.token(name)
    _check_rank(asking.caller, Role(token.role), f"revoking the token {token.name}")
    if not here.desk.revoke_token(token.name, by=asking.caller.person):
        raise TokenNotFound(name)
    return TokenView.model_validate(token)


def _check_rank(caller: Caller, role: Role, what: str) -> None:
    """Nobody gives or takes more than they have."""
    if not caller.role.includes(role):
        raise forbidden(caller, what, f"the role {role}")
