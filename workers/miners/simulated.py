"""Simulated miners: each follows its target along a straight ramp, fast down and slow up.

`SimulatedMiners` is a group as the guard sees it; `SimulatedMiner` is one of them as a machine of its own. Targets and
draws of the group are those above rest, from 0 to nameplate less rest. What was last set is kept in a file with its
time, so that a restarted guard finds the miners where they would be: they do not stop because nobody watches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from barq.contract import write_atomically
from scheduler.core.inventory import Ability, Condition, MachineDetail, MachineIdentity
from scheduler.core.orders import MinerReading
from workers.clock import boottime_s
from workers.miners import port
from workers.wire import WireError, decode, encode


@dataclass(frozen=True, slots=True, kw_only=True)
class MinerModel:
    """One miner: nameplate and rest as measured at its plug, and how fast its draw follows a new target."""

    miner_id: str
    nameplate_w: float
    idle_w: float = 0.0
    joule_per_th: float = 0.0  #: as it tells it; 0 = it does not
    fall_w_per_s: float = 3000.0
    rise_w_per_s: float = 300.0

    @property
    def max_w(self) -> float:
        """The most that it draws above its rest."""
        return self.nameplate_w - self.idle_w


@dataclass(frozen=True, slots=True, kw_only=True)
class MinerState:
    """Where a miner was when its target was set; times are CLOCK_BOOTTIME."""

    target_w: float = 0.0
    draw_w: float = 0.0
    at_s: float = 0.0
    switched_s: float | None = None  #: when it was last told to run or to sleep; None = never


class SimulatedMiners:
    """The miners of one simulated group."""

    def __init__(
        self, models: Sequence[MinerModel], state_path: Path, *, clock: Callable[[], float] = boottime_s
    ) -> None:
        self._models = {model.miner_id: model for model in models}
        self._state_path = state_path
        self._clock = clock
        self._states = _read_states(state_path)

    def max_w(self) -> Mapping[str, float]:
        """The miners that there are, each with what it draws at most above its rest."""
        return {miner_id: model.max_w for miner_id, model in self._models.items()}

    def now(self) -> port.MinersNow:
        """Target and draw of each miner now; all obey."""
        return port.MinersNow(readings=tuple(self._reading(miner_id) for miner_id in self._models))

    def set_targets(self, targets_w: Mapping[str, float]) -> None:
        """Give miners new targets. Raises KeyError, OSError."""
        for miner_id, target_w in targets_w.items():
            self._set(miner_id, target_w)
        write_atomically(self._state_path, encode(self._states), durable=False)

    def set_target(self, miner_id: str, target_w: float) -> float:
        """Give one miner a target and return what it took. Raises KeyError, OSError."""
        self.set_targets({miner_id: target_w})
        return self._state(miner_id).target_w

    def details(self) -> tuple[MachineDetail, ...]:
        """Each miner."""
        return tuple(self._detail(reading) for reading in self.now().readings)

    def alarms(self) -> tuple[str, ...]:
        """None: simulated miners obey."""
        return ()

    def close(self) -> None:
        """There is nothing to close."""

    def _set(self, miner_id: str, target_w: float) -> None:
        taken_w = min(max(target_w, 0.0), self._models[miner_id].max_w)
        now_s, known = self._clock(), self._state(miner_id)
        switches = (taken_w > 0) is not (known.target_w > 0)
        self._states[miner_id] = MinerState(
            target_w=taken_w,
            draw_w=self._draw_w(miner_id),
            at_s=now_s,
            switched_s=now_s if switches else known.switched_s,
        )

    def _detail(self, told: MinerReading) -> MachineDetail:
        model, draw_w = self._models[told.miner_id], told.draw_w
        per_th = model.joule_per_th
        return MachineDetail(
            miner_id=told.miner_id,
            address=f"simulated:{told.miner_id}",
            condition=Condition(_state(told)),
            identity=MachineIdentity(serial=told.miner_id, make="simulated", model="simulated"),
            abilities=(Ability.READ, Ability.SLEEP, Ability.WATTS),
            nameplate_w=model.nameplate_w,
            rest_w=model.idle_w,
            target_w=told.target_w + model.idle_w,
            draw_w=draw_w + model.idle_w,
            hashrate_th=(draw_w + model.idle_w) / per_th if per_th and draw_w else 0.0,
            joule_per_th=per_th or None,
            seen_boottime_s=self._clock(),
        )

    def _reading(self, miner_id: str) -> MinerReading:
        state = self._state(miner_id)
        return MinerReading(
            miner_id=miner_id,
            target_w=state.target_w,
            draw_w=self._draw_w(miner_id),
            switched_boottime_s=state.switched_s,
            joule_per_th=self._models[miner_id].joule_per_th,
        )

    def _state(self, miner_id: str) -> MinerState:
        return self._states.get(miner_id, MinerState())

    def _draw_w(self, miner_id: str) -> float:
        model, state = self._models[miner_id], self._state(miner_id)
        since_s = max(0.0, self._clock() - state.at_s)  # negative after a reboot: it begins where it was
        if state.target_w >= state.draw_w:
            return min(state.target_w, state.draw_w + model.rise_w_per_s * since_s)
        return max(state.target_w, state.draw_w - model.fall_w_per_s * since_s)


class SimulatedMiner:
    """One miner of a simulated group behind the port of a machine: its watts are those at its plug, rest included."""

    def __init__(self, group: SimulatedMiners, model: MinerModel) -> None:
        self._group = group
        self._model = model
        self._awake_w = model.max_w  #: above rest, to which it wakes

    @property
    def address(self) -> str:
        """Its name: it has no address."""
        return f"simulated:{self._model.miner_id}"

    async def identify(self) -> port.Identity:
        """What its model says."""
        model = self._model
        targets = port.WattTargets(min_w=model.idle_w + 1.0, max_w=model.nameplate_w)
        trim = port.PercentTrim(min_pct=targets.min_w / targets.max_w * 100)
        return port.Identity(
            make="simulated",
            model="simulated",
            firmware="simulated",
            firmware_version="1",
            serial=model.miner_id,
            capabilities=port.Capabilities(pause=True, watts=targets, percent=trim),
        )

    async def read(self) -> port.MachineReading:
        """What it does now."""
        told = next(r for r in self._group.now().readings if r.miner_id == self._model.miner_id)
        draw_w = told.draw_w + self._model.idle_w
        per_th = told.joule_per_th
        return port.MachineReading(
            state=_state(told),
            draw_w=draw_w,
            target_w=told.target_w + self._model.idle_w,
            hashrate_th=draw_w / per_th if per_th and told.draw_w else 0.0,
        )

    async def sleep(self) -> None:
        """Rest."""
        self._set(0.0)

    async def wake(self) -> None:
        """Draw its last target again."""
        self._set(self._awake_w)

    async def set_target_w(self, target_w: float) -> float:
        """Draw this at its plug. At its rest and below it is Refused."""
        if target_w < self._model.idle_w + 1.0:
            raise port.Refused(f"{self.address}: target {target_w:.0f} W: is its rest; let it sleep instead")
        self._awake_w = self._set(target_w - self._model.idle_w)
        return self._awake_w + self._model.idle_w

    async def set_percent(self, percent: float) -> float:
        """Draw this share of its nameplate."""
        return (
            await self.set_target_w(self._model.nameplate_w * percent / 100) / self._model.nameplate_w * 100
        )

    async def close(self) -> None:
        """There is nothing to close."""

    def _set(self, target_w: float) -> float:
        return self._group.set_target(self._model.miner_id, target_w)


def _state(told: MinerReading) -> port.MinerState:
    if told.target_w <= 0:
        return port.MinerState.ASLEEP
    return port.MinerState.RUNNING if told.draw_w == told.target_w else port.MinerState.RAMPING


def _read_states(path: Path) -> dict[str, MinerState]:
    """The states that were set last; miners that are new, or whose memory is damaged, are at rest."""
    try:
        return decode(dict[str, MinerState], path.read_bytes())
    except (FileNotFoundError, WireError):
        return {}
