"""A machine's power that a test rules, behind the port `HostPower`."""

from __future__ import annotations

from scheduler.connections.redfish_documents import HostState
from scheduler.errors import HostError, HostRefused


class FakeHost:
    """Does as it is told at once, unless a test says otherwise."""

    def __init__(self, name: str = "node-1", draw_w: float = 800.0) -> None:
        self.name = name
        self.draws_w = draw_w
        self.is_on: bool | None = True  #: None = on its way
        self.limited_w: float | None = None
        self.silent = False
        self.ignores = False  #: says yes, and does nothing
        self.ignores_shutdown = False
        self.told: list[str] = []
        self.closed = 0

    async def read_w(self) -> float:
        self._answer()
        if not 0 <= self.draws_w <= 50_000:
            raise HostRefused(f"{self.name}: shows {self.draws_w:g} W")
        return self.draws_w

    async def state(self) -> HostState:
        self._answer()
        if self.is_on is None:
            return HostState.CHANGING
        return HostState.ON if self.is_on else HostState.OFF

    async def limit_w(self) -> float | None:
        self._answer()
        return self.limited_w

    async def set_limit_w(self, limit_w: float | None) -> None:
        self._answer()
        if limit_w is not None and not 0 < limit_w <= 50_000:
            raise HostRefused(f"{self.name}: a limit of {limit_w:g} W cannot be")
        if self.ignores and limit_w != self.limited_w:
            raise HostRefused(f"{self.name}: it accepted a limit of {limit_w} and shows {self.limited_w}")
        self.limited_w = limit_w

    async def turn_on(self) -> None:
        self._switch("on", on=True)

    async def turn_off(self, *, force: bool = False) -> None:
        if force or not self.ignores_shutdown:
            self._switch("cut" if force else "off", on=False)
        else:
            self.told.append("off")

    async def close(self) -> None:
        self.closed += 1

    def _switch(self, word: str, *, on: bool) -> None:
        self._answer()
        self.told.append(word)
        if not self.ignores:
            self.is_on = on

    def _answer(self) -> None:
        if self.silent:
            raise HostError(f"{self.name}: no answer")
