"""What group.json says of a miner LAN."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from scheduler.core.fleets import WakePace
from scheduler.core.obedience import Rules
from scheduler.core.pdus import Outlets
from workers.miners.port import Credentials, Refused


class Firmware(StrEnum):
    """What may run on a machine."""

    BRAIINS = "braiins"
    LUXOS = "luxos"
    WHATSMINER_V2 = "whatsminer-v2"
    WHATSMINER_V3 = "whatsminer-v3"
    CGMINER = "cgminer"  #: any with its API: read only


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """Where the credentials for one firmware are kept: a file, or the environment of the site. Never here."""

    user: str = ""
    password_file: str | None = None
    password_env: str | None = None

    def read(self) -> Credentials:
        """Read anew each time, so that one that is renewed in its place is used. Raises Refused with the place."""
        if self.password_file is not None:
            try:
                password = Path(self.password_file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise Refused(
                    f"password_file: {self.password_file}: {error}; put the password there"
                ) from error
            return Credentials(user=self.user, password=password)
        if self.password_env is None:
            return Credentials(user=self.user)
        password = os.environ.get(self.password_env, "")
        if not password:
            raise Refused(f"password_env: {self.password_env} is not set where its guard was started")
        return Credentials(user=self.user, password=password)


@dataclass(frozen=True, slots=True, kw_only=True)
class LanConfig:
    """One miner LAN. Watts are those at the plug."""

    addresses: tuple[str, ...]
    firmware: Firmware | None = None  #: of all; None = looked for at each address
    credentials: Mapping[Firmware, Secret] = field(default_factory=dict)
    count: int  #: machines that there are: so many count from the start, found or not
    max_w: float  #: what one draws at most, where its firmware does not say otherwise
    rest_w: float
    wake_share: float = 0.05  #: of all their watts,
    wake_every_s: float = 10.0  #: so much is woken in each such time
    max_cycles: int = 12  #: of one in a UTC day; only emergencies go beyond
    poll_s: float = 5.0  #: each is read so often
    ramp_s: float = 600.0  #: from its order to work until it hashes
    retry_s: float = 60.0  #: what cannot be used is tried again so often
    rescan_s: float = 300.0  #: addresses where nobody answered, too
    recheck_s: float = 3600.0  #: whether it is still the same machine is looked at so often
    at_once: int = 96  #: calls at once while sleep is told
    outlets: Outlets = field(default_factory=Outlets)  #: that feed them

    @property
    def rules(self) -> Rules:
        """How patient the ladder is."""
        return self.outlets.rules

    @property
    def pace(self) -> WakePace:
        """How fast they are woken."""
        return WakePace(share=self.wake_share, every_s=self.wake_every_s)
