"""Settlement adds up: to the micro-unit, to the watt-second, and whatever is added later."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import example, given, strategies as st

from scheduler.core.contracts import Quotes, Terms, amount_micro
from scheduler.core.curtailment import Cause, Presence, Scene, Side, confirmed, curtailed, remembered
from scheduler.core.interval import (
    AI,
    BASELINE,
    GRANTED,
    METERED,
    OVERHEAD,
    SITE,
    Flow,
    Moment,
    Over,
    PartEnergy,
    advanced,
    begun,
)
from scheduler.core.settled_totals import changes_of, totals_of
from scheduler.core.settlement import (
    Adjustment,
    Balance,
    CannotAdjust,
    Change,
    Measured,
    Row,
    adjusted,
    by_cause,
    closed,
    creditable_ws,
    settled,
)
from tests.settled import AT, CURTAILED, ENERGIES, TERMS, draft, figures, terms

WATTS = st.integers(0, 10**7)
SIDES = st.lists(
    st.builds(
        Side,
        group_id=st.just(""),
        takes_w=WATTS,
        may_w=WATTS,
        granted_w=WATTS,
        metered_w=WATTS,
        paused_w=st.just(0) | WATTS,
        is_heard=st.booleans(),
        presence=st.builds(
            Presence,
            confirmed_w=st.none() | WATTS,
            cause=st.none() | st.sampled_from(Cause),
            caused_at=st.none() | st.just(AT) | st.just(AT - timedelta(hours=2)),
        ),
    ),
    max_size=6,
).map(lambda sides: [replace(s, group_id=f"g{i}") for i, s in enumerate(sides)])
SCENES = st.builds(
    Scene, at=st.just(AT), room_w=st.integers(-(10**7), 10**8), ai_w=WATTS, is_stopped=st.booleans()
)


@given(SCENES, SIDES)
@example(
    Scene(at=AT, room_w=1, ai_w=0),
    [
        Side(
            group_id="g0",
            takes_w=1,
            may_w=1,
            granted_w=0,
            metered_w=0,
            presence=Presence(cause=Cause.PARTNER_REQUEST, caused_at=AT),
        )
    ],
)
def test_the_causes_of_a_group_add_up_to_what_it_lacks(scene: Scene, sides: list[Side]) -> None:
    """Each watt that it draws less than it would has one cause, and none has a watt below 0."""
    found = curtailed(scene, sides)
    for side in sides:
        causes = found[side.group_id]
        assert sum(causes.values()) == side.shortfall_w
        assert all(watts > 0 for watts in causes.values())


@given(SCENES, SIDES)
def test_nobody_is_blamed_who_holds_nothing_back(scene: Scene, sides: list[Side]) -> None:
    """No AI where it holds nothing, no grid where there is room for all; but for what comes back from before."""
    fresh = [replace(s, presence=replace(s.presence, caused_at=None)) for s in sides]
    blamed = {cause for causes in curtailed(scene, fresh).values() for cause in causes}
    assert Cause.AI_PREEMPT not in blamed or scene.ai_w > 0
    assert Cause.GRID not in blamed or scene.room_w < sum(s.baseline_w for s in fresh)
    assert not scene.is_stopped or not blamed & {Cause.GRID, Cause.AI_PREEMPT}


@given(SCENES, SIDES)
def test_what_a_group_can_take_is_never_above_what_was_seen_or_told(scene: Scene, sides: list[Side]) -> None:
    """After any reading."""
    for side, causes in zip(sides, curtailed(scene, sides).values(), strict=True):
        presence = remembered(confirmed(side, AT), causes, side, AT)
        after = replace(side, presence=presence)
        assert after.baseline_w <= after.most_w
        assert presence.confirmed_w in (None, side.presence.confirmed_w, side.metered_w)


STEPS = st.lists(
    st.tuples(st.floats(0.001, 2000.0), WATTS, WATTS, WATTS, WATTS, CURTAILED), min_size=2, max_size=25
)


def played(steps: list[tuple[float, int, int, int, int, dict[Cause, int]]]) -> list[Over]:
    """What intervals come of such a series of seconds, watts of partner, AI, overhead and site, and causes."""
    over: list[Over] = []
    running, at = begun(AT), AT
    for seconds, metered_w, ai_w, overhead_w, lost_w, causes in steps:
        at += timedelta(seconds=seconds)
        lacking_w = {str(cause): watts for cause, watts in causes.items()}
        baseline_w = metered_w + sum(causes.values())
        flow = Flow(watts={METERED: metered_w, GRANTED: metered_w, BASELINE: baseline_w, **lacking_w})
        drawn_w = metered_w + ai_w + overhead_w + lost_w
        site = {SITE: drawn_w, AI: ai_w, OVERHEAD: overhead_w}
        running, closed_now = advanced(running, Moment(at=at, site=site, flows={"north": flow}))
        over += closed_now
    return over


@given(STEPS)
def test_the_parts_of_an_interval_add_up_to_the_site_s_meter(
    steps: list[tuple[float, int, int, int, int, dict[Cause, int]]],
) -> None:
    """Partners, AI, overhead and losses, in whole watt-seconds; registers go on from interval to interval."""
    reading_ws = 0
    for over in played(steps):
        balance = closed(Measured(over=over, terms={}), Quotes(at=over.starts_at)).balance
        parts = sum(balance.partners_ws.values()) + balance.ai_ws + balance.overhead_ws + balance.losses_ws
        assert parts == balance.site_ws
        assert over.covered_ms <= 900_000
        for part in over.parts.values():
            assert part.reading_start_ws == reading_ws
            reading_ws = part.reading_end_ws
            assert part.reading_end_ws - part.reading_start_ws == part.metered_ws


@given(STEPS)
def test_grants_come_to_what_was_granted(
    steps: list[tuple[float, int, int, int, int, dict[Cause, int]]],
) -> None:
    """To the watt-second that is carried over, and their times to what is covered."""
    for energy in (over.parts["north"] for over in played(steps) if over.parts):
        listed_ws = sum(g.granted_w * g.ms for g in energy.grants) // 1000
        assert sum(g.ms for g in energy.grants) == energy.covered_ms
        assert energy.granted_ws - listed_ws in (0, 1)


@given(STEPS)
def test_no_watt_second_is_lost_between_intervals(
    steps: list[tuple[float, int, int, int, int, dict[Cause, int]]],
) -> None:
    """What is left below one goes into the next: the register is the whole, rounded down once."""
    overs = played(steps)
    if not overs:
        return
    until = overs[-1].starts_at + timedelta(minutes=15)
    exact_mws, at = 0, None
    for (seconds, *_), (_, metered_w, *_) in zip(steps[1:], steps, strict=False):
        at = at or AT + timedelta(seconds=steps[0][0])
        begins = at.replace(microsecond=at.microsecond // 1000 * 1000)
        at += timedelta(seconds=seconds)
        ends = min(
            at.replace(microsecond=at.microsecond // 1000 * 1000), begins + timedelta(seconds=10), until
        )
        exact_mws += max(0, (ends - begins) // timedelta(milliseconds=1)) * metered_w
    assert overs[-1].parts["north"].reading_end_ws == exact_mws // 1000 if overs[-1].parts else True


def month_of(contract: Terms, energies: list[PartEnergy]) -> list[Row]:
    """The rows of a month, written one after the other."""
    rows: list[Row] = []
    for number, what in enumerate(energies):
        credited = sum(row.credit_micro or 0 for row in rows)
        made = draft(what, contract=contract, quotes=Quotes(at=AT, figures=figures()), number=number)
        rows.append(settled(made, credited))
    return rows


@given(TERMS, st.lists(ENERGIES, max_size=12))
def test_a_statement_re_adds_to_the_micro_unit(contract: Terms, energies: list[PartEnergy]) -> None:
    """Each amount is the energy of its row by its rate, and the totals are the sums of the rows."""
    rows = month_of(contract, energies)
    totals = totals_of(rows)
    charges = credits_due = 0
    for row in rows:
        price, credit = row.draft.price.micro_per_mwh, row.draft.credit.micro_per_mwh
        assert price is not None
        assert credit is not None
        charges += amount_micro(row.draft.energy.metered_ws, price)
        due = sum(ws for c, ws in row.draft.energy.curtailed_ws.items() if c not in contract.excused)
        credits_due += amount_micro(due, credit)
    assert (totals.charge_micro, totals.credit_due_micro) == (charges, credits_due)
    assert totals.credit_micro == sum(row.credit_micro or 0 for row in rows)
    assert totals.due_micro == charges - totals.credit_micro
    assert sum(totals.curtailed_ws.values()) == sum(sum(e.curtailed_ws.values()) for e in energies)


CHANGES = st.builds(
    Change,
    metered_ws=st.integers(-(10**10), 10**10),
    curtailed_ws=st.dictionaries(st.sampled_from(Cause), st.integers(-(10**10), 10**10)),
    charge_micro=st.none() | st.integers(-(10**9), 10**9),
    credit_micro=st.none() | st.integers(-(10**9), 10**9),
)


def adjust(row: Row, before: list[Adjustment], change: Change, credited: int) -> int:
    """Make the next adjustment of a row, if it leaves no less than nothing; how many were refused."""
    try:
        before.append(adjusted(row, before, change, credited_micro=credited, reason="log", by="asma", at=AT))
    except CannotAdjust:
        return 1
    return 0


@given(TERMS, st.lists(ENERGIES, min_size=1, max_size=5), st.lists(CHANGES, max_size=6))
def test_credits_never_exceed_the_cap_whatever_is_adjusted(
    contract: Terms, energies: list[PartEnergy], changes: list[Change]
) -> None:
    """And rows are the same after it as before: an adjustment is added, and edits nothing."""
    rows = month_of(contract, energies)
    untouched = tuple(rows)
    adjustments: list[Adjustment] = []
    refused = 0
    for change in changes:
        credited = totals_of(rows).credit_micro + changes_of(adjustments).credit_micro
        refused += adjust(rows[0], adjustments, change, credited)
        cap = contract.credit_cap_micro
        assert cap is None or totals_of(rows).credit_micro + changes_of(adjustments).credit_micro <= cap
    assert tuple(rows) == untouched
    assert [a.number for a in adjustments] == list(range(1, len(changes) - refused + 1))
    energies_ws = [rows[0].draft.energy.curtailed_ws, *(a.curtailed_ws for a in adjustments)]
    assert all(ws > 0 for ws in by_cause(energies_ws).values())


@given(TERMS, ENERGIES, st.lists(st.integers(-(10**10), 10**10), max_size=6))
def test_late_energy_costs_what_it_would_have_cost_in_time(
    contract: Terms, what: PartEnergy, later: list[int]
) -> None:
    """However many adjustments it comes in: charges of the interval and its adjustments are those of the sum."""
    (row,) = month_of(contract, [what])
    adjustments: list[Adjustment] = []
    for metered_ws in later:
        adjust(row, adjustments, Change(metered_ws=metered_ws), 0)
    price = row.draft.price.micro_per_mwh
    assert price is not None
    drawn_ws = what.metered_ws + changes_of(adjustments).metered_ws
    whole = amount_micro(drawn_ws, price)
    assert drawn_ws >= 0
    assert (row.charge_micro or 0) + changes_of(adjustments).charge_micro == whole


@given(st.lists(st.integers(0, 10**11), min_size=1, max_size=20), st.integers(-(10**9), 10**9))
def test_an_interval_in_parts_costs_what_it_does_whole(parts: list[int], rate: int) -> None:
    """But for half a micro-unit of rounding for each part."""
    whole, split = amount_micro(sum(parts), rate), sum(amount_micro(ws, rate) for ws in parts)
    assert abs(whole - split) * 2 <= len(parts) + 1


def test_half_a_micro_unit_is_rounded_away_from_zero() -> None:
    """Both ways alike: what is taken back is what was charged."""
    assert amount_micro(1_800_000_000, 1) == 1
    assert amount_micro(1_800_000_000, -1) == -1
    assert amount_micro(1_799_999_999, 1) == 0
    assert creditable_ws({Cause.GRID: 5, Cause.FAULT: 7}, terms().excused) == 5


def test_a_balance_shows_losses_of_either_sign() -> None:
    """Where partners' meters see more than the site's, the losses are below 0."""
    balance = Balance(
        starts_at=AT,
        covered_ms=1,
        metered_ms=1,
        site_ws=100,
        partners_ws={"a": 60, "b": 50},
        ai_ws=0,
        overhead_ws=0,
    )
    assert balance.losses_ws == -10
