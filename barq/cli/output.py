"""What goes to stdout: a table for people, one JSON value for programs, or ids for the shell.

A table is drawn by rich on a terminal (NO_COLOR is respected), and is plain aligned columns anywhere else.
Talk goes to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

import typer

from barq.errors import InvalidInput

_GAP: Final = "  "


class Format(Enum):
    """How a verb shows its result."""

    TABLE = auto()
    JSON = auto()
    QUIET = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text under `headers` (none = no header line); `styles` colours single words on a terminal."""

    headers: Sequence[str] = ()
    rows: Sequence[Sequence[str]]
    right: frozenset[str] = frozenset()  #: headers of columns of numbers
    styles: Mapping[str, str] = field(default_factory=dict)


Block = Table | str


def chosen_format(*, as_json: bool, quiet: bool) -> Format:
    """Return the format that the options ask for. Raises InvalidInput if they ask for two."""
    if as_json and quiet:
        raise InvalidInput(
            "--json and --quiet exclude each other", field="--json", remedy="leave one of them out"
        )
    if as_json:
        return Format.JSON
    return Format.QUIET if quiet else Format.TABLE


def emit(form: Format, *, value: object, ids: Iterable[str], blocks: Callable[[], Iterable[Block]]) -> None:
    """Print a result in the format asked for: `value` as JSON, `ids` line by line, or `blocks` for people."""
    match form:
        case Format.JSON:
            typer.echo(json.dumps(value))
        case Format.QUIET:
            _echo_lines(ids)
        case Format.TABLE:
            for block in blocks():
                _print_block(block)


def say(text: str) -> None:
    """Tell a person something that is no data."""
    typer.echo(text, err=True)


def plain_lines(table: Table) -> list[str]:
    """Return a table as aligned columns without colour; the last column is as long as it is."""
    rows = [[_printable(cell) for cell in row] for row in table.rows]
    lines = [list(table.headers), *rows] if table.headers else rows
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = [header in table.right for header in table.headers] or [False] * len(widths)
    return [
        _GAP.join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    ]


def _print_block(block: Block) -> None:
    if isinstance(block, str):
        typer.echo(block)
    elif not block.rows:
        return
    elif sys.stdout.isatty():
        _print_rich(block)
    else:
        _echo_lines(plain_lines(block))


def _echo_lines(lines: Iterable[str]) -> None:
    typer.echo("".join(f"{line}\n" for line in lines), nl=False)


def _print_rich(table: Table) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=None, show_header=bool(table.headers), pad_edge=False, padding=(0, 2, 0, 0))
    for index in range(len(table.rows[0])):
        header = table.headers[index] if table.headers else ""
        drawn.add_column(Text(header), justify="right" if header in table.right else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(_printable(cell), style=table.styles.get(cell, "")) for cell in row))
    Console(file=sys.stdout).print(drawn)


def _printable(text: str) -> str:
    """Return `text` on one line, without what would move a terminal's cursor."""
    return "".join(character if character.isprintable() else " " for character in text)
