"""CSV files, plain or gzipped, as text: columns by name, rows with their line numbers."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scheduler.errors import SignalError

MAX_BYTES = 64 * 1024 * 1024
"""Of the file, unpacked: a small packed file may be a huge one."""
MAX_ROWS = 1_200_000
"""Two years of minutes."""
MAX_COLUMNS = 500
MAX_CELLS = 40_000_000
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvTable:
    """The text of a file. `rows` are as long as `columns`; `lines` has each row's line number in the file."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def column(self, name: str) -> list[str]:
        """The texts of one column, stripped. Raises `SignalError` that lists the columns there are."""
        if name not in self.columns:
            raise SignalError(f"{self.path}: there is no column {name!r}; it has {', '.join(self.columns)}")
        index = self.columns.index(name)
        return [row[index].strip() for row in self.rows]


def read_table(path: Path) -> CsvTable:
    """Read a whole file. Raises `SignalError` that names file, line, value and remedy."""
    text = _text(path)
    try:
        return _table(path, text)
    except csv.Error as error:
        raise SignalError(f"{path}: not a CSV file: {error}; save it as comma-separated text") from error


def _text(path: Path) -> str:
    try:
        if not path.is_file():  # a pipe would be waited for, perhaps for ever
            raise OSError("it is not there, or not a plain file")
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
            file.seek(0)
            raw = (gzip.GzipFile(fileobj=file) if packed else file).read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SignalError(f"{path}: cannot be read: {error}; check the path, or unpack the file") from error
    if len(raw) > MAX_BYTES:
        raise SignalError(f"{path}: more than {MAX_BYTES >> 20} MiB; cut out the days that are needed")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SignalError(f"{path}: byte {error.start} is not UTF-8 text; save the file as UTF-8") from error


def _table(path: Path, text: str) -> CsvTable:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    header = next(reader, None)
    if not header or not any(name.strip() for name in header):
        raise SignalError(f"{path}: it is empty; the first line names the columns")
    columns = tuple(name.strip() for name in header)
    if len(columns) > MAX_COLUMNS:
        raise SignalError(f"{path}: {len(columns)} columns; keep the {MAX_COLUMNS} that are needed")
    most_rows = min(MAX_ROWS, MAX_CELLS // len(columns))
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    for row in _rows(reader):
        if len(rows) == most_rows:
            raise SignalError(f"{path}: more than {most_rows} rows; cut out the days that are needed")
        if len(row) > len(columns):
            raise SignalError(
                f"{path}: line {reader.line_num}: {len(row)} values for {len(columns)} columns; "
                "quote values that hold a comma"
            )
        rows.append((*row, *("" for _ in columns[len(row) :])))
        lines.append(reader.line_num)
    return CsvTable(path=path, columns=columns, rows=tuple(rows), lines=tuple(lines))


def _rows(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    return (row for row in reader if any(cell.strip() for cell in row))


def _delimiter(text: str) -> str:
    """The separator that the first line has most of."""
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)
