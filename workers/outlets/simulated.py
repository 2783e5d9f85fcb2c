"""An outlet that is played, for sites without a PDU and for tests."""

from __future__ import annotations

from collections.abc import Callable

from workers.outlets.port import OutletError, OutletReading


def _nothing(_: bool) -> None:  # noqa: FBT001 - the shape of what is told
    """Nobody is told."""


class SimulatedOutlet:
    """Passes what its machine draws while it is on, and nothing while it is off."""

    def __init__(
        self,
        address: str,
        *,
        draw_w: Callable[[], float] = lambda: 0.0,
        told: Callable[[bool], None] = _nothing,
        is_metered: bool = True,
    ) -> None:
        self._address = address
        self._draw_w = draw_w
        self._told = told  #: its machine loses its power, or has it again
        self._is_metered = is_metered
        self._is_on = True
        self._is_open = True

    @property
    def address(self) -> str:
        """PDU and outlet, as errors and the record name them."""
        return self._address

    async def read(self) -> OutletReading:
        """Its state and draw now."""
        self._check()
        draw_w = self._draw_w() if self._is_on else 0.0
        return OutletReading(is_on=self._is_on, draw_w=draw_w if self._is_metered else None)

    async def switch(self, *, is_on: bool) -> None:
        """Turn it on or off."""
        self._check()
        if is_on != self._is_on:
            self._is_on = is_on
            self._told(is_on)

    async def close(self) -> None:
        """It stays as it is."""
        self._is_open = False

    def _check(self) -> None:
        if not self._is_open:
            raise OutletError(f"{self._address}: is closed; open it anew")
