"""What a guard needs of the miners on its LAN, and what it needs of one machine at one address.

`MinerDriver` is a group of miners as the guard sees it: blocking, and in watts *above a miner's rest*. What miners
draw at rest (controllers, fans) belongs to the `base_w` of their group, so that a group told to draw nothing may draw
exactly its base.

`Miner` is one machine behind its firmware: async, each call within a deadline, and in watts *as the machine itself
says them*, rest included. Each firmware is one driver; all pass one contract suite. A driver can sleep, wake and trim
a machine and look at it. It has no call that writes a pool, a wallet or a password, and none that opens a write lock.

    OSError
      MinerError             the order may or may not have reached the machine; what it draws is in doubt
        Unreachable          nothing answers there, or not in time, or the connection broke
        Refused              it answered and will not: bad credentials, a write lock, a session of somebody else's
        NotUnderstood        it answered with what no such firmware says: broken JSON, a field missing
        Wrong                what answers there is something else: another firmware, a web server
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from scheduler.core.inventory import MachineDetail
from scheduler.core.orders import MinerReading

#: A call of a driver answers or fails within this, s, however many exchanges it takes.
DEADLINE_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetWatts:
    """What a group of machines comes to as they are now, W at its plug."""

    base_w: float  #: it draws this whatever it is told: rests, and machines that obey nobody at their worst
    miners_max_w: float  #: and its other machines take at most this on top
    guessed_w: float = (
        0.0  #: of what it draws, what nobody read: who is lost, lets nobody in, or was never found
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MinersNow:
    """The miners of a group at one instant: who is read does not count in the base, and who is not does."""

    readings: tuple[MinerReading, ...]  #: of those that can be told something
    watts: FleetWatts | None = (
        None  #: what the group comes to; None = as its site file says, for all of them obey
    )


class MinerDriver(Protocol):
    """The miners of one group. They go on at their last targets whatever becomes of the guard. No call ever waits."""

    def max_w(self) -> Mapping[str, float]:
        """The miners that can be told something, each with the most that it draws above its rest."""
        ...

    def now(self) -> MinersNow:
        """What the group comes to, and of each that can be told something its target and draw.

        And when it was last told to run or to sleep, over restarts too.
        """
        ...

    def set_targets(self, targets_w: Mapping[str, float]) -> None:
        """Give miners new targets, W, all at once; who is not named keeps its own. It is not waited for any of them.

        What lies outside of a miner's range becomes the nearest that it takes and that is no more, or rest: its reading
        tells that at once, and its draw follows at the miner's own pace. Raises KeyError for an unknown miner, and
        OSError if what was told cannot be remembered; it is told all the same.
        """
        ...

    def details(self) -> tuple[MachineDetail, ...]:
        """Every machine, also those that cannot be told anything."""
        ...

    def alarms(self) -> tuple[str, ...]:
        """What a person should know, each in one sentence that changes only when the fact does."""
        ...

    def close(self) -> None:
        """Let go of connections; the machines go on as they are."""
        ...


def legible(text: str, *, most: int = 200) -> str:
    """What a machine says in words, without what no log, JSON or database takes: it may be broken, or somebody's."""
    return "".join(character for character in text[:most] if character.isprintable())


class MinerError(OSError):
    """A machine was not told, or not read. The message names its address, what it said and the remedy."""

    def __init__(self, message: str = "") -> None:
        super().__init__(legible(message, most=500))


class Unreachable(MinerError):
    """Nothing answers there, or not in time, or the connection broke. An order may have been taken all the same."""


