"""`barq doctor`: what this machine can and cannot do, with a remedy for each."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from barq.cli.down import StateOption
from barq.cli.exits import ExitCode
from barq.cli.options import JsonOption, QuietOption
from barq.cli.output import Block, Table, chosen_format, emit, say
from barq.doctor.finding import Finding, Grade
from barq.errors import BarqError, InvalidInput
from barq.location import state_dir

_HEADERS: Final = ("CHECK", "STATE", "FOUND")
_STYLES: Final = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "bold red"}

RecordOption = Annotated[
    Path | None,
    typer.Option(
        "--record",
        metavar="FILE",
        help="Write what the GPUs answer there, without serials and UUIDs, to share it.",
    ),
]


def doctor(
    site: Annotated[
        Path | None,
        typer.Argument(
            metavar="SITE.yaml", help="Site file to look at; else that of the site of this machine."
        ),
    ] = None,
    *,
    state: StateOption = None,
    record: RecordOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say what this machine can and cannot do, and what to do about it; fail if something does not hold."""
    from barq.doctor.examination import examine
    from barq.doctor.place import Place

    form = chosen_format(as_json=as_json, quiet=quiet)
    place = Place(state=(state or state_dir(os.environ)).expanduser().absolute(), proposed=site)
    if not place.site_file.exists() and site is not None:
        raise InvalidInput(f"there is no site file {site}", field="SITE.yaml", remedy="see configs/sites/")
    findings = examine(place)
    bad = [f for f in findings if f.grade is Grade.FAIL]
    emit(
        form,
        value={"ok": not bad, "findings": [asdict(f) for f in findings]},
        ids=(f.check for f in bad),
        blocks=lambda: _blocks(findings),
    )
    if record is not None:
        _record(record)
    if bad:
        raise typer.Exit(ExitCode.FAILED)


def _blocks(findings: list[Finding]) -> list[Block]:
    table = Table(
        headers=_HEADERS,
        rows=[(f.check, str(f.grade), f.found) for f in findings],
        styles={str(g): s for g, s in _STYLES.items()},
    )
    return [table, *(_advice(f) for f in findings if f.remedy)]


def _advice(finding: Finding) -> str:
    return f"\n{finding.check}: {finding.means}\n    {finding.remedy}"


def _record(path: Path) -> None:
    from workers.nvml.errors import GpuError
    from workers.nvml.recording import record_gpus

    try:
        path.write_text(record_gpus(), encoding="utf-8")
    except GpuError as error:
        raise BarqError(f"there is nothing to record: {error}", field="--record") from error
    except OSError as error:
        raise InvalidInput(
            f"{path}: {error.strerror}", field="--record", remedy="name another file"
        ) from error
    say(f"wrote {path}")
