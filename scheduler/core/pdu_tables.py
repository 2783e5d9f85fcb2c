"""Where PDUs of well-known makes keep their outlets in SNMP. Any other make is given by its OIDs in the site file.

apc      rPDU2OutletSwitchedStatusState, rPDU2OutletSwitchedControlCommand, rPDU2OutletMeteredStatusPower; checked
         against PowerNet-MIB's text of the command, and against programs that use the others by name and number
raritan  outletSwitchingState, switchingOperation, measurementsOutletSensorValue (activePower); checked against
         Raritan's "SNMP MIB User Guide" of 2019, and programs that use them
sentry4  st4OutletState, st4OutletControlAction, st4OutletActivePower; checked against Sentry4-MIB of 2023, compiled

No such device was at hand. APC numbers the state (1 off, 2 on) against the command (1 on, 2 off); meant is the newer
branch of its MIB (AP84xx, AP86xx, AP88xx, AP89xx), not that of the AP79xx, whose states are numbered the other way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from scheduler.core.pdus import OUTLET, OutletTable

_APC: Final = "1.3.6.1.4.1.318.1.1.26.9"
_RARITAN: Final = "1.3.6.1.4.1.13742.6"
_SENTRY4: Final = "1.3.6.1.4.1.1718.4.1.8"

TABLES: Final[Mapping[str, OutletTable]] = {
    "apc": OutletTable(
        state_oid=f"{_APC}.2.3.1.5.{OUTLET}",
        off_states=(1,),
        on_states=(2,),
        switch_oid=f"{_APC}.2.4.1.5.{OUTLET}",
        on_value=1,
        off_value=2,
        draw_oid=f"{_APC}.4.3.1.7.{OUTLET}",
    ),
    "raritan": OutletTable(  # index: PDU, outlet; its sensor 5 is active power
        state_oid=f"{_RARITAN}.4.1.2.1.3.{OUTLET}",
        on_states=(7,),
        off_states=(8,),
        switch_oid=f"{_RARITAN}.4.1.2.1.2.{OUTLET}",
        on_value=1,
        off_value=0,
        draw_oid=f"{_RARITAN}.5.4.3.1.4.{OUTLET}.5",
        draw_digits_oid=f"{_RARITAN}.3.5.4.1.7.{OUTLET}.5",
        before_number="1.",
    ),
    "sentry4": OutletTable(  # index: unit, input cord, outlet
        state_oid=f"{_SENTRY4}.3.1.1.{OUTLET}",
        on_states=(1,),
        off_states=(2,),
        switch_oid=f"{_SENTRY4}.5.1.2.{OUTLET}",
        on_value=1,
        off_value=2,
        draw_oid=f"{_SENTRY4}.3.1.7.{OUTLET}",
        before_number="1.1.",
    ),
}
