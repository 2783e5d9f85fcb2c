"""Whether a job can ever run here, as far as the nodes are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api.wire.site import NodeView
from barq.request import JobRequest

NODE = "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """Why a job never fits: the field to change, its value, what is so, and what to do."""

    field: str
    value: object
    detail: str
    remedy: str


def misfit(request: JobRequest, groups: Sequence[NodeView]) -> Misfit | None:
    """Why the job could not run even on an empty site with all power; None if it could, or if nobody knows.

    A node that never reported may hold anything.
    """
    nodes = [group for group in groups if group.kind == NODE]
    if not nodes or sum(_may_hold(node, request) for node in nodes) >= request.least_nodes:
        return None
    if request.least_nodes > len(nodes):
        detail = f"the job wants {request.least_nodes} nodes and the site has {len(nodes)}"
        return Misfit(
            field="nodes", value=request.least_nodes, detail=detail, remedy=f"ask for at most {len(nodes)}"
        )
    return _too_much_of_each(request, nodes)


def _too_much_of_each(request: JobRequest, nodes: Sequence[NodeView]) -> Misfit:
    wanted, kind = request.resources.gpus, request.resources.gpu_type
    most = sorted((_count(node, kind) for node in nodes), reverse=True)[request.least_nodes - 1]
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
        return True
    enough = _count(node, kind) >= request.resources.gpus
    return enough and (kind is None or _count(node, kind) > 0)


def _count(node: NodeView, kind: str | None) -> int:
    return sum(kind in (None, gpu.model) for gpu in node.gpus)


def _nodes(count: int) -> str:
    return "one node" if count == 1 else f"each of {count} nodes"
