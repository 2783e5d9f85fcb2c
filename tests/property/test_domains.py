"""The books of power domains, after any changes, are what a recount gives; and room is exactly what is left."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import given, strategies as st

from scheduler.core.domains import Books, Domain

WATT = st.integers(0, 5_000_000_000).map(lambda uw: uw / 1e6)


@dataclass(frozen=True)
class World:
    """A tree, groups in it, and what happens to them."""

    domains: tuple[Domain, ...]
    homes: dict[str, str]
    moves: list[tuple[str, float]]  #: group, what it is entitled to from then on


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Up to eight domains, each below an earlier one."""
    domains = [
        Domain(
            domain_id=f"d{i}",
            parent=None if i == 0 else f"d{draw(st.integers(0, i - 1))}",
            limit_w=draw(st.none() | WATT),
            margin=draw(st.sampled_from([0.0, 0.03, 0.1])),
            overhead=draw(st.sampled_from([1.0, 1.25, 1.37, 1.000001])),
        )
        for i in range(draw(st.integers(1, 8)))
    ]
    homes = {f"g{i}": draw(st.sampled_from(domains)).domain_id for i in range(draw(st.integers(1, 6)))}
    moves = draw(st.lists(st.tuples(st.sampled_from(sorted(homes)), WATT), max_size=12))
    return World(tuple(domains), homes, moves)


def played(world: World) -> Books:
    """The books after all moves, some told as a change and some as what holds from then on."""
    books = Books(world.domains, world.homes)
    for i, (group_id, watts) in enumerate(world.moves):
        if i % 2:
            books.hold(group_id, watts)
        else:
            books.add(group_id, watts - books.entitled_w(group_id))
    return books


def recounted(world: World, books: Books) -> dict[str, float]:
    """The load of each domain, from the leaves up, by the formula."""
    loads_uw: dict[str, int] = {}
    for domain in reversed(world.domains):
        below_uw = sum(loads_uw[d.domain_id] for d in world.domains if d.parent == domain.domain_id)
        own_uw = sum(
            round(books.entitled_w(g) * 1e6) for g, home in world.homes.items() if home == domain.domain_id
        )
        ppm = round(domain.overhead * 1e6)
        loads_uw[domain.domain_id] = -(-(below_uw + own_uw) * ppm // 1_000_000)
    return {name: uw / 1e6 for name, uw in loads_uw.items()}


@given(worlds())
def test_after_any_changes_the_books_are_a_recount(world: World) -> None:
    """To the digit, in every domain."""
    books = played(world)

    assert {d.domain_id: books.load_w(d.domain_id) for d in world.domains} == recounted(world, books)


@given(worlds())
def test_what_is_over_is_listed_and_nothing_else(world: World) -> None:
    """By the loads and limits of each domain."""
    books = played(world)

    over = {
        d.domain_id
        for d in world.domains
        if not math.isinf(d.usable_w())
        and round(books.load_w(d.domain_id) * 1e6) > math.floor(d.usable_w() * 1e6)
    }
    assert {v.domain_id for v in books.violations()} == over
    assert all(v.over_w > 0 for v in books.violations())


@given(worlds())
def test_room_is_all_that_fits_and_not_a_microwatt_more(world: World) -> None:
    """Given all of it nobody is over who was not; one microwatt more, and somebody above the group is."""
    books = played(world)
    for group_id in world.homes:
        room_w = books.room_w(group_id)
        if room_w < 0 or math.isinf(room_w):
            continue
        before = books.violations()
        books.add(group_id, room_w)
        assert books.violations() == before
        books.add(group_id, 1e-6)
        assert len(books.violations()) > len(before)
        books.add(group_id, -room_w - 1e-6)


@given(worlds())
def test_no_room_means_that_a_domain_above_is_over(world: World) -> None:
    """Room is below zero exactly where one of the group's own domains is over."""
    books = played(world)
    over = {v.domain_id for v in books.violations()}
    parents = {d.domain_id: d.parent for d in world.domains}
    for group_id, home in world.homes.items():
        above, at = set(), home
        while at:
            above.add(at)
            at = parents[at] or ""
        assert (books.room_w(group_id) < 0) is bool(above & over)
