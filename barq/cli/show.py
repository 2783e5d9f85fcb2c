"""`barq show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from barq.cli.connect import connect, silence
from barq.cli.facts import NOTHING, ago, moment
from barq.cli.job_text import STATE_STYLES, gpus_text, node_names, text_of
from barq.cli.options import JobArgument, JsonOption, QuietOption
from barq.cli.output import Block, Format, Table, chosen_format, emit
from barq.cli.shadow_text import job_notice
from barq.units import format_energy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from barq.client import Client
    from barq.views import ArrayView, AttemptView, CheckpointView, JobView, NotificationView

_FAILURES: Final = frozenset({"attempt.failed", "job.failed", "job.outputs_failed"})
_SHOWN_FAILURES: Final = 3


def show(job_id: JobArgument, *, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Show a job, its attempts and its checkpoints. With --json, the job only."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        job = site.find_any(job_id)
        if "count" in job:
            _emit_array(job, form)
            return
        blocks = [*_blocks(site, job), *silence(site)] if form is Format.TABLE else []
    emit(form, value=job, ids=[job["id"]], blocks=lambda: blocks)


def _emit_array(array: ArrayView, form: Format) -> None:
    facts = {
        "array": array["id"],
        "name": array["name"],
        "owner": array["owner"],
        "jobs": str(array["count"]),
        "at once": "any number" if array["most"] is None else str(array["most"]),
        "submitted": moment(array["submitted_at"]),
        **{state: str(count) for state, count in array["jobs"].items()},
    }
    hint = f"barq jobs --array {array['id']} lists them"
    emit(form, value=array, ids=[array["id"]], blocks=lambda: [Table(rows=list(facts.items())), "", hint])


def _blocks(site: Client, job: JobView) -> list[Block]:
    attempts, checkpoints = site.attempts(job["id"]), site.checkpoints(job["id"])
    facts = _facts(job)
    if job["spec"].get("notify"):
        facts.append(("notify", _told(job["spec"]["notify"], site.notifications(job["id"]))))
    blocks: list[Block] = [*job_notice(job), Table(rows=facts, styles=STATE_STYLES)]
    if attempts:
        blocks += ["", _attempts_table(attempts)]
    if checkpoints:
        blocks += ["", _checkpoints_table(checkpoints)]
    return blocks + _went_wrong(site, job)


def _went_wrong(site: Client, job: JobView) -> list[Block]:
    """The latest failures, in the words in which they were noted; a job may succeed and yet lack its outputs."""
    if not job["failures"] and job["state"] != "FAILED" and not job["spec"].get("outputs"):
        return []
    texts = [event["text"] for event in site.events(job["id"]) if event["kind"] in _FAILURES]
    return ["", "Went wrong:", *(f"  {text}" for text in texts[-_SHOWN_FAILURES:])] if texts else []


def _facts(job: JobView) -> list[tuple[str, str]]:
    commit, reason = job["last_commit"], job["reason"]
    facts = {
        "id": job["id"],
        "name": job["name"],
        "owner": job.get("owner"),
        "project": job["project"],
        "state": job["state"],
        "reason": reason and f"{reason['code']}: {reason['text']}",
        "in this state": moment(job["since_at"]),
        "kind": job["kind"],
        "priority": job["priority"],
        "flex tier": job["flex"],
        "GPUs": gpus_text(job),
        "array": job.get("array_id") and f"{job['array_id']}, index {job['array_index']}",
        "nodes": node_names(job["placements"]) or None,
        "step": job["step"],
        "last commit": commit and f"step {commit['step']}, {commit['path']}",
        "steps lost": job["lost_steps"],
        "attempts": f"{job['attempts']}, {job['failures']} failed",
        "energy": None if job["energy_wh"] is None else format_energy(job["energy_wh"]),
        "submitted": moment(job["submitted_at"]),
        "started": job["started_at"] and moment(job["started_at"]),
        "deadline": (due := job.get("deadline_at")) and moment(due),
        "ended": job["ended_at"] and moment(job["ended_at"]),
        "command": _command(job["spec"].get("entrypoint")),
        "working dir": job["spec"].get("working_dir") or _package(job["spec"].get("package")),
    }
    return [(name, str(value)) for name, value in facts.items() if value is not None]


def _package(name: object) -> str | None:
    return None if name is None else f"a copy of package {str(name)[:12]}"


def _told(notify: Mapping[str, Any], calls: Sequence[NotificationView]) -> str:
    """Whom it tells, and how the last call went."""
    where = f"{', '.join(notify.get('on') or ['pause', 'resume', 'end'])} to {notify['url']}"
    if not calls:
        return f"{where}; nothing to tell yet"
    last = calls[-1]
    match last["state"]:
        case "delivered":
            return f"{where}; last delivered: {last['event']}, {ago(last['delivered_at'])}"
        case "waiting":
            why = f" ({last['error']}; {last['tries']} tries so far)" if last["error"] else ""
            return f"{where}; last: {last['event']}, to be told {ago(last['next_at'])}{why}"
        case _:
            return f"{where}; last: {last['event']}, given up: {last['error']}"


def _command(entrypoint: object) -> str | None:
    if isinstance(entrypoint, list):
        import shlex

        return shlex.join(str(word) for word in entrypoint)
    return None if entrypoint is None else str(entrypoint)


def _attempts_table(attempts: Sequence[AttemptView]) -> Table:
    headers = ("ATTEMPT", "STATE", "CAUSE", "NODES", "STARTED", "ENDED", "FROM STEP", "TO STEP", "LOST")
    rows = [
        [
            str(attempt["number"]),
            attempt["outcome"] or attempt["state"],
            text_of(attempt["cause"]),
            node_names(attempt["placements"]) or NOTHING,
            ago(attempt["started_at"]),
            ago(attempt["ended_at"]),
            text_of(attempt["resumed_step"]),
            text_of(attempt["last_step"]),
            text_of(attempt["lost_steps"]),
        ]
        for attempt in attempts
    ]
    right = frozenset({"ATTEMPT", "FROM STEP", "TO STEP", "LOST"})
    return Table(headers=headers, rows=rows, right=right, styles=STATE_STYLES)


def _checkpoints_table(checkpoints: Sequence[CheckpointView]) -> Table:
    rows = [
        [str(one["step"]), one["state"], ago(one["verified_at"]), one["path"], text_of(one["why"])]
        for one in checkpoints
    ]
    styles = {"verified": "green", "quarantined": "bold red"}
    headers = ("CHECKPOINT", "STATE", "VERIFIED", "PATH", "WHY")
    return Table(headers=headers, rows=rows, right=frozenset({"CHECKPOINT"}), styles=styles)
