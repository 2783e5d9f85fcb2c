"""What is told of sources of the limit, each once."""

from __future__ import annotations

from datetime import UTC, datetime

from scheduler.core.envelope import Envelope
from scheduler.core.given import Refusal
from scheduler.core.reasons import Event
from scheduler.errors import SignalError
from scheduler.hearing import MOST_AT_ONCE, Hearing

T0 = datetime(2026, 6, 1, tzinfo=UTC)


class Told:
    """A source that is told things."""

    name = "feeder"

    def __init__(self) -> None:
        self.bad: list[str] = []

    async def read(self, at: datetime) -> Envelope:
        raise SignalError(f"{at}: nothing was told yet")

    def refused(self) -> list[str]:
        bad, self.bad = self.bad, []
        return bad

    async def close(self) -> None:
        """Nothing is open."""


def test_a_source_that_fails_is_told_once_and_that_it_is_back() -> None:
    """And again when the reason is another one."""
    told: list[Event] = []
    hearing, source = Hearing(told.append), Told()
    for why in ("no route", "no route", "refused"):
        hearing.failed(source, SignalError(why), T0)
    hearing.heard(source, T0)
    hearing.heard(source, T0)

    assert [e.kind for e in told] == ["signal.lost", "signal.lost", "signal.back"]
    assert "no route" in told[0].text
    assert all(e.data == {"source": "feeder"} for e in told)


def test_what_is_refused_is_told_with_its_reason() -> None:
    """The same thing said again and again is told once; something else, then the first again, is news."""
    told: list[Event] = []
    hearing, source = Hearing(told.append), Told()
    source.bad = ["limit: NaN is no limit", "limit: NaN is no limit", "limit: -1 is below 0"]
    hearing.heard(source, T0)
    source.bad = ["limit: -1 is below 0"]
    hearing.failed(source, SignalError("gone"), T0)

    assert [e.kind for e in told] == ["signal.refused", "signal.refused", "signal.lost"]
    assert "NaN" in told[0].text


def test_a_flood_of_nonsense_does_not_fill_the_record() -> None:
    """Some are told one by one, the others as a number; and none at any length."""
    told: list[Event] = []
    source = Told()
    source.bad = [f"{n}: " + "x" * 10_000 for n in range(1000)]
    Hearing(told.append).heard(source, T0)

    assert len(told) == MOST_AT_ONCE + 1
    assert f"{1000 - MOST_AT_ONCE} more" in told[-1].text
    assert max(len(e.text) for e in told) < 1000


def test_what_is_refused_by_a_name_is_noted_by_it() -> None:
    """Once, as it is told; what has no name is only told, and a flood is cut."""
    noted: list[tuple[str, str, str]] = []
    hearing = Hearing(
        lambda _: None, lambda source, refusal, _: noted.append((source, refusal.giver_id, refusal))
    )
    source = Told()
    for _ in range(2):
        source.bad = [Refusal("limit: NaN is no limit", giver_id="event-7")]
        hearing.heard(source, T0)
    source.bad = ["no JSON", *(Refusal(f"{n}", giver_id=f"e{n}") for n in range(100))]
    hearing.heard(source, T0)

    assert noted[0] == ("feeder", "event-7", "limit: NaN is no limit")
    assert [name for _, name, _ in noted[1:]] == [f"e{n}" for n in range(MOST_AT_ONCE - 1)]
