"""Who does what: the roster after any changes is as one made of those who are left."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, strategies as st

from scheduler.core.jobs import Attempt, Phase
from scheduler.core.power import A100_SXM
from scheduler.core.roster import Kind, Roster
from tests.builders import site

KINDS = [
    Kind(tier=tier, model=A100_SXM, floor_w=195.0, knee_w=knee_w, top_w=400.0, least_w=100.0)
    for tier, knee_w in ((4, 195.0), (3, 250.0))
]
CAPS_W = [400.0, 300.0, 250.0]


def made(name: str, phase: Phase = Phase.RUN, cap_w: float = 400.0) -> Attempt:
    """An attempt in a phase."""
    built = site().node(gpus=1).running(name, "node-1", gpus=1)
    return replace(built.attempts[f"{name}.1"], phase=phase, cap_w=cap_w)


ATTEMPTS = {name: made(name) for name in "abcd"}


def test_only_those_that_run_are_counted_by_cap() -> None:
    """Others are only in their phase."""
    roster, kind = Roster(), KINDS[0]
    roster.put(made("b", cap_w=300.0), kind, 2)
    roster.put(made("a", cap_w=300.0), kind, 1)
    roster.put(made("held", Phase.SUSPEND), kind, 4)

    assert [a.job_id for a in roster.in_phase(Phase.RUN)] == ["a", "b"]
    assert [a.job_id for a in roster.in_phase(Phase.RUN, Phase.SUSPEND)] == ["a", "b", "held"]
    assert (roster.count(Phase.RUN), roster.count(Phase.SUSPEND), roster.count(Phase.KILL)) == (2, 1, 0)
    assert roster.gpus() == {kind: {300.0: 3}}
    assert roster.capped() == {kind: {300.0: {"a.1", "b.1"}}}


def test_only_who_has_another_cap_than_his_kind_is_told() -> None:
    """By id, with the cap of the kind."""
    roster, (one, two) = Roster(), KINDS
    roster.put(made("c", cap_w=300.0), one, 1)
    roster.put(made("a", cap_w=250.0), two, 1)
    roster.put(made("b", cap_w=250.0), one, 1)

    found = [(a.job_id, w) for a, w in roster.other_than({one: 300.0, two: 400.0})]

    assert found == [("a", 400.0), ("b", 300.0)]


def test_who_is_above_the_cap_of_its_kind_is_found() -> None:
    """And of some that are named, who has any other cap and runs."""
    roster, (one, two) = Roster(), KINDS
    roster.put(made("c", cap_w=400.0), one, 1)
    roster.put(made("a", cap_w=250.0), one, 1)
    roster.put(made("b", cap_w=300.0), two, 1)
    roster.put(made("held", Phase.SUSPEND), one, 1)
    targets = {one: 300.0, two: 300.0}

    assert [(a.job_id, w) for a, w in roster.higher_than(targets)] == [("c", 300.0)]
    assert {a.id: w for a, w in roster.higher_than(targets)} == {"c.1": 300.0}
    named = {"held.1", "c.1", "b.1", "a.1", "gone.1"}
    assert [(a.job_id, w) for a, w in roster.others_of(named, targets)] == [("a", 300.0), ("c", 300.0)]


def test_who_has_no_kind_is_on_none_of_the_nodes() -> None:
    """And is left out, even if he was there before."""
    roster = Roster()
    roster.put(made("a"), KINDS[0], 1)
    roster.put(made("a"), None, 0)

    assert (roster.in_phase(*Phase), roster.kind_of("a.1"), roster.gpus(), roster.capped()) == (
        [],
        None,
        {},
        {},
    )


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(sorted(ATTEMPTS)),
        st.sampled_from([*Phase, None]),
        st.sampled_from(CAPS_W),
        st.sampled_from([*KINDS, None]),
        st.integers(1, 3),
    ),
    max_size=25,
)


@given(CHANGES)
def test_a_roster_that_was_kept_up_is_as_a_new_one(
    changes: list[tuple[str, Phase | None, float, Kind | None, int]],
) -> None:
    """Whoever came, changed, or went."""
    roster, left = Roster(), dict[str, tuple[Attempt, Kind | None, int]]()
    for name, phase, cap_w, kind, gpus in changes:
        if phase is None:
            roster.take(f"{name}.1")
            left.pop(name, None)
        else:
            left[name] = (replace(ATTEMPTS[name], phase=phase, cap_w=cap_w), kind, gpus)
            roster.put(*left[name])
    fresh = Roster()
    for one in left.values():
        fresh.put(*one)

    assert (roster.gpus(), roster.capped()) == (fresh.gpus(), fresh.capped())
    assert all(roster.in_phase(phase) == fresh.in_phase(phase) for phase in Phase)
    assert all(roster.kind_of(f"{n}.1") == fresh.kind_of(f"{n}.1") for n in ATTEMPTS)
