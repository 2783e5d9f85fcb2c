"""Whether a job can ever run here, as far as the nodes are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from api.wire.site import NodeView
from barq.request import JobRequest

NODE = "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """Why a job never fits: the field to change, its value, what is so, and what to do."""

    code: str = "never_fits"
    field: str
    value: object
    detail: str
    remedy: str


def misfit(request: JobRequest, groups: Sequence[NodeView]) -> Misfit | None:
    """Why the job could not run even on an empty site with all power; None if it could, or if nobody knows.

    A node that never reported may hold anything.
    """
    nodes = [group for group in groups if group.kind == NODE]
    if not nodes:
        return None
    if (misnamed := _misnamed(request, nodes)) is not None:
        return misnamed
    if sum(_may_hold(node, request) for node in nodes) >= request.least_nodes:
        return _too_far_apart(request, nodes)
    if request.least_nodes > len(nodes):
        detail = f"the job wants {request.least_nodes} nodes and the site has {len(nodes)}"
        return Misfit(
            field="nodes", value=request.least_nodes, detail=detail, remedy=f"ask for at most {len(nodes)}"
        )
    return _too_much_of_each(request, nodes)


def _misnamed(request: JobRequest, nodes: Sequence[NodeView]) -> Misfit | None:
    """Why the node that the job names will not do; None if it names none, or it may."""
    wanted = request.resources.node
    if wanted is None:
        return None
    if request.most_nodes > 1:
        detail = f"the job names the node {wanted} and wants {request.most_nodes} nodes"
        remedy = "leave resources.node out, or ask for one node"
        return Misfit(
            code="invalid_field", field="resources.node", value=wanted, detail=detail, remedy=remedy
        )
    names = ", ".join(sorted(node.id for node in nodes))
    if all(node.id != wanted for node in nodes):
        detail = f"{wanted} is no node of this site"
        return Misfit(field="resources.node", value=wanted, detail=detail, remedy=f"name one of {names}")
    return None


def _too_far_apart(request: JobRequest, nodes: Sequence[NodeView]) -> Misfit | None:
    """Why it does not fit into one rack, or whatever it names; None if it does."""
    asked = request.topology
    if asked is None:
        return None
    levels = list(nodes[0].topology)
    field, level = (
        f"topology.{'required' if asked.required else 'preferred'}",
        asked.required or asked.preferred,
    )
    if level is None or level not in levels:
        known = ", ".join(levels) or "none"
        detail = f"{field} = {level}: the levels of this site are {known}"
        remedy = f"use one of {known}" if levels else "leave topology out; the site file names no levels"
        return Misfit(code="invalid_field", field=field, value=level, detail=detail, remedy=remedy)
    counts = Counter(_part(node, level) for node in nodes if _may_hold(node, request))
    part, most = counts.most_common(1)[0]
    if asked.required is None or most >= request.least_nodes:
        return None
    detail = (
        f"the job wants {request.least_nodes} nodes in one {level}; the largest, {'/'.join(filter(None, part))}, "
        f"has {most} that do"
    )
    remedy = f"ask for at most {most} nodes, or for topology.preferred"
    return Misfit(field=field, value=level, detail=detail, remedy=remedy)


def _part(node: NodeView, level: str) -> tuple[str, ...]:
    """In which rack a node is, one of its block; by itself if it does not say. As `scheduler.core.topology`."""
    names = list(node.topology)
    path = tuple(node.topology[name] for name in names[: names.index(level) + 1])
    return path if path[-1] else (*path, node.id)


def _too_much_of_each(request: JobRequest, nodes: Sequence[NodeView]) -> Misfit:
    wanted, kind = request.resources.gpus, request.resources.gpu_type
    asked = [node for node in nodes if request.resources.node in (None, node.id)]
    most = sorted((_count(node, kind) for node in asked), reverse=True)[request.least_nodes - 1]
    if kind is not None and most == 0:
        models = sorted({gpu.model for node in nodes for gpu in node.gpus})
        where = _nodes(request.least_nodes)
        detail = f"the job wants GPUs of type {kind} on {where} and the site has {', '.join(models)}"
        remedy = f"ask for one of {', '.join(models)}" if models else "ask for no GPU"
        return Misfit(field="resources.gpu_type", value=kind, detail=detail, remedy=remedy)
    of_kind = f" {kind}" if kind else ""
    detail = f"the job wants {wanted}{of_kind} GPUs on {_nodes(request.least_nodes)}, where the site has at most {most}"
    return Misfit(
        field="resources.gpus", value=wanted, detail=detail, remedy=f"ask for at most {most} GPUs a node"
    )


def _may_hold(node: NodeView, request: JobRequest) -> bool:
    kind = request.resources.gpu_type
    if node.last_report_at is None:
        return request.resources.node in (None, node.id)
    enough = request.resources.node in (None, node.id) and _count(node, kind) >= request.resources.gpus
    return enough and (kind is None or _count(node, kind) > 0)


def _count(node: NodeView, kind: str | None) -> int:
    return sum(kind in (None, gpu.model) for gpu in node.gpus)


def _nodes(count: int) -> str:
    return "one node" if count == 1 else f"each of {count} nodes"
