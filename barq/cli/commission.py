"""`barq commission`: lead an idle site through its steps, and write down what was measured."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from barq.cli.commission_facts import read_facts
from barq.cli.connect import connect
from barq.cli.down import StateOption
from barq.cli.options import JsonOption, duration_s
from barq.cli.output import Block, Format, Table, chosen_format, emit, say
from barq.errors import BarqError, InvalidInput, Refused
from barq.location import state_dir
from barq.units import format_duration, format_power

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from barq.commissioning.facts import MinerFacts, NodeFacts, SiteFacts
    from barq.commissioning.watching import Here, Watcher

LOOK_AGAIN_S: Final = 5.0
_STEP_S: Final = 12.0  #: a step takes about so long beyond the settling


def commission(
    *,
    group: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this node or group of miners; may be given several times."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write it.")] = Path("measured.yaml"),
    falls: Annotated[int, typer.Option(min=1, max=100, help="How often miners go on and off.")] = 3,
    settle: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help="How long a level has to stand still; longer where it is noisy."
        ),
    ] = "8s",
    patience: Annotated[
        str, typer.Option(metavar="DURATION", help="How long to wait for each change at most.")
    ] = "2m",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until no job runs or waits.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the idle site: overhead, base load, ramps and settling times.

    Run it as an operator, on the machine where the site was started. The scheduler leads all the while and keeps every
    limit; Ctrl-C, a fall of the limit or a job of others ends it, gives all back, and writes nothing.
    """
    form = chosen_format(as_json=as_json, quiet=False)
    facts, devices = read_facts((state or state_dir(os.environ)).expanduser().resolve())
    nodes, miners = chosen(facts, group or [])
    if not out.absolute().parent.is_dir():
        raise InvalidInput(f"--out: there is no directory {out.absolute().parent}", field="--out")
    _agreed(nodes, miners, settle_s=duration_s(settle, "--settle"), falls=falls, yes=yes)
    with _term_as_ctrl_c(), connect() as site:
        watcher = _watcher(site, settle, patience)
        if wait:
            _wait_until_idle(watcher)
        measured = _measured(watcher, facts, devices, nodes, miners, falls)
    _write(out, measured)
    emit(form, value=measured, ids=[str(out)], blocks=lambda: blocks(measured, facts))
    if form is Format.TABLE:
        say(f"written to {out}; put it beside the site file and say there `measured: {out.name}`")


