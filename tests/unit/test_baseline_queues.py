"""The queues of the baselines, through the whole simulator, against a queue that knows no power, nodes or delays."""

from __future__ import annotations

import random

import pytest

from scheduler.sim.baselines import BASELINES
from scheduler.sim.site import SimSite
from scheduler.sim.workload import SimJob
from tests.queue_reference import Queue, mean_flow_s
from tests.simulated import power, simulated

GPUS = 16
POOL = SimSite(name="pool", nodes=1, gpus=GPUS, firm_w=99_000.0, partners=())


def crowd(seed: int, *, jobs: int = 60) -> list[SimJob]:
    """More work than the pool holds for hours: a queue that each order sorts otherwise."""
    chance, at_s, crowd = random.Random(seed), 0.0, []
    for number in range(jobs):
        at_s += chance.expovariate(1 / 300.0)
        gpus, work_s = chance.choice([1, 1, 2, 4, 8, 12]), chance.lognormvariate(7.0, 1.0)
        crowd.append(
            SimJob(id=f"j{number:03d}", arrives_s=round(at_s, 1), gpus=gpus, work_s=round(work_s, 1))
        )
    return crowd


@pytest.mark.parametrize(
    "name,order", [("fcfs-kill", "fifo"), ("las", "first-fit"), ("sjf", "sjf"), ("slurm", "easy")]
)
def test_a_baselines_queue_is_the_known_one(name: str, order: str) -> None:
    """Each job ends when it should, but for the seconds that orders and reports take."""
    for seed in range(2):
        jobs = crowd(seed)
        estimates_s = {j.id: j.work_s for j in jobs}
        policy = BASELINES[name](estimates_s=estimates_s)
        done = Queue(order, GPUS).finished(jobs)
        outcome = simulated(jobs, power((0.0, 99_000.0)), hours=40.0, site=POOL, policy=policy)

        late_s = [o.finished_s - done[o.job.id] for o in outcome.jobs if o.finished_s is not None]
        assert len(late_s) == len(jobs)
        assert sum(abs(s) for s in late_s) / len(jobs) < 0.01 * mean_flow_s(jobs, done), (seed, late_s)


def test_the_orders_differ_on_such_a_crowd() -> None:
    """Or the comparison would say nothing: nothing that passes the head is the worst, by far."""
    jobs = crowd(0)
    flows = {
        o: mean_flow_s(jobs, Queue(o, GPUS).finished(jobs)) for o in ("fifo", "easy", "first-fit", "sjf")
    }

    assert flows["fifo"] > 1.2 * flows["easy"] > 1.1 * flows["sjf"]
