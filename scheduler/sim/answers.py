"""Which answers to orders wake the loop: those after which it would decide something.

The service looks each second anyhow. A simulated second in which nothing can follow from what was told is left out.
"""

from __future__ import annotations

from datetime import datetime

from scheduler.core.decide import Decision
from scheduler.core.ledger import Account, exposure_w, fallback_exposure_w, resting_w
from scheduler.core.orders import AttemptFacts, GuardReport, Observed
from scheduler.core.snapshot import Group

_COMES_UP = (Observed.STARTING, Observed.RUNNING)


def is_awaited(
    answer: GuardReport, group: Group, heard: Group, decision: Decision, at: datetime, *, fall_s: float
) -> bool:
    """Whether anything may follow from an answer of a group that was known so, and is by now, after this decision.

    More is told of attempts than that some come up, or more of the host, or of a stop; or the order was not taken, and
    is to go out again; or something waits for that very word, or for the room, the watts or the GPUs that it leaves.
    """
    if decision.awaits_word or answer.accepted < group.account.sent:
        return True
    if (answer.power, answer.stop) != (group.power, group.stop) or _frees_gpus(group, answer):
        return True
    if answer.attempts != group.facts and (
        decision.awaits_start or not _only_begins(group.facts, answer.attempts)
    ):
        return True
    before, after = group.account, heard.account
    if decision.awaits_room and exposure_w(after, at, fall_s=fall_s) < exposure_w(before, at, fall_s=fall_s):
        return True
    return decision.awaits_watts and _counted_w(after, at, fall_s) != _counted_w(before, at, fall_s)


def is_progress(report: GuardReport, group: Group) -> bool:
    """Whether all that is new of a group that is known so is how far its work has come, and what it committed.

    It is left to the next round: nothing but who may be asked to make room for others hangs on it.
    """
    told, known = ((x.power, x.stop, x.in_fallback, x.gpus) for x in (report, group))
    if told != known or not report.attempts or len(report.attempts) != len(group.facts):
        return False
    return all(_is_as_before(*pair) for pair in zip(report.attempts, group.facts, strict=True))


def _is_as_before(fact: AttemptFacts, last: AttemptFacts) -> bool:
    """Whether an attempt does what it did, and ended as it had if it had."""
    return fact.does_as(last) and fact.exit_code == last.exit_code


def _frees_gpus(group: Group, answer: GuardReport) -> bool:
    """Whether somebody has left a GPU."""
    return any(was.processes > now.processes for was, now in zip(group.gpus, answer.gpus, strict=False))


def _only_begins(before: tuple[AttemptFacts, ...], after: tuple[AttemptFacts, ...]) -> bool:
    """Whether all that is new of the attempts is that some come up, or have, and how far others have come.

    The next look notes since when. What ended is forgotten on the side, for that was known.
    """
    known = {f.attempt_id: f for f in before}
    for fact in after:
        last = known.pop(fact.attempt_id, None)
        was_to_come = last is None or last.observed is Observed.STARTING
        is_known = last is not None and _is_as_before(fact, last)
        if not is_known and not (was_to_come and fact.observed in _COMES_UP):
            return False
    return all(f.observed is Observed.ENDED for f in known.values())


def _counted_w(account: Account, at: datetime, fall_s: float) -> tuple[float, float]:
    """What a plan counts of the group at the least, whatever it is ordered: while it runs, and in its fallback."""
    newest = account.newest
    ordered_w = 0.0 if newest is None else newest.entitlement_w
    return max(ordered_w, resting_w(account, at, fall_s=fall_s)), fallback_exposure_w(account)
