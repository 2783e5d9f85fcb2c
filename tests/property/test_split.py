"""What the splitting of watts guarantees for any partners and any room."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import given, strategies as st

from scheduler.core.split import Claim, cut, shed_order, split

ROOMS = st.integers(0, 60_000)


@st.composite
def claims(draw: st.DrawFn) -> list[Claim]:
    """Up to six partners, of weights, floors, caps and tiers of all kinds."""
    made = []
    for name in "abcdef"[: draw(st.integers(0, 6))]:
        cap_w = draw(st.integers(0, 12) | st.integers(0, 15_000))
        made.append(
            Claim(
                name=name,
                weight=draw(st.integers(1, 5) | st.integers(1, 10**6)),
                floor_w=draw(st.just(0) | st.integers(0, cap_w)),
                cap_w=cap_w,
                tier=draw(st.integers(0, 4)),
            )
        )
    return made


@given(claims(), ROOMS)
def test_every_watt_is_accounted_for(parties: list[Claim], room_w: int) -> None:
    """Grants are within caps, and they and what is unused are the room; unused is only what nobody can take."""
    result = split(room_w, parties)

    assert sum(result.grants_w.values()) + result.unused_w == room_w
    assert all(0 <= result.grants_w[c.name] <= c.cap_w for c in parties)
    assert result.unused_w == 0 or all(result.grants_w[c.name] == c.cap_w for c in parties)


@given(claims(), ROOMS)
def test_floors_are_kept_in_order_of_tier(parties: list[Claim], room_w: int) -> None:
    """All of them if the room holds them; else nobody gets anything while a tier before it is short."""
    result = split(room_w, parties)

    assert result.short_w == {
        c.name: c.floor_w - result.grants_w[c.name] for c in parties if result.grants_w[c.name] < c.floor_w
    }
    if sum(c.floor_w for c in parties) <= room_w:
        assert not result.short_w
    else:
        first_short = min(c.tier for c in parties if c.name in result.short_w)
        later = [result.grants_w[c.name] for c in parties if c.tier > first_short]
        assert not any(later)
        assert all(result.grants_w[c.name] <= c.floor_w for c in parties)


@given(claims(), ROOMS)
def test_floors_that_do_not_all_fit_shrink_alike_within_their_tier(parties: list[Claim], room_w: int) -> None:
    """Each is reached to the same part, to one watt, whatever the weights; tiers before it have theirs whole."""
    result = split(room_w, parties)
    if not result.short_w:
        return
    tier = min(c.tier for c in parties if c.name in result.short_w)
    left_w = room_w - sum(c.floor_w for c in parties if c.tier < tier)
    peers = [c for c in parties if c.tier == tier]
    for peer in peers:
        exact_w = Fraction(left_w * peer.floor_w, sum(c.floor_w for c in peers))
        assert abs(result.grants_w[peer.name] - exact_w) < 1


@given(claims(), ROOMS, st.data())
def test_what_one_can_no_longer_use_is_the_others_and_takes_nothing_from_them(
    parties: list[Claim], room_w: int, data: st.DataObject
) -> None:
    """A fleet breaks down: nobody else gets a watt less, and nothing is left unused while somebody can take it."""
    if not parties:
        return
    broken = data.draw(st.sampled_from(parties))
    cap_w = data.draw(st.integers(0, broken.cap_w))
    smaller = replace(broken, cap_w=cap_w, floor_w=min(broken.floor_w, cap_w))
    before = split(room_w, parties)
    after = split(room_w, [smaller if c is broken else c for c in parties])

    assert all(after.grants_w[c.name] >= before.grants_w[c.name] for c in parties if c is not broken)
    assert after.grants_w[broken.name] <= before.grants_w[broken.name]
    assert sum(after.grants_w.values()) + after.unused_w == room_w


@given(claims(), ROOMS, st.integers(0, 500))
def test_more_room_takes_nothing_from_anybody(parties: list[Claim], room_w: int, more_w: int) -> None:
    """Not a watt, rounding included, whether floors fit or not; so less room raises nobody."""
    less, more = split(room_w, parties).grants_w, split(room_w + more_w, parties).grants_w

    assert all(less[c.name] <= more[c.name] for c in parties)


@given(claims(), ROOMS)
def test_who_could_take_more_has_no_less_per_weight_than_who_is_above_its_floor(
    parties: list[Claim], room_w: int
) -> None:
    """Max-min: one more watt for anybody would be taken from somebody with no more per weight, to one watt."""
    grants = split(room_w, parties).grants_w
    if sum(c.floor_w for c in parties) > room_w:
        return
    for poor in (c for c in parties if grants[c.name] < c.cap_w):
        for rich in (c for c in parties if grants[c.name] > c.floor_w):
            assert Fraction(grants[poor.name] + 1, poor.weight) >= Fraction(grants[rich.name], rich.weight)


@given(claims(), ROOMS)
def test_the_order_in_which_partners_are_listed_does_not_matter(parties: list[Claim], room_w: int) -> None:
    """The same partners get the same watts."""
    assert split(room_w, parties).grants_w == split(room_w, parties[::-1]).grants_w


@given(claims(), ROOMS, st.integers(0, 70_000))
def test_a_cut_frees_what_is_asked_and_raises_nobody(parties: list[Claim], room_w: int, over_w: int) -> None:
    """As far as there is anything; below a floor only once all are at theirs."""
    before = split(room_w, parties).grants_w
    after = cut(before, over_w, parties, shed_order(parties, {})).grants_w

    assert sum(before.values()) - sum(after.values()) == min(over_w, sum(before.values()))
    assert all(0 <= after[n] <= before[n] for n in before)
    floors = {c.name: c.floor_w for c in parties}
    if any(after[n] < min(before[n], floors[n]) for n in before):
        assert all(after[n] <= floors[n] for n in before)
