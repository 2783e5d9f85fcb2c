"""What every outlet must do, whoever made its PDU; and how those on a wire say what is wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.outlets.benches import KINDS, WRONG, bench, patient
from tests.outlets.strip import Fault
from workers.outlets.port import Outlet, OutletError, OutletReading

DIFFERENT = ("apc", "snmp3", "redfish")  #: the other makes differ from the first by their tables alone


@pytest.fixture(autouse=True)
def _patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loaded machine is no silent PDU."""
    if "silence" not in request.node.name:
        patient(monkeypatch)


@pytest.mark.parametrize("kind", KINDS)
async def test_it_is_read_switched_and_read_again(kind: str, tmp_path: Path) -> None:
    """Off it passes nothing, on again it passes what its machine draws; no other outlet is touched."""
    async with bench(kind, tmp_path) as made:
        assert await made.outlet.read() == OutletReading(is_on=True, draw_w=3003.0)
        await made.outlet.switch(is_on=False)
        assert await made.outlet.read() == OutletReading(is_on=False, draw_w=0.0)
        await made.outlet.switch(is_on=True)
        assert await made.outlet.read() == OutletReading(is_on=True, draw_w=3003.0)
        assert made.strip.told == [("3", False), ("3", True)]


@pytest.mark.parametrize("kind", ["simulated", *DIFFERENT])
async def test_it_may_be_told_twice(kind: str, tmp_path: Path) -> None:
    """What is off already stays off, without an error."""
    async with bench(kind, tmp_path) as made:
        await made.outlet.switch(is_on=False)
        await made.outlet.switch(is_on=False)
        assert not (await made.outlet.read()).is_on


@pytest.mark.parametrize("kind", ["simulated", *DIFFERENT])
async def test_closed_it_says_so_and_stays_as_it_is(kind: str, tmp_path: Path) -> None:
    """Closing twice is no error, and switches nothing."""
    async with bench(kind, tmp_path) as made:
        await made.outlet.switch(is_on=False)
        await made.outlet.close()
        await made.outlet.close()
        with pytest.raises(OutletError, match="outlet 3: is closed"):
            await made.outlet.read()
        assert made.strip.told == [("3", False)]


@pytest.mark.parametrize("kind", DIFFERENT)
async def test_one_that_says_yes_and_does_nothing_is_seen_by_reading(kind: str, tmp_path: Path) -> None:
    """That a switch returns is no proof: the reading is."""
    async with bench(kind, tmp_path) as made:
        made.strip.faults = {Fault.DEAF}
        await made.outlet.switch(is_on=False)
        assert await made.outlet.read() == OutletReading(is_on=True, draw_w=3003.0)


@pytest.mark.parametrize("kind", DIFFERENT)
async def test_one_that_is_slow_is_read_until_it_is_off(kind: str, tmp_path: Path) -> None:
    """A PDU may switch later than it says yes."""
    async with bench(kind, tmp_path) as made:
        made.strip.is_slow = True
        await made.outlet.switch(is_on=False)
        assert (await made.outlet.read()).is_on
        made.strip.happen()
        assert not (await made.outlet.read()).is_on


@pytest.mark.parametrize("kind", DIFFERENT)
async def test_one_that_does_not_measure_says_so(kind: str, tmp_path: Path) -> None:
    """Its state is read all the same."""
    async with bench(kind, tmp_path) as made:
        made.strip.faults = {Fault.UNMETERED}
        assert await made.outlet.read() == OutletReading(is_on=True)


@pytest.mark.parametrize("kind", DIFFERENT)
async def test_no_right_to_switch_is_said_with_the_remedy(kind: str, tmp_path: Path) -> None:
    """It can be read and not switched, and the error says what to change, and where."""
    async with bench(kind, tmp_path) as made:
        made.strip.faults = {Fault.READ_ONLY}
        with pytest.raises(OutletError, match=r"pdu-a \(127\.0\.0\.1.*\) outlet 3: .*(rights|write access)"):
            await made.outlet.switch(is_on=False)
        assert (await made.outlet.read()).is_on


@pytest.mark.parametrize("kind", DIFFERENT)
async def test_a_state_that_is_neither_on_nor_off_is_refused(kind: str, tmp_path: Path) -> None:
    """Nothing follows from what a PDU does not know itself."""
    async with bench(kind, tmp_path) as made:
        made.strip.faults = {Fault.STRANGE}
        with pytest.raises(OutletError, match=r"neither [oO]n nor [oO]ff"):
            await made.outlet.read()


@pytest.mark.parametrize("kind", DIFFERENT)
async def test_an_outlet_that_is_not_there_is_named(kind: str, tmp_path: Path) -> None:
    """Reading and switching both say that there is none, and that `outlet` is to be corrected."""
    async with bench(kind, tmp_path, outlet="77") as made:
        with pytest.raises(OutletError, match=r"outlet 77: .*correct.*outlet"):
            await made.outlet.read()
        with pytest.raises(OutletError, match=r"outlet 77: .*correct.*outlet"):
            await made.outlet.switch(is_on=False)


@pytest.mark.parametrize("kind", ["snmp3", "redfish"])
async def test_wrong_credentials_are_said_and_never_shown(kind: str, tmp_path: Path) -> None:
    """A wrong key or password is denied: it is named, and not shown."""
    async with bench(kind, tmp_path, secret=WRONG) as made:
        with pytest.raises(OutletError, match=r"keys|password") as caught:
            await made.outlet.read()
        assert WRONG not in str(caught.value)
        assert WRONG not in repr(made.outlet)


@pytest.mark.parametrize("kind", ["raritan", "redfish"])
async def test_silence_ends_in_time_and_passes(kind: str, tmp_path: Path) -> None:
    """A call ends within its deadline; once the PDU answers again, so does its outlet."""
    async with bench(kind, tmp_path) as made:
        made.strip.faults = {Fault.SILENT}
        with pytest.raises(OutletError, match="outlet 3: no answer within 2 s"):
            await made.outlet.read()
        made.strip.faults = set()
        assert (await _answer(made.outlet)).is_on


async def test_a_wrong_community_is_met_with_silence(tmp_path: Path) -> None:
    """No agent answers to it; so it is named among what to check, and not shown."""
    async with bench("apc", tmp_path, secret=WRONG) as made:
        with pytest.raises(
            OutletError, match=r"no answer within 2 s; .*SNMP is on there, and community"
        ) as caught:
            await made.outlet.read()
        assert WRONG not in str(caught.value)


async def _answer(outlet: Outlet) -> OutletReading:
    """What it says, however loaded this machine is."""
    until_s = time.monotonic() + 60
    while True:
        try:
            return await outlet.read()
        except OutletError:
            assert time.monotonic() < until_s
