"""Nodes and groups of miners; nodes of other machines that join and leave."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated

from fastapi import APIRouter, Path as InPath
from pydantic import TypeAdapter

from api import guarding, joining
from api.context import Context, Here, Person
from api.openapi import errors
from api.problems import Refused
from api.wire.members import NAME, Join, Joined, Left
from api.wire.site import Nodes, NodeView
from scheduler.core.orders import GroupKind
from scheduler.filler_settings import told_to_joiner
from scheduler.store.desk import Desk

router = APIRouter(tags=["site"])
_NODES = TypeAdapter(list[NodeView])

NodeName = Annotated[str, InPath(pattern=NAME)]


@router.get("/nodes")
def list_nodes(here: Here) -> Nodes:
    """Show the nodes and groups of miners, with what each draws and may draw. None before the scheduler ran."""
    nodes = known_nodes(here.desk)
    if here.settings.is_shadow:
        nodes = [node.model_copy(update={"shadow": True}) for node in nodes]
    return Nodes(nodes=nodes)


@router.post("/nodes/join", responses=errors(409))
def join_node(request: Join, here: Here, person: Person) -> Joined:
    """Take a node of another machine into the site, new or coming back; 409 if it does not go with the firm level."""
    joining.check_acts(here.settings)
    spec, site = joining.spec_of(request), joining.site_of(here.settings)
    answer = joining.answer(here.settings, site) | {"filler": told_to_joiner(site.fillers, spec.group_id)}
    check = joining.checks(
        spec, site, here.settings.state_dir, known_nodes(here.desk), _fallback_w(here.desk)
    )
    here.desk.join(spec, by=person, check=check)
    here.waker.wake()
    token = joining.renew_token(here.desk, joining.node_token(request.name), by=person)
    return Joined.model_validate(answer | {"token": token})


@router.post("/nodes/{name}/leave", responses=errors(404))
def let_node_leave(name: NodeName, here: Here) -> Left:
    """Send no new work to a node that joined; again is no change. Its jobs go on until its guard ends them.

    So it is with a group of miners whose guard joined.
    """
    here.desk.leave(name)
    here.waker.wake()
    return Left(name=name)


@router.post("/nodes/{name}/forget", responses=errors(404, 409))
def forget_node(name: NodeName, here: Here, person: Person) -> Left:
    """Count a node that joined no more. 409 while it reports, unless it is leaving, or may still follow an order.

    A group of miners stays part of the site, without a guard: it counts at all that it can draw.
    """
    _check_gone(name, here)
    token = guarding.token_after(name, here.desk.members())
    here.desk.forget(name)
    here.desk.revoke_token(token, by=person)
    here.waker.wake()
    return Left(name=name)


def known_nodes(desk: Desk) -> list[NodeView]:
    """The nodes as the scheduler last told, none before it did. Raises `StoreError`."""
    document = desk.current("nodes")
    return list(_read(document.text)) if document else []


def _fallback_w(desk: Desk) -> float | None:
    """What the site comes down to when every order has expired, as the scheduler last told."""
    document = desk.current("power")
    value = json.loads(document.text).get("fallback_w") if document else None
    return float(value) if isinstance(value, int | float) else None


def _check_gone(name: str, here: Context) -> None:
    node = next((n for n in known_nodes(here.desk) if n.id == name), None)
    leaves = any(m.leaving for m in here.desk.members() if m.spec.group_id == name)
    if node is None or leaves or node.last_report_at is None:
        return
    silent_s = (datetime.now(UTC) - node.last_report_at).total_seconds()
    lost_after_s = joining.site_of(here.settings).timing.lost_after_s
    if silent_s < lost_after_s:
        is_node = node.kind == GroupKind.NODE
        what, verb = ("jobs", "barq node leave") if is_node else ("guard", "barq miners leave")
        detail = f"{name} was heard of {silent_s:.0f} s ago; its {what} may go on for {lost_after_s:.0f} s"
        raise Refused(409, "still_there", detail, remedy=f"run `{verb}` there, or try again later")


@lru_cache(maxsize=1)  # it is asked for by each request that submits, and changes once a second
def _read(text: str) -> tuple[NodeView, ...]:
    return tuple(_NODES.validate_python(json.loads(text)))
