"""What the scheduler makes of a guard's answer: a report, or a reason in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scheduler.cluster import read_answer
from scheduler.wire import dumps
from tests.stub_guard import StubGuard


def report_json() -> bytes:
    """A report as a guard sends it."""
    return dumps(StubGuard(Path("node-1")).report())


def test_a_report_is_read_as_it_was_written() -> None:
    """Infinite deadlines too."""
    assert read_answer(b'{"report":' + report_json() + b"}") == StubGuard(Path("node-1")).report()


@pytest.mark.parametrize("draw_w", [float("nan"), float("inf")])
def test_a_draw_that_nobody_can_reckon_with_is_no_report(draw_w: float) -> None:
    """Its group goes silent, which is safe; the loop would not get over it."""
    report = replace(StubGuard(Path("node-1")).report(), draw_w=draw_w)
    assert isinstance(read_answer(dumps({"report": report})), str)


def test_a_refusal_carries_the_standing_report(caplog: pytest.LogCaptureFixture) -> None:
    """The caller sees by its fence that the order was not taken; the log says why."""
    answer = b'{"refusal":"stale","report":' + report_json() + b"}"
    assert read_answer(answer) == StubGuard(Path("node-1")).report()
    assert "stale" in caplog.text


@pytest.mark.parametrize(
    "answer, words",
    [
        (b'{"error":"no guard"}', "no guard"),
        (b'{"refusal":"another boot"}', "another boot"),
        (b"{}", "neither a report nor an error"),
        (b"", "not a GuardAnswer"),
        (b'{"report":{"version":"one"}}', "report"),
        (b'{"report":null,"surprise":1}', "surprise"),
    ],
)
def test_anything_else_is_a_reason_in_words(answer: bytes, words: str) -> None:
    """Never an exception: one guard's nonsense must not stop the loop."""
    reason = read_answer(answer)
    assert isinstance(reason, str)
    assert words in reason
