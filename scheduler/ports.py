"""The ports through which the loop meets the world: each with a real driver, a fake, one contract suite."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from scheduler.connections.redfish_documents import HostState
from scheduler.core.envelope import Envelope
from scheduler.core.hashprice import ChainFigures
from scheduler.core.inventory import Inventory
from scheduler.core.orders import GuardReport, Order
from scheduler.core.partners import Price
from scheduler.core.site_state import SiteState
from scheduler.core.snapshot import MeterReading
from scheduler.predictions import Made, Quarter, Told as Forecast
from scheduler.records import Delivery, Intents, KeptInventory, Stored, TickRecord, Told


class Clock(Protocol):
    """Where the loop gets its time from; the simulator has its own."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never jump."""
        ...

    async def sleep_s(self, seconds: float) -> None:
        """Let time pass."""
        ...


class LimitSource(Protocol):
    """One place a limit comes from. A silent source answers with its last envelope; its age tells."""

    name: str

    async def read(self, at: datetime) -> Envelope:
        """The envelope as known at `at`. Raises `SignalError` when it cannot be had."""
        ...


@runtime_checkable
class ListeningSource(LimitSource, Protocol):
    """A source that holds a connection, or is told: it listens from its first reading until it is closed."""

    def refused(self) -> Sequence[str]:
        """What it heard and did not take since this was last asked: each names what, why and the remedy."""
        ...

    async def close(self) -> None:
        """Stop listening, and end what was opened for it."""
        ...


@runtime_checkable
class PushedSource(ListeningSource, Protocol):
    """A source that says by itself when it has something new, so that nobody has to wait for the next reading."""

    async def news(self) -> None:
        """Return as soon as a reading would say something else than the last one."""
        ...


@runtime_checkable
class ToldSource(LimitSource, Protocol):
    """A source whose giver wants to know how the site does. Telling it has no part in what binds, nor in reading it."""

    tell_every_s: float | None
    """How often it is told at least; None = this one's giver is told nothing."""

    async def tell(self, state: SiteState) -> None:
        """Tell the giver what is due by now. Only the newest state is ever told. Raises `SignalError`.

        It may be cancelled, and is called anew then with a newer state; readings go on meanwhile.
        """
        ...


class FiguresSource(Protocol):
    """One place that figures of the chain come from."""

    @property
    def name(self) -> str:
        """As the site file calls it."""
        ...

    async def read(self, at: datetime) -> ChainFigures:
        """The newest that it tells, dated as its giver dates them.

        Raises `SignalError` where it cannot be had, and `Refused` where what it tells cannot be.
        """
        ...

    async def close(self) -> None:
        """End what was opened for it."""
        ...


class FiguresBook(Protocol):
    """The series of figures that were taken in: it is only ever added to. Synchronous; raises `StoreError`."""

    def newest(self) -> ChainFigures | None:
        """Those of the latest date; of one date, those that were told last."""
        ...

    def figures_at(self, at: datetime) -> ChainFigures | None:
        """What was in force at `at`: the newest of no later date. Whether they were stale then, they say themselves."""
        ...

    def add(self, told: ChainFigures, *, origin: str, at: datetime) -> None:
        """Write down what a source told."""
        ...


class Meter(Protocol):
    """The judge of the site's draw."""

    async def read(self) -> MeterReading:
        """The newest reading. Raises `MeterError` when there is none."""
        ...

    async def close(self) -> None:
        """End what was opened for it."""
        ...


class HostPower(Protocol):
    """The power of one machine, by its own controller: it answers while the machine hangs, or is off.

    Every method raises `HostError`. What was accepted is not done yet: read it back.
    """

    @property
    def name(self) -> str:
        """Of its node."""
        ...

    async def read_w(self) -> float:
        """What it draws now."""
        ...

    async def state(self) -> HostState:
        """Whether it is on."""
        ...

    async def limit_w(self) -> float | None:
        """The limit of its draw that stands, None where none does."""
        ...

    async def set_limit_w(self, limit_w: float | None) -> None:
        """Limit its draw, None = no more; returns once it is read back."""
        ...

    async def turn_on(self) -> None:
        """Have it switched on."""
        ...

    async def turn_off(self, *, force: bool = False) -> None:
        """Have its system shut down, or its power cut."""
        ...

    async def close(self) -> None:
        """End what was opened for it."""
        ...


