"""`barq power`, `barq power limit`, `barq power release`; `barq power events` is in a file of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from barq.cli import power_events
from barq.cli.connect import connect
from barq.cli.facts import NOTHING, ago, moment, stop_line
from barq.cli.job_text import text_of
from barq.cli.options import JsonOption, QuietOption, positive_duration_s
from barq.cli.output import Block, Format, Table, chosen_format, emit, say
from barq.cli.shadow_text import real_facts
from barq.errors import InvalidInput
from barq.units import format_duration, format_power, parse_power_w

if TYPE_CHECKING:
    from collections.abc import Sequence

    from barq.site_views import DomainView, FlexView, ForeseenView, LimitView, PowerView, SourceView

app = typer.Typer(add_completion=False, rich_markup_mode=None, invoke_without_command=True)
app.command()(power_events.events)
app.command()(power_events.event)


@app.callback()
def power(ctx: typer.Context, *, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Show the site's power now: the limit, who draws what, and what changes next."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    if ctx.invoked_subcommand is not None:
        return
    with connect() as site:
        now = site.power()
    emit(form, value=now, ids=(limit["id"] for limit in now["limits"]), blocks=lambda: _blocks(now))


@app.command()
def limit(
    most: Annotated[
        str, typer.Argument(metavar="POWER", help="The most that the site may draw, such as 200kW.")
    ],
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; everyone who asks is told.")],
    lasts: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="End it by itself after this long.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Limit the site's draw until released.

    It stands until `barq power release`, or ends by itself if --for says when.
    """
    form = chosen_format(as_json=as_json, quiet=quiet)
    limit_w, for_s = parse_power_w(most, field="POWER"), positive_duration_s(lasts, "--for")
    with connect() as site:
        made = site.limit(limit_w, reason=reason, for_s=for_s)
    until = "until `barq power release`" if for_s is None else f"for {format_duration(for_s)}"
    line = f"limit {made['id']}: the site is limited to {format_power(made['limit_w'])} {until}"
    remark = made.get("remark")
    emit(form, value=made, ids=[made["id"]], blocks=lambda: [line, *([f"note: {remark}"] if remark else [])])


@app.command()
def release(
    which: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Only this limit; all that people set if left out.")
    ] = None,
    *,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; kept with the record.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Release a limit that people set, or all of them."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    if which is not None and not which.isdecimal():
        remedy = "give a number that `barq power` lists"
        raise InvalidInput(f"{which!r} is no limit", field="ID", remedy=remedy)
    with connect() as site:
        released = site.release_limits(reason=reason, limit_id=which)
    lines = [
        f"released limit {one['id']}: {format_power(one['limit_w'])}, {one['reason']}" for one in released
    ]
    emit(form, value=released, ids=(one["id"] for one in released), blocks=lambda: lines)
    if form is Format.TABLE and not released:
        say("no limit stood")


def _blocks(now: PowerView) -> list[Block]:
    blocks: list[Block] = [*_stopped(now), now["sentence"], "", Table(rows=_facts(now))]
    if now["sources"]:
        blocks += ["", _sources_table(now["sources"])]
    if flex := now.get("flex"):
        blocks += ["", _flex_table(flex)]
    if domains := now.get("domains"):
        blocks += ["", _domains_table(domains)]
    if now["limits"]:
        blocks += ["", _limits_table(now["limits"])]
    return blocks


def _stopped(now: PowerView) -> list[Block]:
    stop = now.get("estop")
    return [f"{stop_line(stop)}; `barq estop release` ends it", ""] if stop else []


def _facts(now: PowerView) -> list[tuple[str, str]]:
    change = now["next_change"]
    given_by = ", ".join(part for part in (now["limit_source"], now["limit_provenance"]) if part)
    facts = [
        ("limit", f"{format_power(now['limit_w'])} ({given_by})"),
        *_origin(now),
        ("draw", _draw(now)),
        *real_facts(now.get("shadow")),
        ("AI work", format_power(now["ai_w"])),
        ("nodes, overhead", format_power(now.get("rest_w") or 0.0)),
        ("miners", format_power(now["miners_w"])),
        ("unused", format_power(now["unused_w"])),
        ("at most", f"{format_power(now['committed_w'])} as things stand"),
        ("firm", format_power(now["firm_w"])),
        ("over the limit", f"{format_duration(now['over_limit_s'])} so far"),
    ]
    if now.get("margin_why"):
        facts.insert(2, ("margin", _margin(now)))
    if (trim_w := now.get("trim_w")) is not None:
        facts.insert(2, ("correction", _trim(trim_w, now.get("trim_why"))))
    if change is not None:
        facts.append(("next", f"{format_power(change['limit_w'])} at {moment(change['at'])}"))
    return facts + [("foreseen", _foreseen(told)) for told in now.get("forecast") or []]


_EVER: Final = "1970-"
"""The year in which a limit begins that has no beginning."""


def _origin(now: PowerView) -> list[tuple[str, str]]:
    """Document, feeder and interval of the limit in force, where they are known."""
    named = [("document", now.get("limit_document")), ("feeder", now.get("limit_feeder"))]
    told = now["limit_provenance"] or ""
    found = [(fact, text) for fact, text in named if text and text not in told]
    since = now.get("limit_since_at")
    if since and not since.startswith(_EVER):
        until = now.get("limit_until_at")
        found.append(("interval", f"{moment(since)} to {moment(until) if until else 'further notice'}"))
    return found


