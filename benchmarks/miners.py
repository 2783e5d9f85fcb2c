"""How fast a miner LAN falls: `python -m benchmarks.miners --machines 1000 --faulty 5% --runs 5 --json`.

A real guard process (`python -m workers.guard`) of one LAN group, and all four firmwares mixed, emulated by another
process on loopback addresses; both share the cores of this host. All machines run whole; then an order to sleep goes
over the guard's socket, as an agent sends it. Seconds are since that was sent. Without faults:

    asleep_s         a report says that the last machine was read asleep: state and watts, nothing in doubt
    at_rest_s        the outside meter shows them at rest

With faults that share of the machines, spread over the firmwares, hangs, drops connections or says OK and does nothing
from just before the order on; their boards go on. With `--pdus` each machine has an outlet: `snmp` (version 3),
`redfish`, or half of the PDUs each (`mixed`). With `none` nothing can be cut, and what counts is that they are counted:

    asleep_s         as above, of the others
    at_rest_s        the outside meter is for good where the order wants it; null without outlets
    named            faulty machines that 10 s after the order have a trouble in the inventory and, without outlets,
                     watts in doubt and their name in an alarm
    cut              faulty machines whose outlet is off by then
    wrongly          machines that are named, in doubt or cut by then and are not faulty
    counted_share    the least that the guard ever counted in a report, as a part of what the meter showed then

`guard_cpu_s` and `machines_cpu_s` are CPU seconds from the order to the last figure. Median of all runs; `_worst` is
the worst of them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.miner_lan import REST_W
from benchmarks.miner_site import MinerSite, miner_site
from scheduler.core.obedience import Rules
from scheduler.core.orders import GuardReport
from tests.miners.emulator import Fault
from workers.clock import boottime_s

Figures = dict[str, float | None]
FAULTS: Final = (Fault.HANGS, Fault.DEAF, Fault.DROPS)
WITHIN_S: Final = 10.0  #: who does not obey is known by then
NO_FAULT_S: Final = 60.0
ASLEEP_W: Final = 125.0  #: above its rest, of one that says that it sleeps: fans that run on
_NEAR: Final = 1.001
_NAME: Final = re.compile(r"127\.[\d.]+:\d+")


@dataclass
class Fall:
    """What was seen of one fall."""

    faulty: frozenset[str]
    asleep_s: float | None = None
    counted: list[tuple[float, float]] = field(default_factory=list)  #: monotonic s, W
    alarmed: set[str] = field(default_factory=set)
    cpu_s: tuple[float, float] = (0.0, 0.0)

    def hear(self, report: GuardReport, after_s: float, machines: int) -> None:
        """Take in one report."""
        down = {m.miner_id for m in report.miners if m.target_w == 0 and m.draw_w <= ASLEEP_W} - self.faulty
        if self.asleep_s is None and len(down) == machines - len(self.faulty):
            self.asleep_s = after_s
        counted_w = report.spec.base_w + sum(max(m.target_w, m.draw_w) for m in report.miners)
        self.counted.append((time.monotonic() - boottime_s() + report.boottime_s, counted_w))
        self.alarmed = set(_NAME.findall(" ".join(report.alarms)))


def faults_of(addresses: Sequence[str], share: float) -> dict[str, Fault]:
    """Who fails and how: spread evenly, so that each firmware has its part of each fault."""
    count = round(len(addresses) * share)
    step = len(addresses) // count if count else 0
    return {addresses[n * step + n % min(4, step)]: FAULTS[n % len(FAULTS)] for n in range(count)}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run is like."""

    machines: int = 1000
    share: float = 0.0  #: of them that fail
    pdus: str = "none"
    ramp_s: float = 1.0
    settle_s: float = 6.0  #: before the order: each machine is read once more
    within_s: float = WITHIN_S  #: what is known of those who fail is looked at so long after the order,
    patience_s: float = WITHIN_S  #: or, where it is not whole by then, so long
    rules: Rules = field(default_factory=Rules)


def fall(site: MinerSite, plan: Plan) -> Figures:
    """One run: all awake, then the order, and what came of it."""
    site.wake_all()
    time.sleep(plan.settle_s)
    faults = faults_of(site.addresses, plan.share)
    site.hall.told("break", faults=faults)
    seen, before = Fall(faulty=frozenset(faults)), site.cpu_s()
    sent_at_s = site.sleep_all()
    for at_s, report in site.reports():
        seen.hear(report, at_s - sent_at_s, len(site.addresses))
        if _is_over(site, seen, plan, at_s - sent_at_s):
            break
    after = site.cpu_s()
    seen.cpu_s = (after[0] - before[0], after[1] - before[1])
    return _figures(site, seen, sent_at_s)


