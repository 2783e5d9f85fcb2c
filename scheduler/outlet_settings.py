"""The switched outlets of a group of miners, as a site file describes them: PDUs, and which outlet feeds which machine.

    outlets:
      pdus:
        - {name: pdu-a, type: snmp, host: 10.0.0.9, make: apc, version: 3, user: barq, auth_key_file: ..., ...}
        - {name: pdu-b, type: redfish, url: "https://10.0.0.10", username_file: ..., password_file: ...}
      feeds:
        10.1.0.7: pdu-a/7
        10.1.0.8: pdu-b/A1

Secrets are named by their place and never read here.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from scheduler.connections.bmc_options import is_safe
from scheduler.core.obedience import Rules
from scheduler.core.pdu_tables import TABLES
from scheduler.core.pdus import (
    OUTLET,
    Feed,
    Outlets,
    OutletTable,
    Pdu,
    RedfishPdu,
    SecretPlace,
    SimulatedPdu,
    SnmpPdu,
)
from scheduler.strict import Strict

_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
_Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$")]
_Oid = Annotated[str, Field(pattern=r"^\.?\d+(\.(\d+|\{outlet\}))+$", max_length=256)]
_Seconds = Annotated[float, Field(gt=0, le=86_400)]
_FEED: Final = r"^[a-z0-9][a-z0-9-]{0,31}/[A-Za-z0-9._~-]{1,64}$"
_OIDS: Final = ("state_oid", "switch_oid", "draw_oid")
_AUTH = Literal["md5", "sha", "sha224", "sha256", "sha384", "sha512"]
_PRIV = Literal["des", "aes128", "aes192", "aes256"]


class TableSettings(Strict):
    """Where a PDU of another make keeps its outlets; `{outlet}` stands for the index of one."""

    state_oid: _Oid
    on_states: Annotated[tuple[int, ...], Field(min_length=1)]
    off_states: Annotated[tuple[int, ...], Field(min_length=1)]
    switch_oid: _Oid
    on_value: int
    off_value: int
    draw_oid: _Oid | None = None
    draw_w_per_unit: Annotated[float, Field(gt=0, le=1e6)] = 1.0

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        for what in _OIDS:
            oid = getattr(self, what)
            if oid is not None and oid.count(OUTLET) != 1:
                raise ValueError(
                    f"{what} = {oid}: has no {OUTLET}; write it once, where the outlet's index belongs"
                )
        both = set(self.on_states) & set(self.off_states)
        if both:
            raise ValueError(f"on_states and off_states both have {min(both)}; a state is on or off")
        if self.on_value == self.off_value:
            raise ValueError(f"on_value and off_value are both {self.on_value}; they switch different ways")
        return self

    def table(self) -> OutletTable:
        """As the driver knows it."""
        oids = {what: (getattr(self, what) or "").removeprefix(".") for what in _OIDS}
        return OutletTable(**(self.model_dump() | oids))


class _Secrets(Strict):
    """Each secret has a place, a file or a variable, or none."""

    def place(self, what: str, base: Path) -> SecretPlace | None:
        """Where it is; a relative file is below `base`."""
        file, env = getattr(self, f"{what}_file"), getattr(self, f"{what}_env")
        if file is not None:
            return SecretPlace(file=str((base / file).absolute()))
        return None if env is None else SecretPlace(env=env)

    def has(self, what: str) -> bool:
        """Whether a place of it is named. Raises ValueError for two."""
        file, env = getattr(self, f"{what}_file"), getattr(self, f"{what}_env")
        if file is not None and env is not None:
            raise ValueError(f"{what}_file and {what}_env are both given; keep the one that holds it")
        return (file or env) is not None


class SnmpPduSettings(_Secrets):
    """A PDU that speaks SNMP."""

    type: Literal["snmp"]
    name: _Name
    host: _Host
    port: Annotated[int, Field(ge=1, le=65_535)] = 161
    make: str | None = None  #: one of `scheduler.core.pdu_tables`
    table: TableSettings | None = None  #: of another make
    version: Literal["2c", "3", 3] = "3"
    community_file: Path | None = None
    community_env: str | None = None
    user: Annotated[str, Field(max_length=32)] = ""
    auth: _AUTH = "sha256"
    auth_key_file: Path | None = None
    auth_key_env: str | None = None
    priv: _PRIV = "aes128"
    priv_key_file: Path | None = None
    priv_key_env: str | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.make is None) == (self.table is None):
            raise ValueError(
                f"make = {self.make}: give the make, one of {', '.join(TABLES)}, or a table of its OIDs"
            )
        if self.make is not None and self.make not in TABLES:
            raise ValueError(
                f"make = {self.make}: is not known; give one of {', '.join(TABLES)}, or table instead"
            )
        has = {what for what in ("community", "auth_key", "priv_key") if self.has(what)}
        if self.version == "2c" and (has != {"community"} or self.user):
            raise ValueError(
                "version = 2c: knows a community and no user; give community_file or community_env alone"
            )
        if self.version != "2c" and (has != {"auth_key", "priv_key"} or not self.user):
            raise ValueError(
                "version = 3: give user, auth_key_file and priv_key_file (or _env), and no community; Barq switches "
                "nothing without both keys"
            )
        return self

    def plain(self, base: Path) -> SnmpPdu:
        """As a guard is told."""
        return SnmpPdu(
            name=self.name,
            host=self.host,
            port=self.port,
            table=TABLES[self.make] if self.make is not None else self.table.table(),  # type: ignore[union-attr]
            community=self.place("community", base),
            user=self.user,
            auth_protocol=self.auth,
            auth_key=self.place("auth_key", base),
            priv_protocol=self.priv,
            priv_key=self.place("priv_key", base),
        )


class RedfishPduSettings(_Secrets):
    """A PDU that speaks Redfish."""

    type: Literal["redfish"]
    name: _Name
    url: str  #: https://HOST[:PORT]
    rack_pdu: Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{1,64}$")] = "1"
    username_file: Path | None = None
    username_env: str | None = None
    password_file: Path | None = None
    password_env: str | None = None
    ca_file: Path | None = None  #: who vouches for it; None = whom the machine trusts
    pinned_file: Path | None = None  #: its own certificate: that one alone counts, whatever name is in it
    allow_http: bool = False  #: also beyond this machine

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if not is_safe(self.url, allow_http=self.allow_http):
            raise ValueError(
                "url: give https://HOST[:PORT] without a user or a path in it; http goes to this machine only, or "
                "with allow_http"
            )
        if self.has("username") != self.has("password"):
            raise ValueError("a username goes with a password; give both or neither")
        if self.ca_file is not None and self.pinned_file is not None:
            raise ValueError("ca_file and pinned_file are both given; keep one: pinned_file counts alone")
        return self

    def plain(self, base: Path) -> RedfishPdu:
        """As a guard is told."""
        return RedfishPdu(
            name=self.name,
            url=self.url.rstrip("/"),
            rack_pdu=self.rack_pdu,
            username=self.place("username", base),
            password=self.place("password", base),
            ca_file=_below(base, self.ca_file),
            pinned_file=_below(base, self.pinned_file),
        )


class SimulatedPduSettings(Strict):
    """A PDU that is played."""

    type: Literal["simulated"]
    name: _Name

    def plain(self, base: Path) -> SimulatedPdu:
        """As a guard is told."""
        del base
        return SimulatedPdu(name=self.name)


PduSettings = Annotated[
    SnmpPduSettings | RedfishPduSettings | SimulatedPduSettings, Field(discriminator="type")
]


class OutletSettings(Strict):
    """PDUs, who is fed by which outlet, and how patient the ladder is; `scheduler.core.obedience.Rules` says how."""

    pdus: Annotated[tuple[PduSettings, ...], Field(max_length=1000)] = ()
    feeds: dict[_Host, Annotated[str, Field(pattern=_FEED)]] = Field(default_factory=dict)
    """By the address of a machine: PDU/OUTLET."""
    retry_after_s: _Seconds = 3.0
    cut_after_s: _Seconds = 8.0
    lost_cut_after_s: _Seconds = 60.0
    min_off_s: Annotated[float, Field(ge=10, le=86_400)] = 300.0
    most_on_per_day: Annotated[int, Field(ge=0, le=100)] = 4

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        names = Counter(pdu.name for pdu in self.pdus)
        for name, times in names.items():
            if times > 1:
                raise ValueError(f"pdus.name = {name}: {times} PDUs are called so; give each its own name")
        for machine, fed_by in self.feeds.items():
            if fed_by.partition("/")[0] not in names:
                known = ", ".join(names) or "none"
                raise ValueError(
                    f"feeds.{machine} = {fed_by}: there is no such PDU; name one of pdus: {known}"
                )
        for fed_by, times in Counter(self.feeds.values()).items():
            if times > 1:
                raise ValueError(
                    f"feeds: {fed_by} feeds {times} machines; an outlet that is switched feeds one"
                )
        if self.retry_after_s >= self.cut_after_s:
            raise ValueError(
                f"retry_after_s = {self.retry_after_s:g} is not before cut_after_s = {self.cut_after_s:g}; a machine "
                "is told again before its outlet is switched off"
            )
        return self

    def plain(self, base: Path) -> Outlets:
        """What group.json holds of it. Relative files are below `base`, the state directory."""
        pdus: tuple[Pdu, ...] = tuple(pdu.plain(base) for pdu in self.pdus)
        return Outlets(pdus=pdus, feeds=tuple(_feeds(self.feeds)), rules=self.rules())

    def rules(self) -> Rules:
        """As the ladder knows them."""
        said: dict[str, Any] = {name: getattr(self, name) for name in _RULES}
        return Rules(**said)


_RULES: Final = ("retry_after_s", "cut_after_s", "lost_cut_after_s", "min_off_s", "most_on_per_day")


def _feeds(feeds: dict[str, str]) -> list[Feed]:
    found = []
    for machine, fed_by in feeds.items():
        pdu, _, outlet = fed_by.partition("/")
        found.append(Feed(machine=machine, pdu=pdu, outlet=outlet))
    return found


def _below(base: Path, file: Path | None) -> str:
    return "" if file is None else str((base / file).absolute())
