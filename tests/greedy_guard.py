"""A guard on the worst device that its guarantees allow: the real lease, drawn to the last watt, given back last."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from scheduler.core.entitlement import charged_w, idle_w
from scheduler.core.estop import EmergencyStop
from scheduler.core.jobs import Phase
from scheduler.core.lease import GuardMemory, accept, after_boot, latched, standing
from scheduler.core.orders import (
    NO_FENCE,
    AttemptFacts,
    AttemptOrder,
    GpuReading,
    GroupKind,
    GroupSpec,
    GuardReport,
    MinerReading,
    Observed,
    Order,
)
from scheduler.core.power import A100_SXM


@dataclass(slots=True, kw_only=True)
class Process:
    """What a supervisor knows of one attempt."""

    order: AttemptOrder
    observed: Observed
    dies_at_ms: int | None = None  #: told to leave: gone by then
    facts: AttemptFacts


@dataclass(frozen=True, slots=True)
class Device:
    """Caps, processes and the miners' target as they are."""

    gpus: tuple[GpuReading, ...]
    miners: tuple[MinerReading, ...]


@dataclass(slots=True, kw_only=True)
class GreedyGuard:
    """Raises at once and falls `lag_ms` late. Attempts that ended go on drawing until an order says otherwise.

    An instant at which it does something by itself is told by `next_ms`; `settle` is to be called at each.
    """

    spec: GroupSpec
    save_after_s: float
    lag_ms: int
    booted_ms: int = 0
    boots: int = 1
    version: int = 0
    processes: dict[str, Process] = field(default_factory=dict)
    memory: GuardMemory = field(init=False)
    device: Device = field(init=False)
    falls_at_ms: int | None = None
    replaced: set[str] = field(default_factory=set)  #: latches that gave way to newer ones

    def __post_init__(self) -> None:
        self.memory = GuardMemory(
            group_id=self.spec.group_id, boot_id=f"{self.spec.group_id}-boot-1", idle_w=idle_w(self.spec)
        )
        self.device = self._wanted(0)

    # -- what happens to it ------------------------------------------------------------------------------------------

    def take(self, order: Order, now_ms: int) -> None:
        """An order arrives."""
        self.memory, refusal = accept(self.memory, order, now_boottime_s=self.boottime_s(now_ms))
        if refusal is None:
            named = {a.attempt_id for a in order.attempts}
            over = [k for k, p in self.processes.items() if p.observed is Observed.ENDED and k not in named]
            for attempt_id in over:
                del self.processes[attempt_id]
        self.settle(now_ms)

    def engage(self, stop: EmergencyStop, now_ms: int) -> None:
        """Somebody stops it, over its socket."""
        if self.memory.stop is not None:
            self.replaced.add(self.memory.stop.id)
        self.memory = latched(self.memory, stop, now_boottime_s=self.boottime_s(now_ms))
        self.version += 1
        self.settle(now_ms)

    def reboot(self, now_ms: int) -> None:
        """The host loses power: no process is left; the disk keeps the fence and the ids of what ran."""
        self.boots += 1
        self.booted_ms = now_ms
        self.memory = after_boot(self.memory, f"{self.spec.group_id}-boot-{self.boots}")
        for process in self.processes.values():
            self._end(process)
        self.device, self.falls_at_ms = self._wanted(now_ms), None
        self.version += 1

    def ends(self, job_id: str, exit_code: int) -> None:
        """The processes of a job end by themselves."""
        for process in self.processes.values():
            if process.order.job_id == job_id and process.observed is not Observed.ENDED:
                self._end(process, exit_code=exit_code, says_done=exit_code == 0)

    def settle(self, now_ms: int) -> None:
        """Do what is due now."""
        self._move_processes(now_ms)
        wanted = self._wanted(now_ms)
        wanted_w, now_w = self._charge_w(wanted), self._charge_w(self.device)
        if wanted_w >= now_w:
            self.device, self.falls_at_ms = wanted, None
            return
        if self.falls_at_ms is None:
            self.falls_at_ms = now_ms + self.lag_ms
        if now_ms >= self.falls_at_ms:
            self.device, self.falls_at_ms = wanted, None

    def next_ms(self, now_ms: int) -> int | None:
        """The next instant after now at which it does something by itself."""
        coming = [p.dies_at_ms for p in self.processes.values() if p.dies_at_ms is not None]
        coming += [self.falls_at_ms] if self.falls_at_ms is not None else []
        if self.memory.order is not None:
            expiry_ms = round(self.memory.order.expires_boottime_s * 1000) + self.booted_ms
            steps = (0.0, self.save_after_s, *(s.after_s for s in self.memory.order.fallback))
            coming += [expiry_ms + round(s * 1000) + 1 for s in steps]
            if self.memory.stop is not None:
                stopped_ms = round(self.memory.stopped_boottime_s * 1000) + self.booted_ms
                coming += [stopped_ms + round(s * 1000) + 1 for s in steps]
        return min((t for t in coming if t > now_ms), default=None)

    # -- what is seen of it ------------------------------------------------------------------------------------------

    def boottime_s(self, now_ms: int) -> float:
        """The clock of its leases."""
        return (now_ms - self.booted_ms) / 1000

    def draw_w(self) -> float:
        """What it draws, W."""
        device = self.device
        return self.spec.base_w + sum(g.draw_w for g in device.gpus) + sum(m.draw_w for m in device.miners)

    def living(self) -> list[AttemptOrder]:
        """Attempts with processes."""
        return [p.order for p in self.processes.values() if p.observed is not Observed.ENDED]

    def report(self, now_ms: int) -> GuardReport:
        """Everything, truthfully."""
        now_s, order = self.boottime_s(now_ms), self.memory.order
        stands = standing(self.memory, now_boottime_s=now_s, save_after_s=self.save_after_s)
        return GuardReport(
            spec=self.spec,
            boot_id=self.memory.boot_id,
            boottime_s=now_s,
            version=self.version,
            accepted=self.memory.seen,
            expires_boottime_s=order.expires_boottime_s if order else 0.0,
            entitlement_w=order.entitlement_w if order else self.memory.idle_w,
            fallback=order.fallback if order else (),
            in_fallback=stands.in_fallback and self.memory.seen != NO_FENCE,
            draw_w=self.draw_w(),
            gpus=self.device.gpus,
            miners=self.device.miners,
            attempts=(*(p.facts for p in self.processes.values()), *self._absent()),
            stop=self.memory.stop,
        )

    def _absent(self) -> list[AttemptFacts]:
        ordered = self.memory.order.attempts if self.memory.order else ()
        missing = [o.attempt_id for o in ordered if o.attempt_id not in self.processes]
        return [AttemptFacts(attempt_id=a, observed=Observed.ABSENT) for a in missing]

    # -- inside ------------------------------------------------------------------------------------------------------

    def _move_processes(self, now_ms: int) -> None:
        stands = standing(self.memory, now_boottime_s=self.boottime_s(now_ms), save_after_s=self.save_after_s)
        ordered = {a.attempt_id: a for a in stands.attempts}
        for attempt_id, process in self.processes.items():
            if process.observed is not Observed.ENDED:
                self._move(process, ordered.get(attempt_id), now_ms)
        held = {g for a in self.living() for g in a.gpu_ids}
        for order in stands.attempts:
            new = order.attempt_id not in self.processes and not held & set(order.gpu_ids)
            if new and order.phase is Phase.RUN and not stands.in_fallback:
                self._start(order)
                held |= set(order.gpu_ids)

    def _move(self, process: Process, order: AttemptOrder | None, now_ms: int) -> None:
        if order is None or order.phase is Phase.KILL:
            self._end(process, killed=True)
            return
        leaves = order.phase is Phase.SAVE_EXIT
        if leaves and process.dies_at_ms is None:
            process.dies_at_ms = now_ms + round(order.launch.grace_s * 1000)
            self._observe(process, Observed.SAVING)
        if process.dies_at_ms is not None:
            if now_ms >= process.dies_at_ms:
                self._end(
                    process, exit_code=85, asked_to_exit=True, committed_step=10, committed_path="/c/step-10"
                )
            return
        seen = Observed.RUNNING if order.phase is Phase.RUN else Observed.SUSPENDED
        self._observe(process, seen)

    def _start(self, order: AttemptOrder) -> None:
        facts = AttemptFacts(attempt_id=order.attempt_id, observed=Observed.RUNNING, step=0)
        self.processes[order.attempt_id] = Process(order=order, observed=Observed.RUNNING, facts=facts)
        self.version += 1

    def _observe(self, process: Process, observed: Observed) -> None:
        if process.observed is not observed:
            process.observed = observed
            process.facts = replace(process.facts, observed=observed)
            self.version += 1

    def _end(self, process: Process, **facts: object) -> None:
        if process.observed is not Observed.ENDED:
            process.observed, process.dies_at_ms = Observed.ENDED, None
            signal = 9 if facts.get("killed") else None
            process.facts = replace(process.facts, observed=Observed.ENDED, signal=signal, **facts)  # type: ignore[arg-type]
            self.version += 1

    def _wanted(self, now_ms: int) -> Device:
        """All that stands, drawn to the last watt: what is ordered to run counts as running, whether it does or not."""
        stands = standing(self.memory, now_boottime_s=self.boottime_s(now_ms), save_after_s=self.save_after_s)
        living = {a.attempt_id for a in self.living()}
        holders = {
            g: a
            for a in stands.attempts
            if not stands.in_fallback or a.attempt_id in living
            for g in a.gpu_ids
        }
        gpus = tuple(_reading(s.gpu_id, holders.get(s.gpu_id)) for s in self.spec.gpus)
        target_w = stands.miners_target_w
        mines = self.spec.kind is GroupKind.MINERS
        miners = (MinerReading(miner_id="m", target_w=target_w, draw_w=target_w),) if mines else ()
        return Device(gpus, miners)

    def _charge_w(self, device: Device) -> float:
        return charged_w(self.spec, device.gpus, device.miners)


def _reading(gpu_id: str, holder: AttemptOrder | None) -> GpuReading:
    if holder is None:
        return GpuReading(gpu_id=gpu_id, draw_w=A100_SXM.idle_w, cap_w=A100_SXM.min_cap_w, processes=0)
    if holder.phase is not Phase.RUN:
        return GpuReading(gpu_id=gpu_id, draw_w=A100_SXM.held_w(), cap_w=A100_SXM.min_cap_w, processes=1)
    return GpuReading(gpu_id=gpu_id, draw_w=A100_SXM.charge_w(holder.cap_w), cap_w=holder.cap_w, processes=1)
