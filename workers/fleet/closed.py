"""A machine that lets nobody in: known by its address and its outlet alone."""

from __future__ import annotations

from typing import Final, NoReturn

from workers.miners.port import Identity, MachineReading, Refused

UNKNOWN: Final = Identity(make="", model="", firmware="", firmware_version="")
"""Nobody knows which machine it is, nor what it could be told."""


class Closed:
    """The port `Miner`, which refuses everything: for the reason for which the machine did."""

    def __init__(self, address: str, why: str) -> None:
        self._address, self._why = address, why

    @property
    def address(self) -> str:
        """Host and port."""
        return self._address

    async def identify(self) -> Identity:
        """Refused."""
        self._refuse()

    async def read(self) -> MachineReading:
        """Refused."""
        self._refuse()

    async def sleep(self) -> None:
        """Refused."""
        self._refuse()

    async def wake(self) -> None:
        """Refused."""
        self._refuse()

    async def set_target_w(self, target_w: float) -> float:
        """Refused."""
        del target_w
        self._refuse()

    async def set_percent(self, percent: float) -> float:
        """Refused."""
        del percent
        self._refuse()

    async def close(self) -> None:
        """There is nothing to close."""

    def _refuse(self) -> NoReturn:
        raise Refused(self._why)
