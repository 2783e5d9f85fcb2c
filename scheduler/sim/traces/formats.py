"""Reading a file of jobs, whatever its format."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from scheduler.errors import SignalError, TraceError
from scheduler.series.csv_table import CsvTable, Sizes, read_table
from scheduler.sim.asked import JobMap
from scheduler.sim.traces import acme, alibaba_pods, converted, helios, philly
from scheduler.sim.traces.generic import read_mapped
from scheduler.sim.traces.records import Format, JobTrace

FORMATS: tuple[Format, ...] = (
    converted.FORMAT,
    philly.FORMAT,
    alibaba_pods.FORMAT,
    helios.FORMAT,
    acme.FORMAT,
)
"""The first whose columns are there is taken."""
_SIZES = Sizes(most_bytes=1 << 29, most_rows=4_000_000)
"""The largest of the public traces (Helios Saturn) has 1.8 million rows."""


def read_jobs(path: Path, asked: JobMap) -> JobTrace:
    """All jobs of a file. Raises `TraceError` that names file, line, column, value and remedy."""
    known: list[Format] = []

    def keep(columns: tuple[str, ...]) -> Container[str]:
        if asked.columns is not None:
            return _mapped(path, columns, asked.columns.names)
        known.append(recognise_format(path, columns))
        return known[0].uses

    try:
        table = read_table(path, keep=keep, sizes=_SIZES)
        return _read(table, asked, known)
    except SignalError as error:
        raise TraceError(str(error)) from error


def recognise_format(path: Path, columns: tuple[str, ...]) -> Format:
    """The format that a file's columns tell. Raises `TraceError` where none does."""
    for known in FORMATS:
        if known.needs.issubset(columns):
            return known
    formats = "; ".join(f"{f.name}: {', '.join(sorted(f.needs))}" for f in FORMATS)
    raise TraceError(
        f"{path}: its columns {', '.join(columns)} are of no known format ({formats}); "
        "name them: --jobs-map arrival=...,duration=...,gpus=..."
    )


def _mapped(path: Path, columns: tuple[str, ...], names: frozenset[str]) -> frozenset[str]:
    for name in sorted(names):
        if name not in columns:
            raise TraceError(
                f"{path}: there is no column {name!r}; it has {', '.join(columns)}; correct --jobs-map"
            )
    return names


def _read(table: CsvTable, asked: JobMap, known: list[Format]) -> JobTrace:
    if asked.columns is not None:
        return read_mapped(table, asked.columns, asked)
    return known[0].read(table, asked)
