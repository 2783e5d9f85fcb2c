"""One call for one run: the jobs, the limit, the site and the policy in, what became of them out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from scheduler.core.decide import Policy, PowerAware
from scheduler.sim.engine import Case, Engine
from scheduler.sim.outcome import RunOutcome
from scheduler.sim.site import SimSite
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
) -> RunOutcome:
    """What `policy` makes of a window. The same in, the same out, but for `wall_s`. Raises ValueError on a bad case."""
    case = Case(
        jobs=jobs,
        power=power,
        site=site or SimSite(),
        policy=policy or PowerAware(explains=False),  # nobody asks here why a job waits
        window_s=window_s,
        jobs_name=jobs_name,
        seed=seed,
        keep_spans=keep_spans,
        listener=listener,
    )
    return asyncio.run(Engine(case).run())