class Refused(MinerError):
    """It answered and will not: bad credentials, a write lock, a session of somebody else's, a value out of range.

    The message says which. `retry_after_s` is set where the refusal passes by itself.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotUnderstood(MinerError):
    """It answered with what no such firmware says: broken JSON, a field missing, a number that is none."""


class Wrong(MinerError):
    """What answers at this address is something else: another firmware, or no miner."""


class MinerState(StrEnum):
    """What a machine does, as it says itself."""

    RUNNING = "running"
    RAMPING = "ramping"  #: on its way up, or to another target; hashrate and draw still move
    ASLEEP = "asleep"
    FAULTED = "faulted"  #: it should run and does not, by its own account


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a machine asks for before it obeys. They belong to its owner and are never shown."""

    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WattTargets:
    """Which targets a machine takes, W as it counts them itself."""

    min_w: float
    max_w: float
    step_w: float = 1.0
    choices_w: tuple[
        float, ...
    ] = ()  #: rising; where not empty, it takes these alone and `step_w` says nothing
    restarts: bool = False  #: it falls to rest and starts again for each new target

    def nearest_below_w(self, target_w: float) -> float | None:
        """The greatest target that it takes and that is not above this one; None = it takes none so low."""
        if target_w < self.min_w:
            return None
        if self.choices_w:
            return max((w for w in self.choices_w if w <= target_w), default=None)
        steps = (min(target_w, self.max_w) - self.min_w) // self.step_w
        return self.min_w + steps * self.step_w


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentTrim:
    """By which percentages of its full power a machine can be trimmed within seconds. Approximate: read it back."""

    min_pct: float
    max_pct: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What can be asked of a machine. With none of them it is read only."""

    pause: bool = False
    watts: WattTargets | None = None
    percent: PercentTrim | None = None

    @property
    def read_only(self) -> bool:
        """Whether it can be looked at and no more."""
        return not self.pause and self.watts is None and self.percent is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which machine this is. What it does not tell is an empty string."""

    make: str
    model: str
    firmware: str
    firmware_version: str
    serial: str = ""
    mac: str = ""  #: lower case, with colons
    capabilities: Capabilities = Capabilities()

    def __post_init__(self) -> None:
        """All of it is the machine's own word."""
        for name in ("make", "model", "firmware", "firmware_version", "serial", "mac"):
            object.__setattr__(self, name, legible(getattr(self, name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Where a machine mines to, as observed. For the record: nothing here can be written."""

    url: str
    user: str = ""
    is_active: bool = True

    def __post_init__(self) -> None:
        """Both are the machine's own word."""
        object.__setattr__(self, "url", legible(self.url))
        object.__setattr__(self, "user", legible(self.user))


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineReading:
    """What a machine says of itself now; None = it does not say."""

    state: MinerState
    draw_w: float | None = None
    is_metered: bool = False  #: measured by its power supply; False = estimated by its firmware
    target_w: float | None = None  #: what it was last told, or runs by
    hashrate_th: float | None = None
    temperatures_c: tuple[float, ...] = ()
    pools: tuple[Pool, ...] = ()
    uptime_s: float | None = None
    fault: str = ""  #: why it is faulted, in its own words

    def __post_init__(self) -> None:
        object.__setattr__(self, "fault", legible(self.fault))

    @property
    def joule_per_th(self) -> float | None:
        """Its efficiency while it hashes steadily, J/TH."""
        if self.state is not MinerState.RUNNING or not self.draw_w or not self.hashrate_th:
            return None
        return self.draw_w / self.hashrate_th


class Miner(Protocol):
    """One machine behind its firmware. Each call ends within DEADLINE_S, with its answer or with a MinerError.

    That an order returns means only that the machine said yes: `workers.miners.proof` says when it obeyed.
    """

    @property
    def address(self) -> str:
        """Host and port, as errors and the record name them."""
        ...

    async def identify(self) -> Identity:
        """Which machine it is and what can be asked of it. Asked once, and remembered: not on the way to sleep."""
        ...

    async def read(self) -> MachineReading:
        """What it says of itself now."""
        ...

    async def sleep(self) -> None:
        """Tell it to stop hashing and rest. To one that is asleep already it changes nothing."""
        ...

    async def wake(self) -> None:
        """Tell it to hash again, at its last target. To one that runs already it changes nothing."""
        ...

    async def set_target_w(self, target_w: float) -> float:
        """Tell it to draw no more than this, and return what it took: the nearest that it takes, never more, W.

        Below the least that it takes, and without the capability: Refused.
        """
        ...

    async def set_percent(self, percent: float) -> float:
        """Trim it to this share of its full power and return what it took, %. Without the capability: Refused."""
        ...

    async def close(self) -> None:
        """Let go of connections and sessions. Never fails; the machine goes on as it is."""
        ...
