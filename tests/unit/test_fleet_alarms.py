"""Who is named in the alarms of a miner LAN."""

from __future__ import annotations

from scheduler.core.obedience import Record
from workers.fleet.config import Firmware, LanConfig
from workers.fleet.known import Known, Told
from workers.fleet.troubles import SHOWN, Troubles
from workers.fleet.unit import Unit
from workers.miners.luxos import Luxos
from workers.miners.port import Capabilities, Identity

IDENTITY = Identity(
    make="Antminer",
    model="S21",
    firmware="LuxOS",
    firmware_version="1",
    capabilities=Capabilities(pause=True),
)


def alarms(count: int) -> tuple[str, ...]:
    """Of a LAN whose machines were never heard of."""
    config = LanConfig(addresses=("10.0.0.0/24",), count=count, max_w=3400.0, rest_w=25.0)
    known = Known(firmware=Firmware.LUXOS, identity=IDENTITY, nameplate_w=3400.0)
    told = Told(record=Record(alarmed_at_s=1.0))
    units = [Unit(f"m{n:03d}", known, Luxos(f"10.0.0.{n}"), config, told=told) for n in range(count)]
    return Troubles(config=config, units=units, strangers={}).alarms()


def test_all_that_are_lost_are_named() -> None:
    """By their ids, in one sentence with their watts."""
    (alarm,) = alarms(50)

    assert all(f"m{n:03d}" in alarm for n in range(50))
    assert "170000 W" in alarm


def test_an_alarm_does_not_grow_without_end() -> None:
    """The others by their number; the inventory has them."""
    (alarm,) = alarms(SHOWN + 20)

    assert alarm.count("m0") == SHOWN
    assert "20 more, see `barq miners`" in alarm
