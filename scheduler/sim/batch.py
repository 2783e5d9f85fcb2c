"""Policies on pairs of jobs and power, judged: cases in, figures out.

Cases are run one after the other in this process, or several at once, each in a process of its own.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableSequence, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from scheduler.core.decide import Decision, Policy, PowerAware
from scheduler.core.snapshot import Snapshot
from scheduler.errors import BarqError
from scheduler.sim.asked import DAY_S
from scheduler.sim.bound import Bound, upper_bound
from scheduler.sim.capacity import Capacity
from scheduler.sim.clock import BEGAN_AT
from scheduler.sim.fault_rates import FaultRates
from scheduler.sim.inputs import Inputs
from scheduler.sim.judged import Judged
from scheduler.sim.metrics import summary
from scheduler.sim.outcome import RunOutcome
from scheduler.sim.policies import MAKERS, OURS
from scheduler.sim.run import run
from scheduler.sim.site import SimSite

Tell = Callable[[Sequence[float]], None]
"""Is told how far each case is, 0 to 1."""
_STEP = 0.001
"""Shares of a window that differ by less are not worth telling."""
_LOOK_S = 0.5
"""Between two looks at how far the processes are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One policy on one pair."""

    inputs: Inputs
    policy: str  #: a name of `MAKERS`
    site: SimSite
    seed: int
    keep_spans: bool
    faults: FaultRates | None

    def policy_made(self) -> Policy:
        """A new one. Who has to keep promises under faults says why jobs wait, as that is one of them."""
        jobs = self.inputs.workload.jobs
        if self.policy == OURS and self.faults is not None:
            return PowerAware()
        return MAKERS[self.policy]({job.id: job.estimate_s for job in jobs if job.estimate_s is not None})

    def __str__(self) -> str:
        return f"{self.inputs.workload.name} on {self.inputs.power.name}, {self.policy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Each policy on each pair."""

    pairs: tuple[Inputs, ...]
    policies: tuple[str, ...]  #: names of `MAKERS`
    site: SimSite
    seed: int = 0
    bounded: bool = False  #: whether the bound of each pair is worked out
    keep_spans: bool = False  #: whether there will be pictures of the worst hours
    faults: FaultRates | None = None  #: what goes wrong; None = nothing does

    def cases(self) -> tuple[Case, ...]:
        """In the order of the tables: pair by pair, all policies of each."""
        return tuple(
            Case(
                inputs=pair,
                policy=policy,
                site=self.site,
                seed=self.seed,
                keep_spans=self.keep_spans,
                faults=self.faults,
            )
            for pair in self.pairs
            for policy in self.policies
        )


def judged(batch: Batch, *, at_once: int = 1, tell: Tell) -> Iterator[tuple[int, Judged]]:
    """Each case's number and what came of it, as they are done. Raises ValueError on a case that makes no sense."""
    cases = batch.cases()
    bounds: dict[int, Bound] = {}
    outcomes = _one_by_one(cases, tell) if at_once == 1 else _in_processes(cases, at_once, tell)
    for number, outcome in outcomes:
        pair = number // len(batch.policies)
        if batch.bounded and pair not in bounds:
            bounds[pair] = _bound(batch.pairs[pair], batch.site)
        yield number, Judged(outcome=outcome, figures=_figures(outcome, bounds.get(pair), batch.site))


def _bound(pair: Inputs, site: SimSite) -> Bound:
    return upper_bound(
        Capacity.of(site),
        pair.power,
        pair.workload.jobs,
        window_s=pair.window_s,
        standby_w=_standby_w(site),
    )


def _figures(outcome: RunOutcome, bound: Bound | None, site: SimSite) -> dict[str, Any]:
    """Those of `summary`, the notice, and the speed. Of the firm level, only what the limit never went below counts."""
    lowest_w = min(interval.limit_w for interval in outcome.intervals)
    figures = summary(
        outcome,
        bound,
        site=Capacity.of(site),
        firm_w=min(site.firm_w, lowest_w),
        standby_w=_standby_w(site),
    )
    days = outcome.window_s / DAY_S
    foretold = {"notice_s": site.notice_s, **_forecast(site)}
    if outcome.faults is not None:
        figures |= {"faults": dict(outcome.faults)}
    return figures | foretold | {"simulated_days_per_s": days / outcome.wall_s}


def _standby_w(site: SimSite) -> float:
    return site.standby.draw_w if site.standby else 0.0


def _forecast(site: SimSite) -> dict[str, float]:
    """How far the forecast errs, if there is one."""
    return {} if site.forecast_error is None else {"forecast_error": site.forecast_error}


