"""`barq why`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barq.cli.connect import connect, silence
from barq.cli.facts import ago, lines_of
from barq.cli.options import JobArgument, JsonOption, QuietOption
from barq.cli.outlook import change_line, outlook_lines
from barq.cli.output import Block, Format, Table, chosen_format, emit
from barq.cli.shadow_text import job_notice

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from barq.views import JobView, WhyView


def why(job_id: JobArgument, *, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Say why a job is where it is: the reason in numbers, what would change it, what happened lately."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        job = site.find(job_id)
        answer = site.why(job["id"])
        silent = silence(site) if form is Format.TABLE else []
    emit(form, value=answer, ids=[job["id"]], blocks=lambda: [*_blocks(job, answer), *silent])


def _blocks(job: JobView, answer: WhyView) -> list[Block]:
    reason = answer["reason"]
    blocks: list[Block] = [f"{job['id']} {answer['state']}, since {ago(job['since_at'])}"]
    blocks += job_notice(job)
    if reason is not None:
        blocks += [f"{reason['text']} [{reason['code']}]", *_indented(reason.get("numbers") or {})]
    if change := change_line(answer):
        blocks.append(change)
    if not answer.get("expected_start"):
        blocks += _section("Expected", answer["expected"])
    blocks += outlook_lines(answer)
    blocks += _section("Checkpoint", answer["checkpoint"])
    if answer["history"]:
        blocks += ["Lately:", *(f"  {text}" for text in answer["history"])]
    return blocks


def _section(title: str, facts: Mapping[str, Any] | None) -> list[Block]:
    return [f"{title}:", *_indented(facts)] if facts else []


def _indented(facts: Mapping[str, Any]) -> list[Block]:
    return [Table(rows=[(f"  {name}", value) for name, value in lines_of(facts)])] if facts else []
