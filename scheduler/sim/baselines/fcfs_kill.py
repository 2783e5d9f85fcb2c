"""FCFS, and a hard kill when power drops: the floor that a site without any power awareness stands on."""

from __future__ import annotations

from scheduler.sim.baselines.frame import Baseline


class FcfsKill(Baseline):
    """First come, first served, nothing passes the head of the queue; the youngest are killed and requeued.

    Source: the floor named for surplus-powered sites, "FCFS with hard kill at drop". A killed job keeps its place of
    arrival, which is before all that wait, and rolls back to its last periodic commit. Jobs run at full power.
    """

    name = "fcfs-kill"
    saves = False
    is_strict = True
