"""CSV files, plain or gzipped, as text: columns by name, rows with their line numbers."""

from __future__ import annotations

import csv
import gzip
import hashlib
import re
import zlib
from collections.abc import Callable, Container, Iterator
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
_CHUNK_BYTES = 1 << 20
_PARQUET = b"PAR1"
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of a file is taken in; more is refused."""

    most_bytes: int
    most_rows: int


Keep = Callable[[tuple[str, ...]], Container[str]]
"""Told all columns, says which are kept. What it raises ends the reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvTable:
    """The text of a file. `rows` are as long as `columns`; `lines` has each row's line number in the file."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    digest: str  #: SHA-256 of the file as it lies there, packed or not, in hexadecimal
    is_ended: bool = True  #: its last line has an end: without one it may be half a line of half a file

    @property
    def named(self) -> str:
        """Which file, and which version of it: `sha256sum` begins with the same digits."""
        return f"{self.path.name} (SHA-256 {self.digest[:16]})"

    def column(self, name: str) -> list[str]:
        """The texts of one column, stripped. Raises `SignalError` that lists the columns there are."""
        if name not in self.columns:
            raise SignalError(f"{self.path}: there is no column {name!r}; it has {', '.join(self.columns)}")
        index = self.columns.index(name)
        return [row[index].strip() for row in self.rows]


def read_table(path: Path, *, keep: Keep | None = None, sizes: Sizes | None = None) -> CsvTable:
    """Read a whole file, or the columns of it that `keep` chooses.

    Raises `SignalError` that names file, line, value and remedy.
    """
    sizes = sizes or Sizes(most_bytes=MAX_BYTES, most_rows=MAX_ROWS)
    text, digest = _text(path, sizes)
    try:
        return _table(path, text, digest, keep, sizes)
    except csv.Error as error:
        raise SignalError(f"{path}: not a CSV file: {error}; save it as comma-separated text") from error


def _text(path: Path, sizes: Sizes) -> tuple[str, str]:
    """What the file holds, unpacked, and the digest of what lies there."""
    digest = hashlib.sha256()
    try:
        if not path.is_file():  # a pipe would be waited for, perhaps for ever
            raise OSError("it is not there, or not a plain file")
        with path.open("rb") as file:
            begins = file.read(len(_PARQUET))
            file.seek(0)
            packed = begins.startswith(_GZIP)
            raw = (gzip.GzipFile(fileobj=file) if packed else file).read(sizes.most_bytes + 1)
            file.seek(0)
            while len(raw) <= sizes.most_bytes and (chunk := file.read(_CHUNK_BYTES)):
                digest.update(chunk)
    except (OSError, EOFError, zlib.error) as error:
        raise SignalError(f"{path}: cannot be read: {error}; check the path, or unpack the file") from error
    if begins == _PARQUET:
        raise SignalError(
            f"{path}: Parquet files are not read; save it as CSV: pandas.read_parquet(...).to_csv(...)"
        )
    if len(raw) > sizes.most_bytes:
        raise SignalError(f"{path}: more than {sizes.most_bytes >> 20} MiB; cut out the days that are needed")
    try:
        return raw.decode("utf-8-sig"), digest.hexdigest()
    except UnicodeDecodeError as error:
        raise SignalError(f"{path}: byte {error.start} is not UTF-8 text; save the file as UTF-8") from error


def _table(path: Path, text: str, digest: str, keep: Keep | None, sizes: Sizes) -> CsvTable:
    reader = csv.reader(_text_lines(text), delimiter=_delimiter(text), strict=True)
    header = _header(path, next(reader, None))
    kept = tuple(range(len(header)))
    if keep is not None:
        chosen = keep(header)
        kept = tuple(i for i in kept if header[i] in chosen)
    most_rows = min(sizes.most_rows, MAX_CELLS // max(1, len(kept)))
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    for row in _rows(reader):
        if len(rows) == most_rows:
            raise SignalError(f"{path}: more than {most_rows} rows; cut out the days that are needed")
        if len(row) > len(header):
            raise SignalError(
                f"{path}: line {reader.line_num}: {len(row)} values for {len(header)} columns; "
                "quote values that hold a comma"
            )
        whole = row if len(row) == len(header) else [*row, *("" for _ in header[len(row) :])]
        rows.append(tuple(whole) if keep is None else tuple([whole[i] for i in kept]))
        lines.append(reader.line_num)
    columns = tuple(header[i] for i in kept)
    return CsvTable(
        path=path,
        columns=columns,
        rows=tuple(rows),
        lines=tuple(lines),
        digest=digest,
        is_ended=text.endswith(("\n", "\r")),
    )


def _header(path: Path, header: list[str] | None) -> tuple[str, ...]:
    if not header or not any(name.strip() for name in header):
        raise SignalError(f"{path}: it is empty; the first line names the columns")
    if len(header) > MAX_COLUMNS:
        raise SignalError(f"{path}: {len(header)} columns; keep the {MAX_COLUMNS} that are needed")
    return tuple(name.strip() for name in header)


def _text_lines(text: str) -> Iterator[str]:
    """With their ends, whichever these are: `io.StringIO` would hold all once more, at four bytes a letter."""
    return (match.group() for match in _LINE.finditer(text))


def _rows(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    return (row for row in reader if row and (row[0].strip() or any(cell.strip() for cell in row)))


def _delimiter(text: str) -> str:
    """The separator that the first line has most of."""
    header = next(_text_lines(text), "")
    return max(",;\t", key=header.count)
