"""A machine that came up anew: its guard forgot what it was ordered, and the site knows that it did."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from scheduler.core.decide import PowerAware
from scheduler.core.orders import Draft, NodePower
from scheduler.heard import recalled, unheard_of
from scheduler.links import Link
from scheduler.sim.engine import Case, Engine
from tests.builders import T0, site
from tests.reports import quiet_report
from tests.simulated import SITE, job, power

SPEC = site().node("a").groups["a"].spec
REPORT = quiet_report(SPEC, draw_w=0.0)
SCARCE_W = 8000.0  #: the job runs under lowered caps
ASLEEP = Draft(
    group_id="a",
    entitlement_w=30.0,
    fallback=(),
    expires_at=T0,
    attempts=(),
    miners_target_w=0.0,
    standby=True,
)


def test_what_was_ordered_before_a_boot_counts_as_never_told() -> None:
    """A node that was to sleep is awake again; the books still hold what went out. A plain report changes nothing."""
    group = replace(unheard_of(SPEC), ordered=ASLEEP, ordered_at=T0)
    link = Link(boot_id=REPORT.boot_id, boottime_s=1.0, version=1, heard_s=0.0)
    assert recalled(group, link, REPORT) is group
    assert recalled(None, None, REPORT) == unheard_of(SPEC)
    assert group.is_asleep

    known = recalled(group, link, replace(REPORT, boot_id="another"))
    assert (known.ordered, known.is_asleep, known.account) == (None, False, group.account)


def test_nodes_that_slept_before_a_blackout_sleep_again_after_it() -> None:
    """They boot, for nobody was there to tell them otherwise, and are told anew: the site knows which are on."""
    trace = power((0.0, SCARCE_W), (9000.0, 0.0), (9600.0, SCARCE_W))
    case = Case(
        jobs=(job("a", gpus=8, work_s=20_000.0),),
        power=trace,
        site=SITE,
        policy=PowerAware(explains=False),
        window_s=12_000.0,
    )
    engine = Engine(case)
    asyncio.run(engine.run())
    nodes = [gid for gid in engine.groups if gid.startswith("node")]
    asleep = {n for n in nodes if engine.groups[n].report().power is NodePower.STANDBY}
    assert asleep, "what they would draw at rest lifts caps"
    assert {n for n in nodes if engine.view.groups[n].is_asleep} == asleep