def _is_over(site: MinerSite, seen: Fall, plan: Plan, after_s: float) -> bool:
    if not seen.faulty:
        return seen.asleep_s is not None or after_s > NO_FAULT_S
    if after_s < plan.within_s:
        return False
    return after_s >= plan.patience_s or _is_whole(site, seen)


def _is_whole(site: MinerSite, seen: Fall) -> bool:
    named = _names(site, seen)
    is_cut = not site.has_outlets or (named["cut"] == len(seen.faulty) and _is_at_rest(site, seen))
    return (
        seen.asleep_s is not None and named["named"] == len(seen.faulty) and is_cut and not named["wrongly"]
    )


def _figures(site: MinerSite, seen: Fall, sent_at_s: float) -> Figures:
    meter = _metered(site)
    figures = {
        "asleep_s": seen.asleep_s,
        "at_rest_s": _at_rest_s(meter, _rest_w(site, seen), sent_at_s),
        "guard_cpu_s": seen.cpu_s[0],
        "machines_cpu_s": seen.cpu_s[1],
    }
    if not seen.faulty:
        return figures
    return figures | _names(site, seen) | {"counted_share": _least_share(seen.counted, meter)}


def _names(site: MinerSite, seen: Fall) -> Figures:
    machines = site.machines()
    troubled = {name for name, m in machines.items() if m.trouble}
    in_doubt = {name for name, m in machines.items() if m.in_doubt_w > 0}
    cut = set(site.hall.told("state")["off"])
    named = troubled if site.has_outlets else troubled & in_doubt & seen.alarmed
    return {
        "faulty": len(seen.faulty),
        "named": len(named & seen.faulty),
        "cut": len(cut & seen.faulty),
        "wrongly": len((troubled | in_doubt | cut | seen.alarmed) - seen.faulty),
    }


def _is_at_rest(site: MinerSite, seen: Fall) -> bool:
    """By the outside meter, which is read a moment after an outlet goes off."""
    return _at_rest_s(_metered(site), _rest_w(site, seen), 0.0) is not None


def _metered(site: MinerSite) -> list[tuple[float, float]]:
    return [(at_s, w) for at_s, w in site.hall.told("meter")["samples"]]


def _rest_w(site: MinerSite, seen: Fall) -> float:
    return site.rest_w - (len(seen.faulty) * REST_W if site.has_outlets else 0.0)


def _at_rest_s(meter: Sequence[tuple[float, float]], rest_w: float, since_s: float) -> float | None:
    """When the meter was last above."""
    above = [at_s for at_s, w in meter if w > rest_w * _NEAR]
    return None if above and above[-1] == meter[-1][0] else max(above, default=since_s) - since_s


def _least_share(counted: Sequence[tuple[float, float]], meter: Sequence[tuple[float, float]]) -> float:
    times = [at_s for at_s, _ in meter]
    return min(w / meter[max(0, bisect_right(times, at_s) - 1)][1] for at_s, w in counted)


def measure(plan: Plan, *, runs: int) -> list[Figures]:
    """A LAN and a guard of its own for each run: what a run has cut stays cut."""
    found = list[Figures]()
    for _ in range(runs):
        with miner_site(machines=plan.machines, ramp_s=plan.ramp_s, pdus=plan.pdus, rules=plan.rules) as site:
            found.append({"load": os.getloadavg()[0], **fall(site, plan)})
        print(json.dumps(_rounded(found[-1])), file=sys.stderr, flush=True)
    return found


def summed_up(found: Sequence[Figures]) -> Figures:
    """Medians, and the worst of what should be small; a figure that one run lacks is null."""
    figures: Figures = {}
    for key in found[0]:
        told = [run[key] for run in found]
        values = [value for value in told if value is not None]
        is_whole = len(values) == len(told)
        figures[key] = statistics.median(values) if is_whole else None
        if key in ("asleep_s", "at_rest_s"):
            figures[f"{key.removesuffix('_s')}_worst_s"] = max(values) if is_whole else None
    return figures


def _rounded(figures: Figures) -> Figures:
    return {key: value if value is None else round(value, 3) for key, value in figures.items()}


def _share(text: str) -> float:
    """5% or 0.05. Raises ValueError."""
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.miners", description=__doc__.splitlines()[0])
    parser.add_argument("--machines", type=int, default=1000)
    parser.add_argument("--faulty", type=_share, default=0.0, help="a share of them, like 5%%")
    parser.add_argument("--pdus", choices=("none", "snmp", "redfish", "mixed"), default="none")
    parser.add_argument("--ramp-s", type=float, default=1.0, help="from nameplate to rest")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args(arguments)
    plan = Plan(machines=options.machines, share=options.faulty, pdus=options.pdus, ramp_s=options.ramp_s)
    found = measure(plan, runs=options.runs)
    figures = {"machines": options.machines, "runs": options.runs, **_rounded(summed_up(found))}
    print(json.dumps(figures) if options.json else "\n".join(f"{k:<20} {v}" for k, v in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
