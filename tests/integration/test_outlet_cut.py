"""A machine that says OK and mines on, and its PDU: real drivers and sockets, at seconds that the test lets pass."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from scheduler.core.escalation import Step, Verdict, look
from scheduler.core.obedience import OutletSaid, Record, Rules, Said, Sight
from scheduler.core.pdu_tables import TABLES
from tests.miners.benches import WhatsminerV2Bench
from tests.miners.effect import Sleep, Wake, obeys
from tests.miners.emulator import Fault
from tests.outlets.benches import opened, patient, snmp_of
from tests.outlets.snmp_agent import snmp_agent
from tests.outlets.strip import Strip
from workers.miners.port import Miner, MinerError
from workers.outlets.port import Outlet

NAMEPLATE_W, REST_W = 3400.0, 150.0


class Keeper:
    """Looks after one machine as a guard does, once in each second that a test lets pass."""

    def __init__(self, miner: Miner, outlet: Outlet) -> None:
        self.miner, self.outlet = miner, outlet
        self.order: Sleep | Wake = Wake()
        self.told_at_s, self.now_s = 0.0, 0.0
        self.record = Record()
        self.said: Said | None = None
        self.outlet_said: OutletSaid | None = None
        self.verdict: Verdict | None = None

    async def tell(self, order: Sleep | Wake) -> None:
        """A new order."""
        self.order, self.told_at_s = order, self.now_s
        await self._tell()

    async def look(self) -> Step:
        """Read, judge, act; then a second passes."""
        await self._read()
        sight = Sight(
            miner_id="m7",
            address=self.miner.address,
            now_s=self.now_s,
            told_at_s=self.told_at_s,
            allowed_w=REST_W if isinstance(self.order, Sleep) else NAMEPLATE_W,
            nameplate_w=NAMEPLATE_W,
            said=self.said,
            outlet_address=self.outlet.address,
            outlet=self.outlet_said,
        )
        self.verdict = look(self.record, sight, Rules())
        self.record = self.verdict.record
        match self.verdict.step:
            case Step.RETRY:
                await self._tell()
            case Step.SWITCH_OFF | Step.SWITCH_ON:
                await self.outlet.switch(is_on=self.verdict.step is Step.SWITCH_ON)
            case _:
                pass
        self.now_s += 1.0
        return self.verdict.step

    async def _tell(self) -> None:
        with suppress(MinerError):  # the next looks see that nothing came of it
            await (self.miner.sleep() if isinstance(self.order, Sleep) else self.miner.wake())

    async def _read(self) -> None:
        try:
            reading = await self.miner.read()
        except MinerError:
            pass
        else:
            self.said = Said(at_s=self.now_s, obeys=obeys(self.order, reading), draw_w=reading.draw_w)
        if self.verdict is not None and self.verdict.read_outlet:
            seen = await self.outlet.read()
            self.outlet_said = OutletSaid(at_s=self.now_s, is_on=seen.is_on, draw_w=seen.draw_w)


async def test_a_deaf_machine_is_cut_and_comes_back_with_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to sleep it mines on; its outlet ends that after 8 s. Wanted again, it is powered and hears its order."""
    patient(monkeypatch)
    bench, strip = WhatsminerV2Bench(tmp_path), Strip()
    await bench.start()
    bench.machine.breaks(Fault.DEAF)
    host, port = bench.machine.host, bench.machine.port
    miner = bench.driver()
    async with (
        snmp_agent(TABLES["apc"], strip) as agent,
        opened(snmp_of(agent.port, "snmp3", tmp_path), "3") as outlet,
    ):
        keeper = Keeper(miner, outlet)
        await keeper.tell(Sleep())
        steps = {at_s: step for at_s in range(9) if (step := await keeper.look()) is not Step.WAIT}
        assert steps == {3: Step.RETRY, 8: Step.SWITCH_OFF}
        assert [bench.orders_in(r) for r in bench.machine.requests].count("power_off") == 2
        assert strip.off == {"3"}

        await bench.stop()  # its power is gone
        assert await keeper.look() is Step.WAIT
        assert keeper.verdict is not None
        assert (keeper.verdict.in_doubt_w, keeper.verdict.counts_w) == (0.0, REST_W)
        assert f"m7 at {host}:{port}: did not do as it was told" in keeper.verdict.trouble

        keeper.now_s = 400.0
        await keeper.tell(Wake())
        assert await keeper.look() is Step.SWITCH_ON
        assert strip.off == set()

        bench.machine.breaks()
        await bench.machine.start(host=host, port=port)
        assert [await keeper.look() for _ in range(2)] == [Step.RETRY, Step.WAIT]
        assert keeper.verdict.trouble == ""
    await miner.close()
    await bench.stop()
