"""The sum of what the nodes' own controllers (BMCs) read: a meter where there is none, or behind the site's own.

In the site file (`configs/sites/redfish.yaml` holds it with all keys):

    bmcs:
      - nodes: [gpu-*]                        # ids as `barq nodes` shows them
        url: https://{node}-bmc.example.net
        username_file: /etc/barq/bmc-user     # a user with the right to read; to switch, the right to operate
        password_file: /etc/barq/bmc-password
        ca_file: /etc/barq/bmc-ca.pem
    meter: {type: redfish}

A node counts at what its controller reads. One without a controller, or whose controller does not answer, or answers
what cannot be, counts at what its orders let it draw, or at what it reports if that is more: never less than it may
draw, so that nothing is given away that is not there. Then the whole reading is `estimated`. Miners count as reported.
The hall's overhead and auxiliary load are added as the site file has them: no controller sees them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from scheduler.core.orders import GroupKind
from scheduler.core.power import site_w
from scheduler.core.reasons import Event
from scheduler.core.snapshot import MeterReading, Quality, SitePolicy
from scheduler.errors import HostError, HostRefused, MeterError, MeterRefused
from scheduler.hosts import Device


class RedfishMeter:
    """Asks all controllers at each reading."""

    def __init__(
        self,
        name: str,
        devices: Callable[[], Sequence[Device]],
        site: SitePolicy,
        *,
        tell: Callable[[Event], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._name, self._devices, self._site = name, devices, site
        self._tell, self._now = tell, now
        self._silent: dict[str, str] = {}  #: controllers that do not answer, by node, and why

    async def read(self) -> MeterReading:
        """The draw of this instant. Raises `MeterError` where no controller has a reading."""
        found = self._devices()
        nodes = [d for d in found if d.kind is GroupKind.NODE]
        answers = await asyncio.gather(*(_ask(d) for d in nodes))
        self._note({d.group_id: a for d, a in zip(nodes, answers, strict=True) if d.host is not None})
        read_w = [a for a in answers if isinstance(a, float)]
        if not read_w:
            raise self._why_not(answers)
        unread = [d for d, a in zip(nodes, answers, strict=True) if not isinstance(a, float)]
        draw_w = site_w(
            it_w=sum(read_w) + sum(max(d.at_most_w, d.reported_w) for d in unread),
            miners_w=sum(d.reported_w for d in found if d.kind is GroupKind.MINERS),
            overhead=self._site.overhead,
            auxiliary_w=self._site.auxiliary_w,
        )
        quality = Quality.ESTIMATED if unread else Quality.GOOD
        return MeterReading(draw_w=draw_w, measured_at=self._now(), source=self._name, quality=quality)

    async def close(self) -> None:
        """The controllers are closed by whoever opened them: they are not asked by this meter alone."""

    def _why_not(self, answers: Sequence[float | HostError]) -> MeterError:
        first = next((a for a in answers if isinstance(a, HostError)), None)
        text = f"meter {self._name}: {first or 'no node of this site has a controller in bmcs'}"
        refuse = bool(answers) and all(isinstance(a, HostRefused) for a in answers)
        return MeterRefused(text) if refuse else MeterError(text)

    def _note(self, answers: dict[str, float | HostError]) -> None:
        """Tell of each controller once that it fell silent, and that it is back."""
        for node, answer in answers.items():
            if isinstance(answer, HostError):
                if node not in self._silent:
                    counts = "until it does the node counts at what its orders let it draw"
                    self._say(
                        "bmc.lost", node, f"the controller of {node} has no reading: {answer}; {counts}"
                    )
                self._silent[node] = str(answer)
            elif self._silent.pop(node, None) is not None:
                self._say("bmc.back", node, f"the controller of {node} can be read again")

    def _say(self, kind: str, node: str, text: str) -> None:
        self._tell(Event(at=self._now(), kind=kind, text=text, data={"meter": self._name, "node": node}))


async def _ask(device: Device) -> float | HostError:
    if device.host is None:
        return HostError(f"{device.group_id} has no controller in bmcs")
    try:
        return float(await device.host.read_w())
    except HostError as error:
        return error