ReportListener = Callable[[GuardReport], None]


class Cluster(Protocol):
    """Carries orders to guards and reports back. Never part of the safety path."""

    async def deliver(self, orders: Sequence[Order], *, timeout_s: float) -> dict[str, GuardReport | str]:
        """Send all in parallel. Per group: the report that came back, or why none did."""
        ...

    def listen(self, on_report: ReportListener) -> None:
        """Have unasked reports handed over as they arrive."""
        ...

    async def close(self) -> None:
        """End the connection; guards go on by their leases."""
        ...


class InventorySource(Protocol):
    """Who can be asked for the machines of a miner group. Never part of the safety path."""

    async def inventory(self, group_id: str, *, timeout_s: float) -> Inventory | str:
        """The machines, or why they are not known."""
        ...


class MachineBook(Protocol):
    """The record of machines. Synchronous; every method raises `StoreError`, and `StaleEpoch` for an earlier leader."""

    def keep(self, kept: KeptInventory, *, epoch: int) -> None:
        """Make this the newest inventory of its group, and log what changed of machines."""
        ...

    def let_go(self, groups: Collection[str], *, at: datetime, epoch: int) -> None:
        """Note that the site has no other miner groups than these."""
        ...


class Store(Protocol):
    """The only durable memory. One leader at a time, told by its epoch."""

    async def claim(self, holder: str, *, at: datetime, at_least: int = 0) -> int:
        """Become leader: a new epoch, 1 + max(stored, `at_least`). Older leaders' writes are refused from now on."""
        ...

    async def load(self) -> Stored:
        """Everything a new leader starts from."""
        ...

    async def intents(self, after: int) -> Intents:
        """What people did after sequence number `after`."""
        ...

    async def record(self, tick: TickRecord) -> None:
        """Write one tick in one transaction. Raises `StaleEpoch` when another leader took over."""
        ...


class Outbox(Protocol):
    """What is to be told to webhooks, written with the ticks. Every method raises `StoreError`."""

    async def due(self, at: datetime, *, most: int, without: Sequence[str] = ()) -> Sequence[Delivery]:
        """What is to be tried now, oldest first, but for the ids in `without`."""
        ...

    async def settle(self, delivery_id: str, told: Told) -> None:
        """Note what became of a try."""
        ...

    def close(self) -> None:
        """Finish what is being read or written; nothing is asked of it afterwards."""
        ...


class Forecasts(Protocol):
    """What forecasts of the limit learn from and are kept in. Synchronous; every method raises `StoreError`."""

    def days(self) -> float:
        """How many days of the limit are on record, whoever set it."""
        ...

    def history(self, *, since: datetime, until: datetime) -> Sequence[Quarter]:
        """What the grid gave in [since, until), by the quarter of an hour; what nobody knows is left out."""
        ...

    def kept(self, *, since: datetime) -> Sequence[Made]:
        """The forecasts that were made from `since` on, oldest first."""
        ...

    def newest(self) -> Forecast | None:
        """What was told last."""
        ...

    def keep(self, told: Forecast) -> None:
        """Write down what is told now, and the forecast if it is a new one."""
        ...


class Prices(Protocol):
    """What is known of prices at an instant, for settlement. Whether it is fresh enough, the core judges by its age."""

    def figures_at(self, at: datetime) -> ChainFigures | None:
        """The chain's figures that were the newest at `at`; None = nothing is known for then."""
        ...

    def price_at(self, series: str, at: datetime) -> Price | None:
        """The value per MWh of a named series that was the newest at `at`; None = nothing is known for then.

        Raises `SignalError` if that cannot be read now.
        """
        ...
