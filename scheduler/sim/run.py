"""One call for one run: the jobs, the limit, the site and the policy in, what became of them out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from scheduler.core.decide import Policy, PowerAware
from scheduler.sim.engine import Case, Engine
from scheduler.sim.fault_rates import FaultRates
from scheduler.sim.faulty import ALL, NONE, Faulty
from scheduler.sim.outcome import RunOutcome
from scheduler.sim.site import SimSite, with_real_leases
from scheduler.sim.store import Listener
from scheduler.sim.workload import PowerTrace, SimJob

WEEK_S = 7 * 86_400.0


def run(  # noqa: PLR0913 - a run has as many sides; all but the first two have defaults
    jobs: Sequence[SimJob],
    power: PowerTrace,
    site: SimSite | None = None,
    policy: Policy | None = None,
    *,
    window_s: float = WEEK_S,
    jobs_name: str = "jobs",
    seed: int = 0,
    keep_spans: bool = False,
    listener: Listener | None = None,
    faults: FaultRates | None = None,
) -> RunOutcome:
    """What `policy` makes of a window. The same in, the same out, but for `wall_s`. Raises ValueError on a bad case.

    With faults Barq's own policy has to keep its promises, and `Breach` is raised if one breaks: the others promise
    nothing, and neither does anybody for what the site draws while miners lie about their draw.
    """
    explains = faults is not None  # nobody asks here why a job waits, unless it is judged
    case = Case(
        jobs=jobs,
        power=power,
        site=site or SimSite(),
        policy=policy or PowerAware(explains=explains),
        window_s=window_s,
        jobs_name=jobs_name,
        seed=seed,
        keep_spans=keep_spans,
        listener=listener,
    )
    return asyncio.run((Engine(case) if faults is None else _faulty(case, faults)).run())


def _faulty(case: Case, faults: FaultRates) -> Faulty:
    ours = case.policy if isinstance(case.policy, PowerAware) else None
    promised = NONE if ours is None else replace(ALL, despite_miners=False, reasons=ours.explains)
    return Faulty(replace(case, site=with_real_leases(case.site)), faults, promised=promised)