def _run(case: Case, tell: Callable[[float], None]) -> RunOutcome:
    jobs, window_s = case.inputs.workload.jobs, case.inputs.window_s
    with _hushed():
        return run(
            jobs,
            case.inputs.power,
            case.site,
            case.policy_made(),
            window_s=window_s,
            jobs_name=case.inputs.workload.name,
            seed=case.seed,
            keep_spans=case.keep_spans,
            listener=_Pace(window_s, tell),
            faults=case.faults,
        )


@contextmanager
def _hushed() -> Iterator[None]:
    """The loop warns of nodes without power and the like: on a site that is none, that is no news for anybody."""
    log = logging.getLogger("scheduler")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


class _Pace:
    """Tells how far a run is, now and then."""

    def __init__(self, window_s: float, tell: Callable[[float], None]) -> None:
        self._window_s = window_s
        self._tell = tell
        self._told = 0.0

    def __call__(self, snapshot: Snapshot, decision: Decision) -> None:
        """A decision was made."""
        del decision
        share = (snapshot.at - BEGAN_AT).total_seconds() / self._window_s
        if share - self._told >= _STEP:
            self._told = share
            self._tell(share)


def _one_by_one(cases: Sequence[Case], tell: Tell) -> Iterator[tuple[int, RunOutcome]]:
    shares = [0.0] * len(cases)
    for number, case in enumerate(cases):
        yield number, _run(case, _teller(shares, number, tell))
        shares[number] = 1.0
        tell(shares)


def _teller(shares: MutableSequence[float], number: int, tell: Tell) -> Callable[[float], None]:
    def told(share: float) -> None:
        shares[number] = share
        tell(shares)

    return told


def _in_processes(cases: Sequence[Case], at_once: int, tell: Tell) -> Iterator[tuple[int, RunOutcome]]:
    """A fresh process for each case, so that none pays for the memory of those before it."""
    context = multiprocessing.get_context("spawn")
    shares = context.Array("d", len(cases), lock=False)  # each process writes a number of its own
    waiting = list(enumerate(cases))[::-1]
    running: dict[Connection, tuple[int, SpawnProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                number, case = waiting.pop()
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(case, number, shares, theirs), daemon=True)
                process.start()
                theirs.close()  # the process has its own, and its end is heard only when no other is open
                running[ours] = number, process
            for ready in _ready(running):
                number, process = running[ready]
                outcome = _received(ready, process, cases[number])
                del running[ready]
                yield number, outcome
            tell(list(shares))
    finally:  # Ctrl-C, or one failed: the others would go on for minutes
        for connection, (_, process) in running.items():
            process.terminate()
            process.join()
            connection.close()


def _ready(running: Mapping[Connection, object]) -> list[Connection]:
    """Those with something to read, after a while none."""
    return [one for one in wait(list(running), timeout=_LOOK_S) if isinstance(one, Connection)]


def _received(connection: Connection, process: SpawnProcess, case: Case) -> RunOutcome:
    """What a case came to; raises what it raised, and BarqError if its process is gone."""
    try:
        outcome = connection.recv()
    except EOFError as error:
        process.join()
        raise BarqError(
            f"{case}: its process ended with {process.exitcode}; if memory was short, run fewer at once"
        ) from error
    process.join()
    connection.close()
    if isinstance(outcome, RunOutcome):
        return outcome
    raise outcome


def _work(case: Case, number: int, shares: MutableSequence[float], connection: Connection) -> None:
    """One case, in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the first process, which ends this one
    try:
        outcome: RunOutcome | Exception = _run(case, _teller(shares, number, lambda _: None))
    except Exception as error:  # noqa: BLE001 - it is raised where somebody hears it
        error.add_note(traceback.format_exc())
        outcome = error
    shares[number] = 1.0
    connection.send(outcome)


def notes_of(pairs: Sequence[Inputs]) -> tuple[str, ...]:
    """What belongs beside the figures of all pairs, each once."""
    return tuple(dict.fromkeys(note for pair in pairs for note in pair.notes))


def describe(site: SimSite) -> Mapping[str, Any]:
    """The site in a few figures, for whoever reads a result."""
    return {
        "name": site.name,
        "gpus": site.total_gpus,
        "nodes": site.nodes,
        "gpu_model": site.gpu_model,
        "firm_w": site.firm_w,
        "miners_max_w": sum(partner.max_w for partner in site.partners),
        "reaction_s": site.reaction_s,
        "notice_s": site.notice_s,
        **_forecast(site),
    }
