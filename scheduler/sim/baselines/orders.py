"""SJF and LAS: known orders of a queue, without power awareness, to check the simulator against published figures."""

from __future__ import annotations

from scheduler.core.jobs import Job
from scheduler.sim.baselines.frame import Baseline


class ShortestFirst(Baseline):
    """Shortest job first, by what users said; where nobody said anything, last.

    Source: the textbook's non-preemptive SJF; jobs that do not fit are passed, as in mystous' gpu_scheduler. Where
    power drops it kills the youngest: it knows nothing better.
    """

    name = "sjf"
    saves = False

    def rank(self, job: Job) -> tuple[float, ...]:
        """By the time that it is said to take."""
        return (self.estimate_s(job), job.number)


class LeastAttained(Baseline):
    """The job that has had the least GPU time first; nobody is preempted for it, and those that do not fit are passed.

    Source: the two-dimensional LAS of Tiresias without preemption, as in mystous' gpu_scheduler, where jobs that wait
    have had nothing: first come, first fit. Here a killed job waits behind those that have had less.
    """

    name = "las"
    saves = False

    def rank(self, job: Job) -> tuple[float, ...]:
        """By GPU-seconds had."""
        return (job.ran_s * job.spec.total_gpus, job.number)
