"""Miners take what the nodes leave."""

from __future__ import annotations

from scheduler.core.plan import Plan
from scheduler.core.snapshot import Snapshot


def feed_miners(plan: Plan, snapshot: Snapshot, limit_w: float) -> None:
    """Give miners what the nodes leave, in proportion to their size; raise only beside all open orders."""
    room_w = max(0.0, limit_w - plan.nodes_w())
    sizes = {gid: plan.groups[gid].spec.miners_max_w for gid in plan.miners_w}
    total_w = sum(sizes.values())
    if total_w <= 0:
        return
    wanted = {gid: min(size_w, room_w * size_w / total_w) for gid, size_w in sizes.items()}
    known = dict(plan.miners_w)
    plan.miners_w.update({gid: min(w, known[gid]) for gid, w in wanted.items()})
    spare_w = limit_w - plan.exposed_w()
    raise_w = sum(max(0.0, w - known[gid]) for gid, w in wanted.items())
    if snapshot.stop or not snapshot.raises_allowed or spare_w <= 0 or raise_w <= 0:
        return
    share = min(1.0, spare_w / raise_w)
    for gid, target_w in wanted.items():
        if target_w > known[gid]:
            plan.miners_w[gid] = known[gid] + share * (target_w - known[gid])
