"""`barq plan`: the decision on a job file, or on one command after `--`, as a dry run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import typer

from barq.cli.connect import connect
from barq.cli.exits import ExitCode
from barq.cli.facts import ago
from barq.cli.job_fields import checked, fields_of, given, node_count, overlaid, topology_fields
from barq.cli.job_text import node_names
from barq.cli.options import JsonOption, QuietOption
from barq.cli.outlook import change_line, outlook_lines
from barq.cli.output import chosen_format, emit
from barq.cli.submit import (
    COMMAND,
    After,
    Deadline,
    Estimate,
    Files,
    Flex,
    Gpus,
    Nodes,
    Priority,
    Project,
    SubmitCommand,
    TimeLimit,
    Topology,
)
from barq.errors import InvalidInput
from barq.units import format_power

if TYPE_CHECKING:
    from collections.abc import Iterator

    from barq.request import JobRequest
    from barq.views import PlanView

_STARTS_NOW: Final = "starts_now"
_CODES: Final = {
    _STARTS_NOW: ExitCode.OK,
    "waits": ExitCode.WOULD_WAIT,
    "never_fits": ExitCode.REFUSED,
}
_DOC: Final = """Say what would become of a job if it were submitted now, and submit nothing.

For example: barq plan train.yaml, or: barq plan --gpus 2 -- python train.py.
Exit codes: 0 it would start now, 6 it would wait, 4 it can never fit here."""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=SubmitCommand, help=_DOC)
def plan(
    ctx: typer.Context,
    files: Files = None,
    *,
    gpus: Gpus = None,
    nodes: Nodes = None,
    topology: Topology = None,
    project: Project = None,
    priority: Priority = None,
    flex: Flex = None,
    deadline: Deadline = None,
    estimate: Estimate = None,
    time_limit: TimeLimit = None,
    after: After = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say what would become of a job if it were submitted now, and submit nothing."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    options: dict[str, Any] = {"project": project, "priority": priority, "flex": flex}
    options |= {"nodes": node_count(nodes), "deadline": deadline, "estimate": estimate}
    options |= {"time_limit": time_limit, "resources": given({"gpus": gpus})}
    options |= {"topology": topology_fields(topology)}
    fields = _only(fields_of(files or [], ctx.meta.get(COMMAND)))
    request = checked(overlaid(fields, given(options)))
    with connect() as site:
        if after:
            options["dependencies"] = [f"afterok:{site.find_any(text)['id']}" for text in after]
            request = checked(overlaid(fields, given(options)))
        found = site.plan(request)
    emit(form, value=found, ids=[found["verdict"]], blocks=lambda: _lines(request, found))
    if code := _CODES.get(found["verdict"], ExitCode.FAILED):
        raise typer.Exit(code)


def _only(asked: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the one job. Raises InvalidInput if there are several: each would change what becomes of the next."""
    if len(asked) > 1:
        remedy = "plan them one by one"
        raise InvalidInput(
            f"these are {len(asked)} jobs", field="JOB.yaml", value=str(len(asked)), remedy=remedy
        )
    return asked[0]


def _lines(request: JobRequest, found: PlanView) -> Iterator[str]:
    told = f"as of a snapshot of {ago(found['snapshot_at'])}"
    if found["verdict"] == _STARTS_NOW:
        cap = "" if not found["cap_w"] else f" at {format_power(found['cap_w'])} per GPU"
        yield f"{request.name} would start now on {node_names(found['placements'])}{cap}, {told}"
    elif found["verdict"] == "never_fits":
        yield f"{request.name} can never start here{_because(found)}"
    else:
        yield f"{request.name} would wait{_because(found)}"
    if change := change_line(found):
        yield change
    yield from outlook_lines(found)
    if found["effects"]:
        yield "What it would change for others:"
        yield from (f"  {effect['text']}" for effect in found["effects"])


def _because(found: PlanView) -> str:
    reason = found["reason"]
    return "" if reason is None else f": {reason['text']} [{reason['code']}]"
