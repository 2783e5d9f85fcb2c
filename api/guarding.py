"""Whether a machine may take on the guards of miners that the site file leaves to it, and what it is told of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from api.joining import node_token
from api.problems import Refused
from api.wire.members import GuardedGroup, JoinGuard
from api.wire.site import NodeView
from scheduler.core.orders import GroupSpec
from scheduler.equipment import Miners, miners_spec
from scheduler.records import Member
from scheduler.settings import Site


def assigned(request: JoinGuard, site: Site) -> tuple[Miners, ...]:
    """The groups whose guard belongs on that machine. Raises `Refused` where there are none."""
    found = site.guarded_on(request.name)
    if found:
        return found
    others = ", ".join(f"{m.name} (guard_on: {m.guard_on})" for m in site.miners if m.guard_on is not None)
    raise Refused(
        409,
        "nothing_to_guard",
        f"no group of miners in the site file says guard_on: {request.name}; those that name a machine: "
        f"{others or 'none'}",
        field="name",
        value=request.name,
        remedy="join with the --name that the site file gives this machine, or correct it there, then `barq down` and "
        "`barq up SITE.yaml`",
    )


def token_of(machine: str) -> str:
    """What the token of a machine that guards miners is called."""
    return f"guard-{machine}"


def token_after(name: str, members: Sequence[Member]) -> str:
    """The token that opens nothing more once this member is forgotten; "" = its machine guards other groups too."""
    places = {m.spec.group_id: m.spec.elsewhere for m in members}
    place = places.pop(name, None)
    if place is None:
        return node_token(name)
    is_last = all(other is None or other.machine != place.machine for other in places.values())
    return token_of(place.machine) if is_last else ""


def specs_of(groups: Sequence[Miners], request: JoinGuard) -> list[GroupSpec]:
    """The groups as members of the site."""
    return [replace(miners_spec(m), address=str(request.address)) for m in groups]


def told(groups: Sequence[Miners]) -> list[dict[str, Any]]:
    """All that the guards have to know, but for secrets: the site file names only where these are kept."""
    return [GuardedGroup(name=m.name, told=m.told()).model_dump() for m in groups]


def checks(
    specs: Sequence[GroupSpec], site: Site, shown: Sequence[NodeView], *, again: bool
) -> Callable[[tuple[Member, ...]], None]:
    """What to hold the members against, in the transaction that adds these. It raises `Refused`.

    That the firm level holds them at rest is as true as for every group of the site file, beside the nodes that joined.
    """
    reporting = {n.id: n for n in shown if n.reachable and not again}

    def check(members: tuple[Member, ...]) -> None:
        known = {m.spec.group_id: m for m in members}
        for spec in specs:
            _check_alone(spec, known, reporting)
        _check_firm(specs, site, [m.spec for m in members])

    return check


def _check_alone(spec: GroupSpec, members: Mapping[str, Member], reporting: Mapping[str, NodeView]) -> None:
    """Two guards of one group would undo each other's orders, and each would count on the other's watts."""
    gid, member, node = spec.group_id, members.get(spec.group_id), reporting.get(spec.group_id)
    if node is not None and not (member is not None and member.leaving):
        heard = f", heard of {_ago_s(node):.0f} s ago" if node.last_report_at else ""
        detail = f"{gid} has a guard at {node.address}{heard}; two guards would fight over its machines"
        remedy = "run `barq miners leave` there first; on the same machine, `barq miners join` alone starts it again"
    elif member is not None and member.spec.address != spec.address:
        detail = f"{gid} was taken on by {member.spec.address}, which may still hold its machines"
        remedy = (
            f"run `barq miners leave` there; if it is gone for good, `barq miners forget {gid}` on the site"
        )
    else:
        return
    raise Refused(409, "guarded_already", detail, field="name", value=gid, remedy=remedy)


def _ago_s(node: NodeView) -> float:
    return (datetime.now(UTC) - node.last_report_at).total_seconds() if node.last_report_at else 0.0


def _check_firm(specs: Sequence[GroupSpec], site: Site, joined: Sequence[GroupSpec]) -> None:
    base_w, firm_w = site.idle_base_w(joined=joined), site.power.firm_w
    if base_w <= firm_w:
        return
    names = ", ".join(spec.group_id for spec in specs)
    raise Refused(
        409,
        "firm_exceeded",
        f"with {names} at rest the site comes down to {base_w:.0f} W on loss of signal, and power.firm_w is "
        f"{firm_w:.0f} W",
        field="power.firm_w",
        value=firm_w,
        remedy=f"raise power.firm_w, or take {base_w - firm_w:.0f} W of base out",
    )


def notices(nodes: str, group: str | None) -> list[str]:
    """What is to be known of groups whose machines are listed as a guard told of them that is not there now.

    `nodes` is the scheduler's document of them.
    """
    lone = [n for n in json.loads(nodes) if n.get("unguarded") and group in (None, n["id"])]
    return [alarm for node in lone for alarm in node["alarms"]]