def _draw(now: PowerView) -> str:
    """With what it is worth, where the meter cannot be read."""
    if now["draw_measured_at"] is None and now.get("draw_quality") is None:
        return "not known yet: nothing was read since the scheduler started"
    draw, since = format_power(now["draw_w"]), ago(now["draw_measured_at"])
    match now.get("draw_quality"):
        case "estimated":
            return f"{draw}, ESTIMATED {since} {_estimate(now.get('draw_source'))}"
        case "stale":
            return f"{draw}, measured {since}: the meter does not answer"
        case "bad":
            return f"{draw}, measured {since}: what the meter answers now is refused"
        case _:
            return f"{draw}, measured {since}"


def _trim(trim_w: float, why: str | None) -> str:
    """What the meter makes of the model, and why it makes no more of it."""
    word = "taken off" if trim_w > 0 else "given back"
    what = f"{format_power(abs(trim_w))} {word}" if trim_w else "none"
    return f"{what}: {why}" if why else what


def _margin(now: PowerView) -> str:
    """What is kept free, of how much at most, and what the meter has to do with it."""
    share, most, peak = now.get("margin") or 0.0, now.get("margin_most") or 0.0, now.get("margin_peak")
    seen = (
        ""
        if peak is None
        else f"; at most {abs(peak):.1%} {'above' if peak > 0 else 'under'} the orders so far"
    )
    return f"{share:.1%} of at most {most:.1%}: {now.get('margin_why')}{seen}"


def _state(source: SourceView) -> str:
    """With a countdown once a third of the time has passed that it may be silent."""
    left_s, age_s = source.get("stale_in_s"), source["age_s"]
    if source["stale"]:
        return "stale"
    if left_s is None or age_s is None or 2 * age_s < left_s:
        return "fresh"
    return f"stale in {format_duration(left_s)}"


def _estimate(source: str | None) -> str:
    """What an estimate is made of, and why it is one."""
    if source in (None, "reports"):
        return "from what devices report: the meter cannot be read"
    return f"by {source}: another meter cannot be read, or some controllers of nodes do not answer"


def _foreseen(told: ForeseenView) -> str:
    """Quantiles by name: a forecast is planned on, and no limit."""
    quantiles = ", ".join(f"{format_power(q['limit_w'])} ({q['name']})" for q in told["quantiles"])
    return f"{quantiles} from {moment(told['at'])} on, by {told['source']}"


def _sources_table(sources: Sequence[SourceView]) -> Table:
    rows = [
        (
            source["name"] + (f" ({domain})" if (domain := source.get("domain")) else ""),
            NOTHING if source["limit_w"] is None else format_power(source["limit_w"]),
            _state(source),
            NOTHING if source["age_s"] is None else format_duration(source["age_s"]),
            moment(source["valid_until"]),
            _from(source),
        )
        for source in sources
    ]
    headers = ("SOURCE", "LIMIT", "STATE", "AGE", "VALID UNTIL", "FROM")
    styles = {_state(source): "yellow" for source in sources} | {"fresh": "green", "stale": "bold red"}
    return Table(headers=headers, rows=rows, right=frozenset({"LIMIT", "AGE"}), styles=styles)


def _from(source: SourceView) -> str:
    """Who says so, by which document and for which feeder, as far as these add something."""
    told = source["provenance"] or ""
    more = (source.get("document") or "", source.get("feeder") or "")
    return text_of(", ".join(part for part in (told, *more) if part and (part is told or part not in told)))


def _flex_table(flex: FlexView) -> Table:
    """What could go and what could be added after a signal, and by what means it would go."""
    rows = [
        (
            format_duration(step["within_s"]),
            *(format_power(step[key]) for key in ("down_w", "up_w", "left_w")),
            ", ".join(
                f"{means['name']} {format_power(means['power_w'])}"
                for means in flex["down"]
                if means["within_s"] <= step["within_s"]
            )
            or NOTHING,
        )
        for step in flex["steps"]
    ]
    headers = ("WITHIN", "DOWN", "UP", "LEFT", "DOWN BY")
    return Table(headers=headers, rows=rows, right=frozenset(headers[:-1]))


def _domains_table(domains: Sequence[DomainView]) -> Table:
    rows = [
        (d["name"], *(format_power(w) for w in (d["limit_w"], d["draw_w"], d["committed_w"])), _bound_by(d))
        for d in domains
    ]
    headers = ("DOMAIN", "LIMIT", "DRAW", "AT MOST", "LIMITED BY")
    return Table(headers=headers, rows=rows, right=frozenset(headers[1:-1]))


def _bound_by(domain: DomainView) -> str:
    """Who says so, whether that is silent, and what is known to come."""
    silent = ", silent" if domain.get("limit_stale") else ""
    change = domain.get("next_change")
    then = f"; {format_power(change['limit_w'])} at {moment(change['at'])}" if change else ""
    return f"{domain.get('limit_source', 'site file')}{silent}{then}"


def _limits_table(limits: Sequence[LimitView]) -> Table:
    rows = [
        (
            one["id"],
            format_power(one["limit_w"]),
            ago(one.get("set_at")),
            moment(until) if (until := one.get("until_at")) else "released",
            one["reason"],
        )
        for one in limits
    ]
    headers = ("STANDING LIMIT", "LIMIT", "SET", "UNTIL", "REASON")
    return Table(headers=headers, rows=rows, right=frozenset({"LIMIT"}))
