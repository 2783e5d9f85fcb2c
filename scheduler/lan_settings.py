"""What a site file says of a LAN of real miners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from scheduler.core.lan import is_single, places
from scheduler.core.pdus import Outlets
from scheduler.strict import Strict

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
_POLLS = 3
Firmware = Literal["braiins", "luxos", "whatsminer-v2", "whatsminer-v3", "cgminer"]


class CredentialSettings(Strict):
    """Where the credentials of a partner's machines are kept: never in the site file itself."""

    user: str = ""
    password_file: Path | None = None
    password_env: str | None = None

    @model_validator(mode="after")
    def _is_in_one_place(self) -> Self:
        if (self.password_file is None) is (self.password_env is None):
            raise ValueError(
                "credentials: give password_file or password_env: the one that holds the password"
            )
        return self

    def plain(self, base: Path) -> Mapping[str, str | None]:
        """As the group's guard is told. A relative file is below `base`."""
        file = self.password_file
        return {
            "user": self.user,
            "password_file": None if file is None else str((base / file).absolute()),
            "password_env": self.password_env,
        }


def check_apart(lans: Mapping[str, LanSettings | None]) -> None:
    """Raises ValueError if one machine is named twice: it would count as two, and be told different things."""
    known: dict[str, list[tuple[int, str]]] = {}
    for name, lan in lans.items():
        for place in () if lan is None else places(lan.addresses):
            here = known.setdefault(place.host, [])
            for port, other in here:
                if port == place.port or not (port and place.port):
                    raise ValueError(
                        f"miners: the machine at {place.name} is named by {other!r}, and again by {name!r}: it would "
                        "count as two; leave one of them"
                    )
            here.append((place.port, name))


class LanSettings(Strict):
    """Where the machines of a group are, what opens them, and how they are treated. `docs/miners.md` says more."""

    addresses: Annotated[tuple[str, ...], Field(min_length=1)]
    firmware: Firmware | Literal["auto"] = "auto"  #: of all of them; auto = looked for at each address
    credentials: dict[Firmware, CredentialSettings] = Field(default_factory=dict)
    wake_share: Annotated[float, Field(gt=0, le=1)] = 0.05  #: of all their watts,
    wake_every_s: Seconds = 10.0  #: so much is woken in each such time
    max_cycles: Annotated[int, Field(ge=1, le=1000)] = 12  #: of one machine in a UTC day
    poll_s: Annotated[float, Field(ge=0.5, le=60)] = 5.0  #: each machine is read so often
    wake_s: Seconds = 600.0  #: from the order to work until it hashes

    @model_validator(mode="after")
    def _has_places(self) -> Self:
        places(self.addresses)
        return self

    @property
    def expected(self) -> int | None:
        """How many machines these addresses promise, None if they are a range or a network."""
        return len(places(self.addresses)) if all(map(is_single, self.addresses)) else None

    def config(
        self, outlets: Outlets, base: Path, *, count: int, max_w: float, rest_w: float
    ) -> Mapping[str, object]:
        """As the group's guard is told; relative files are below `base`. A machine that missed three polls is lost."""
        rules = replace(outlets.rules, fresh_s=max(outlets.rules.fresh_s, _POLLS * self.poll_s))
        return {
            "outlets": replace(outlets, rules=rules),
            "addresses": self.addresses,
            "firmware": None if self.firmware == "auto" else self.firmware,
            "credentials": {f: c.plain(base) for f, c in self.credentials.items()},
            "count": count,
            "max_w": max_w,
            "rest_w": rest_w,
            "wake_share": self.wake_share,
            "wake_every_s": self.wake_every_s,
            "max_cycles": self.max_cycles,
            "poll_s": self.poll_s,
            "ramp_s": self.wake_s,
        }
