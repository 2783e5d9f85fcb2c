"""The Ray driver, as a child that may die: `python -m scheduler.bridge --address HOST:PORT`.

It carries lines between the scheduler service (stdin, stdout) and the agents (Ray actors, found by name), and
understands neither orders nor reports. One JSON object per line:

    in   {"id", "op": "deliver", "group_id", "order", "timeout_s"}       `order` is JSON in a string
    in   {"id", "op": "inventory", "group_id", "timeout_s"}              a miner group's machines are asked for
    out  {"id", "ok": true, "answer"} | {"id", "ok": false, "error"}     `answer` is the guard's line in a string
    out  {"event": "report", "group_id", "answer"}                       whenever a long poll brings one
    out  {"event": "groups", "groups": [...]}                            groups whose agents are known, on change
    out  {"event": "ray", "up": true}                                    once connected

It ends with status 0 when stdin does, with 3 when Ray is gone: then its parent starts another.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import ray
from ray.exceptions import ActorDiedError, RayError

NAMESPACE = "barq"
NAME_PREFIX = "agent:"
EXIT_RAY_GONE = 3
START_TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.5  #: for new agents, and for Ray being there at all
RAY_TIMEOUT_S = 10.0  #: an answer of Ray's control service that takes longer does not come
POLL_S = 1.0  #: a report comes at least this often, changed or not: its draw is fresh
POLL_MARGIN_S = 5.0
POLL_GAP_S = 0.2  #: changes that come faster than this travel together
RETRY_S = 0.5
_SHOWN_BYTES = 200

log = logging.getLogger("barq.bridge")

T = TypeVar("T")
Emit = Callable[[dict[str, object]], None]


class RayGone(Exception):
    """Ray does not answer any more."""


class GuardSilent(Exception):
    """The agent answers, its guard does not."""


class Bridge:
    """Knows the agents by name, long-polls each of them, and forwards deliveries, all at once."""

    def __init__(self, address: str, emit: Emit) -> None:
        self._address = address
        self._emit = emit
        self._agents: dict[str, Any] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._deliveries: set[asyncio.Task[None]] = set()
        self._announced: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Look for agents until Ray is gone. Raises `RayGone`."""
        self._emit({"event": "ray", "up": True})
        while True:
            await self._look()
            await asyncio.sleep(LOOK_EVERY_S)

    def accept(self, line: bytes) -> None:
        """Start what one line from the service asks for; its answer is emitted when it is there."""
        try:
            request = read_request(line)
        except ValueError as error:
            log.error("dropped a line: %s", error)  # noqa: TRY400 - a trace says no more
            return
        task = asyncio.get_running_loop().create_task(self._answer(request))
        self._deliveries.add(task)
        task.add_done_callback(self._deliveries.discard)

    async def _answer(self, request: dict[str, Any]) -> None:
        try:
            answer = await self._ask(request)
        except (RayError, TimeoutError, LookupError, AttributeError) as error:  # an agent of an older Barq
            self._emit({"id": request["id"], "ok": False, "error": _why(error, request)})
        else:
            self._emit({"id": request["id"], "ok": True, "answer": answer.decode()})

    async def _ask(self, request: dict[str, Any]) -> bytes:
        agent = self._agents.get(request["group_id"])
        if agent is None:
            raise LookupError(
                f"Ray knows no {NAME_PREFIX}{request['group_id']}; is `workers.enrol` up there?"
            )
        is_order = request["op"] == "deliver"
        call = agent.deliver.remote(request["order"].encode()) if is_order else agent.inventory.remote()
        answer: bytes = await asyncio.wait_for(call, request["timeout_s"])
        return answer

    async def _look(self) -> None:
        """Compare the agents that Ray knows with ours."""
        if not is_listening(self._address):
            raise RayGone(f"nothing listens at {self._address}")
        named = await from_ray(ray.util.list_named_actors)
        there = {name.removeprefix(NAME_PREFIX) for name in named if name.startswith(NAME_PREFIX)}
        for group_id in self._agents.keys() - there:
            self._forget(group_id)
        for group_id in sorted(there - self._agents.keys()):
            await self._meet(group_id)
        self._announce(frozenset(self._agents))

    def _announce(self, groups: frozenset[str]) -> None:
        if groups != self._announced:
            self._emit({"event": "groups", "groups": sorted(groups)})
            self._announced = groups

    async def _meet(self, group_id: str) -> None:
        try:
            agent = await from_ray(lambda: ray.get_actor(NAME_PREFIX + group_id, NAMESPACE))
        except ValueError:
            return  # died between the two questions; enrol makes another
        self._agents[group_id] = agent
        self._tasks[group_id] = asyncio.get_running_loop().create_task(self._poll(group_id, agent))

    def _forget(self, group_id: str) -> None:
        self._agents.pop(group_id, None)
        self._tasks.pop(group_id).cancel()

    async def _poll(self, group_id: str, agent: Any) -> None:  # noqa: ANN401 - Ray's handles are untyped
        """Hand on one report after the other; a failure starts from scratch: the guard may be a new one."""
        after, silent = -1, False
        while True:
            try:
                answer, after = await _next_report(agent, after)
            except ActorDiedError:
                self._agents.pop(group_id, None)  # the next look finds its successor
                return
            except (RayError, TimeoutError, GuardSilent) as error:
                if not silent:
                    log.warning(
                        "no report from %s: %s: %s", group_id, type(error).__name__, _first_line(error)
                    )
                after, silent = -1, True
                await asyncio.sleep(RETRY_S)
            else:
                silent = False
                self._emit({"event": "report", "group_id": group_id, "answer": answer.decode()})
                await asyncio.sleep(POLL_GAP_S)


