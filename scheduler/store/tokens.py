"""Bearer tokens. The clear text is shown once, when a token is made; the database knows only its SHA-256."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.store.refusals import InvalidField, TokenNameTaken
from scheduler.store.tables import TokenRow
from scheduler.store.upsert import sql_table
from scheduler.store.views import TokenView

PREFIX = "barq_"
"""Tells a leaked token from other random text."""
_BYTES = 32
_TOKENS = sql_table(TokenRow)
_BY_HASH = select(_TOKENS).where(_TOKENS.c.hash == bindparam("wanted"))


def create_token(
    session: Session, name: str, role: str, *, at: datetime, expires_at: datetime | None = None
) -> str:
    """A new token in clear text; it cannot be had again. Raises `TokenNameTaken`, `InvalidField`."""
    if not name.strip():
        raise InvalidField("name", name, "say who or what the token is for")
    if session.scalars(select(TokenRow).where(col(TokenRow.name) == name)).first() is not None:
        raise TokenNameTaken(name)
    text = PREFIX + secrets.token_urlsafe(_BYTES)
    session.add(TokenRow(hash=digest(text), name=name, role=role, created_at=at, expires_at=expires_at))
    return text


def find_token(session: Session, text: str, *, at: datetime) -> TokenView | None:
    """Whose token this is; None for one that is unknown or has expired.

    The row is found by the hash, which tells nothing of the text, and compared in constant time.
    """
    wanted = digest(text)
    row = session.connection().execute(_BY_HASH, {"wanted": wanted}).first()  # asked by every request
    if row is None or not secrets.compare_digest(row.hash, wanted):
        return None
    if row.expires_at is not None and row.expires_at <= at:
        return None
    return TokenView(name=row.name, role=row.role, created_at=row.created_at, expires_at=row.expires_at)


def list_tokens(session: Session) -> tuple[TokenView, ...]:
    """All tokens by name, expired ones too."""
    return tuple(_view(row) for row in session.scalars(select(TokenRow).order_by(col(TokenRow.name))))


def revoke_token(session: Session, name: str) -> bool:
    """Forget a token. Whether there was one."""
    gone = delete(TokenRow).where(col(TokenRow.name) == name).returning(col(TokenRow.name))
    return bool(session.scalars(gone).all())


def digest(text: str) -> str:
    """SHA-256 in hexadecimal. A token holds 256 random bits, so nothing slower is needed."""
    return hashlib.sha256(text.encode()).hexdigest()


def _view(row: TokenRow) -> TokenView:
    return TokenView(name=row.name, role=row.role, created_at=row.created_at, expires_at=row.expires_at)
