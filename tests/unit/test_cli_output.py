"""What a terminal gets: colour where it is wanted, and nothing that moves its cursor."""

from __future__ import annotations

import io
import sys

import pytest

from barq.cli.output import Format, Table, emit, plain_lines

JOBS = Table(
    headers=("ID", "STATE", "STEP"),
    rows=[("demo-1", "RUNNING", "7"), ("demo-12", "[bold]x", "420")],
    right=frozenset({"STEP"}),
    styles={"RUNNING": "green"},
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(monkeypatch: pytest.MonkeyPatch, table: Table = JOBS, **environ: str) -> str:
    """What a terminal gets, 80 columns wide if not told otherwise."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", **environ}.items():
        monkeypatch.setenv(name, value)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal := Terminal())
        show(table)
    return terminal.getvalue()


def show(table: Table) -> None:
    """Print a table for people."""
    emit(Format.TABLE, value=None, ids=(), blocks=lambda: [table])


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state is coloured, and square brackets are text."""
    text = drawn(monkeypatch)

    assert "\x1b[32mRUNNING" in text
    assert "[bold]x" in text


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR leaves the words."""
    text = drawn(monkeypatch, NO_COLOR="1")

    assert "\x1b[32m" not in text
    assert "RUNNING" in text


def test_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a narrow terminal the last column is folded, and all words are still there."""
    reason = "(needs 4.2 kW, 1.1 kW are free until 14:00)"
    long = Table(headers=("ID", "NAME", "REASON"), rows=[("demo-1", "a-name-of-some-length", reason)])

    lines = drawn(monkeypatch, long, COLUMNS="30", NO_COLOR="1").splitlines()

    assert len(lines) == 3
    assert "demo-1  a-name-of-some-length  (needs 4.2 kW" in lines[1]
    assert " ".join(" ".join(lines[1:]).split()) == f"demo-1 a-name-of-some-length {reason}"


def test_a_narrow_terminal_goes_without_what_can_be_spared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only as much as it takes, the first of them first; it is said, and a pipe has all of it."""
    wide = Table(
        headers=("ID", "TIER", "DRAW", "OWED", "WHY"),
        rows=[("demo-1", "2" * 30, "4.2 kW", "3 kWh", "less than it could take")],
        right=frozenset({"DRAW"}),
        spare=("TIER", "OWED"),
    )
    head, row = drawn(monkeypatch, wide, COLUMNS="60", NO_COLOR="1").splitlines()

    assert ("TIER" in head, "OWED" in head) == (False, True)
    assert row.split() == ["demo-1", "4.2", "kW", "3", "kWh", "less", "than", "it", "could", "take"]
    assert "left out for want of width: TIER;" in capsys.readouterr().err
    assert "TIER" in drawn(monkeypatch, wide, COLUMNS="100")
    assert "TIER" in plain_lines(wide)[0]


def test_columns_are_aligned() -> None:
    """Text to the left, numbers to the right, nothing after the last word."""
    assert plain_lines(JOBS) == [
        "ID       STATE    STEP",
        "demo-1   RUNNING     7",
        "demo-12  [bold]x   420",
    ]


def test_a_cell_is_one_line_without_control_characters() -> None:
    """A name cannot clear the screen of whoever lists it."""
    assert plain_lines(Table(rows=[("a\nb\x1b[2J", "c")])) == ["a b [2J  c"]


def test_an_empty_table_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """No rows, no headers: scripts see an empty stdout."""
    show(Table(headers=("ID",), rows=[]))

    assert capsys.readouterr().out == ""
