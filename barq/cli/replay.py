"""`barq replay`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from barq.cli.exits import ExitCode
from barq.cli.options import JsonOption
from barq.cli.output import Block, Table, chosen_format, emit, say
from barq.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scheduler.replay import Replay
    from scheduler.store.views import DecisionView

_DATABASE: Final = b"SQLite format 3\x00"
_REMEDY: Final = "give a recording, {snapshot, decision}, or the database of a site"
_SHOWN_CHARACTERS: Final = 60

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="A recording, or a site's barq.db: its newest decision.")
]
SaveOption = Annotated[
    Path | None, typer.Option("--save", metavar="PATH", help="Write the recording there, to share it.")
]


def replay(file: FileArgument, *, save: SaveOption = None, as_json: JsonOption = False) -> None:
    """Decide again what a recording decided; fail, and show what differs, if it comes out otherwise."""
    from scheduler import replay as replays
    from scheduler.errors import BarqError as SchedulerError

    recording = _read(file)
    try:
        found = replays.replay(recording)
    except SchedulerError as error:
        raise InvalidInput(f"{file}: {error}", field="FILE", remedy=_REMEDY) from error
    if save is not None:
        save.write_bytes(recording)
        say(f"wrote {save}")
    emit(
        chosen_format(as_json=as_json, quiet=False),
        value=_document(found),
        ids=(),
        blocks=lambda: _blocks(found),
    )
    if not found.same:
        raise typer.Exit(ExitCode.FAILED)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            if opened.read(len(_DATABASE)) != _DATABASE:
                return _json(file, file.read_bytes())
    except OSError as error:
        kind = NotFound if isinstance(error, FileNotFoundError) else InvalidInput
        raise kind(f"{file}: {error.strerror}", field="FILE", remedy=_REMEDY) from error
    return _newest(file)


def _json(file: Path, content: bytes) -> bytes:
    """What is in a file that is no database. Raises InvalidInput if it is no JSON either."""
    if not content.lstrip().startswith((b"{", b"[")):
        raise InvalidInput(f"{file}: is neither JSON nor a database", field="FILE", remedy=_REMEDY)
    return content


def _newest(database: Path) -> bytes:
    from scheduler.errors import BarqError as SchedulerError
    from scheduler.replay import join

    try:
        kept = _kept(database)
    except SchedulerError as error:
        raise InvalidInput(f"{database}: {error}", field="FILE", remedy=_REMEDY) from error
    if not kept or kept[0].snapshot_json is None or kept[0].decision_json is None:
        raise NotFound(f"{database}: no decision is recorded there", field="FILE", remedy=_REMEDY)
    return join(kept[0].snapshot_json, kept[0].decision_json)


def _kept(database: Path) -> Sequence[DecisionView]:
    from scheduler.store.database import open_database
    from scheduler.store.desk import Desk

    engine = open_database(database)
    try:
        return Desk(engine, site="").decisions(datetime.now(UTC), before=1, after=0)
    finally:
        engine.dispose()


def _document(found: Replay) -> dict[str, object]:
    differences = [{"where": d.where, "recorded": d.recorded, "now": d.now} for d in found.differences]
    return {"at": found.at.isoformat(), "same": found.same, "differences": differences}


def _blocks(found: Replay) -> list[Block]:
    when = f"{found.at:%Y-%m-%d %H:%M:%S} UTC"
    if found.same:
        return [f"the same decision as recorded at {when}"]
    rows = [(d.where, _shortened(d.recorded), _shortened(d.now)) for d in found.differences]
    return [
        f"not the decision that was recorded at {when}",
        Table(headers=("Where", "Recorded", "Now"), rows=rows),
    ]


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
