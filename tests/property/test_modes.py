"""What every mode guarantees for any surplus, AI demand and partners."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, strategies as st

from scheduler.core.modes import AiBlock, AiFirst, Mode, Revenue, Shares, Surplus, Threshold, divide
from scheduler.core.partners import Partner, Price
from tests.builders import T0

WATTS = st.integers(0, 20_000)
VALUES = st.integers(-3, 6)
PPM = st.integers(0, 1_000_000).map(lambda ppm: ppm / 1e6)
MODES: st.SearchStrategy[Mode] = (
    st.just(AiFirst())
    | st.builds(Shares, mining=PPM)
    | st.just(Revenue())
    | st.builds(Threshold, from_w=WATTS, reserve_w=WATTS)
)


@st.composite
def surpluses(draw: st.DrawFn) -> Surplus:
    """Up to four blocks of AI and three partners."""
    values = sorted(draw(st.lists(VALUES, max_size=4)), reverse=True)
    partners = []
    for name in "abc"[: draw(st.integers(0, 3))]:
        floor_w = draw(st.just(0) | WATTS)
        partners.append(
            Partner(
                partner_id=name,
                weight=draw(st.integers(1, 9)),
                floor_w=floor_w,
                cap_w=draw(st.none() | st.integers(floor_w, floor_w + 20_000)),
                tier=draw(st.integers(0, 4)),
                groups=(f"m-{name}",),
                price=draw(st.none() | st.builds(Price, micro_per_mwh=VALUES, source=st.just("contract"))),
            )
        )
    return Surplus(
        room_w=draw(st.integers(0, 60_000)),
        ai=tuple(AiBlock(watts=draw(WATTS), micro_per_mwh=v) for v in values),
        ai_firm_w=draw(st.just(0) | WATTS),
        partners=tuple(partners),
        available_w={f"m-{p.partner_id}": float(draw(WATTS)) for p in partners},
        at=T0,
    )


@given(MODES, surpluses())
def test_every_watt_is_accounted_for(mode: Mode, surplus: Surplus) -> None:
    """Never more than the room, nobody above what it can use, and a sentence says why."""
    division = divide(mode, surplus)

    assert division.ai_w + division.mining_w + division.unused_w == surplus.room
    assert 0 <= division.ai_w <= surplus.ai_w
    assert division.unused_w >= 0
    assert all(0 <= division.partners_w[c.name] <= c.cap_w for c in surplus.claims())
    assert division.reasons[0].text


@given(MODES, surpluses(), st.integers(0, 3000))
def test_more_room_takes_nothing_from_anybody(mode: Mode, surplus: Surplus, more_w: int) -> None:
    """So less room raises nobody."""
    less, more = divide(mode, surplus), divide(mode, replace(surplus, room_w=surplus.room_w + more_w))

    assert less.ai_w <= more.ai_w
    assert all(watts <= more.partners_w[name] for name, watts in less.partners_w.items())


@given(MODES, surpluses(), st.data())
def test_what_a_partner_can_no_longer_use_takes_nothing_from_anybody_else(
    mode: Mode, surplus: Surplus, data: st.DataObject
) -> None:
    """Its machines break down: AI and the other partners have what they had, or more.

    Where a price is missing or is no longer needed, it is another ranking, and nothing of the kind is said.
    """
    if not surplus.partners:
        return
    broken = data.draw(st.sampled_from(surplus.partners))
    left_w = {**surplus.available_w, f"m-{broken.partner_id}": 0.0}
    before, after = divide(mode, surplus), divide(mode, replace(surplus, available_w=left_w))
    if before.reasons[0].code != after.reasons[0].code:
        return
    assert after.ai_w >= before.ai_w
    others = (n for n in before.partners_w if n != broken.partner_id)
    assert all(after.partners_w[n] >= before.partners_w[n] for n in others)


@given(MODES, surpluses())
def test_floors_come_first_within_what_mining_gets(mode: Mode, surplus: Surplus) -> None:
    """While one lacks its floor, nobody of a larger tier has anything, and nobody more than its floor."""
    division, claims = divide(mode, surplus), surplus.claims()
    short = [c for c in claims if division.partners_w[c.name] < c.floor_w]
    if not short:
        return
    tier = min(c.tier for c in short)
    assert not any(division.partners_w[c.name] for c in claims if c.tier > tier)
    assert all(division.partners_w[c.name] <= c.floor_w for c in claims)


@given(MODES, surpluses())
def test_firm_work_is_never_cut_for_mining(mode: Mode, surplus: Surplus) -> None:
    """In any mode it gets all it needs, as far as there is any."""
    assert divide(mode, surplus).ai_w >= surplus.firm_w


@given(st.just(AiFirst()) | st.builds(Threshold, from_w=WATTS, reserve_w=WATTS), surpluses())
def test_where_ai_is_first_nothing_is_mined_while_it_lacks_a_watt(mode: Mode, surplus: Surplus) -> None:
    """Mining is what is left."""
    division = divide(mode, surplus)

    assert division.mining_w == 0 or division.ai_w == surplus.ai_w


@given(st.just(AiFirst()) | st.builds(Shares, mining=PPM), surpluses())
def test_nothing_is_unused_while_anybody_could_use_it(mode: Mode, surplus: Surplus) -> None:
    """What flows over reaches whoever can take it."""
    division = divide(mode, surplus)

    at_most = all(division.partners_w[c.name] == c.cap_w for c in surplus.claims())
    assert division.unused_w == 0 or (at_most and division.ai_w == surplus.ai_w)


@given(surpluses())
def test_no_other_division_brings_more(surplus: Surplus) -> None:
    """Ranked by revenue: moving watts from who got some beyond its floor to who could take more does not pay."""
    division = divide(Revenue(), surplus)
    if division.reasons[0].code == "NotRanked":
        return
    claims = {c.name: c for c in surplus.claims()}
    worth = {p.partner_id: p.worth_micro_per_mwh or 0 for p in surplus.partners}
    got = [worth[n] for n, w in division.partners_w.items() if w > claims[n].floor_w]
    lacks = [worth[n] for n, w in division.partners_w.items() if claims[n].floor_w <= w < claims[n].cap_w]
    left_w = division.ai_w
    for block in surplus.ai:
        taken_w = min(left_w, block.watts)
        left_w -= taken_w
        if taken_w and division.ai_w > surplus.firm_w:
            got.append(block.micro_per_mwh or 0)
        if taken_w < block.watts:
            lacks.append(block.micro_per_mwh or 0)
    if division.ai_w <= surplus.firm_w or division.unused_w:
        assert not division.unused_w or all(value < 0 for value in lacks)
    assert not got or not lacks or min(got) >= max(lacks)
