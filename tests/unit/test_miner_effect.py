"""An order counts as done when a reading shows it, and until then its watts are in doubt."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from tests.miners.effect import Effect, Order, Sleep, TargetWatts, TrimPercent, Wake, carry_out, obeys
from workers.miners.port import Identity, MachineReading, MinerError, MinerState, Refused, Unreachable

NAMEPLATE_W = 3400.0


def running(draw_w: float | None = NAMEPLATE_W) -> MachineReading:
    """A machine that hashes."""
    return MachineReading(state=MinerState.RUNNING, draw_w=draw_w)


def asleep(draw_w: float | None = 25.0) -> MachineReading:
    """A machine that sleeps."""
    return MachineReading(state=MinerState.ASLEEP, draw_w=draw_w)


@dataclass(kw_only=True)
class Scripted:
    """A machine that answers by a script; its last line it repeats. Time passes only while it is waited for."""

    readings: list[MachineReading | MinerError]
    answer: MinerError | None = None
    told: list[str] = field(default_factory=list)
    now_s: float = 0.0
    reads: int = 0
    address: str = "script"

    async def identify(self) -> Identity:
        raise NotImplementedError

    async def read(self) -> MachineReading:
        said = self.readings[min(self.reads, len(self.readings) - 1)]
        self.reads += 1
        if isinstance(said, MinerError):
            raise said
        return said

    async def sleep(self) -> None:
        self._take("sleep")

    async def wake(self) -> None:
        self._take("wake")

    async def set_target_w(self, target_w: float) -> float:
        self._take(f"{target_w:g} W")
        return target_w

    async def set_percent(self, percent: float) -> float:
        self._take(f"{percent:g} %")
        return percent

    async def close(self) -> None:
        pass

    def _take(self, what: str) -> None:
        self.told.append(what)
        if self.answer is not None:
            raise self.answer

    async def order(self, order: Order, *, deadline_s: float = 3.0) -> Effect:
        """Carry an order out on it."""
        return await carry_out(
            self,
            order,
            nameplate_w=NAMEPLATE_W,
            deadline_s=deadline_s,
            poll_s=1.0,
            pause=self._pause,
            clock=lambda: self.now_s,
        )

    async def _pause(self, pause_s: float) -> None:
        self.now_s += pause_s


@pytest.mark.parametrize(
    "order, seen, does",
    [
        (Sleep(), asleep(), True),
        (Sleep(), asleep(None), True),
        (Sleep(), asleep(3000.0), False),
        (Sleep(), running(25.0), False),
        (Wake(), running(), True),
        (Wake(), MachineReading(state=MinerState.RAMPING), False),
        (TargetWatts(target_w=2000.0), running(2080.0), True),
        (TargetWatts(target_w=2000.0), running(2200.0), False),
        (TargetWatts(target_w=2000.0), running(None), False),
        (TargetWatts(target_w=2000.0), replace(running(1500.0), target_w=2000.0), True),
        (TargetWatts(target_w=2000.0), replace(running(1500.0), target_w=3400.0), False),
        (TrimPercent(percent=50.0, full_w=3400.0), running(1700.0), True),
        (TrimPercent(percent=50.0, full_w=3400.0), running(2000.0), False),
    ],
)
def test_state_and_watts_must_both_fit(order: Order, seen: MachineReading, does: bool) -> None:
    """A machine that says that it sleeps and draws 3 kW does not sleep."""
    assert obeys(order, seen) is does


async def test_it_is_read_until_it_obeys() -> None:
    """The watts lag: told once, it is confirmed at the reading that shows it."""
    miner = Scripted(readings=[running(), asleep(900.0), asleep()])
    effect = await miner.order(Sleep())

    assert (effect.is_confirmed, effect.in_doubt_w, effect.after_s) == (True, 0.0, 2.0)
    assert (miner.told, miner.reads) == (["sleep"], 3)


async def test_what_it_last_said_stays_in_doubt() -> None:
    """Its time is up and it still draws."""
    effect = await Scripted(readings=[running(3300.0)]).order(Sleep())

    assert (effect.is_confirmed, effect.in_doubt_w, effect.after_s) == (False, 3300.0, 3.0)


@pytest.mark.parametrize("last", [Unreachable("gone"), running(None)])
async def test_a_machine_that_says_nothing_counts_in_full(last: MachineReading | MinerError) -> None:
    """Lost contact and unknown watts are its nameplate."""
    assert (await Scripted(readings=[last]).order(Sleep())).in_doubt_w == NAMEPLATE_W


async def test_an_order_whose_answer_was_lost_may_have_been_taken() -> None:
    """So it is read back all the same."""
    effect = await Scripted(readings=[running(), asleep()], answer=Unreachable("no answer")).order(Sleep())

    assert effect.is_confirmed


async def test_a_refusal_is_final() -> None:
    """It is read once, for what it draws, and not waited for."""
    miner = Scripted(readings=[running(3200.0)], answer=Refused("locked"))
    effect = await miner.order(Wake())

    assert isinstance(effect.error, Refused)
    assert miner.reads == 1
    assert effect.is_confirmed  # it runs already


async def test_a_lost_reading_is_asked_again() -> None:
    """One dropped socket is no verdict."""
    effect = await Scripted(readings=[Unreachable("dropped"), running(1990.0)]).order(
        TargetWatts(target_w=2000.0)
    )

    assert (effect.is_confirmed, effect.error) == (True, None)


async def test_each_order_is_told_in_its_own_words() -> None:
    """Watts and percent too."""
    miner = Scripted(readings=[running(100.0)])
    await miner.order(TargetWatts(target_w=2000.0))
    await miner.order(TrimPercent(percent=60.0, full_w=3400.0))

    assert miner.told == ["2000 W", "60 %"]
