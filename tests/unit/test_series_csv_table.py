"""CSV files as they come: gzipped, with a byte order mark, with semicolons, broken."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from scheduler.errors import SignalError
from scheduler.series.csv_table import CsvTable, Sizes, read_table

PLAIN = "time,limit\n2026-06-01,480\n2026-06-02,160\n"


def table(tmp_path: Path, content: str | bytes, name: str = "day.csv") -> CsvTable:
    """The file with that content, read."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path)


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.rstrip(),
        "\ufeff" + PLAIN,
        PLAIN.replace("480", '"480"').replace("limit", " limit "),
        PLAIN.replace("\n2026-06-02", "\n\n , \n2026-06-02"),
    ],
)
def test_a_table_is_read_however_it_was_saved(tmp_path: Path, content: str) -> None:
    """Line ends, separators, quotes, a byte order mark, empty lines."""
    read = table(tmp_path, content)
    assert read.columns == ("time", "limit")
    assert (read.column("time"), read.column("limit")) == (["2026-06-01", "2026-06-02"], ["480", "160"])


def test_a_gzipped_table_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    """The content decides, not the name."""
    assert table(tmp_path, gzip.compress(PLAIN.encode(), mtime=0), "day.csv").column("limit") == [
        "480",
        "160",
    ]
    assert table(tmp_path, PLAIN, "day.csv.gz").column("limit") == ["480", "160"]


def test_rows_know_their_lines(tmp_path: Path) -> None:
    """As an editor counts them, over empty lines and line ends inside quotes."""
    assert table(tmp_path, 'a,b\n1,2\n\n"x\ny",3\n4,5\n').lines == (2, 5, 6)


def test_a_short_row_has_empty_ends(tmp_path: Path) -> None:
    """Some programs leave trailing separators out."""
    assert table(tmp_path, "a,b,c\n1\n").rows == (("1", "", ""),)


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "it is empty; the first line names the columns"),
        (b"\n\n", "it is empty"),
        (b"a,b\n1,2,3\n", "line 2: 3 values for 2 columns; quote values that hold a comma"),
        (b'a,b\n"1,2\n', "not a CSV file"),
        (b"a,b\n\xff\xfe,1\n", "byte 4 is not UTF-8 text; save the file as UTF-8"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:-9], "cannot be read: .*unpack the file"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:12] + b"nonsense" * 4, "cannot be read"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """With the file, the place and what to do."""
    with pytest.raises(SignalError, match=said) as caught:
        table(tmp_path, content)
    assert str(tmp_path / "day.csv") in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """By its path."""
    with pytest.raises(SignalError, match=r"none\.csv: cannot be read: .*check the path"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(SignalError, match="cannot be read"):
        read_table(tmp_path)


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    """With those that there are."""
    with pytest.raises(SignalError, match="there is no column 'watts'; it has time, limit"):
        table(tmp_path, PLAIN).column("watts")


def test_a_file_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file may hold more than memory does."""
    monkeypatch.setattr("scheduler.series.csv_table.MAX_BYTES", 1 << 20)
    with pytest.raises(SignalError, match="more than 1 MiB; cut out the days that are needed"):
        table(tmp_path, gzip.compress(b"a,b\n" + b"0" * (2 << 20)))


@pytest.mark.parametrize(
    "content, words",
    [
        (gzip.compress(b"0" * (100 << 20), mtime=0), "more than 64 MiB"),
        (gzip.compress(b"time,limit\n" + b"1,2\n" * 1_300_000, mtime=0), "more than 1200000 rows"),
        ((",".join(f"c{i}" for i in range(501)) + "\n").encode(), "501 columns"),
        (PLAIN.encode("utf-16"), "not UTF-8"),
        (PLAIN.encode() + b"\xff", "not UTF-8"),
        (b"PK\x03\x04" + bytes(range(256)), "UTF-8"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:-9], "cannot be read"),
        (b"time,limit\n" + b"9" * 200_000 + b",1\n", "not a CSV file"),
    ],
    ids=["bomb", "rows", "columns", "utf-16", "latin", "zip", "torn", "field"],
)
def test_bombs_and_noise_end_in_a_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    """However small the file is, and whatever it turns into."""
    with pytest.raises(SignalError, match=words):
        table(tmp_path, content)


def test_a_pipe_in_place_of_the_file_is_not_waited_for(tmp_path: Path) -> None:
    """The loop that reads it goes on."""
    os.mkfifo(tmp_path / "day.csv")

    with pytest.raises(SignalError, match="not a plain file"):
        read_table(tmp_path / "day.csv")


def test_only_the_columns_that_are_wanted_are_kept(tmp_path: Path) -> None:
    """Chosen by one who is told them all, and whose refusal ends the reading."""
    path = tmp_path / "wide.csv"
    path.write_text("a,b,c\n1,2,3\n4\n")
    kept = read_table(path, keep=lambda columns: set(columns) - {"b"})
    assert (kept.columns, kept.rows, kept.lines) == (("a", "c"), (("1", "3"), ("4", "")), (2, 3))

    def refuse(columns: tuple[str, ...]) -> set[str]:
        raise LookupError(", ".join(columns))

    with pytest.raises(LookupError, match="a, b, c"):
        read_table(path, keep=refuse)


def test_sizes_are_the_readers_choice(tmp_path: Path) -> None:
    """A trace of jobs is longer than a day of power."""
    path = tmp_path / "long.csv"
    path.write_text("a\n" + "1\n" * 10)
    assert len(read_table(path, sizes=Sizes(most_bytes=100, most_rows=10)).rows) == 10
    with pytest.raises(SignalError, match="more than 9 rows"):
        read_table(path, sizes=Sizes(most_bytes=100, most_rows=9))
    with pytest.raises(SignalError, match="more than 0 MiB"):
        read_table(path, sizes=Sizes(most_bytes=9, most_rows=10))


def test_old_line_ends_and_line_ends_in_quotes_are_kept(tmp_path: Path) -> None:
    """Those of old Macs too."""
    read = table(tmp_path, 'a,b\r1,"x\ry"\r2,z')
    assert (read.rows, read.lines) == ((("1", "x\ry"), ("2", "z")), (3, 4))


def test_parquet_is_named(tmp_path: Path) -> None:
    """It says how it becomes something that is read."""
    with pytest.raises(
        SignalError, match=r"Parquet files are not read; save it as CSV: pandas\.read_parquet"
    ):
        table(tmp_path, b"PAR1\x15\x04", "prices.parquet")
