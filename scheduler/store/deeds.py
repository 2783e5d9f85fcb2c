"""What people did, as events of the log: who, what, and to what."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from scheduler.core.dispatch import Answer, Instruction, Verdict
from scheduler.core.jobs import Desired
from scheduler.core.reasons import Event
from scheduler.store.views import TokenView

_VERBS: Final = {Desired.CANCEL: "cancel", Desired.HOLD: "hold", Desired.RUN: "release"}


def wished(job_id: str, desired: Desired, *, by: str, at: datetime) -> Event:
    """Somebody wants something of a job; what the scheduler makes of it is told by itself."""
    verb = _VERBS[desired]
    text = f"{by} asked to {verb} {job_id}"
    return Event(at=at, kind=f"job.{verb}_asked", text=text, job_id=job_id, data={"by": by})


def limited(
    limit_w: float, *, limit_id: int | None, for_s: float | None, by: str, reason: str, at: datetime
) -> Event:
    """Somebody limited the site."""
    until = "until it is released" if for_s is None else f"for {_span(for_s)}"
    text = f"{by} limited the site to {limit_w / 1000:.1f} kW {until}: {reason}"
    data = {"by": by, "limit": limit_id, "limit_w": limit_w, "for_s": for_s}
    return Event(at=at, kind="limit.set", text=text, data=data)


def _span(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds % 60 == 0 else f"{seconds:g} s"


def released(limits_w: Mapping[str, float], *, by: str, reason: str, at: datetime) -> Event:
    """Somebody ended limits, given by their numbers."""
    which = ", ".join(f"{number} ({limit_w / 1000:.1f} kW)" for number, limit_w in limits_w.items())
    text = f"{by} released limit {which}" + (f": {reason}" if reason else "")
    return Event(at=at, kind="limit.released", text=text, data={"by": by, "limits": ",".join(limits_w)})


def answered(instruction: Instruction, answer: Answer) -> Event:
    """Somebody acknowledged or refused a dispatch instruction."""
    why = f": {answer.note}" if answer.note else ""
    text = f"{answer.by} {answer.verdict} instruction {instruction.id} of {instruction.source}{why}"
    if answer.verdict is Verdict.REFUSED:
        text += "; it binds and holds all the same" if instruction.binding else "; it does not count any more"
    data: dict[str, str | bool] = {"by": answer.by, "instruction": instruction.id}
    data |= {"source": instruction.source, "giver_id": instruction.giver_id, "binding": instruction.binding}
    return Event(at=answer.at, kind=f"dispatch.{answer.verdict}", text=text, data=data)


def token_made(token: TokenView, *, by: str, at: datetime) -> Event:
    """Somebody made a token."""
    until = "" if token.expires_at is None else f" until {token.expires_at:%Y-%m-%d %H:%M} UTC"
    text = f"{by} made the token {token.name} for {token.user}: {token.role}{until}"
    return Event(at=at, kind="token.made", text=text, data=_of_token(token, by))


def token_revoked(token: TokenView, *, by: str, at: datetime) -> Event:
    """Somebody took a token back."""
    text = f"{by} revoked the token {token.name} of {token.user}: {token.role}"
    return Event(at=at, kind="token.revoked", text=text, data=_of_token(token, by))


def _of_token(token: TokenView, by: str) -> dict[str, str]:
    return {"by": by, "token": token.name, "user": token.user, "role": token.role}
