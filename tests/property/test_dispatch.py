"""Whatever a giver tells: at most one instruction for a change, steps only forward, and nothing binding is lifted."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, strategies as st

from scheduler.core.dispatch import Answer, State, Verdict
from scheduler.core.envelope import Envelope, Segment, lowest
from scheduler.core.given import MOST_OPEN, words
from scheduler.dispatching import DispatchBook
from tests.fakes import T0

LONG_AGO = T0 - timedelta(days=1)
MINUTES = st.integers(0, 120)
STEPS = st.lists(
    st.tuples(MINUTES, st.sampled_from([10.0, 20.0, 30.0]), st.sampled_from(["a", "b", "", None])),
    unique_by=lambda step: step[0],
    max_size=6,
)
ORDER = list(State)
FINAL = {State.ENDED, State.SUPERSEDED, State.REFUSED}


def told(steps: list[tuple[int, float, str | None]], until: int | None) -> Envelope:
    """An envelope of these steps: minute, watts, name."""
    segments = tuple(
        Segment(starts_at=T0 + timedelta(minutes=m), limit_w=w, provenance="p", giver_id=name)
        for m, w, name in sorted(steps, key=lambda step: step[0])
    )
    ends_at = None if until is None else T0 + timedelta(minutes=until)
    return Envelope(
        source="dso", issued_at=T0, read_at=T0, reaction_s=30, segments=segments, valid_until=ends_at
    )


TURNS = st.lists(
    st.tuples(
        st.integers(0, 20),  # minutes since the turn before
        st.none() | st.builds(told, STEPS, st.none() | st.integers(1, 180)),  # None = as before
        st.none() | st.sampled_from([5.0, 15.0, 25.0, 35.0]),  # the draw, if it is measured
        st.booleans(),  # somebody refuses all that is open
    ),
    max_size=8,
)


@given(TURNS, st.booleans())
def test_one_instruction_for_each_change_and_only_forward(turns: list, binding: bool) -> None:
    """And each refused limit that binds counts as before; of voluntary ones nothing counts that was not told."""
    book = DispatchBook(reaction_s=30, voluntary=() if binding else ("dso",))
    at, now_told, states = T0, told([], None), dict[int, State]()
    known: set[tuple] = set()
    changes = 0
    for minutes, fresh, draw_w, is_refused in turns:
        at += timedelta(minutes=minutes)
        now_told = now_told if fresh is None else fresh
        said = {(w.giver_id, w.starts_at, w.ends_at, w.limit_w) for w in words([now_told], LONG_AGO)}
        known, changes = said, changes + len(said - known)
        for _ in range(2):
            book.hear("dso", (now_told,), at)
            book.pass_to(at)
        if draw_w is not None:
            book.measure(draw_w, at)
        if is_refused:
            answer = Answer(verdict=Verdict.REFUSED, by="ada", at=at, note="no")
            book.answer({i.id: answer for i in book.standing})
        for number, one in book._changed.items():
            before = states.get(number, one.state)
            assert before not in FINAL or one.state is before
            assert ORDER.index(before) <= ORDER.index(one.state)
            states[number] = one.state
        _counts_as_told(book, now_told, binding=binding)
        assert sum(i.is_open for i in book.standing) <= MOST_OPEN
    assert len(states) <= changes


def _counts_as_told(book: DispatchBook, envelope: Envelope, *, binding: bool) -> None:
    counted = book.counted([envelope])
    if binding:
        assert list(counted) == [envelope]
    for minutes in range(0, 200, 7):
        at = T0 + timedelta(minutes=minutes)
        whole = lowest([envelope], at, now=T0, firm_w=1.0)
        part = lowest(counted, at, now=T0, firm_w=1.0)
        assert part.limit_w == whole.limit_w or part.source == "firm"
