"""Sees to it that each group of this machine has its agent in Ray: `python -m workers.enrol`.

    python -m workers.enrol --ray-address HOST:PORT --groups DIR [--ray-temp-dir DIR]

Every directory in DIR with a `group.json` is a group. Its agent is a detached actor `agent:<group_id>`, bound
to this machine's raylet; Ray restarts it when its process dies. What Ray does not do is done here, once a
second: create the missing one, and create anew one that is dead or sits on another node (a raylet that came
back has a new id). Ends with status 3 when Ray is gone, so that its keeper starts it again.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from workers.agent import NAME_PREFIX, NAMESPACE, Agent

T = TypeVar("T")

EXIT_RAY_GONE = 3
PERIOD_S = 1.0
RAY_TIMEOUT_S = 10.0  #: an answer of Ray's control service that takes longer does not come
PING_TIMEOUT_S = 10.0  #: a restarted agent is back in about a second; on a busy machine in a few
START_TIMEOUT_S = 60.0
AGENT_MEMORY_BYTES = 64 * 1024 * 1024  #: told to Ray's bookkeeping, enforced by nobody
MAX_CALLS_AT_ONCE = 1000  #: long polls wait inside the agent

log = logging.getLogger("barq.enrol")


class RayGone(Exception):
    """Ray does not answer any more."""


class Enrolment:
    """Keeps one agent per local group alive in the Ray cluster that this process is connected to."""

    def __init__(self, groups: Path) -> None:
        self._groups = groups
        self._node_id = str(ray.get_runtime_context().get_node_id())
        self._pings_missed: dict[str, int] = {}

    async def check(self) -> None:
        """Create or replace what is missing, dead or misplaced. Raises `RayGone`."""
        named = frozenset(await from_ray(ray.util.list_named_actors, timeout_s=RAY_TIMEOUT_S))
        checks = [self._check_group(path, named) for path in local_groups(self._groups)]
        await asyncio.gather(*checks)

    async def _check_group(self, group_dir: Path, named: frozenset[str]) -> None:
        name = NAME_PREFIX + group_dir.name
        if name not in named:
            await from_ray(lambda: self._create(name, group_dir), timeout_s=RAY_TIMEOUT_S)
        elif not await self._is_well(name):
            log.warning("%s does not answer from this node: it is replaced", name)
            await from_ray(lambda: _kill(name), timeout_s=RAY_TIMEOUT_S)

    def _create(self, name: str, group_dir: Path) -> None:
        remote = ray.remote(Agent)
        remote.options(
            name=name,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            num_cpus=0,
            memory=AGENT_MEMORY_BYTES,
            max_concurrency=MAX_CALLS_AT_ONCE,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=self._node_id, soft=False),
        ).remote(str(group_dir))
        log.info("%s created for %s", name, group_dir)

    async def _is_well(self, name: str) -> bool:
        """False once it sits on another node, or after three unanswered pings in a row."""
        try:
            agent: Any = await from_ray(lambda: ray.get_actor(name, NAMESPACE), timeout_s=RAY_TIMEOUT_S)
            home: str = await asyncio.wait_for(agent.ping.remote(), PING_TIMEOUT_S)
        except (RayError, ValueError, TimeoutError) as error:
            missed = self._pings_missed.get(name, 0) + 1
            self._pings_missed[name] = missed
            log.info("%s missed %d pings: %s", name, missed, type(error).__name__)
            return missed < 3  # noqa: PLR2004 - said in the docstring
        self._pings_missed.pop(name, None)
        return home == self._node_id


async def from_ray(call: Callable[[], T], *, timeout_s: float) -> T:
    """Run a blocking call to Ray's control service beside the loop. `RayGone` when it fails or hangs."""
    try:
        return await asyncio.wait_for(asyncio.to_thread(call), timeout_s)
    except (TimeoutError, RayError) as error:
        raise RayGone(f"{type(error).__name__}: {error}") from error


def _kill(name: str) -> None:
    try:
        ray.kill(ray.get_actor(name, NAMESPACE), no_restart=True)
    except ValueError:
        log.info("%s is gone already", name)


def local_groups(groups: Path) -> list[Path]:
    """The directories of this machine's groups, in order of name."""
    return sorted(path.parent for path in groups.glob("*/group.json"))


def wait_for_port(address: str, *, timeout_s: float) -> bool:
    """True once something listens at `host:port`: asking is cheaper than letting Ray find out."""
    deadline_s = time.monotonic() + timeout_s
    while not is_listening(address):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.1)
    return True


def is_listening(address: str) -> bool:
    """Whether something accepts connections at `host:port`."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2.0).close()
    except OSError:
        return False
    return True


async def watch(address: str, groups: Path) -> None:
    """Check the agents once a second for as long as Ray is there. Raises `RayGone`."""
    enrolment = Enrolment(groups)
    while True:
        if not is_listening(address):
            raise RayGone(f"nothing listens at {address}")
        await enrolment.check()
        await asyncio.sleep(PERIOD_S)


def main(arguments: list[str] | None = None) -> int:
    """Connect to the Ray cluster at the address given, and to no other; stay until it is gone."""
    parser = argparse.ArgumentParser(prog="python -m workers.enrol", description=__doc__.splitlines()[0])
    parser.add_argument("--ray-address", required=True, metavar="HOST:PORT")
    parser.add_argument("--ray-temp-dir", metavar="DIR", help="of this machine's raylet, if it has several")
    parser.add_argument("--groups", required=True, type=Path, metavar="DIR")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if not wait_for_port(options.ray_address, timeout_s=START_TIMEOUT_S):
        log.error("nothing listens at --ray-address %s; is the Ray head up?", options.ray_address)
        return EXIT_RAY_GONE
    ray.init(
        address=options.ray_address,
        _temp_dir=options.ray_temp_dir,
        namespace=NAMESPACE,
        log_to_driver=False,
        configure_logging=False,
    )
    try:
        asyncio.run(watch(options.ray_address, options.groups.resolve()))
    except RayGone as error:
        log.error("Ray is gone: %s", error)  # noqa: TRY400 - a trace says no more
    return EXIT_RAY_GONE


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    os._exit(code)  # a call to a Ray that is gone may hang in a thread for a minute; nobody waits for it
