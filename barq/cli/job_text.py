"""A job as people read it: its row in a table, its one line, and where it runs or why it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from barq.cli.facts import NOTHING, ago
from barq.cli.output import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from barq.views import ArrayView, JobView, PlacementView

STATE_STYLES: Final = {
    "RUNNING": "green",
    "STARTING": "green",
    "SUSPENDED": "yellow",
    "PREEMPTING": "yellow",
    "PAUSED": "yellow",
    "HELD": "magenta",
    "CANCELLING": "magenta",
    "CANCELLED": "dim",
    "SUCCEEDED": "dim green",
    "FAILED": "bold red",
}
_HEADERS: Final = ("ID", "NAME", "STATE", "SINCE", "PRIORITY", "GPUS", "STEP", "NODES(REASON)")
_FINAL: Final = frozenset({"CANCELLED", "SUCCEEDED", "FAILED"})
_ASKED: Final = {
    "CANCEL": ("cancelled", _FINAL | {"CANCELLING"}),
    "HOLD": ("held", _FINAL | {"HELD"}),
}
_STOPPED_IN_PLACE: Final = frozenset({"SUSPENDED", "PREEMPTING"})


def jobs_table(jobs: Iterable[JobView]) -> Table:
    """Return one row per job."""
    rows = [_row(job) for job in jobs]
    return Table(
        headers=_HEADERS, rows=rows, right=frozenset({"PRIORITY", "GPUS", "STEP"}), styles=STATE_STYLES
    )


def job_line(job: JobView) -> str:
    """Return a job in one line: id, state, where or why; first what was asked for and is still to come."""
    if asked := _ASKED.get(job.get("desired", "")):
        what, done = asked
        if job["state"] not in done:
            return f"{job['id']} {job['state']}, to be {what}"
    where = nodes_or_reason(job)
    return f"{job['id']} {job['state']}" + ("" if where == NOTHING else f" {where}")


def array_line(array: ArrayView) -> str:
    """Return an array in one line: id, how many jobs, and how many of them are in each state."""
    states = ", ".join(f"{count} {state}" for state, count in array["jobs"].items())
    return f"{array['id']} {array['count']} jobs: {states}"


def names_of(jobs: Sequence[JobView]) -> list[str]:
    """Return the ids of new jobs; those of an array go by its id."""
    return list(dict.fromkeys(job.get("array_id") or job["id"] for job in jobs))


def lines_of(jobs: Sequence[JobView]) -> list[str]:
    """Return new jobs in one line each, an array in one for all of it."""
    groups: dict[str, list[JobView]] = {}
    for job in jobs:
        groups.setdefault(job.get("array_id") or job["id"], []).append(job)
    return [
        f"{name} {len(group)} jobs, {group[0]['id']} to {group[-1]['id']}"
        if group[0].get("array_id")
        else job_line(group[0])
        for name, group in groups.items()
    ]


def nodes_or_reason(job: JobView) -> str:
    """Return the nodes of a placed job, else its reason in parentheses; both if it stopped in place."""
    nodes = node_names(job["placements"])
    reason = f"({job['reason']['text']})" if job["reason"] else ""
    if nodes and job["state"] not in _STOPPED_IN_PLACE:
        return nodes
    return " ".join(part for part in (nodes, reason) if part) or NOTHING


def node_names(placements: Sequence[PlacementView]) -> str:
    """Return the nodes of an attempt, `node-1,node-2`."""
    return ",".join(placement["node_id"] for placement in placements)


def gpus_text(job: JobView) -> str:
    """Return how many GPUs a job wants, `2`, `4x2` for 2 on each of 4 nodes, `2..8x2` of an elastic gang."""
    least, most = job["nodes"], job.get("max_nodes", job["nodes"])
    if most == 1:
        return str(job["gpus"])
    return f"{least}x{job['gpus']}" if most == least else f"{least}..{most}x{job['gpus']}"


def text_of(value: object) -> str:
    """Return `value` as text, a dash for what is not known."""
    return NOTHING if value is None or value == "" else str(value)


def _row(job: JobView) -> list[str]:
    return [
        job["id"],
        job["name"],
        job["state"],
        ago(job["since_at"]),
        str(job["priority"]),
        gpus_text(job),
        text_of(job["step"]),
        nodes_or_reason(job),
    ]