@contextmanager
def _term_as_ctrl_c() -> Iterator[None]:
    """Give everything back on SIGTERM, too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def chosen(facts: SiteFacts, names: Sequence[str]) -> tuple[list[NodeFacts], list[MinerFacts]]:
    """The groups that are measured: all, or those that were named. Raises InvalidInput."""
    known = [*facts.nodes, *facts.miners]
    if unknown := next((name for name in names if name not in known), None):
        raise InvalidInput(
            f"--group {unknown}: there is no such group",
            field="--group",
            value=unknown,
            remedy=f"use one of {', '.join(known)}",
        )
    nodes = [node for name, node in facts.nodes.items() if not names or name in names]
    is_mining = not names or any(name in names for name in facts.miners)
    return nodes, list(facts.miners.values()) if is_mining else []


def _agreed(
    nodes: Sequence[NodeFacts], miners: Sequence[MinerFacts], *, settle_s: float, falls: int, yes: bool
) -> None:
    """Say what is going to happen, and ask. Raises Refused where nobody can be asked."""
    waits_s = falls * max((m.min_on_s + m.min_off_s for m in miners), default=0.0)
    steps = 1 + (2 * falls if miners else 0) + sum(5 + len(n.caps_w()) for n in nodes)
    lasts = format_duration(waits_s + steps * (settle_s + _STEP_S) / 1.5)
    names = ", ".join([*(m.group_id for m in miners), *(n.node_id for n in nodes)])
    say(
        f"{steps} steps, about {lasts}: {names}. Mining stops but for its own steps, and no job may run meanwhile."
    )
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused("nobody can be asked here", remedy="say --yes")
    if not typer.confirm("Go on?", err=True):
        raise Refused("nothing was done", remedy="run it when it suits")


def _watcher(site: Here, settle: str, patience: str) -> Watcher:
    from barq.commissioning.watching import Watcher

    window_s, patience_s = duration_s(settle, "--settle"), duration_s(patience, "--patience")
    return Watcher(site, window_s=window_s, patience_s=max(patience_s, 2 * window_s))


def _wait_until_idle(watcher: Watcher) -> None:
    from barq.commissioning.watching import awake

    told = ""
    while jobs := awake(watcher.site):
        if told != (news := f"waiting for {len(jobs)} job(s), {jobs[0]['id']} first"):
            say(news)
            told = news
        watcher.sleep(LOOK_AGAIN_S)


def _measured(
    watcher: Watcher,
    facts: SiteFacts,
    devices: Mapping[str, Any],
    nodes: Sequence[NodeFacts],
    miners: Sequence[MinerFacts],
    falls: int,
) -> dict[str, Any]:
    from barq.commissioning.fitting import NoFit
    from barq.commissioning.fragment import document
    from barq.commissioning.walk import Walk

    found = Walk(facts, watcher, tell=say, falls=falls).run(nodes, miners)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        return document(found, facts, devices, measured_at=at)
    except NoFit as error:
        raise BarqError(
            f"nothing was written: {error}",
            remedy="see that the meter is the one of this site, in `barq power`",
        ) from error


def _write(path: Path, measured: Mapping[str, Any]) -> None:
    """Replace the file as a whole: half a measurement is none."""
    import yaml

    from barq.commissioning.fragment import HEAD
    from barq.contract import write_atomically

    text = HEAD.format(name=path.name) + yaml.safe_dump(dict(measured), sort_keys=False, width=100)
    write_atomically(path, text.encode(), durable=True)


def blocks(measured: Mapping[str, Any], facts: SiteFacts) -> list[Block]:
    """What was measured beside what the site file says, and what the measurement is worth."""
    figures, kinds = measured["figures"], {n.kind: n.base_w for n in facts.nodes.values()}
    rows = []
    if "overhead" in figures:
        error = measured["fit"]["overhead_error"]
        seen = f"{figures['overhead']:.3f}" + (f" ± {error:.3f}" if error is not None else "")
        rows.append(("overhead", f"{facts.overhead:g}", seen))
    for kind, base_w in figures.get("base_w", {}).items():
        rows.append((f"base of {kind}", format_power(kinds[kind]), format_power(base_w)))
    if "fall_s" in figures:
        rows.append(
            ("fall", f"{facts.fall_s:g} s", f"{figures['fall_least_s']:.1f} to {figures['fall_s']:.1f} s")
        )
    if "restart_s" in figures:
        rows.append(("restart", f"{facts.restart_s:g} s", f"{figures['restart_s']:.1f} s"))
    for gid, one in measured["miners"].items():
        rows.append((gid, format_power(one["nameplate_w"]), f"{format_power(one['full_w'])} at full"))
    meter, fitted = measured["meter"], measured["fit"]
    worth = (
        f"meter {meter['source']}: a reading every {meter['resolution_s']:.1f} s, {meter['lag_s']:.1f} s behind the "
        f"devices, noise {meter['noise_w']:.0f} W"
    )
    if fitted is not None:
        if not fitted["is_certain"]:
            worth += (
                f"; too coarse for the overhead ({fitted['overhead']:.2f} ± {fitted['overhead_error']:.2f})"
            )
        worth += f"; the model is off by {fitted['rmse_w']:.0f} W (RMSE over {fitted['levels']} levels)"
    return [Table(headers=("FIGURE", "SITE FILE", "MEASURED"), rows=rows), "", worth]