def read_request(line: bytes) -> dict[str, Any]:
    """What the service asks for. Raises ValueError on a line that is no such thing."""
    try:
        request = json.loads(line)
    except RecursionError as error:
        raise ValueError("too many levels") from error
    match request:
        case {"id": int(), "op": "deliver", "group_id": str(), "order": str(), "timeout_s": float() | int()}:
            return dict(request)
        case {"id": int(), "op": "inventory", "group_id": str(), "timeout_s": float() | int()}:
            return dict(request)
        case _:
            raise ValueError(
                f"{line[:_SHOWN_BYTES]!r} is no delivery with id, group_id, order and timeout_s, nor asks for an "
                "inventory"
            )


async def _next_report(agent: Any, after: int) -> tuple[bytes, int]:  # noqa: ANN401 - as above
    """The guard's next answer and its version. Raises `GuardSilent`, or what Ray raises."""
    answer: bytes = await asyncio.wait_for(agent.report.remote(after, POLL_S), POLL_S + POLL_MARGIN_S)
    try:
        match json.loads(answer):
            case {"report": {"version": int(version)}}:
                return answer, version
            case {"error": error}:
                raise GuardSilent(str(error))
            case _:
                raise GuardSilent(f"its answer makes no sense: {answer[:_SHOWN_BYTES]!r}")
    except (ValueError, RecursionError) as error:
        raise GuardSilent(f"its answer is no JSON: {answer[:_SHOWN_BYTES]!r}") from error


def _why(error: Exception, request: dict[str, Any]) -> str:
    name = NAME_PREFIX + request["group_id"]
    match error:
        case LookupError():
            return str(error.args[0])
        case TimeoutError():
            return f"{name} did not answer within {request['timeout_s']:g} s"
        case _:
            return f"{name}: {type(error).__name__}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")


async def from_ray(call: Callable[[], T]) -> T:
    """Run a blocking call to Ray's control service beside the loop. `RayGone` when it fails or hangs."""
    try:
        return await asyncio.wait_for(asyncio.to_thread(call), RAY_TIMEOUT_S)
    except ValueError:
        raise
    except (TimeoutError, RayError) as error:
        raise RayGone(f"{type(error).__name__}: {error}") from error


def is_listening(address: str) -> bool:
    """Whether something accepts connections at `host:port`."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2.0).close()
    except OSError:
        return False
    return True


def claim_stdout() -> Emit:
    """Keep stdout for the protocol: whatever Ray prints goes to stderr from now on."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def emit(message: dict[str, object]) -> None:
        channel.write(json.dumps(message).encode() + b"\n")
        channel.flush()

    return emit


class Inbox:
    """Reads stdin in a thread of its own: when the service is gone this process ends, whatever Ray is doing."""

    def __init__(self) -> None:
        self._accept: Callable[[bytes], object] = log.debug  # nothing is sent before "ray up"

    def open(self) -> None:
        """Start reading."""
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def connect(self, loop: asyncio.AbstractEventLoop, accept: Callable[[bytes], None]) -> None:
        """Have the lines from now on handed to `accept` in `loop`."""
        self._accept = lambda line: loop.call_soon_threadsafe(accept, line)

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            self._accept(line)
        os._exit(0)  # the agents stay: they are detached


def wait_for_port(address: str, *, timeout_s: float) -> bool:
    """True once something listens at `host:port`: asking is cheaper than letting Ray find out."""
    deadline_s = time.monotonic() + timeout_s
    while not is_listening(address):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.1)
    return True


async def serve(address: str, emit: Emit, inbox: Inbox) -> None:
    """Carry lines for as long as Ray is there. Raises `RayGone`."""
    bridge = Bridge(address, emit)
    inbox.connect(asyncio.get_running_loop(), bridge.accept)
    await bridge.run()


def main(arguments: list[str] | None = None) -> int:
    """Connect to the Ray cluster at the address given, and to no other; serve until it or stdin is gone."""
    parser = argparse.ArgumentParser(prog="python -m scheduler.bridge", description=__doc__.splitlines()[0])
    parser.add_argument("--address", required=True, metavar="HOST:PORT")
    address = parser.parse_args(arguments).address
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    emit, inbox = claim_stdout(), Inbox()
    inbox.open()
    if not wait_for_port(address, timeout_s=START_TIMEOUT_S):
        log.error("nothing listens at --address %s; is the Ray head up?", address)
        return EXIT_RAY_GONE
    ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)
    try:
        asyncio.run(serve(address, emit, inbox))
    except RayGone as error:
        log.error("Ray is gone: %s", error)  # noqa: TRY400 - a trace says no more
    return EXIT_RAY_GONE


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    os._exit(code)  # a call to a Ray that is gone may hang in a thread for a minute; nobody waits for it
