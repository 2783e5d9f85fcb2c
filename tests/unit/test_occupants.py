"""Who is on which node, kept up one attempt and one node at a time."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings, strategies as st

from scheduler.core.jobs import Attempt
from scheduler.core.occupants import Occupants
from tests.builders import site

ATTEMPT = next(iter(site().node("a", gpus=2).running("j", "a", gpus=1).snapshot().attempts.values()))
STEPS = st.tuples(st.sampled_from(("admit", "dismiss", "put", "take")), st.sampled_from("abc"))


def by_id(attempt: Attempt) -> dict[str, Attempt]:
    """As a node is told of those on it."""
    return {attempt.id: attempt}


@settings(max_examples=60)
@given(st.lists(STEPS, max_size=15))
def test_bare_nodes_and_those_away_are_as_a_look_at_every_node_says(steps: list[tuple[str, str]]) -> None:
    """In whatever order nodes come and go, and attempts are put on them and taken off."""
    known, here, on = Occupants(), set[str](), dict[str, set[str]]()
    for what, node_id in steps:
        match what:
            case "admit":
                known.admit(node_id)
                here.add(node_id)
            case "dismiss":
                known.dismiss(node_id)
                here.discard(node_id)
            case "put":
                known.put(node_id, by_id(ATTEMPT))
                on[node_id] = {ATTEMPT.id}
            case _:
                known.take(node_id, ATTEMPT.id)
                on[node_id] = set()
        assert known.bare == {n for n in here if not on.get(n)}
        assert sorted(known.away()) == sorted(n for n, ids in on.items() if ids and n not in here)


def test_an_attempt_that_changed_takes_its_own_place() -> None:
    """Nobody is on a node twice."""
    known = Occupants()
    changed = replace(ATTEMPT, cap_w=ATTEMPT.cap_w - 1.0)
    known.put("a", by_id(ATTEMPT))
    known.put("a", by_id(changed))
    assert list(known.on["a"].values()) == [changed]


def test_all_on_a_node_are_in_order() -> None:
    """Whoever came first; and what was worked out of all of them holds as long as they are the same."""
    known, other = Occupants(), replace(ATTEMPT, id="a.1")
    known.put("a", by_id(ATTEMPT))
    known.graces_s["a"] = 30.0
    known.put("a", by_id(ATTEMPT))
    assert known.graces_s == {"a": 30.0}

    known.put("a", by_id(other))
    assert list(known.on["a"].values()) == [other, ATTEMPT]
    assert known.graces_s == {}
