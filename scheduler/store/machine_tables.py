"""The tables of the machines of miner groups. Conventions as in `tables`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Text
from sqlmodel import Field

from scheduler.store.columns import BIG, UtcDateTime
from scheduler.store.tables import Table


class MachineRow(Table, table=True):
    """A machine as it is known now: the core's `KnownMachine`, flattened."""

    __tablename__ = "machines"
    miner_id: str = Field(primary_key=True)
    group_id: str = Field(index=True)
    partner: str
    address: str
    serial: str
    mac: str
    make: str
    model: str
    firmware: str
    firmware_version: str
    pools: str = Field(sa_type=Text)  #: JSON: the pools that it was seen with; only ever read
    first_seen_at: datetime = Field(sa_type=UtcDateTime)
    last_seen_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    vanished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class MachineChangeRow(Table, table=True):
    """A change of who a machine is, or whose. Append-only: each has its line in the log, alone or with others alike."""

    __tablename__ = "machine_changes"
    __table_args__ = (Index("ix_machine_changes_miner_id_seq", "miner_id", "seq"),)
    seq: int = Field(primary_key=True, sa_type=BIG, sa_column_kwargs={"autoincrement": False})
    """Of its line in the log."""
    miner_id: str = Field(primary_key=True)
    group_id: str
    partner: str
    at: datetime = Field(sa_type=UtcDateTime)
    what: str
    before: str = Field(sa_type=Text)
    after: str = Field(sa_type=Text)


class MachineWishRow(Table, table=True):
    """What a person wants of a machine. The newest of a machine stands; none is ever taken out."""

    __tablename__ = "machine_wishes"
    __table_args__ = (Index("ix_machine_wishes_miner_id_id", "miner_id", "id"),)
    id: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    miner_id: str
    group_id: str  #: that it was of then
    wish: str
    by: str
    reason: str = Field(sa_type=Text)
    at: datetime = Field(sa_type=UtcDateTime)
    over_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)  #: None = it stands
