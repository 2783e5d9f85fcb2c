"""How near a bound a site could come that nothing gets in the way of: `python -m benchmarks.frictionless --json`.

The jobs of the standard grid (BARQ_TRACES names the folder) on a site of single GPUs: each brings its part in its
node's base, all that run have one cap, as high as fits, at the knee at the lowest, and a GPU counts with its cap. Jobs
begin, wait and go on at once and for nothing. What differs is who goes first, and what moving takes:

    arrival   in the order of their arrival: nobody knows how long a job lasts
    longest   who has the most work left goes first: what perfect foresight does, as nothing else keeps so many GPUs
              busy at the end
    moving    as `arrival`, and GPUs come to work as late as a node boots and a job is restored, and nobody works for
              as long as it takes to save and clear nodes after a fall
    drawn     as `arrival`, and a GPU counts with what it draws on average, which Barq never does: a site whose GPUs all
              draw what their caps allow for a minute is then over its limit

Each as a share of `bound_gpu_h`. Between 1 and `longest` is what one cap for all costs, between `longest` and `arrival`
what not knowing costs, between `drawn` and `arrival` what it costs that the limit holds whatever work does; what a
policy loses below `moving` is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from scheduler.core.floors import STEP_W
from scheduler.sim.bound import upper_bound
from scheduler.sim.capacity import Capacity
from scheduler.sim.grid import grid_inputs, traces_folder
from scheduler.sim.inputs import Inputs
from scheduler.sim.maps import parse_share
from scheduler.sim.site import SimSite

Floats = npt.NDArray[np.float64]
STEP_S: Final = 60.0
KNEE_W: Final = 250.0  #: the cap with the most speed for its watts and its part in a node
WAYS: Final[Mapping[str, Mapping[str, bool]]] = {
    "longest": {"longest": True},
    "arrival": {},
    "moving": {"moving": True},
    "drawn": {"drawn": True},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What a GPU takes and does under each cap from the knee up, W before overhead, its part in its node included."""

    watts: Floats
    speeds: Floats
    standby_w: float  #: of the whole site

    @classmethod
    def of(cls, site: SimSite, *, drawn: bool = False) -> Caps:
        """By what caps entitle to, or by what is drawn under them."""
        model, rest_w = site.model, site.standby.draw_w if site.standby else 0.0
        caps = np.arange(KNEE_W, model.tdp_w + STEP_W, STEP_W)
        share_w = (site.base_w - rest_w) / site.gpus
        counts_w = model.busy_w if drawn else model.charge_w
        watts = np.array([counts_w(c) + share_w for c in caps])
        return cls(
            watts=watts, speeds=np.array([model.speed(c) for c in caps]), standby_w=site.nodes * rest_w
        )

    def speed(self, gpus: float, spare_w: float) -> float:
        """At which so many run, at the highest cap that fits."""
        fits = int(np.searchsorted(self.watts * gpus, spare_w + 1e-6, side="right")) - 1
        return float(self.speeds[max(fits, 0)])


def played(
    inputs: Inputs, site: SimSite, *, longest: bool = False, moving: bool = False, drawn: bool = False
) -> float:
    """Full-speed GPU-hours that are done within the window."""
    caps, steps = Caps.of(site, drawn=drawn), max(1, round(inputs.window_s / STEP_S))
    jobs = sorted(inputs.workload.jobs, key=lambda j: j.arrives_s)
    arrives_s, left_s = (np.array([getattr(j, name) for j in jobs]) for name in ("arrives_s", "work_s"))
    gpus = np.array([float(j.gpus) for j in jobs])
    spare_w = _spare_w(inputs, site, caps, steps)
    most = np.minimum(spare_w / caps.watts[0], float(site.total_gpus))
    at_work = most if not moving else _late(most, site)
    share = np.ones(steps) if not moving else _working(most, site)
    done = 0.0
    for i in range(steps):
        here = np.flatnonzero((arrives_s < (i + 0.5) * STEP_S) & (left_s > 0))
        if longest:
            here = here[np.argsort(-left_s[here], kind="stable")]
        wanted = gpus[here]
        held = np.clip(at_work[i] - (np.cumsum(wanted) - wanted), 0.0, wanted)
        speed = caps.speed(float(held.sum()), float(spare_w[i])) * share[i]
        progress_s = np.minimum(held / wanted * speed * STEP_S, left_s[here])
        left_s[here] -= progress_s
        done += float(progress_s @ wanted)
    return done / 3600.0


def _spare_w(inputs: Inputs, site: SimSite, caps: Caps, steps: int) -> Floats:
    """Watts for work in each step, before overhead and above all nodes in standby."""
    starts_s, limit_w = np.array(inputs.power.steps).T
    now_w = limit_w[np.searchsorted(starts_s, np.arange(steps) * STEP_S, side="right") - 1]
    spare_w: Floats = np.maximum((now_w - site.auxiliary_w) / site.overhead - caps.standby_w, 0.0)
    return spare_w


def _late(most: Floats, site: SimSite) -> Floats:
    """GPUs at work: those that had watts for as long as a boot and a restore take."""
    boot_s = site.standby.boot_s if site.standby else 0.0
    steps = int(np.ceil((boot_s + site.pace.restore_s) / STEP_S))
    least = most
    for k in range(1, steps + 1):
        least = np.minimum(least, np.concatenate([most[:1].repeat(k), most[: len(most) - k]]))
    return least


def _working(most: Floats, site: SimSite) -> Floats:
    """The share of each step in which anybody works: nobody does while nodes are cleared after a fall."""
    clear_s = site.timing.suspend_max_s + site.pace.save_s + (site.standby.down_s if site.standby else 0.0)
    share = np.ones(len(most))
    for i in np.flatnonzero(np.diff(most) < -1e-6) + 1:
        for k in range(int(np.ceil(clear_s / STEP_S))):
            if i + k < len(share):
                share[i + k] = min(share[i + k], max(0.0, 1.0 - (clear_s - k * STEP_S) / STEP_S))
    return share


def figures(inputs: Inputs, site: SimSite) -> dict[str, Any]:
    """The shares of one pair."""
    bound = upper_bound(Capacity.of(site), inputs.power, inputs.workload.jobs, window_s=inputs.window_s)
    shares = {name: played(inputs, site, **way) / bound.gpu_h for name, way in WAYS.items()}
    return {"jobs": inputs.workload.name, "power": inputs.power.name, "bound_gpu_h": bound.gpu_h, **shares}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description="the standard grid on a site that nothing gets in the way of"
    )
    parser.add_argument("--only", help="pairs, as for barq simulate --grid")
    parser.add_argument("--load", default="95%", help="offered share of all GPU-hours")
    parser.add_argument("--json", action="store_true", help="print one object")
    args = parser.parse_args(arguments)
    pairs = grid_inputs(
        traces_folder(os.environ), only=args.only, load=parse_share(args.load, option="--load")
    )
    found = [figures(pair, SimSite()) for pair in pairs]
    if args.json:
        sys.stdout.write(f"{json.dumps(found)}\n")
        return 0
    for one in found:
        shares = "  ".join(f"{name} {100 * one[name]:.2f} %" for name in WAYS)
        sys.stdout.write(f"{one['jobs']} / {one['power']}: {shares}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
