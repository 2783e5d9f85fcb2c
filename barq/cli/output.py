"""What goes to stdout: a table for people, one JSON value for programs, or ids for the shell.

A table is drawn by rich on a terminal (NO_COLOR is respected), and is plain aligned columns anywhere else.
Talk goes to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from itertools import zip_longest
from typing import Final

import typer

from barq.errors import InvalidInput

_GAP: Final = "  "
_LEAST_LAST_WIDTH: Final = 24


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
    spare: Sequence[
        str
    ] = ()  #: headers of columns that a narrow terminal goes without, the first to go first


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
    lines, widths = _cells(table), _widths(table)
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
    """Draw a table; only its last column is folded, and nothing is cut, however narrow the terminal is.

    Columns that can be spared are left out where there is no room for them, and that is said.
    """
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console(file=sys.stdout)
    table, left_out = fitted(table, console.width)
    widths = _widths(table)
    before_last = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    widths[-1] = min(widths[-1], max(console.width - before_last, _LEAST_LAST_WIDTH))
    console.width = before_last + widths[-1]
    drawn = RichTable.grid(padding=(0, len(_GAP), 0, 0))
    for width, header in zip_longest(widths, table.headers):
        drawn.add_column(justify="right" if header in table.right else "left", overflow="fold", width=width)
    for index, line in enumerate(_cells(table)):
        header_style = "bold" if table.headers and index == 0 else ""
        drawn.add_row(*(Text(cell, style=header_style or table.styles.get(cell, "")) for cell in line))
    console.print(drawn)
    if left_out:
        say(f"left out for want of width: {', '.join(left_out)}; --json, a pipe or a wider terminal has them")


def fitted(table: Table, width: int) -> tuple[Table, Sequence[str]]:
    """The table without as many of its spare columns as it takes to fit, and the headers of those."""
    gone: list[str] = []
    for header in table.spare:
        if _least_width(table) <= width:
            break
        gone.append(header)
        table = _without(table, header)
    return table, gone


def _least_width(table: Table) -> int:
    *others, last = _widths(table)
    return sum(others) + len(_GAP) * len(others) + min(last, _LEAST_LAST_WIDTH)


def _without(table: Table, header: str) -> Table:
    at = list(table.headers).index(header)
    rows = [[cell for n, cell in enumerate(row) if n != at] for row in table.rows]
    return replace(table, headers=[h for h in table.headers if h != header], rows=rows)


def _cells(table: Table) -> list[list[str]]:
    """Return what is printed line by line, the headers first if there are any."""
    headers = [list(table.headers)] if table.headers else []
    return headers + [[_printable(cell) for cell in row] for row in table.rows]


def _widths(table: Table) -> list[int]:
    return [max(map(len, column)) for column in zip(*_cells(table), strict=True)]


def _printable(text: str) -> str:
    """Return `text` on one line, without what would move a terminal's cursor."""
    return "".join(character if character.isprintable() else " " for character in text)
