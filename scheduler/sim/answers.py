"""Which answers to orders wake the loop: those after which it would decide something.

The service looks each second anyhow. A simulated second in which nothing can follow from what was told is left out.
"""

from __future__ import annotations

from datetime import datetime

from scheduler.core.decide import Decision
from scheduler.core.ledger import Account, exposure_w, fallback_exposure_w, resting_w
from scheduler.core.orders import GuardReport
from scheduler.core.snapshot import Group
from scheduler.heard import as_heard


def is_awaited(
    answer: GuardReport, group: Group, decision: Decision | None, at: datetime, *, fall_s: float
) -> bool:
    """Whether anything may follow from an answer of a group that is known so, after this decision.

    More is told of attempts, of the host, or of a stop; or the order was not taken, and is to go out again; or
    something waits for that very word, or for the room that it leaves.
    """
    if decision is None or decision.awaits_word or answer.accepted < group.account.sent:
        return True
    if (answer.attempts, answer.power, answer.stop) != (group.facts, group.power, group.stop):
        return True
    before, after = group.account, as_heard(group, answer, at, cordoned=group.cordoned).account
    if decision.awaits_room and exposure_w(after, at, fall_s=fall_s) < exposure_w(before, at, fall_s=fall_s):
        return True
    return _counted_w(after, at, fall_s) != _counted_w(before, at, fall_s)


def _counted_w(account: Account, at: datetime, fall_s: float) -> tuple[float, float]:
    """What a plan counts of the group at the least, whatever it is ordered: while it runs, and in its fallback."""
    newest = account.newest
    ordered_w = 0.0 if newest is None else newest.entitlement_w
    return max(ordered_w, resting_w(account, at, fall_s=fall_s)), fallback_exposure_w(account)
