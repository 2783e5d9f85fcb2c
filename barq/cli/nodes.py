"""`barq nodes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barq.cli.connect import STARTING, connect, is_starting, silence
from barq.cli.facts import NOTHING, ago
from barq.cli.options import JsonOption, QuietOption
from barq.cli.output import Block, Format, Table, chosen_format, emit, say
from barq.cli.shadow_text import notice
from barq.units import format_power

if TYPE_CHECKING:
    from collections.abc import Sequence

    from barq.views import MinerView, NodeView

_HEADERS = (
    "NODE",
    "KIND",
    "ADDRESS",
    "STATE",
    "DRAW",
    "ALLOWED",
    "GPUS",
    "CAP",
    "MINERS",
    "REPORT",
)
_TOPOLOGY = "TOPOLOGY"
"""A column of sites that have levels."""
_RIGHT = frozenset({"DRAW", "ALLOWED", "GPUS", "CAP", "MINERS"})
_STYLES = {
    "ok": "green",
    "fallback": "yellow",
    "unreachable": "bold red",
    "unguarded": "bold red",
    "stopped": "bold red",
    "no new work": "yellow",
    "passed over": "yellow",
}


def nodes(*, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List nodes and groups of miners: what each draws and may draw, and who uses its GPUs."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        found = site.nodes()
        silent = silence(site) if form is Format.TABLE else []
        none = STARTING if not found and is_starting(site) else "no nodes"
    emit(form, value=found, ids=(node["id"] for node in found), blocks=lambda: [*_blocks(found), *silent])
    if form is Format.TABLE and not found:
        say(none)


def _blocks(found: Sequence[NodeView]) -> list[Block]:
    alarms = [f"{node['id']}: {alarm}" for node in found for alarm in node["alarms"]]
    return [*notice(found), _table(found), *(["", *alarms] if alarms else [])]


def _table(found: Sequence[NodeView]) -> Table:
    headers, rows = list(_HEADERS), [_row(node) for node in found]
    if any(node.get("topology") for node in found):
        headers.append(_TOPOLOGY)
        rows = [[*row, _where(node)] for row, node in zip(rows, found, strict=True)]
    return Table(headers=headers, rows=rows, right=_RIGHT, styles=_STYLES)


def _where(node: NodeView) -> str:
    """Return where a node is, the outermost level first, `b1/r4`."""
    names = node.get("topology", {}).values()
    return "/".join(name or NOTHING for name in names) if any(names) else NOTHING


def _row(node: NodeView) -> list[str]:
    used = sum(gpu["attempt_id"] is not None for gpu in node["gpus"])
    return [
        node["id"],
        node["kind"],
        NOTHING if node.get("unguarded") else node.get("address") or NOTHING,
        _state(node),
        format_power(node["draw_w"]),
        format_power(node["entitlement_w"]),
        f"{used}/{len(node['gpus'])}" if node["gpus"] else NOTHING,
        _caps(node),
        _miners(node["miners"]),
        ago(node["last_report_at"]),
    ]


def _miners(miners: Sequence[MinerView]) -> str:
    """Return how many run, and how many of them below their full work where that is known."""
    if not miners:
        return NOTHING
    trimmed = sum(miner.get("state") == "trimmed" for miner in miners)
    on = f"{sum(miner['target_w'] > 0 for miner in miners)}/{len(miners)} on"
    return f"{on}, {trimmed} trimmed" if trimmed else on


def _state(node: NodeView) -> str:
    if node.get("unguarded"):
        return "unguarded"
    if not node["reachable"]:
        return "unreachable"
    if node.get("estop"):
        return "stopped"
    if node.get("cordoned"):
        return "no new work"
    if node.get("passed_over_until_at"):
        return "passed over"
    return "fallback" if node["in_fallback"] else "ok"


def _caps(node: NodeView) -> str:
    """Return the enforced cap of the GPUs, lowest to highest if they differ."""
    caps_w = sorted({gpu["cap_w"] for gpu in node["gpus"] if gpu["cap_w"] is not None})
    if not caps_w:
        return NOTHING
    lowest, highest = format_power(caps_w[0]), format_power(caps_w[-1])
    return lowest if lowest == highest else f"{lowest}-{highest}"
