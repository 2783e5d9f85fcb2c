"""What running work has use for, learned from what its GPUs are reported to draw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from scheduler.core.decide import Decision
from scheduler.core.jobs import Attempt, Phase
from scheduler.core.lifecycle import is_final
from scheduler.core.orders import AttemptOrder, Observed
from scheduler.core.snapshot import Group, SitePolicy
from scheduler.core.stranded import LIGHT, NOTHING_KNOWN, REGAIN_S, Look, Useful, Watch, wait_s, watched


class Watching:
    """Every attempt that draws far less than its cap. A leader begins with none."""

    def __init__(self, site: SitePolicy) -> None:
        self._is_on = site.reclaim_stranded
        self._silent_s = site.unreachable_after_s
        self._watches: dict[str, Watch] = {}
        self._forgotten: dict[str, int] = {}  #: by job, how often what was known of it was forgotten
        self._regains: dict[str, datetime] = {}  #: until when others make room for an attempt
        self._useful: Useful | None = NOTHING_KNOWN  #: None = another than last time

    def begin(self, attempts: Iterable[str], at: datetime) -> None:
        """A leader begins with attempts of an earlier one: nobody knows which have low caps for what that one knew.

        Others make room for each that is below the common level, or it might stay there for as long as it runs.
        """
        if self._is_on:
            self._regains = {attempt_id: at + timedelta(seconds=REGAIN_S) for attempt_id in attempts}
            self._useful = None

    def hear(self, group: Group, attempts: Mapping[str, Attempt], at: datetime) -> None:
        """A node reports: look at each attempt that runs there. Firm work is never capped, so it is left alone."""
        if not self._is_on or group.ordered is None or not group.gpus:
            return
        seen = {r.gpu_id: r for r in group.gpus if not r.lost}
        running = {f.attempt_id for f in group.facts if f.observed is Observed.RUNNING}
        for order in group.ordered.attempts:
            attempt = attempts.get(order.attempt_id)
            if order.tier == 0 or attempt is None or order.phase is not Phase.RUN:
                continue
            if order.attempt_id not in running:
                self._drop(order.attempt_id)
            elif (here := [seen[g] for g in order.gpu_ids if g in seen]) and len(here) == len(order.gpu_ids):
                draw_w, cap_w = max([r.draw_w for r in here]), min([r.cap_w for r in here])
                if order.attempt_id not in self._watches and draw_w >= LIGHT * cap_w:
                    continue  # as most do: nothing was known of it, and nothing is
                self._look(
                    order,
                    Look(
                        at=at,
                        node_id=group.spec.group_id,
                        nodes=len(attempt.placements),
                        draw_w=draw_w,
                        cap_w=cap_w,
                    ),
                )

    def follow(self, decision: Decision) -> None:
        """Who does not run is watched no more; of who is done nothing is remembered."""
        for attempt in decision.attempts.values():
            if attempt.phase is not Phase.RUN:
                self._drop(attempt.id)
        if self._forgotten:
            for job in decision.jobs.values():
                if is_final(job.state):
                    self._forgotten.pop(job.id, None)

    def known(self, at: datetime) -> Useful:
        """What is known now: the same object as long as that is the same."""
        for attempt_id in [k for k, until_at in self._regains.items() if until_at <= at]:
            del self._regains[attempt_id]
            self._useful = None
        if self._useful is None:
            caps_w = {k: w.useful_w for k, w in sorted(self._watches.items()) if w.useful_w is not None}
            self._useful = Useful(caps_w=caps_w, regaining=tuple(sorted(self._regains)))
        return self._useful

    def _look(self, order: AttemptOrder, look: Look) -> None:
        attempt_id = order.attempt_id
        known = self._watches.get(attempt_id)
        waits_s = wait_s(self._forgotten.get(order.job_id, 0))
        now = watched(known, look, wait_s=waits_s, silent_s=self._silent_s)
        before_w = None if known is None else known.useful_w
        if now is None:
            self._watches.pop(attempt_id, None)
            if before_w is not None:
                self._useful = None
                self._forgotten[order.job_id] = self._forgotten.get(order.job_id, 0) + 1
                self._regains[attempt_id] = look.at + timedelta(seconds=REGAIN_S)
            return
        self._watches[attempt_id] = now
        if now.useful_w != before_w:
            self._useful = None
            self._regains.pop(attempt_id, None)

    def _drop(self, attempt_id: str) -> None:
        known = self._watches.pop(attempt_id, None)
        if self._regains.pop(attempt_id, None) is not None or (known and known.useful_w is not None):
            self._useful = None
