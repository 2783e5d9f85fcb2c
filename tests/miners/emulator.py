"""A machine on a loopback address: what all emulated firmwares share, above all how they fail."""

from __future__ import annotations

import asyncio
import itertools
from enum import StrEnum, auto

from tests.miners.plant import Plant

_NUMBERS = itertools.count(2)


class Fault(StrEnum):
    """Ways to fail. Those of the wire befall every request, the last two only orders."""

    HANGS = auto()  #: takes the connection and never answers
    DROPS = auto()  #: closes it without an answer
    BREAKS_OFF = auto()  #: closes it in the middle of an answer
    MALFORMED = auto()  #: answers with what nobody can read
    QUIRKY = auto()  #: JSON as old firmwares write it: wrong, and still to be read
    LOCKED = auto()  #: its owner has locked writing
    DEAF = auto()  #: says yes, and does nothing


class Emulator:
    """Listens on an address of its own. A firmware derives from it and answers."""

    def __init__(self, plant: Plant | None = None) -> None:
        self.plant = plant or Plant()
        self.faults: set[Fault] = set()
        self.requests: list[str] = []  #: everything that anybody ever asked, as it came
        self.host = "127.77.{}.{}".format(*divmod(next(_NUMBERS), 250))
        self.later_s = 0.0  #: by how much its own clock is ahead: sessions and tokens age when a test says so
        self._servers: list[asyncio.Server] = []
        self._talks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where its first API listens."""
        return int(self._servers[0].sockets[0].getsockname()[1])

    async def start(self, *, host: str | None = None, port: int = 0) -> None:
        """Listen. Port 0 = any free one."""
        self.host = host or self.host
        self._servers.append(await asyncio.start_server(self._talk, self.host, port))

    async def stop(self) -> None:
        """Hang up on everybody."""
        for server in self._servers:
            server.close()
        for talk in tuple(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        self._servers.clear()

    def breaks(self, *faults: Fault) -> None:
        """From now on it fails in these ways, and no others."""
        self.faults = set(faults)
        self.plant.is_deaf = Fault.DEAF in self.faults

    async def answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        raise NotImplementedError

    async def send(self, writer: asyncio.StreamWriter, whole: bytes) -> bool:
        """Send an answer as the faults would have it; False = the connection is to be closed."""
        if Fault.HANGS in self.faults:
            await asyncio.Event().wait()
        if Fault.DROPS in self.faults:
            return False
        writer.write(whole[: len(whole) // 2] if Fault.BREAKS_OFF in self.faults else whole)
        await writer.drain()
        return Fault.BREAKS_OFF not in self.faults

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            await self.answers(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # a peer that has gone, or the end of the test: asyncio would log a cancelled talk as an error
        finally:
            self._talks.discard(task)
            writer.close()
