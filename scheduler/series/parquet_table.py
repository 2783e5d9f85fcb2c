"""Parquet files as the text that a CSV file of the same columns would hold, so that both are judged by the same rules.

Reading them takes pyarrow, which only `pip install 'barq[parquet]'` brings: it is too large for every site to have it.
"""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from scheduler.errors import SignalError
from scheduler.series.csv_table import MAX_BYTES, MAX_CELLS, MAX_COLUMNS, MAX_ROWS, CsvTable, read_table

_MARK: Final = b"PAR1"


def read_csv_or_parquet(path: Path) -> CsvTable:
    """A whole file, whichever of both it is. Its lines are rows, from 1, where it is Parquet. Raises `SignalError`."""
    try:
        with path.open("rb") as file:
            begins = file.read(len(_MARK)) if path.is_file() else b""
    except OSError:
        return read_table(path)  # which says what is wrong
    return _read(path) if begins == _MARK else read_table(path)


def _read(path: Path) -> CsvTable:
    try:
        arrow: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError as error:
        raise SignalError(
            f"{path}: reading Parquet takes pyarrow, which is not there: pip install 'barq[parquet]', or save the file "
            "as CSV"
        ) from error
    try:
        with path.open("rb") as raw:
            digest = hashlib.file_digest(raw, "sha256").hexdigest()
            raw.seek(0)
            file = parquet.ParquetFile(raw)
            _check_size(path, file.metadata)
            table = file.read()
    except (OSError, arrow.ArrowException) as error:
        raise SignalError(f"{path}: cannot be read as Parquet: {error}; write the file anew") from error
    columns = [_texts(arrow, table.column(i)) for i in range(table.num_columns)]
    return CsvTable(
        path=path,
        columns=tuple(str(name).strip() for name in table.column_names),
        rows=tuple(zip(*columns, strict=True)),
        lines=tuple(range(1, table.num_rows + 1)),
        digest=digest,
    )


def _check_size(path: Path, metadata: Any) -> None:  # noqa: ANN401 - of a package that may not be there
    """As told by the file's end, before anything of it is unpacked."""
    rows, columns = metadata.num_rows, metadata.num_columns
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if rows > MAX_ROWS or columns > MAX_COLUMNS or rows * columns > MAX_CELLS or size > MAX_BYTES:
        raise SignalError(
            f"{path}: {rows} rows of {columns} columns, {size >> 20} MiB unpacked; cut out the days and columns that "
            "are needed"
        )


def _texts(arrow: Any, column: Any) -> list[str]:  # noqa: ANN401 - of a package that may not be there
    if arrow.types.is_timestamp(column.type):  # nanoseconds are more than a datetime holds
        column = column.cast(arrow.timestamp("us", tz=column.type.tz), safe=False)
    return [_text(value) for value in column.to_pylist()]


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return str(value)
