"""Why jobs that are placed stand still, or run slower than they could, or have not begun."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.core.envelope import Limit
from scheduler.core.estop import stopped
from scheduler.core.jobs import Attempt, JobState, Phase
from scheduler.core.plan import Plan
from scheduler.core.reasons import Reason
from scheduler.core.roster import Kind
from scheduler.core.save_turns import turns
from scheduler.core.snapshot import Snapshot
from scheduler.core.wording import capped_reason, leaving_reason, paused_reason, preparing_reasons


class Explainer:
    """Keeps sentences that are still true."""

    def __init__(self) -> None:
        self._limit: Limit | None = None
        self._capped: dict[str, tuple[Attempt, Kind, Reason]] = {}

    def of_placed(
        self, plan: Plan, snapshot: Snapshot, limit: Limit, lacking: Mapping[str, Reason]
    ) -> dict[str, Reason]:
        """A reason for each placed job that has one, by job."""
        found, turn_of = self._of_capped(plan, limit), turns(plan)
        for attempt in plan.in_phase(*(p for p in Phase if p is not Phase.RUN)):
            state = plan.jobs[attempt.job_id].state
            if snapshot.stop and state in (JobState.SUSPENDED, JobState.PREEMPTING):
                found[attempt.job_id] = stopped(snapshot.stop)
            elif state is JobState.SUSPENDED:
                lacks, turn = lacking.get(attempt.job_id), turn_of.get(attempt.id)
                found[attempt.job_id] = paused_reason(plan, attempt, limit, lacks, turn)
            elif state is JobState.PREEMPTING and attempt.phase is Phase.SAVE_EXIT:
                found[attempt.job_id] = leaving_reason(plan, attempt)
        return found | preparing_reasons(plan, snapshot)

    def _of_capped(self, plan: Plan, limit: Limit) -> dict[str, Reason]:
        if limit != self._limit:
            self._limit, self._capped = limit, {}
        known, self._capped = self._capped, {}
        for kind, caps in plan.roster.capped().items():
            for attempt_id in (a for cap_w, held in caps.items() if cap_w < kind.model.tdp_w for a in held):
                attempt = plan.attempts[attempt_id]
                old = known.get(attempt.job_id)
                is_known = old is not None and old[0] is attempt and old[1] == kind
                is_known &= not plan.zones.limited  # what others draw there decides whose limit it is
                reason = old[2] if old and is_known else capped_reason(plan, attempt, kind, limit)
                if reason is not None:
                    self._capped[attempt.job_id] = (attempt, kind, reason)
        return {job_id: reason for job_id, (_, _, reason) in self._capped.items()}
