"""`barq submit`: job files, or one command after `--`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand

from barq.cli.connect import connect
from barq.cli.job_fields import (
    checked,
    fields_of,
    given,
    node_count,
    overlaid,
    topology_fields,
    variables,
    working_dir_fields,
)
from barq.cli.job_text import lines_of, names_of
from barq.cli.options import JsonOption, QuietOption
from barq.cli.output import Format, chosen_format, emit, say
from barq.cli.sending import packed
from barq.cli.shadow_text import say_shadow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from barq.client import Client
    from barq.views import JobView

COMMAND: Final = "barq.command"
"""Where the command after `--` lies in typer's context."""
_DOC: Final = """Queue the jobs of job files, or one command that runs in this folder.

For example: barq submit train.yaml, or: barq submit --gpus 2 --name x -- python train.py --epochs 3.
Options win over what files say."""

Files = Annotated[
    list[str] | None,
    typer.Argument(metavar="JOB.yaml", help="Job files, - is stdin; instead, a command after --."),
]
Gpus = Annotated[int | None, typer.Option(metavar="N", help="GPUs on each node.")]
Nodes = Annotated[
    str | None, typer.Option(metavar="N", help="Nodes; 2..8 = as many of them as there are for it.")
]
Topology = Annotated[
    str | None,
    typer.Option(
        metavar="required=LEVEL", help="Its nodes in one rack, or preferred=rack: if there is room."
    ),
]
Array = Annotated[
    str | None,
    typer.Option(
        metavar="RANGE", help="One job for each index: 0-9, 0-99:10, 1,3,7; %4 behind = four at once."
    ),
]
Name = Annotated[str | None, typer.Option(metavar="NAME", help="What to call it.")]
Project = Annotated[str | None, typer.Option(metavar="NAME", help="The project that it belongs to.")]
Kind = Annotated[str | None, typer.Option(metavar="KIND", help="training or batch.")]
Priority = Annotated[int | None, typer.Option(metavar="N", help="Larger is sooner.")]
Flex = Annotated[
    int | None, typer.Option(metavar="TIER", help="0 = never shed for power, 4 = may be paused at will.")
]
Env = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="A variable; NAME alone passes yours on.")
]
TimeLimit = Annotated[
    str | None, typer.Option(metavar="DURATION", help="End it after this running time, such as 1h.")
]
Deadline = Annotated[
    str | None, typer.Option(metavar="WHEN", help="To be done by this time, or so long from now, such as 6h.")
]
Estimate = Annotated[
    str | None, typer.Option(metavar="DURATION", help="How long it runs at full speed, as you guess.")
]
MaxFailures = Annotated[int | None, typer.Option(metavar="N", help="Failures after which it is tried again.")]
After = Annotated[
    list[str] | None, typer.Option(metavar="ID", help="Start only once this job has succeeded.")
]
WorkingDir = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", help="Where it runs: a relative folder here is sent, an absolute is on the nodes."
    ),
]
Upload = Annotated[
    bool | None,
    typer.Option(
        "--upload/--no-upload", help="Send the working directory, or take it as a path on the nodes."
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it has ended; exit 1 unless it succeeded.")]


class SubmitCommand(TyperCommand):
    """Keeps what follows `--` apart from the job files: typer would put them together."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer keeps the type to itself
        """Parse what comes before `--`."""
        if "--" in args:
            at = args.index("--")
            ctx.meta[COMMAND] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=SubmitCommand, help=_DOC)
def submit(
    ctx: typer.Context,
    files: Files = None,
    *,
    gpus: Gpus = None,
    nodes: Nodes = None,
    topology: Topology = None,
    array: Array = None,
    name: Name = None,
    project: Project = None,
    kind: Kind = None,
    priority: Priority = None,
    flex: Flex = None,
    env: Env = None,
    deadline: Deadline = None,
    estimate: Estimate = None,
    time_limit: TimeLimit = None,
    max_failures: MaxFailures = None,
    after: After = None,
    working_dir: WorkingDir = None,
    upload: Upload = None,
    wait: Wait = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Queue the jobs of job files, or one command that runs in this folder."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    options: dict[str, Any] = {"name": name, "project": project, "kind": kind, "array": array}
    options |= {"nodes": node_count(nodes), "topology": topology_fields(topology)}
    options |= {"priority": priority, "flex": flex, "time_limit": time_limit, "env": variables(env or [])}
    options |= {"deadline": deadline, "estimate": estimate}
    options |= {"resources": given({"gpus": gpus}), "retry": given({"max_failures": max_failures})}
    options |= working_dir_fields(working_dir, upload=upload)
    asked = fields_of(files or [], ctx.meta.get(COMMAND))
    requests = [checked(overlaid(fields, given(options))) for fields in asked]
    with connect() as site:
        if after:
            options["dependencies"] = [f"afterok:{site.find_any(text)['id']}" for text in after]
            requests = [checked(overlaid(fields, given(options))) for fields in asked]
        _report(site, _submit(site, packed(site, requests, form)), form, wait=wait)


def _submit(site: Client, jobs: Sequence[Mapping[str, Any]]) -> list[JobView]:
    is_single = len(jobs) == 1 and jobs[0].get("array") is None
    return [site.submit(jobs[0])] if is_single else site.submit_many(jobs)


def _report(site: Client, jobs: Sequence[JobView], form: Format, *, wait: bool) -> None:
    if not wait:
        emit(form, value=jobs, ids=names_of(jobs), blocks=lambda: lines_of(jobs))
        say_shadow(jobs)
        return
    from barq.cli.wait import await_jobs

    say_shadow(jobs)
    if form is Format.TABLE:
        say(f"waiting for {', '.join(names_of(jobs))}; Ctrl-C leaves the work alone")
    await_jobs(site, [job["id"] for job in jobs], form)
