"""The loop: observe, shed, decide, record, act. Level-triggered; events only wake it (DESIGN section 3)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from scheduler.core.altered import altered
from scheduler.core.compose import is_stale, lease_of
from scheduler.core.decide import Decision, Offering, Policy, PowerAware
from scheduler.core.envelope import begun
from scheduler.core.flexibility import FlexOffer
from scheduler.core.ledger import OpenOrder, exposure_w
from scheduler.core.orders import NO_FENCE, Draft, FallbackStep, GuardReport, Order
from scheduler.core.plan import EPSILON_W, limit_under
from scheduler.core.snapshot import MeterReading, Snapshot
from scheduler.errors import StaleEpoch, StoreError, StoreSlow
from scheduler.journal import Journal
from scheduler.late import Numbered, is_granted, with_cuts, without_ended
from scheduler.ports import Clock, Cluster, Store
from scheduler.records import TickRecord
from scheduler.settling import Settling
from scheduler.view import View
from scheduler.watchman import Watchman

log = logging.getLogger(__name__)

DELIVERY_S = 2.0


class Recorder(Protocol):
    """Says what of a tick is written down. A new one has written nothing yet."""

    def write(
        self,
        snapshot: Snapshot,
        decision: Decision,
        orders: Mapping[str, OpenOrder],
        alarms: Mapping[str, tuple[str, ...]],
    ) -> TickRecord:
        """The record of one tick."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """A decision of which it is not known yet whether it is on record: the store did not answer in time."""

    outcome: asyncio.Future[Any]
    record: TickRecord
    decision: Decision
    numbered: Numbered  #: the orders in it, which did not go out
    journal: Recorder  #: that wrote the record, and knows what need not be written again
    cuts: int  #: of those that went out unrecorded, how many are in it


class Reconciler:
    """Turns what the view knows into orders, once per tick."""

    def __init__(
        self,
        *,
        view: View,
        store: Store,
        cluster: Cluster,
        clock: Clock,
        policy: Policy | None = None,
        journal: Callable[[int], Recorder] | None = None,
        holder: str = "scheduler",
    ) -> None:
        self.policy: Policy = policy or PowerAware()
        self.view, self.store, self.cluster, self.clock = view, store, cluster, clock
        self._holder = holder
        self.standby_takes = False
        """Nodes may stay on for long after they were ordered to standby: they count at rest until they are off."""
        self.watchman = Watchman()
        self.settling = Settling()
        self._new_journal = journal or self._plain_journal
        self._journal = self._new_journal(view.epoch)
        self._unrecorded: tuple[Decision, ...] = ()  #: cuts that went out while the store was down
        self._late: Late | None = None
        self._granted: Numbered = {}  #: by a record that came late, heard in this round
        self._is_shared = False  #: guards follow orders of this very epoch that this leader never gave
        self._sending: set[asyncio.Task[None]] = set()

    def _plain_journal(self, epoch: int) -> Recorder:
        return Journal(epoch=epoch, watchman=self.watchman, offer=self.offer, settling=self.settling)

    def offer(self) -> FlexOffer | None:
        """What could be changed at short notice, right after a tick; None = that is not known."""
        return self.policy.offer() if isinstance(self.policy, Offering) else None

    async def tick(self) -> Decision:
        """One round. Returns what was decided; raises `StaleEpoch` when another leader took over."""
        self._granted = {}
        self._hear_late()
        self.view.give_up_silent(self.clock.now())
        self.view.note_given(self.clock.now())
        self.view.note_limit(self.clock.now())
        self.view.spent = self.settling.spent
        reduction = self._shed()
        while await self._take_intents():  # a limit or a stop by hand: what it demands goes out first, too
            reduction = self._shed() or reduction
        snapshot = self.view.snapshot(self.clock.now())
        self.watchman.note(snapshot)
        decision = self.policy.decide(snapshot)
        numbered = self._number(decision.drafts)
        orders = {gid: order for gid, (order, _) in numbered.items()}
        record = self._journal.write(snapshot, decision, orders, self.view.alarms)
        record = self.view.dispatch.added_to(record)
        try:
            await self.store.record(with_cuts(record, self._unrecorded, self.view.last_cut_at))
        except StaleEpoch:
            raise
        except StoreError as error:
            journal = self._journal
            self._store_is(up=False, why=error)
            self._go_on_unrecorded(reduction, decision, numbered, snapshot)
            if isinstance(error, StoreSlow):
                self._late = Late(
                    outcome=error.outcome,
                    record=record,
                    decision=decision,
                    numbered=numbered,
                    journal=journal,
                    cuts=len(self._unrecorded),
                )
            return decision
        self._store_is(up=True)
        self._is_recorded(record)
        self._unrecorded = ()
        self.view.apply(decision, snapshot.at)
        epoch = self.view.following(snapshot.groups).newest
        if epoch > self.view.epoch or self._is_shared:
            await self._outrank(epoch)
        elif self._still_fits(snapshot, decision):
            self._act(numbered)
        else:
            self._drop(numbered)
        return decision

    def on_report(self, report: GuardReport) -> bool:
        """Take in a guard's report, asked for or not. Whether it told something new."""
        group, accepted = self.view.groups.get(report.spec.group_id), report.accepted
        sent = NO_FENCE if group is None else group.account.sent
        self._is_shared |= accepted.epoch == self.view.epoch and accepted > sent
        return self.view.take_report(report, at=self.clock.now(), heard_s=self.clock.monotonic_s())

    def on_meter(self, reading: MeterReading) -> None:
        """Take in a reading of the site meter, and judge it."""
        self.view.take_meter(reading)
        self.watchman.look(self.view.snapshot(self.clock.now()))

    async def close(self) -> None:
        """Wait for orders in flight."""
        if self._sending:
            await asyncio.gather(*self._sending, return_exceptions=True)

    # -- steps ---------------------------------------------------------------------------------------------------

    def _shed(self) -> Decision | None:
        """The fast path: reductions go out before anything is recorded, and with the store down.

        The view stays as it is: the decision that follows comes to the same cut, and that one is recorded.
        """
        snapshot = self.view.snapshot(self.clock.now())
        self.watchman.note(snapshot)
        reduction = self.policy.shed(snapshot)
        if reduction is not None:
            self._act(self._number(reduction.drafts))
        return reduction

    def _go_on_unrecorded(
        self, reduction: Decision | None, decision: Decision, numbered: Numbered, snapshot: Snapshot
    ) -> None:
        """The store is down: what was cut is the present now, and is recorded later; the rest did not happen.

        But for orders of which all that matters is on record by now, for another round decided them before: a store
        that takes long for each record has work start late, not never.
        """
        at = snapshot.at
        self._journal = self._new_journal(self.view.epoch)
        granted = {gid: one for gid, one in numbered.items() if is_granted(one, self._granted.get(gid))}
        if granted and (reduction is not None or not self._still_fits(snapshot, decision)):
            granted = {}
        self._drop({gid: one for gid, one in numbered.items() if gid not in granted})
        if reduction is not None:
            self.view.apply(reduction, at)
            self._unrecorded = (*self._unrecorded, reduction)
        self._act(granted)
        self._prolong(decision, at)

    def _is_recorded(self, record: TickRecord) -> None:
        self.watchman.recorded(record)
        self.settling.recorded(record)
        self.view.dispatch.recorded(record)

    def _hear_late(self) -> None:
        """Make a decision the present that is on record after all, and on top of it what was cut since.

        Its orders did not go out; the next decision finds out what is to be ordered, and may order that much though its
        own record is late, too. Called before anything else is asked of the store: what is decided later always builds
        on it. Raises `StaleEpoch`.
        """
        late = self._late
        if late is None or not late.outcome.done():
            return
        self._late = None
        try:
            late.outcome.result()
        except StaleEpoch:
            raise
        except StoreError as error:
            log.warning("what the store was asked for last failed: %s", error)
            return
        self._store_is(up=True)
        self._is_recorded(late.record)
        self._journal, self._granted = late.journal, late.numbered
        self.view.apply(late.decision, late.record.at)
        self._unrecorded = tuple(without_ended(cut, late.decision) for cut in self._unrecorded[late.cuts :])
        for cut in self._unrecorded:
            self.view.apply(cut, self.clock.now())

    async def _take_intents(self) -> bool:
        """Take in what people did. Whether they changed the limits, or stopped the site: that waits for no record."""
        self._hear_late()
        before, left_out = self.view.stops.ids, self.view.dispatch.left_out
        try:
            intents = await self.store.intents(self.view.seq)
        except StoreError as error:
            self._store_is(up=False, why=error)
            return False
        self.view.seq = intents.seq
        if intents.limits is not None:
            now = self.clock.now()
            intents = replace(intents, limits=tuple(begun(limit, now) for limit in intents.limits))
        self.view.take_intents(intents)
        self.view.note_given(self.clock.now())
        limited = intents.limits is not None or self.view.dispatch.left_out != left_out
        return limited or bool(self.view.stops.ids - before)

    async def _outrank(self, epoch: int) -> None:
        """The store, which just let this leader write, knows nothing of an epoch that guards follow: it was lost.

        Or it gave away that of another leader once more, as one that was restored from a backup does.
        """
        log.warning(
            "guards follow epoch %d, the store knows of %d: leading from above both", epoch, self.view.epoch
        )
        try:
            claimed = await self.store.claim(self._holder, at=self.clock.now(), at_least=epoch)
        except StoreError as error:
            self._store_is(up=False, why=error)
            return
        self.view.lead(claimed, self.clock.now())
        self._is_shared = False
        self.watchman.begin_anew()
        self._journal = self._new_journal(claimed)

    def _number(self, drafts: Mapping[str, Draft]) -> Numbered:
        """Give drafts their numbers; from now on they count as open."""
        numbered = {}
        for gid, draft in drafts.items():
            rests_w = self.view.groups[gid].account.idle_w if draft.standby and self.standby_takes else 0.0
            order = OpenOrder(
                fence=self.view.next_fence(gid),
                entitlement_w=max(draft.entitlement_w, rests_w),
                fallback=_at_least(draft.fallback, rests_w),
                expires_at=draft.expires_at,
            )
            self.view.opened(gid, order)
            numbered[gid] = (order, draft)
        return numbered

    def _drop(self, numbered: Numbered) -> None:
        """These did not go out: they do not count as open."""
        for gid, (order, _) in numbered.items():
            self.view.dropped(gid, order)

    def _prolong(self, decision: Decision, at: datetime) -> None:
        """Renew what was sent last: all that may go out while the store is down, beside reductions.

        Not once it has lapsed and fallen: then it would be a raise, and others may have taken its watts since.
        Nor where less is wanted by now than was ordered: that order lapses.
        """
        end = at + timedelta(seconds=self.view.site.lease_s)
        renewed = {}
        for gid, group in self.view.groups.items():
            last = group.ordered
            if last is None or group.reported_at is None or gid in decision.withheld:
                continue
            wanted = decision.drafts.get(gid, last)
            if wanted.entitlement_w < last.entitlement_w or not self._is_counted(gid, last, at):
                continue
            until_at = lease_of(group.reported_at, min(end, decision.lease_end or end), self.view.site)
            if until_at > at and is_stale(group, until_at, self.view.site, at):
                renewed[gid] = altered(last, expires_at=until_at)
        self._act(self._number(renewed))

    def _is_counted(self, group_id: str, draft: Draft, at: datetime) -> bool:
        """Whether the books still hold the group to be able to draw as much."""
        account = self.view.groups[group_id].account
        return draft.entitlement_w <= exposure_w(account, at, fall_s=self.view.site.fall_s) + EPSILON_W

    def _still_fits(self, snapshot: Snapshot, decision: Decision) -> bool:
        """Whether what was decided under still is so; if the limit fell or all was stopped, the next tick cuts."""
        told = (*self.view.counted, *self.view.manual)  # a stop that stood already limits no less by now
        now, stopped = self.clock.now(), bool(self.view.stops.ids) and snapshot.stop is None
        if not stopped and (told, now) == (snapshot.envelopes, snapshot.at):
            return True  # nothing was told, and no time has passed
        if stopped or limit_under(told, self.view.site, now).limit_w < decision.limit.limit_w:
            log.info("the limit fell while a decision was being recorded; its orders are dropped")
            return False
        return True

    def _act(self, numbered: Numbered) -> None:
        if not numbered:
            return
        now = self.clock.now()
        for gid, (_, draft) in numbered.items():
            self.view.went_out(gid, draft, now)
        orders = [self._order(order, draft) for order, draft in numbered.values()]
        task = asyncio.get_running_loop().create_task(self._deliver(orders))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def _order(self, order: OpenOrder, draft: Draft) -> Order:
        """The order as it travels. Its expiry is told on the guard's clock, and is never later than on ours."""
        link = self.view.links.newest[draft.group_id]
        since_s = self.clock.monotonic_s() - link.heard_s
        left_s = (order.expires_at - self.clock.now()).total_seconds()
        return Order(
            group_id=draft.group_id,
            boot_id=link.boot_id,
            fence=order.fence,
            expires_boottime_s=link.boottime_s + since_s + left_s,
            entitlement_w=order.entitlement_w,
            fallback=order.fallback,
            attempts=draft.attempts,
            miners_target_w=draft.miners_target_w,
            stop=draft.stop,
            released_stop=draft.released_stop,
            standby=draft.standby,
            miner_wishes=draft.miner_wishes,
        )

    async def _deliver(self, orders: list[Order]) -> None:
        answers = await self.cluster.deliver(orders, timeout_s=DELIVERY_S)
        for group_id, answer in answers.items():
            if isinstance(answer, str):
                self._not_delivered(group_id, why=answer)
            else:
                self.view.undelivered.pop(group_id, None)
                self.on_report(answer)

    def _not_delivered(self, group_id: str, *, why: str) -> None:
        """Remember it; the log has it once, however often orders do not reach a group for the same reason."""
        if self.view.undelivered.get(group_id) != why:
            log.warning("%s: order not delivered: %s", group_id, why)
        self.view.undelivered[group_id] = why

    def _store_is(self, *, up: bool, why: Exception | None = None) -> None:
        """While the store is down nothing is raised: the view says so to every decision."""
        if up != self.view.store_up:
            log.warning("the store is %s%s", "back" if up else "down: ", why or "")
        self.view.store_up = up


def _at_least(fallback: tuple[FallbackStep, ...], rests_w: float) -> tuple[FallbackStep, ...]:
    """The fallback of a node that draws so much whatever it is told."""
    if all(step.limit_w >= rests_w for step in fallback):
        return fallback
    return tuple(replace(step, limit_w=max(step.limit_w, rests_w)) for step in fallback)
