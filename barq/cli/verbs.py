"""Which verbs there are, in the order of the help, and how one is loaded when it is called."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Final

import typer
from typer.core import TyperGroup

from barq.cli.exits import errors_as_exit_codes, mistakes_in_our_words


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One verb: `target` is `module:name` of a function with typer's annotations, or of a Typer app."""

    name: str
    target: str
    help: str  #: its line in `barq --help`
    asks: bool = True  #: it asks a site, so `--profile NAME` may follow it too


VERBS: Final = (
    Verb(name="submit", target="barq.cli.submit:app", help="Queue jobs from job files, or one command."),
    Verb(name="jobs", target="barq.cli.jobs:jobs", help="List jobs: where each runs, or why it does not."),
    Verb(name="show", target="barq.cli.show:show", help="Show a job, its attempts and its checkpoints."),
    Verb(
        name="why", target="barq.cli.why:why", help="Say why a job is where it is, and what would change it."
    ),
    Verb(name="plan", target="barq.cli.plan:app", help="Say what would become of a job, and submit nothing."),
    Verb(name="logs", target="barq.cli.logs:logs", help="Print a job's output."),
    Verb(name="events", target="barq.cli.events:events", help="List what happened to a job."),
    Verb(
        name="wait",
        target="barq.cli.wait:wait",
        help="Wait until jobs have ended; fail if one did not succeed.",
    ),
    Verb(name="cancel", target="barq.cli.control:cancel", help="End jobs for good."),
    Verb(name="hold", target="barq.cli.control:hold", help="Stop jobs until they are released."),
    Verb(name="release", target="barq.cli.control:release", help="Let held jobs run again."),
    Verb(
        name="nodes",
        target="barq.cli.nodes:nodes",
        help="List nodes and miners: what each draws and may draw.",
    ),
    Verb(
        name="miners",
        target="barq.cli.miners:app",
        help="List miners one by one; pause, protect or resume them; guard them for a site elsewhere.",
    ),
    Verb(
        name="node", target="barq.cli.node:app", help="Add this machine to a site elsewhere, or take it out."
    ),
    Verb(
        name="project",
        target="barq.cli.project:app",
        help="List projects: quotas, what they use, whose turn it is.",
    ),
    Verb(
        name="partners",
        target="barq.cli.partners:app",
        help="List mining partners: what each may draw, until when, and why.",
    ),
    Verb(
        name="power",
        target="barq.cli.power:app",
        help="Show the site's power; limit it, or release its limits.",
    ),
    Verb(
        name="forecast",
        target="barq.cli.forecast:forecast",
        help="Show the limit of the hours to come, and how good forecasts are.",
    ),
    Verb(
        name="hashprice",
        target="barq.cli.hashprice:app",
        help="Show what mining brings by the MWh; tell price, difficulty and fees.",
    ),
    Verb(
        name="dispatch",
        target="barq.cli.dispatch:app",
        help="List what givers of the limit told; acknowledge or refuse it.",
    ),
    Verb(
        name="report",
        target="barq.cli.report:app",
        help="Report a month: energy by class, and who allowed it.",
    ),
    Verb(
        name="settle",
        target="barq.cli.settle:app",
        help="Settle a month with a mining partner: energy, charges, credits.",
    ),
    Verb(
        name="shadow",
        target="barq.cli.shadow:shadow",
        help="Compare the site with its twin by day, in shadow mode.",
    ),
    Verb(
        name="estop",
        target="barq.cli.estop:app",
        help="Emergency stop: all to its fallback, until a person releases it.",
    ),
    Verb(name="token", target="barq.cli.token:app", help="Make, list and revoke the tokens of people."),
    Verb(name="login", target="barq.cli.login:login", help="Remember a site and your token.", asks=False),
    Verb(name="logout", target="barq.cli.login:logout", help="Forget a site and your token.", asks=False),
    Verb(
        name="profiles",
        target="barq.cli.login:profiles",
        help="List the sites that you logged in to, or choose one.",
        asks=False,
    ),
    Verb(name="up", target="barq.cli.up:up", help="Start a site on this machine.", asks=False),
    Verb(name="down", target="barq.cli.down:down", help="Stop the site on this machine.", asks=False),
    Verb(
        name="doctor",
        target="barq.cli.doctor:doctor",
        help="Say what this machine can and cannot do, with remedies.",
        asks=False,
    ),
    Verb(
        name="commission",
        target="barq.cli.commission:commission",
        help="Measure the idle site: overhead, base load, ramps, settling times.",
    ),
    Verb(
        name="demo",
        target="barq.cli.demo:demo",
        help="Run real jobs through a day of surplus power.",
        asks=False,
    ),
    Verb(
        name="simulate",
        target="barq.cli.simulate:simulate",
        help="Try policies on traces of jobs and power, on a virtual clock.",
        asks=False,
    ),
    Verb(
        name="replay",
        target="barq.cli.replay:replay",
        help="Decide again what a recording decided.",
        asks=False,
    ),
)
PROFILE: Final = "barq.profile"
"""Where the profile that a verb was given lies in typer's context."""
_BY_NAME: Final = {verb.name: verb for verb in VERBS}


class VerbGroup(TyperGroup):
    """The program: loads the verb that is called, and turns its errors into exit codes."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - typer keeps these types to itself
        """Return the command that `args` names, loaded."""
        if args and args[0] in _BY_NAME:
            verb = _BY_NAME[args[0]]
            with errors_as_exit_codes():
                self.commands[args[0]] = load(verb)
            if verb.asks:
                ctx.meta[PROFILE], args = without_profile(args)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer keeps these types to itself
        """Run the command that was called."""
        with errors_as_exit_codes(), mistakes_in_our_words():
            return super().invoke(ctx)


def without_profile(args: list[str]) -> tuple[str | None, list[str]]:
    """Return the value of `--profile`, and the rest. What follows `--` is somebody else's command line."""
    end = args.index("--") if "--" in args else len(args)
    for at, word in enumerate(args[:end]):
        if word.startswith("--profile="):
            return word.partition("=")[2], args[:at] + args[at + 1 :]
        if word == "--profile" and at + 1 < end:
            return args[at + 1], args[:at] + args[at + 2 :]
    return None, args


def load(verb: Verb) -> Any:  # noqa: ANN401 - typer keeps these types to itself
    """Import a verb's module, and return its command."""
    module, _, name = verb.target.partition(":")
    target = getattr(importlib.import_module(module), name)
    app = target if isinstance(target, typer.Typer) else _app_of(target)
    command = typer.main.get_command(app)
    command.name = verb.name
    return command


def _app_of(function: Any) -> typer.Typer:  # noqa: ANN401 - any function with annotations
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(function)
    return app
