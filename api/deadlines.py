"""What is told of a job's deadline: how much room it has, in words."""

from __future__ import annotations

from datetime import datetime

from api.wire.outlook import DeadlineView
from barq.units import format_duration
from scheduler.core.deadlines import is_urgent, slack_s, work_left_s
from scheduler.core.jobs import Attempt, Job, Phase
from scheduler.core.snapshot import SitePolicy


def deadline_shown(job: Job, attempt: Attempt | None, at: datetime, site: SitePolicy) -> DeadlineView | None:
    """The deadline of a job and its slack, as of `at`; None for a job that has none."""
    deadline_at = job.spec.deadline_at
    spare_s = slack_s(job, attempt, at, site)
    if deadline_at is None or spare_s is None:
        return None
    if attempt is not None and attempt.phase is Phase.RUN:
        spare_s += site.restart_s  # it runs: without a pause there is nothing to restart
    left_s = work_left_s(job, attempt, at)
    text = _sentence(deadline_at, at, left_s, spare_s)
    if is_urgent(job, attempt, at, site):
        text += "; it goes before jobs of its priority"
    return DeadlineView(at=deadline_at, slack_s=round(spare_s, 1), work_left_s=left_s, text=text)


def _sentence(deadline_at: datetime, at: datetime, left_s: float | None, spare_s: float) -> str:
    due = f"due at {deadline_at:%Y-%m-%d %H:%M:%S} UTC"
    to_go_s = (deadline_at - at).total_seconds()
    if to_go_s <= 0:
        return f"{due}: it is {format_duration(-to_go_s)} late, and goes on"
    if left_s is None:
        return f"{due}, in {format_duration(to_go_s)}; how long it takes nobody said: give it an estimate"
    needs = f"{due}; it has {format_duration(left_s)} of work left by its estimate"
    if spare_s < 0:
        return f"{needs} and misses that by {format_duration(-spare_s)} even if nothing holds it up any more"
    return f"{needs} and may be held up for {format_duration(spare_s)}"
