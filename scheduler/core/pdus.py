"""Which PDU feeds which machine, as a site file says and a guard is told: places of secrets, never secrets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from scheduler.core.obedience import Rules

#: Where the number of an outlet belongs in an OID.
OUTLET: Final = "{outlet}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPlace:
    """Where a secret is: in a file, or in a variable of the environment."""

    file: str = ""
    env: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutletTable:
    """Where a PDU keeps its outlets in SNMP, and what its numbers mean. `{outlet}` in an OID is the outlet's index."""

    state_oid: str
    on_states: tuple[int, ...]
    off_states: tuple[int, ...]
    switch_oid: str
    on_value: int
    off_value: int
    draw_oid: str = ""  #: "" = it does not measure each outlet
    draw_w_per_unit: float = 1.0
    draw_digits_oid: str = ""  #: how many decimal digits the draw has, where the PDU says so
    before_number: str = ""  #: what comes before an outlet that is given as one number


@dataclass(frozen=True, slots=True, kw_only=True)
class SnmpPdu:
    """A PDU that speaks SNMP, version 2c with a community or version 3 with a user."""

    name: str
    host: str
    table: OutletTable
    port: int = 161
    community: SecretPlace | None = None  #: None = version 3
    user: str = ""
    auth_protocol: str = "sha256"
    auth_key: SecretPlace | None = None
    priv_protocol: str = "aes128"
    priv_key: SecretPlace | None = None
    kind: Literal["snmp"] = "snmp"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedfishPdu:
    """A PDU that speaks Redfish."""

    name: str
    url: str
    rack_pdu: str = "1"  #: its id in PowerEquipment/RackPDUs
    username: SecretPlace | None = None
    password: SecretPlace | None = None
    ca_file: str = ""
    pinned_file: str = ""
    kind: Literal["redfish"] = "redfish"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPdu:
    """A PDU of a site that is played."""

    name: str
    kind: Literal["simulated"] = "simulated"


Pdu = SnmpPdu | RedfishPdu | SimulatedPdu


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """Which outlet feeds a machine."""

    machine: str  #: its address, or its id, as the site file names it
    pdu: str
    outlet: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlets:
    """The switched outlets of a group of miners, and how patient the ladder is that uses them."""

    pdus: tuple[Pdu, ...] = ()
    feeds: tuple[Feed, ...] = ()
    rules: Rules = field(default_factory=Rules)
