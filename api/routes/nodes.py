"""Nodes and groups of miners."""

from __future__ import annotations

import json
from functools import lru_cache

from fastapi import APIRouter
from pydantic import TypeAdapter

from api.context import Here
from api.wire.site import Nodes, NodeView
from scheduler.store.desk import Desk

router = APIRouter(tags=["site"])
_NODES = TypeAdapter(list[NodeView])


@router.get("/nodes")
def list_nodes(here: Here) -> Nodes:
    """Show the nodes and groups of miners, with what each draws and may draw. None before the scheduler ran."""
    return Nodes(nodes=known_nodes(here.desk))


def known_nodes(desk: Desk) -> list[NodeView]:
    """The nodes as the scheduler last told, none before it did. Raises `StoreError`."""
    document = desk.current("nodes")
    return list(_read(document.text)) if document else []


@lru_cache(maxsize=1)  # it is asked for by each request that submits, and changes once a second
def _read(text: str) -> tuple[NodeView, ...]:
    return tuple(_NODES.validate_python(json.loads(text)))
