"""A client of miners that others wrote, let loose on one address; what it found comes out as one line of JSON.

Run by the Python of an environment that has it: `python judge.py pyasic|pyasic_rs ADDRESS`. Knows nothing of Barq.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from typing import Any

SETTLES_S = 60.0
LIMIT_W = 2500
REST_W = 100.0


async def settled(read: Any, wanted: Any) -> float | None:
    """The watts that it reads once they are as wanted, or at last."""
    watts = await read()
    for _ in range(int(SETTLES_S / 0.1)):
        if watts is not None and wanted(float(watts)):
            break
        await asyncio.sleep(0.1)
        watts = await read()
    return None if watts is None else float(watts)


async def exercised(read: Any, pause: Any, resume: Any, limit: Any) -> dict[str, Any]:
    """Pause, resume and a limit, each with what it said and the watts that it read after it."""
    said: dict[str, Any] = {"paused": await pause()}
    said["asleep_w"] = await settled(read, lambda watts: watts < REST_W)
    said["resumed"] = await resume()
    said["awake_w"] = await settled(read, lambda watts: watts > LIMIT_W)
    if limit is not None:
        said["limited"] = await limit(LIMIT_W)
        said["limited_w"] = await settled(read, lambda watts: watts <= LIMIT_W)
    return said


async def pyasic(address: str) -> dict[str, Any]:
    """The deprecated client in Python."""
    miner = await importlib.import_module("pyasic").get_miner(address)
    data = await miner.get_data()
    told = {"model": str(data.model), "hashrate_th": float(data.hashrate), "draw_w": data.wattage}
    return told | await exercised(
        miner.get_wattage, miner.stop_mining, miner.resume_mining, miner.set_power_limit
    )


async def pyasic_rs(address: str) -> dict[str, Any]:
    """Its successor in Rust. It can set no limit on LuxOS."""
    miner = await importlib.import_module("pyasic_rs").MinerFactory().get_miner(address)
    data = await miner.get_data()
    told = {"model": str(miner), "hashrate_th": data.hashrate.value, "draw_w": data.wattage}
    limit = None if "LuxOS" in str(miner) else miner.set_power_limit
    said = await exercised(miner.get_wattage, miner.pause, miner.resume, limit)
    await asyncio.sleep(0.3)  # its runtime aborts the interpreter if that ends at once
    return told | said


if __name__ == "__main__":
    client = {"pyasic": pyasic, "pyasic_rs": pyasic_rs}[sys.argv[1]]
    sys.stdout.write(json.dumps(asyncio.run(client(sys.argv[2]))) + "\n")
