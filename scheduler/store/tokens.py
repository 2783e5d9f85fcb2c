"""Bearer tokens. The clear text is shown once, when a token is made; the database knows only its SHA-256."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.store import chain, deeds
from scheduler.store.refusals import InvalidField, TokenNameTaken, TokenNotFound
from scheduler.store.tables import RevokedTokenRow, TokenRow
from scheduler.store.upsert import sql_table
from scheduler.store.views import TokenView

PREFIX = "barq_"
"""Tells a leaked token from other random text."""
_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}", re.ASCII)
_NAME_REMEDY = "use 1 to 63 letters, digits, '.', '_', '-' or '@', the first a letter or digit"
_TOKENS = sql_table(TokenRow)
_BY_HASH = select(_TOKENS).where(_TOKENS.c.hash == bindparam("wanted"))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token to be made. Without a `name` it is called after its user; `by` None = the site made it for itself."""

    user: str
    role: str
    name: str | None = None
    expires_at: datetime | None = None
    by: str | None = None


def create_token(session: Session, new: NewToken, *, at: datetime) -> tuple[TokenView, str]:
    """A new token, and its clear text, which cannot be had again. Raises `TokenNameTaken`, `InvalidField`."""
    _check(new)
    taken = set(session.scalars(select(col(TokenRow.name))))
    name = new.name or next(name for name in _names_after(new.user) if name not in taken)
    if name in taken:
        raise TokenNameTaken(name)
    text = PREFIX + secrets.token_urlsafe(_BYTES)
    row = TokenRow(
        hash=digest(text),
        name=name,
        user_name=new.user,
        role=new.role,
        created_at=at,
        expires_at=new.expires_at,
    )
    session.add(row)
    view = _view(row)
    if new.by is not None:
        chain.note(session, deeds.token_made(view, by=new.by, at=at))
    return view, text


def look_up_token(session: Session, text: str) -> TokenView | None:
    """Whose token this is or was, whether or not it still opens anything; None for one that never was.

    The row is found by the hash, which tells nothing of the text, and compared in constant time.
    """
    wanted = digest(text)
    row = session.connection().execute(_BY_HASH, {"wanted": wanted}).first()  # asked by every request
    found = session.get(RevokedTokenRow, wanted) if row is None else row
    return _view(found) if found is not None and secrets.compare_digest(found.hash, wanted) else None


def list_tokens(session: Session) -> tuple[TokenView, ...]:
    """All tokens by name, expired ones too, revoked ones not."""
    return tuple(_view(row) for row in session.scalars(select(TokenRow).order_by(col(TokenRow.name))))


def get_token(session: Session, name: str) -> TokenView:
    """The token of that name. Raises `TokenNotFound`."""
    return _view(_row(session, name))


def revoke_token(session: Session, name: str, *, at: datetime, by: str | None = None) -> TokenView:
    """Take a token back: it opens nothing from now on, and its name is free again. Raises `TokenNotFound`."""
    row = _row(session, name)
    gone = RevokedTokenRow(**row.model_dump(), revoked_at=at)
    session.delete(row)
    session.add(gone)
    view = _view(gone)
    if by is not None:
        chain.note(session, deeds.token_revoked(view, by=by, at=at))
    return view


def is_valid(token: TokenView, at: datetime) -> bool:
    """Whether the token opens anything at `at`: from its last instant on it does not."""
    return token.revoked_at is None and (token.expires_at is None or at < token.expires_at)


def digest(text: str) -> str:
    """SHA-256 in hexadecimal. A token holds 256 random bits, so nothing slower is needed."""
    return hashlib.sha256(text.encode()).hexdigest()


def _check(new: NewToken) -> None:
    """Names that a path, a line of a table and a person can hold."""
    for field, value in (("name", new.name), ("user", new.user)):
        if value is not None and not _NAME.fullmatch(value):
            raise InvalidField(field, value, _NAME_REMEDY)


def _names_after(user: str) -> Iterator[str]:
    yield user
    number = 2
    while True:
        yield f"{user}-{number}"
        number += 1


def _row(session: Session, name: str) -> TokenRow:
    named = select(TokenRow).where(col(TokenRow.name) == name)
    row = session.scalars(named).first() if _NAME.fullmatch(name) else None
    if row is None:
        raise TokenNotFound(name)
    return row


def _view(row: TokenRow | RevokedTokenRow | Row[Any]) -> TokenView:
    return TokenView(
        name=row.name,
        user=row.user_name,
        role=row.role,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at if isinstance(row, RevokedTokenRow) else None,
    )
