"""What landing on whole machines guarantees for any fleet and any grant, and over many rounds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import assume, given, strategies as st

from scheduler.core.credit import CreditRule, Round, carried, land
from scheduler.core.machines import Machine, MachineState, Trim, least_w, most_w, quantise
from scheduler.core.split import Claim, split
from tests.builders import T0

GRANTS = st.integers(0, 30_000)


@st.composite
def machines(draw: st.DrawFn, name: str, *, trims: bool = True) -> Machine:
    """A miner in any state."""
    nameplate_w = draw(st.integers(60, 4000))
    rest_w = draw(st.integers(0, 50))
    trim = draw(st.sampled_from(Trim)) if trims else Trim.NONE
    ago_s = draw(st.none() | st.integers(0, 900))
    return Machine(
        machine_id=name,
        nameplate_w=nameplate_w,
        rest_w=rest_w,
        joule_per_th=draw(st.sampled_from([0.0, 15.0, 15.3, 21.5, 29.5])),
        trim=trim,
        least_w=None if trim is Trim.NONE else draw(st.integers(rest_w + 1, nameplate_w)),
        state=draw(st.sampled_from(MachineState)),
        changed_at=None if ago_s is None else T0 - timedelta(seconds=ago_s),
        metered_w=draw(st.none() | st.integers(0, 4000)),
    )


@st.composite
def fleets(draw: st.DrawFn, *, trims: bool = True, prefix: str = "m") -> list[Machine]:
    """Up to eight miners."""
    return [draw(machines(f"{prefix}{i}", trims=trims)) for i in range(draw(st.integers(0, 8)))]


def drawn_w(fleet: list[Machine], targets_w: dict[str, int]) -> int:
    """What the fleet draws at most under these targets."""
    worst = {m.machine_id: m.nameplate_w if m.metered_w is None else m.metered_w for m in fleet}
    return sum(targets_w[m.machine_id] if m.obeys else worst[m.machine_id] for m in fleet)


@given(fleets(), GRANTS, st.booleans())
def test_a_landing_adds_up_and_is_over_only_where_nothing_else_is_allowed(
    fleet: list[Machine], granted_w: int, emergency: bool
) -> None:
    """Over the grant only with all that may sleep asleep and all that must run trimmed as far as they can."""
    landing = quantise(fleet, granted_w, T0, emergency=emergency)
    targets = dict(landing.targets_w)

    assert landing.landed_w == drawn_w(fleet, targets)
    assert landing.landed_w - granted_w == landing.over_w - landing.unmet_w
    assert min(landing.over_w, landing.unmet_w) == 0
    if landing.over_w:
        may_sleep = [m for m in fleet if m.obeys and not (m.runs and m.bound(T0) and not emergency)]
        assert all(targets[m.machine_id] == m.rest_w for m in may_sleep)
        assert all(targets[m.machine_id] == m.lowest_w for m in fleet if m.obeys and m not in may_sleep)
    assert landing.landed_w <= max(granted_w, least_w(fleet, T0, emergency=emergency))
    assert landing.landed_w <= most_w(fleet, T0)


@given(fleets(), GRANTS, st.booleans())
def test_minimum_times_are_kept_but_in_an_emergency(
    fleet: list[Machine], granted_w: int, emergency: bool
) -> None:
    """Who just woke runs on, who just fell asleep sleeps on; an emergency only puts to sleep; targets can be kept."""
    targets = quantise(fleet, granted_w, T0, emergency=emergency).targets_w

    for m in fleet:
        on = targets[m.machine_id] != m.rest_w
        if m.bound(T0) and m.obeys and not (emergency and m.runs):
            assert on is m.runs
        assert not (on and (not m.obeys or (emergency and not m.runs)))
        assert (
            not on
            or m.trimmed_w(targets[m.machine_id]) == targets[m.machine_id]
            or (targets[m.machine_id] == m.nameplate_w)
        )


@given(fleets(), GRANTS)
def test_in_an_emergency_as_few_as_can_be_sleep_too_soon(fleet: list[Machine], granted_w: int) -> None:
    """One more of them would not fit, even with all of them trimmed and every other machine asleep."""
    targets = quantise(fleet, granted_w, T0, emergency=True).targets_w
    bound = [m for m in fleet if m.obeys and m.runs and m.bound(T0)]
    kept = sum(targets[m.machine_id] != m.rest_w for m in bound)
    if kept < len(bound):
        cheapest = sorted(m.lowest_w - m.rest_w for m in bound)[: kept + 1]
        assert least_w(fleet, T0, emergency=True) + sum(cheapest) > granted_w


@given(fleets(), GRANTS)
def test_nobody_who_may_run_fits_into_what_is_left(fleet: list[Machine], granted_w: int) -> None:
    """And at most one is trimmed, unless machines have to run on beyond the grant."""
    landing = quantise(fleet, granted_w, T0)

    idle = [m for m in fleet if m.obeys and landing.targets_w[m.machine_id] == m.rest_w]
    assert all(m.extra_w > landing.unmet_w for m in idle if m.runs or not m.bound(T0))
    assert len(landing.trimmed) <= 1 or any(m.runs and m.bound(T0) for m in fleet)


@given(fleets(trims=False), GRANTS, st.integers(0, 2000))
def test_a_larger_grant_never_lands_lower(fleet: list[Machine], granted_w: int, more_w: int) -> None:
    """With whole machines only."""
    less, more = (quantise(fleet, w, T0) for w in (granted_w, granted_w + more_w))

    assert less.landed_w <= more.landed_w


@given(fleets(), GRANTS, st.randoms(use_true_random=False))
def test_the_order_of_the_list_does_not_matter(fleet: list[Machine], granted_w: int, chance: object) -> None:
    """The same machines get the same targets."""
    shuffled = list(fleet)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]

    assert quantise(shuffled, granted_w, T0) == quantise(fleet, granted_w, T0)


@given(fleets(trims=False), GRANTS)
def test_deciding_again_after_success_changes_nobodys_sleep(fleet: list[Machine], granted_w: int) -> None:
    """The machines do as told, and the same grant a second later wakes nobody and puts nobody to sleep.

    With whole machines only: one that is trimmed may find a better place once another has woken. Nor where a minimum
    time ends in that second: who was kept on by it may sleep then.
    """
    later_at = T0 + timedelta(seconds=1)
    assume(all(m.bound(T0) is m.bound(later_at) for m in fleet))
    first = quantise(fleet, granted_w, T0)
    obeyed = [_told(m, first.targets_w[m.machine_id]) for m in fleet]
    again = quantise(obeyed, granted_w, later_at)

    woken = {m.machine_id for m in obeyed if again.targets_w[m.machine_id] != m.rest_w} - {
        m.machine_id for m in obeyed if first.targets_w[m.machine_id] != m.rest_w
    }
    slept = {m.machine_id for m in obeyed if m.obeys and m.runs and again.targets_w[m.machine_id] == m.rest_w}
    assert not slept
    assert not {m.machine_id for m in obeyed if m.bound(T0)} & woken


def _told(m: Machine, target_w: int) -> Machine:
    """The machine once it has done what it was told."""
    runs = target_w != m.rest_w
    if not m.obeys or runs is m.runs:
        return m
    return replace(m, state=MachineState.RUNNING if runs else MachineState.ASLEEP, changed_at=T0)


@st.composite
def rounds(draw: st.DrawFn) -> Round:
    """Up to four partners of all weights, caps, floors and tiers, who are owed or owe anything."""
    by_name = {str(i): draw(fleets()) for i in range(draw(st.integers(1, 4)))}
    claims = []
    for name, fleet in by_name.items():
        cap_w = draw(st.just(most_w(fleet, T0)) | st.integers(0, most_w(fleet, T0)))
        floor_w = draw(st.just(0) | st.integers(0, cap_w))
        weight, tier = draw(st.integers(1, 9)), draw(st.integers(0, 4))
        claims.append(Claim(name=name, weight=weight, floor_w=floor_w, cap_w=cap_w, tier=tier))
    room_w = draw(GRANTS)
    return Round(
        room_w=room_w,
        claims=claims,
        shares_w=split(room_w, claims).grants_w,
        fleets=by_name,
        credit_ws={n: draw(st.integers(-(10**8), 10**8)) for n in by_name},
        at=T0,
        emergency=draw(st.booleans()),
        by_tier=draw(st.booleans()),
    )


@given(rounds())
def test_partners_together_stay_within_the_room(now: Round) -> None:
    """Whatever is owed to whom; over only with everybody at the least that is allowed. So is each within its cap."""
    landings = land(now, CreditRule())
    least = {n: least_w(f, T0, emergency=now.emergency) for n, f in now.fleets.items()}

    assert sum(x.landed_w for x in landings.values()) <= max(now.room_w, sum(least.values()))
    for claim in now.claims:
        landing = landings[claim.name]
        assert landing.landed_w == drawn_w(list(now.fleets[claim.name]), dict(landing.targets_w))
        assert landing.landed_w <= max(claim.cap_w, least[claim.name])


@given(rounds())
def test_among_partners_too_minimum_times_are_kept_but_in_an_emergency(now: Round) -> None:
    """Neither debts nor tiers wake who just fell asleep, or put to sleep who just woke."""
    landings = land(now, CreditRule())
    for name, fleet in now.fleets.items():
        for machine in (m for m in fleet if m.obeys and m.bound(T0)):
            told_to_run = landings[name].targets_w[machine.machine_id] > machine.rest_w
            assert told_to_run <= machine.runs
            assert now.emergency or told_to_run is machine.runs


@given(rounds())
def test_a_partner_that_is_owed_more_never_lands_lower(now: Round) -> None:
    """Than with the same machines and nothing owed, in a round of equal tiers."""
    plain = replace(now, by_tier=False)
    owed = replace(plain, credit_ws={n: 10**9 if n == "0" else 0 for n in now.fleets})
    nothing = replace(plain, credit_ws=dict.fromkeys(now.fleets, 0))

    assert land(owed, CreditRule())["0"].landed_w >= land(nothing, CreditRule())["0"].landed_w


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(-(10**6), 10**6)),
    st.dictionaries(st.sampled_from("abc"), st.tuples(st.integers(0, 5000), st.integers(0, 5000))),
    st.floats(0, 600),
)
def test_what_is_owed_is_bounded_and_adds_up_to_nothing(
    before: dict[str, int], used: dict[str, tuple[int, int]], seconds: float
) -> None:
    """But for rounding, debts and credits of a round cancel out, unless one of them reaches the bound."""
    rule = CreditRule(bound_ws=2_000_000, swap_ws=1)
    shares_w, used_w = {n: s for n, (s, _) in used.items()}, {n: u for n, (_, u) in used.items()}
    after = carried(before, shares_w, used_w, seconds, rule)

    assert all(abs(ws) <= rule.bound_ws for ws in after.values())
    if any(shares_w.values()) and all(abs(ws) < rule.bound_ws for ws in after.values()):
        assert abs(sum(after.values()) - sum(before.values())) <= len(used)
