"""What NVML answers on a real GPU, how soon, and whether it adds up: `python -m benchmarks.gpu_readings --json`.

At rest and under load, of the first GPU of this machine:

    calls_ms         of each question that a guard asks: mean, p50, p99 and the longest
    readings_per_s   whole readings, as a guard takes them
    least_w .. most_w, changes_per_s     the draw, and how often its newest sample is another
    energy_ratio     the draw over time, of what the device's own counter says

Nothing is set. The load is a product of matrices, by PyTorch in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from statistics import fmean, quantiles
from typing import Any, Final

from scheduler.core.orders import GpuSlot
from workers.gpu.nvml import NvmlGpus
from workers.nvml.device import Device
from workers.nvml.library import Nvml
from workers.nvml.machine import SETTLE_S, LocalGpu, local_gpus

LOAD: Final = """\
import torch
a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
print("up", flush=True)
while True:
    a @ a
    torch.cuda.synchronize()
"""
WARM_S: Final = 3.0
CALLS: Final = 200
LOOK_S: Final = 0.01


@contextmanager
def load() -> Iterator[None]:
    """The GPU at work inside the `with`."""
    work = subprocess.Popen([sys.executable, "-c", LOAD], stdout=subprocess.PIPE, text=True)
    assert work.stdout is not None
    try:
        work.stdout.readline()
        time.sleep(WARM_S)
        yield
    finally:
        work.kill()
        work.wait()


def timed(call: Callable[[], object]) -> dict[str, float]:
    """Many calls, ms."""
    took_ms = []
    for _ in range(CALLS):
        began_s = time.perf_counter()
        call()
        took_ms.append(1000 * (time.perf_counter() - began_s))
    cuts = quantiles(took_ms, n=100)
    found = {"mean": fmean(took_ms), "p50": cuts[49], "p99": cuts[98], "most": max(took_ms)}
    return {name: round(value, 3) for name, value in found.items()}


def readings_per_s(gpu: LocalGpu) -> int:
    """Whole readings as a guard takes them, one after another."""
    driver = NvmlGpus([GpuSlot(gpu_id=gpu.uuid, model=gpu.model, limits=gpu.limits)])
    driver.readings()
    began_s = time.monotonic()
    for _ in range(CALLS):
        driver.readings()
    spent_s = time.monotonic() - began_s
    driver.close()
    return round(CALLS / spent_s)


def drawn(device: Device, seconds: float) -> dict[str, float]:
    """The draw over a while, and its integral by the difference of the counter, from one change of that to another."""
    (began_s, first_wh), draws_w, drawn_ws = _next_change(device), [device.draw_w()], 0.0
    at_s = began_s
    while at_s - began_s < seconds:
        before_s, at_s = at_s, time.monotonic()
        drawn_ws += draws_w[-1] * (at_s - before_s)
        draws_w.append(device.draw_w())
        time.sleep(LOOK_S)
    end_s, last_wh = _next_change(device)
    drawn_ws += draws_w[-1] * (end_s - at_s)
    return {
        "least_w": min(draws_w),
        "mean_w": round(fmean(draws_w), 1),
        "most_w": max(draws_w),
        "changes_per_s": round(sum(a != b for a, b in pairwise(draws_w)) / seconds, 1),
        "energy_ratio": round(drawn_ws / 3600 / (last_wh - first_wh), 4),
    }


def _next_change(device: Device) -> tuple[float, float]:
    """When the counter changes next, and what it says then, Wh."""
    before_wh = now_wh = device.sensors({}).energy_wh or 0.0
    while now_wh == before_wh:
        now_wh = device.sensors({}).energy_wh or 0.0
    return time.monotonic(), now_wh


def calls(gpu: LocalGpu) -> dict[str, dict[str, float]]:
    """Each question by itself."""
    nvml = Nvml()
    device = Device.of(nvml, gpu.uuid)
    asked: dict[str, Callable[[], object]] = {
        "draw": device.draw_w,
        "enforced limit": device.enforced_w,
        "processes": device.processes,
        "sensors": lambda: device.sensors({}),
        "persistence": device.persists,
        "opened anew": lambda: Device.of(nvml, gpu.uuid),
    }
    found = {name: timed(call) for name, call in asked.items()}
    nvml.close()
    return found


def measure(seconds: float) -> dict[str, Any]:
    """All figures."""
    began_s = time.monotonic()
    machine = local_gpus(settle_s=SETTLE_S)
    found_s = time.monotonic() - began_s
    if not machine.usable:
        raise SystemExit(f"no GPU is of use here: {machine.problem}")
    gpu = machine.usable[0]
    device = Device.of(Nvml(), gpu.uuid)
    figures = {}
    for name, seconds_of, state in (("at_rest", seconds / 4, nullcontext()), ("at_work", seconds, load())):
        with state:
            draw = drawn(device, seconds_of)
            figures[name] = draw | {"readings_per_s": readings_per_s(gpu), "calls_ms": calls(gpu)}
    return {
        "gpu": f"{gpu.name}, driver {machine.driver}",
        "draw_source": gpu.draw_source,
        "limits_w": [gpu.limits.min_w, gpu.limits.max_w],
        "idle_w": gpu.limits.idle_w,
        "found_s": round(found_s, 3),
        **figures,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_readings", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="of load")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args(arguments)
    print(json.dumps(measure(options.seconds), indent=None if options.json else 1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
