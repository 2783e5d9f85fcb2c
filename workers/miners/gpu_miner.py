"""A mining program on idle GPUs: any command line that mines on the GPUs that it is given, as a filler.

It is started only where nothing else computes, and dies with the guard that started it (`setpriv`, of util-linux).
Asleep means that it is paused, where it has XMRig's HTTP API and takes orders by it, and ended where not. A paused
program keeps GPU memory: before an AI job may start, `vacate` ends it and waits until the GPUs are seen to be free.

XMRig as an example: `xmrig --config=... --http-port=18088 --http-access-token=... --http-no-restricted`. Without the
last it tells its hashrate and refuses to be paused: then it is ended.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence, Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scheduler.core.orders import GpuReading
from workers.miners.http import HttpLine
from workers.miners.line import number, within
from workers.miners.port import (
    DEADLINE_S,
    Capabilities,
    Identity,
    MachineReading,
    MinerError,
    MinerState,
    Pool,
    Refused,
    Unreachable,
)
from workers.processes import Family, ProcessId, ProcessTable, carrying, identify, is_alive, send

MARK: Final = "BARQ_FILLER"  #: in the environment of the program and of all that it starts
_TERM_S: Final = 3.0  #: after SIGTERM, until SIGKILL
_LOOK_S: Final = 0.05
_OK: Final = 200
_KEEPER: Final = Path(__file__).parents[1] / "fillers" / "keeper.py"
_KEPT: Final = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH")  #: of our own environment


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpApi:
    """Where the program serves XMRig's API, on this host, and the token that it was given."""

    port: int
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filler:
    """What is run, and on which GPUs."""

    name: str  #: of its own on this node
    mark: str = ""  #: of its own on this host; empty = its name is
    command: tuple[str, ...]
    gpu_ids: tuple[str, ...]
    log_path: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    api: HttpApi | None = None
    term_s: float = _TERM_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacancy:
    """Whether its GPUs are free for others."""

    is_free: bool
    after_s: float
    why: str = ""  #: not


