"""What each device group might draw: the scheduler's account of orders not yet superseded or expired.

The invariant (DESIGN section 4): overhead x sum of exposures <= limit, over every order that could still stand.
All instants are on the scheduler's clock; `expires_at` is an upper bound of the expiry on the guard's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.core.altered import altered, swift
from scheduler.core.orders import NO_FENCE, FallbackStep, Fence


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An order that was sent and may stand, or come to stand."""

    fence: Fence
    entitlement_w: float
    fallback: tuple[FallbackStep, ...]
    expires_at: datetime

    def may_draw_w(self, at: datetime, *, fall_s: float) -> float:
        """Upper bound of the draw under this order at `at`: entitled until expiry plus the fall, the fallback after."""
        if at < self.expires_at + timedelta(seconds=fall_s):
            return max(self.entitlement_w, self.resting_w())
        return self.fallback_at_w(at, fall_s=fall_s)

    def fallback_at_w(self, at: datetime, *, fall_s: float) -> float:
        """The fallback at `at`, each step counted as late as the fall allows."""
        if at < self.expires_at:
            return self.resting_w()
        passed = [s.limit_w for s in self.fallback if _ends_at(self, s.after_s, fall_s) <= at]
        return min(passed) if passed else self.resting_w()

    def step_w(self, late_s: float) -> float:
        """The step of the fallback that holds `late_s` past the expiry."""
        passed = [s.limit_w for s in self.fallback if s.after_s <= late_s]
        return min(passed) if passed else self.resting_w()

    def resting_w(self) -> float:
        """The first (highest) step of the fallback: what expiry alone leads to."""
        return self.fallback[0].limit_w if self.fallback else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One group's account.

    `charged_w` is what the devices may draw by their enforced caps as last reported. It counts on top of the open
    orders, because entitlement that was revoked is free only when a reading confirms it.
    """

    group_id: str
    idle_w: float  #: the group at rest
    nameplate_w: float  #: the group at its worst, counted while nothing is known of it
    known: bool = False  #: a report was seen
    acked: Fence = NO_FENCE
    sent: Fence = NO_FENCE
    charged_w: float = 0.0
    charged_at: datetime | None = None
    open: tuple[OpenOrder, ...] = ()

    @property
    def newest(self) -> OpenOrder | None:
        """The last of the orders that may still stand; None = none may."""
        return max(self.open, key=lambda order: order.fence, default=None)


def sent(account: Account, order: OpenOrder) -> Account:
    """The account after an order went out (recorded before it goes)."""
    return altered(account, open=(*account.open, order), sent=max(account.sent, order.fence))


def acknowledged(account: Account, fence: Fence) -> Account:
    """The account after the guard showed that it accepted `fence`: everything older is fenced off for good."""
    if fence <= account.acked:
        return account
    return altered(account, acked=fence, open=tuple(o for o in account.open if o.fence >= fence))


def reported(account: Account, *, fence: Fence, charged_w: float, at: datetime) -> Account:
    """The account after a report: acknowledged, and charged by what was read back."""
    known = acknowledged(account, fence)
    return altered(known, known=True, charged_w=charged_w, charged_at=at)


def exposure_w(account: Account, at: datetime, *, fall_s: float) -> float:
    """Upper bound of what the group may draw at `at`, whatever happens to it. Unknown = nameplate."""
    if not account.known and not account.open:
        return account.nameplate_w
    return max(ordered_w(account, at, fall_s=fall_s), _charged_w(account, at, fall_s=fall_s))


def ordered_w(account: Account, at: datetime, *, fall_s: float) -> float:
    """The same if it does as it was told: by every order that may stand, whatever was read. Unknown = nameplate."""
    if not account.known and not account.open:
        return account.nameplate_w
    return max([account.idle_w, *(o.may_draw_w(at, fall_s=fall_s) for o in account.open)])


def _charged_w(account: Account, at: datetime, *, fall_s: float) -> float:
    """A reading binds until every order it could stem from has expired and fallen; a later one, always."""
    if not account.open:
        return account.charged_w
    expires_at = account.open[-1].expires_at
    if len(account.open) > 1:
        expires_at = max(o.expires_at for o in account.open)
    last = expires_at + timedelta(seconds=fall_s)
    since_fall = account.charged_at is not None and account.charged_at >= last
    return account.charged_w if at < last or since_fall else 0.0


def is_confirmed(account: Account, load_w: float, at: datetime, *, fall_s: float, within_w: float) -> bool:
    """Whether the group showed that it may draw so much, or less by no more than `within_w`.

    By the order that it accepted, or by its last reading.
    """
    least_w = load_w - within_w  # what is quickest found first
    if least_w <= account.idle_w or least_w <= _charged_w(account, at, fall_s=fall_s):
        return True
    accepted = (o for o in account.open if o.fence <= account.acked)
    return any(least_w <= o.may_draw_w(at, fall_s=fall_s) for o in accepted)


def unsent(account: Account, fence: Fence) -> Account:
    """The account after an order that was counted did not go out after all; its number is spent."""
    return altered(account, open=tuple(o for o in account.open if o.fence != fence))


def resting_w(account: Account, at: datetime, *, fall_s: float) -> float:
    """What the group surely comes down to from `at` on, even if it hears of nothing any more."""
    return max((o.fallback_at_w(at, fall_s=fall_s) for o in account.open), default=account.idle_w)


def next_change_at(account: Account, at: datetime, *, fall_s: float) -> datetime | None:
    """The next instant after `at` at which time alone changes what the account allows, None if none does."""
    coming = [t for o in account.open if (t := _next_end_at(o, at, fall_s)) is not None]
    return min(coming, default=None)


def _next_end_at(order: OpenOrder, at: datetime, fall_s: float) -> datetime | None:
    """When the next step of an order has ended: first of all the order itself."""
    if at < (ends_at := _ends_at(order, 0.0, fall_s)):
        return ends_at
    steps = (_ends_at(order, s.after_s, fall_s) for s in order.fallback)
    return min((t for t in steps if t > at), default=None)


def _ends_at(order: OpenOrder, after_s: float, fall_s: float) -> datetime:
    """When what holds until `after_s` past the expiry has ended at the latest: one instant for all who ask."""
    return order.expires_at + timedelta(seconds=fall_s + after_s)


def final_w(account: Account) -> float:
    """What the group rests at in the end, once held work has saved and left."""
    return max(
        (min(s.limit_w for s in o.fallback) for o in account.open if o.fallback), default=account.idle_w
    )


def pruned(account: Account, at: datetime, *, fall_s: float) -> Account:
    """The account without orders that a later one covers: what is left allows as much, now and ever after.

    Only once the later one did go out: it would be missed where it is taken back. The order that the guard is known
    to follow stays until it has fallen, for it says what is confirmed.
    """
    if len(account.open) < 2:  # noqa: PLR2004 - one alone is covered by none
        return account
    kept = tuple(
        o
        for i, o in enumerate(account.open)
        if not any(
            _rests_as_high(later, o) and (_has_fallen(o, at, fall_s) or _stands_for(later, o, account.acked))
            for later in account.open[i + 1 :]
        )
    )
    return account if len(kept) == len(account.open) else altered(account, open=kept)


def allows_no_more(order: OpenOrder, known: OpenOrder) -> bool:
    """Whether whoever counts `known`, for as long as `order` stands, counts at least what that allows."""
    steps = {0.0, *(s.after_s for s in order.fallback), *(s.after_s for s in known.fallback)}
    return order.entitlement_w <= known.entitlement_w and all(
        order.step_w(s) <= known.step_w(s) for s in steps
    )


def _has_fallen(order: OpenOrder, at: datetime, fall_s: float) -> bool:
    return order.expires_at + timedelta(seconds=fall_s) <= at


def _stands_for(later: OpenOrder, earlier: OpenOrder, acked: Fence) -> bool:
    """Whether `later` allows at least as much while both may stand, and nobody asks for the earlier one."""
    if earlier.fence == acked:
        return False
    return max(later.entitlement_w, later.resting_w()) >= max(earlier.entitlement_w, earlier.resting_w())


def _rests_as_high(later: OpenOrder, earlier: OpenOrder) -> bool:
    """Whether `later` expires no earlier, and rests at least as high at every instant from then on."""
    if later.expires_at < earlier.expires_at:
        return False
    steps = {0.0, *(s.after_s for s in later.fallback), *(s.after_s for s in earlier.fallback)}
    return all(later.step_w(s) >= earlier.step_w(s) for s in steps)


def fallback_exposure_w(account: Account) -> float:
    """Upper bound of what the group rests at once all its orders have expired."""
    if not account.known and not account.open:
        return account.nameplate_w
    return max((o.resting_w() for o in account.open), default=account.idle_w)
