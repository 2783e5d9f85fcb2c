"""Whether a node on another machine may join the site, and what it is told if it may."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final

from api.problems import Refused
from api.settings import Settings
from api.wire.members import Join, JoiningGpu
from api.wire.site import NodeView
from scheduler.core.domains import check_domains
from scheduler.core.entitlement import idle_w
from scheduler.core.orders import GpuSlot, GroupKind, GroupSpec
from scheduler.core.power import GPU_MODELS, PowerLimits
from scheduler.filler_settings import told_to_joiner
from scheduler.records import Member
from scheduler.settings import Site, load_site

LOOPBACK: Final = "127.0.0.1"
_LISTEN = "on the site's machine: `barq down`, then `barq up --listen ADDRESS`"


def spec_of(request: Join) -> GroupSpec:
    """The group that a node describes. Raises `Refused` for a GPU model that is not known."""
    for slot in request.gpus:
        if slot.limits is None and slot.model not in GPU_MODELS:
            raise Refused(
                422,
                "invalid_field",
                f"gpus.model = {slot.model} is not known",
                field="gpus.model",
                value=slot.model,
                remedy=f"use one of {', '.join(sorted(GPU_MODELS))}",
            )
    return GroupSpec(
        group_id=request.name,
        kind=GroupKind.NODE,
        base_w=request.base_w,
        gpus=tuple(_slot(gpu) for gpu in request.gpus),
        address=str(request.address),
        simulated=request.simulated,
        topology=tuple(request.topology.items()),
    )


def _slot(gpu: JoiningGpu) -> GpuSlot:
    limits = None if gpu.limits is None else PowerLimits(**gpu.limits.model_dump())
    return GpuSlot(gpu_id=gpu.gpu_id, model=gpu.model, limits=limits)


def check_acts(settings: Settings) -> None:
    """Raises `Refused` for a site in shadow mode: it acts on no machine."""
    if settings.is_shadow:
        raise Refused(
            409,
            "shadow",
            "the site is in shadow mode, and acts on no machine",
            remedy="describe the node in the site file (simulated: true); it joins once the site is live",
        )


def checks(
    spec: GroupSpec, site: Site, state: Path, shown: list[NodeView], fallback_w: float | None
) -> Callable[[tuple[Member, ...]], None]:
    """What to hold the other members against, in the transaction that adds this one. It raises `Refused`."""
    own = site.groups(site.found_before(state))

    def check(others: tuple[Member, ...]) -> None:
        _check_name(spec, own, shown)
        _check_levels(spec, site)
        base_w = site.idle_base_w(own, [m.spec for m in others])
        known = {m.spec.group_id for m in others} | set(own) | {spec.group_id}
        strangers_w = sum(_at_rest_w(n) for n in shown if n.id not in known)
        _check_firm(spec, site, base_w + site.power.overhead * strangers_w, shown, fallback_w)
        _check_domains(
            spec, site, {s.group_id: idle_w(s) for s in (*own.values(), *(m.spec for m in others))}
        )

    return check


def _check_name(spec: GroupSpec, own: Collection[str], shown: list[NodeView]) -> None:
    name = spec.group_id
    if name in own:
        detail = f"{name} is a group of the site file"
    elif any(n.id == name and n.reachable and not _is_same(n, spec) for n in shown):
        detail = f"a node named {name} at another address is there and reports"
    else:
        return
    raise Refused(409, "name_taken", detail, field="name", value=name, remedy="join with another --name")


def _check_levels(spec: GroupSpec, site: Site) -> None:
    unknown = next((level for level, _ in spec.topology if level not in site.topology), None)
    if unknown is None:
        return
    detail = f"{unknown} is no level of this site, which has {', '.join(site.topology) or 'none'}"
    remedy = "leave it out, or name it under topology in the site file"
    raise Refused(422, "invalid_field", detail, field="topology", value=unknown, remedy=remedy)


def _is_same(node: NodeView, spec: GroupSpec) -> bool:
    return node.address == spec.address


def _check_firm(
    spec: GroupSpec, site: Site, base_w: float, shown: list[NodeView], fallback_w: float | None
) -> None:
    """On loss of signal every node rests at its base, and firm jobs go on: all of it stays under the firm level."""
    added_w = site.power.overhead * idle_w(spec)
    is_counted = any(n.id == spec.group_id for n in shown)
    resting_w = max(base_w, (fallback_w or 0.0) - (added_w if is_counted else 0.0))
    firm_w = site.power.firm_w
    if resting_w + added_w <= firm_w:
        return
    detail = (
        f"{spec.group_id} rests at {added_w:.0f} W with overhead; the site would come down to "
        f"{resting_w + added_w:.0f} W on loss of signal, and power.firm_w is {firm_w:.0f} W"
    )
    remedy = f"raise power.firm_w, or take {resting_w + added_w - firm_w:.0f} W of base or firm jobs out"
    raise Refused(409, "firm_exceeded", detail, field="base_w", value=spec.base_w, remedy=remedy)


def _check_domains(spec: GroupSpec, site: Site, others_w: dict[str, float]) -> None:
    """It has one place among the feeders and racks, and all of them still carry at rest what is behind them."""
    try:
        check_domains(site.power_domains(), others_w | {spec.group_id: idle_w(spec)})
    except ValueError as error:
        raise Refused(
            409,
            "domain_exceeded",
            f"with {spec.group_id}: {error}",
            field="base_w",
            value=spec.base_w,
            remedy="change domains in the site file, or join with a name that no full domain takes",
        ) from error


def _at_rest_w(node: NodeView) -> float:
    models = [GPU_MODELS.get(gpu.model) for gpu in node.gpus]
    return node.base_w + sum(model.idle_w for model in models if model is not None)


def answer(settings: Settings, site: Site, group_id: str) -> dict[str, Any]:
    """What a node needs: where Ray is and the token that it wants, and how its guard is to behave. Raises `Refused`."""
    record = _read(settings.run_dir / "site.json")
    ray_address, token = str(record.get("ray_address", "")), settings.run_dir / "ray.token"
    if not ray_address or not token.exists():
        raise Refused(409, "not_ready", "Ray is not up yet", remedy="try again in a moment")
    if ray_address.startswith(f"{LOOPBACK}:"):
        detail = f"this site listens on {LOOPBACK}, which no other machine can reach"
        raise Refused(409, "not_listening", detail, remedy=_LISTEN)
    return {
        "site": site.name,
        "ray_address": ray_address,
        "ray_token": token.read_text("ascii").strip(),
        "guard": site.guard_config(settings.state_dir),
        "filler": told_to_joiner(site.fillers, group_id),
    }


def site_of(settings: Settings) -> Site:
    """The site file in force. Raises `SettingsError`."""
    return load_site(settings.state_dir / "site.yaml")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