class GpuMiner:
    """One program. `gpus` tells of its GPUs as their driver sees them now."""

    def __init__(
        self,
        filler: Filler,
        gpus: Callable[[], Sequence[GpuReading]],
        *,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._filler = filler
        self._gpus = gpus
        self._deadline_s = deadline_s
        self._http = None if filler.api is None else HttpLine("127.0.0.1", filler.api.port)
        self._process: asyncio.subprocess.Process | None = None
        self._main: ProcessId | None = None
        self._family: Family | None = None  #: of its first process, for those that bear no mark
        self._is_wanted = False
        self._ending: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """Its name: it is on this host."""
        return f"filler:{self._filler.name}"

    @property
    def main(self) -> ProcessId | None:
        """Its first process, None while none was started."""
        return self._main

    def is_there(self) -> bool:
        """Whether any process of it lives, also one that an earlier guard started."""
        return self._runs()

    async def identify(self) -> Identity:
        """Its program. It can be put to sleep; its watts follow the caps of its GPUs."""
        return Identity(
            make="GPU",
            model=f"{len(self._filler.gpu_ids)} GPU",
            firmware=Path(self._filler.command[0]).name,
            firmware_version="" if self._http is None else "with XMRig's API",
            serial=self._filler.name,
            capabilities=Capabilities(pause=True),
        )

    async def read(self) -> MachineReading:
        """Asleep it draws nothing of its own: what its GPUs draw then is theirs, or another's."""
        self._relatives()
        if not self._runs():
            return self._ended()
        told = await self._told()
        draw_w = sum(gpu.draw_w for gpu in self._gpus())
        if told.get("paused") is True:
            return MachineReading(state=MinerState.ASLEEP, draw_w=draw_w, is_metered=True)
        return MachineReading(
            state=MinerState.RUNNING,
            draw_w=draw_w,
            is_metered=True,
            hashrate_th=_hashrate_th(told),
            pools=_pools(told),
            uptime_s=number(told, "uptime"),
        )

    async def sleep(self) -> None:
        """Pause it, or end it: then this returns when it has ended, or in time, while SIGKILL follows SIGTERM."""
        self._is_wanted = False
        if self._runs() and await self._paused("pause"):
            return
        await asyncio.wait({self._end()}, timeout=self._deadline_s)

    async def wake(self) -> None:
        """Let it go on, or start it. Refused where something else computes on its GPUs."""
        if self._ending is not None and not self._ending.done():
            raise Refused(
                f"{self.address}: is just being ended; wake it when that is done", retry_after_s=_TERM_S
            )
        if not self._is_ours() or ((await self._told()).get("paused") and not await self._paused("resume")):
            await asyncio.wait({self._end()}, timeout=self._deadline_s)
            self._refuse_if_busy()
            await self._start()
        self._is_wanted = True

    async def set_target_w(self, target_w: float) -> float:
        """Refused: what its GPUs draw at most is their cap."""
        raise Refused(
            f"{self.address}: target_w={target_w:g}: takes no target; cap its GPUs, or let it sleep"
        )

    async def set_percent(self, percent: float) -> float:
        """Refused: as `set_target_w`."""
        raise Refused(f"{self.address}: percent={percent:g}: takes no trim; cap its GPUs, or let it sleep")

    async def vacate(self, *, patience_s: float) -> Vacancy:
        """End it, and wait until its GPUs are seen without processes and memory in use. Never raises MinerError."""
        self._is_wanted = False
        began_s = time.monotonic()
        await asyncio.wait({self._end()}, timeout=patience_s)
        while (why := self._why_not_free()) and time.monotonic() - began_s < patience_s:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_LOOK_S)
        return Vacancy(is_free=not why, after_s=time.monotonic() - began_s, why=why)

    async def end(self, *, patience_s: float) -> None:
        """End it with all that it started, whatever becomes of its GPUs."""
        self._is_wanted = False
        await asyncio.wait({self._end()}, timeout=patience_s)

    async def close(self) -> None:
        """Let go of its API; the program goes on."""
        if self._http is not None:
            await self._http.close()

    # -- its process ---------------------------------------------------------------------------------------------

    def _is_ours(self) -> bool:
        return self._main is not None and is_alive(self._main)

    def _runs(self) -> bool:
        return self._is_ours() or bool(self._members())

    def _ended(self) -> MachineReading:
        """One that should run and has ended is faulted."""
        if not self._is_wanted:
            return MachineReading(state=MinerState.ASLEEP, draw_w=0.0)
        code = None if self._process is None else self._process.returncode
        return MachineReading(
            state=MinerState.FAULTED,
            draw_w=0.0,
            fault=f"ended by itself with {code}; look at {self._filler.log_path}",
        )

    def _refuse_if_busy(self) -> None:
        if why := self._why_not_free():
            raise Refused(f"{self.address}: {why}; it mines on idle GPUs alone")

    def _why_not_free(self) -> str:
        """Empty = its GPUs are free, as they say themselves."""
        if self._members():
            return "its program still runs"
        seen = {gpu.gpu_id: gpu for gpu in self._gpus()}
        for gpu_id in self._filler.gpu_ids:
            gpu = seen.get(gpu_id)
            if gpu is None or gpu.lost:
                return f"GPU {gpu_id} does not answer"
            used_bytes = 0 if gpu.sensors is None else gpu.sensors.memory_used_bytes or 0
            if gpu.processes or used_bytes:
                pids = () if gpu.sensors is None else gpu.sensors.pids
                named = f" (PID {', '.join(map(str, pids))})" if pids else ""
                return f"GPU {gpu_id} has {gpu.processes} processes{named} and {used_bytes} bytes in use"
        return ""

    async def _start(self) -> None:
        """Raises Refused for a command that cannot be run."""
        guardian = shutil.which("setpriv")
        program = shutil.which(self._filler.command[0])
        if guardian is None or program is None:
            missing = self._filler.command[0] if guardian else "setpriv (of util-linux)"
            raise Refused(
                f"{self.address}: {missing}: is not there or no program; install it, or give its path"
            )
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment = {
            **kept,
            **self._filler.environment,
            "CUDA_VISIBLE_DEVICES": ",".join(self._filler.gpu_ids),
        }
        told = (str(self._filler.term_s), str(os.getpid()), self._mark())
        keeper = (sys.executable, "-I", "-S", str(_KEEPER), *told)
        with self._filler.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                guardian, "--pdeathsig", "TERM", "--", *keeper, "nice", "-n", "19", program, *self._filler.command[1:],
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True,
            )  # fmt: skip
        self._main = identify(self._process.pid)
        self._family = None if self._main is None else Family(self._main, ProcessTable())

    def _members(self) -> set[ProcessId]:
        """All that bears its mark, also of a guard that is gone, and all that was seen below its first process."""
        return carrying(self._mark()) | self._relatives()

    def _mark(self) -> str:
        return f"{MARK}={self._filler.mark or self._filler.name}"

    def _relatives(self) -> set[ProcessId]:
        """Its first process and who descends from it: a program may wipe its environment, and the mark with it."""
        if self._family is None:
            return set()
        self._family.refresh()
        return {stat.id for stat in self._family.members}

    def _end(self) -> asyncio.Task[None]:
        """Ending goes on in the background, whoever waits for it."""
        if self._ending is None or self._ending.done():
            self._ending = asyncio.create_task(self._end_members())
        return self._ending

    async def _end_members(self) -> None:
        """Its keeper ends by itself once it has nobody to keep; until then it shows who is left."""
        for signum, patience_s in ((signal.SIGTERM, self._filler.term_s), (signal.SIGKILL, _TERM_S)):
            _tell(self._members() - {self._main}, signum)
            until_s = time.monotonic() + patience_s
            while (members := self._members()) and time.monotonic() < until_s:
                await asyncio.sleep(_LOOK_S)
                if signum == signal.SIGKILL:  # whoever came since
                    _tell(members - {self._main}, signum)
            if not members:
                break
        _tell(self._members(), signal.SIGKILL)
        if self._process is not None and not self._is_ours():
            await self._process.wait()  # so that nobody is left to bury it
            self._main = None

    # -- its API -------------------------------------------------------------------------------------------------

    async def _told(self) -> Mapping[str, Any]:
        """Its own summary; empty without an API, and where that does not answer: the GPUs say enough."""
        try:
            return await self._ask("GET", "/2/summary")
        except MinerError:
            return {}

    async def _paused(self, method: str) -> bool:
        """Whether it took `pause` or `resume`."""
        try:
            answer = await self._ask("POST", "/json_rpc", {"id": 1, "jsonrpc": "2.0", "method": method})
        except MinerError:
            return False
        return isinstance(answer.get("result"), Mapping)

    async def _ask(self, method: str, path: str, body: object = None) -> Mapping[str, Any]:
        """Raises MinerError."""
        if self._http is None or self._filler.api is None:
            raise Unreachable(f"{self.address}: has no API")
        token = self._filler.api.token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with within(self._deadline_s / 2, self.address):
            reply = await self._http.ask(method, path, body=body, headers=headers)
        if reply.status != _OK:
            raise Refused(
                f"{self.address}: {path}: HTTP {reply.status}: {reply.text}; is its API restricted?"
            )
        return reply.object(self.address)


def _tell(members: AbstractSet[ProcessId | None], signum: int) -> None:
    for member in members:
        if member is not None:
            with suppress(
                PermissionError
            ):  # one that became somebody else's: it keeps its GPU, and that is told
                send(member, signum)


def _hashrate_th(told: Mapping[str, Any]) -> float | None:
    """H/s over the last ten seconds, or the last minute."""
    rates = told.get("hashrate")
    total = rates.get("total") if isinstance(rates, Mapping) else None
    figures = [rate for rate in total if isinstance(rate, int | float)] if isinstance(total, list) else []
    return figures[0] / 1e12 if figures else None


def _pools(told: Mapping[str, Any]) -> tuple[Pool, ...]:
    connection = told.get("connection")
    url = connection.get("pool") if isinstance(connection, Mapping) else None
    return (Pool(url=str(url)),) if url else ()
