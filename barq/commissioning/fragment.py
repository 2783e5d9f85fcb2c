"""The file that a walk leaves: the figures that the site file takes, and beside them what they were made from. Pure.

Only `version`, `site`, `measured_at`, `devices` and `figures` are read again (`scheduler.measured`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean, median
from typing import Any, Final

from barq.commissioning.facts import SiteFacts
from barq.commissioning.fitting import Fit, NodeKind, fit
from barq.commissioning.response import Response, lag_s
from barq.commissioning.walk import Findings, Step

VERSION: Final = 1
MOST_ERROR: Final = 0.05  #: standard error of an overhead that is still a figure for the site file
_FALL: Final = "off"  #: of miners: what jobs draw is moved on by the trim of the meter, and is no fall alone
HEAD: Final = """\
# Measured by `barq commission`. The site file takes it by the key `measured: {name}`, this file beside it. What is here
# more careful than there counts; what is less careful counts only if the site file accepts it by name. See the page
# commissioning.md of the documentation. Measure again after any change of devices, cooling or meter.
"""


def document(
    found: Findings, facts: SiteFacts, devices: Mapping[str, Any], *, measured_at: str
) -> dict[str, Any]:
    """What is written. Raises NoFit where nodes were measured and the levels do not say what the overhead is."""
    kinds = node_kinds(facts)
    nodes_were_measured = any(level.loaded for level in found.levels)
    fitted = (
        fit(found.levels, kinds, _kinds_by_node(facts), facts.auxiliary_w) if nodes_were_measured else None
    )
    late_s = _lag_s(found.steps)
    return {
        "version": VERSION,
        "site": facts.name,
        "measured_at": measured_at,
        "devices": devices,
        "figures": _figures(found, fitted, late_s),
        "meter": {
            "source": found.meter_source,
            "resolution_s": round(found.resolution_s, 2),
            "lag_s": round(late_s, 2),
            "noise_w": round(_noise_w(found.steps), 1),
        },
        "fit": _fit_facts(fitted),
        "miners": {gid: _miners(found.steps, gid, facts) for gid in facts.miners if _of(found.steps, gid)},
        "nodes": {nid: _node(found.steps, nid) for nid in facts.nodes if _of(found.steps, nid)},
        "levels": [_rounded(asdict(level)) for level in found.levels],
        "steps": [_rounded(asdict(step)) for step in found.steps],
    }


def node_kinds(facts: SiteFacts) -> dict[str, NodeKind]:
    """The entries of the site file that nodes come from, and the nodes that joined, each by itself."""
    kinds: dict[str, NodeKind] = {}
    for node in facts.nodes.values():
        known = kinds.get(node.kind)
        kinds[node.kind] = NodeKind(count=1 + (known.count if known else 0), base_w=node.base_w)
    return kinds


def falls(steps: Sequence[Step]) -> list[tuple[Response, Response]]:
    """How meter and devices showed each fall that a limit ordered."""
    return [(s.meter, s.devices) for s in steps if s.name == _FALL and s.meter and s.devices]


def _figures(found: Findings, fitted: Fit | None, late_s: float) -> dict[str, Any]:
    """As the site file names them. A fall is counted from the order, less what the meter itself is late by."""
    seen = [(m.settle_s - late_s, d.settle_s) for m, d in falls(found.steps)]
    fall_s = max((metered_s for metered_s, _ in seen), default=None)
    certain_s = max(
        (min(both) for both in seen), default=0.0
    )  # a meter that averages shows a tail that is its own
    starts_s = [s.seconds for s in found.steps if s.name == "start" and s.seconds is not None]
    figures: dict[str, Any] = {}
    if fitted is not None and _is_certain(fitted):
        figures["overhead"] = round(fitted.overhead, 4)
        figures["base_w"] = {kind: round(w, 1) for kind, w in fitted.base_w.items()}
    if fall_s is not None:
        figures["fall_s"] = round(fall_s, 2)
        figures["fall_least_s"] = round(max(0.0, certain_s - found.resolution_s), 2)
    if starts_s:
        figures["restart_s"] = round(max(starts_s), 1)
    return figures


def _is_certain(fitted: Fit) -> bool:
    """Whether the overhead, and the base that follows from it, is better known than a site file guesses it."""
    return fitted.overhead_error is None or fitted.overhead_error <= MOST_ERROR


def _fit_facts(fitted: Fit | None) -> dict[str, Any] | None:
    if fitted is None:
        return None
    error = fitted.overhead_error
    return {
        "overhead_error": None if error is None else round(error, 4),
        "overhead": round(fitted.overhead, 4),
        "is_certain": _is_certain(fitted),
        "by_caps": fitted.by_caps,
        "rest_w": round(fitted.rest_w, 1),
        "rmse_w": round(fitted.rmse_w, 1),
        "levels": fitted.levels,
    }


def _miners(steps: Sequence[Step], group_id: str, facts: SiteFacts) -> dict[str, Any]:
    """One group, by its own reports; by the meter too, where it was the only one."""
    told, on, off = (
        facts.miners[group_id],
        _of(steps, group_id, "on"),
        _of(steps, group_id, "off"),
    )
    full_w = fmean(s.devices_w for s in on)
    seen = [(s.meter.change_w, s.devices.change_w) for s in (*on, *off) if s.alone and s.meter and s.devices]
    return {
        "full_w": round(full_w, 1),
        "rest_w": round(fmean(s.devices_w for s in off), 1) if off else None,
        "nameplate_w": told.max_w + told.rest_w,
        "of_nameplate": round(full_w / (told.max_w + told.rest_w), 3),
        "meter_per_report": round(fmean(m / d for m, d in seen), 3) if seen else None,
        "rise": _pace([s.devices for s in on]),
        "fall": _pace([s.devices for s in off]),
    }


def _node(steps: Sequence[Step], node_id: str) -> dict[str, Any]:
    """One node: how long each change took, s."""
    took = {s.name: None if s.seconds is None else round(s.seconds, 1) for s in _of(steps, node_id)}
    cuts = [s.meter.settle_s for s in _of(steps, node_id) if s.name.startswith("cap") and s.meter]
    return {
        "cap_settle_s": round(max(cuts), 2) if cuts else None,
        "start_s": took.get("start"),
        "suspend_s": took.get("suspend"),
        "resume_s": took.get("resume"),
        "leave_s": took.get("leave"),
    }


def _pace(responses: Sequence[Response | None]) -> dict[str, Any] | None:
    known = [r for r in responses if r is not None]
    if not known:
        return None
    ramps = [r.ramp_w_per_s for r in known if r.ramp_w_per_s is not None]
    return {
        "dead_s": round(max(r.dead_s for r in known), 2),
        "settle_s": round(max(r.settle_s for r in known), 2),
        "ramp_w_per_s": round(min((abs(ramp), ramp) for ramp in ramps)[1], 1)
        if len(ramps) == len(known)
        else None,
    }


def _lag_s(steps: Sequence[Step]) -> float:
    both = [(s.meter, s.devices) for s in steps if s.meter and s.devices]
    return lag_s([m for m, _ in both], [d for _, d in both])


def _noise_w(steps: Sequence[Step]) -> float:
    noises = [s.meter.noise_w for s in steps if s.meter]
    return median(noises) if noises else 0.0


def _of(steps: Sequence[Step], group: str, name: str | None = None) -> list[Step]:
    return [s for s in steps if s.group == group and name in (None, s.name)]


def _kinds_by_node(facts: SiteFacts) -> dict[str, str]:
    return {node.node_id: node.kind for node in facts.nodes.values()}


def _rounded(values: Any) -> Any:  # noqa: ANN401 - any part of the document
    """No more digits than mean anything."""
    match values:
        case float():
            return round(values, 2)
        case dict():
            return {key: _rounded(value) for key, value in values.items()}
        case _:
            return values
