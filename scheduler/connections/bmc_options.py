"""How a site file describes the controllers (BMCs) of its machines: where they are, and who the site is to them.

Only pydantic here: a site without controllers never loads their client.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from scheduler.core.orders import Standby
from scheduler.strict import Strict

NODE: Final = "{node}"  #: stands for the id of a node in url, ids and file names
_PER_NODE: Final = ("url", "system", "chassis", "sensor", "username_file", "password_file", "pinned_file")
ResourceId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._~{}-]{0,64}$")]


class BmcOptions(Strict):
    """One controller, or many alike that differ by `{node}`."""

    url: str  #: https://HOST[:PORT]
    username_file: Path | None = None
    username_env: str | None = None
    password_file: Path | None = None
    password_env: str | None = None
    ca_file: Path | None = None  #: who vouches for it; None = whom the machine trusts
    pinned_file: Path | None = None  #: its own certificate: that one alone counts, whatever name is in it
    allow_http: bool = False  #: also beyond this machine
    timeout_s: float = Field(default=5.0, gt=0, le=60)  #: for one whole answer; controllers are slow
    system: ResourceId = ""  #: id of the machine, where the controller has several
    chassis: ResourceId = ""  #: id of the chassis with the power, where it is not the first of the machine
    sensor: ResourceId = ""  #: id of a sensor in that chassis to read instead of what is found there
    max_w: float = Field(default=50_000.0, gt=0, le=1e10)  #: what is beyond cannot be meant, and is refused

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if not is_safe(self.url.replace(NODE, "node"), allow_http=self.allow_http):
            raise ValueError(
                "url: give https://HOST[:PORT] without a user or a path in it; http goes to this machine only, or "
                "with allow_http"
            )
        for what in ("username", "password"):
            if getattr(self, f"{what}_file") is not None and getattr(self, f"{what}_env") is not None:
                raise ValueError(f"{what}_file and {what}_env are both given; keep the one that holds it")
        if self.has("username") != self.has("password"):
            raise ValueError("a username goes with a password; give both or neither")
        if self.ca_file is not None and self.pinned_file is not None:
            raise ValueError("ca_file and pinned_file are both given; keep one: pinned_file counts alone")
        if (self.ca_file or self.pinned_file) is not None and not self.url.lower().startswith("https:"):
            raise ValueError("ca_file and pinned_file are for https, and url is http; remove them")
        return self

    def has(self, secret: str) -> bool:
        """Whether a place of this secret is named."""
        return (getattr(self, f"{secret}_file") or getattr(self, f"{secret}_env")) is not None

    def of(self, node: str) -> BmcOptions:
        """Those of one node. Raises ValueError where its address makes no sense."""
        plain = {key: getattr(self, key) for key in BmcOptions.model_fields}
        named = {key: str(plain[key]).replace(NODE, node) for key in _PER_NODE if plain[key] is not None}
        return BmcOptions.model_validate(plain | named)


class StandbySettings(Strict):
    """That machines may be switched off while they are not needed, and what that takes."""

    draw_w: float = Field(ge=0, le=1e6, allow_inf_nan=False)  #: of one, off: its controller and its fans
    down_s: float = Field(
        default=120.0, gt=0, le=3600
    )  #: its system has so long to shut down, then it is cut
    boot_s: float = Field(default=300.0, gt=0, le=7200)  #: until its guard is usually heard again
    after_s: float = Field(default=60.0, ge=0, le=86_400)  #: it is switched off once unneeded for so long

    def standby(self) -> Standby:
        """As the core knows it."""
        return Standby(draw_w=self.draw_w, down_s=self.after_s + self.down_s, boot_s=self.boot_s)


class BmcSettings(BmcOptions):
    """The controllers of the nodes with these ids."""

    nodes: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[a-z0-9*?][a-z0-9*?-]{0,31}$")], ...], Field(min_length=1)
    ]
    standby: StandbySettings | None = None  #: None = they are never switched

    @model_validator(mode="after")
    def _tells_them_apart(self) -> Self:
        is_one = len(self.nodes) == 1 and not set("*?") & set(self.nodes[0])
        if not is_one and NODE not in self.url + self.system:
            raise ValueError(
                f"nodes: {', '.join(self.nodes)} may be several, and all have the same url and system: write {NODE} "
                "in one of these where the node's id belongs, or give each node an entry of its own"
            )
        return self

    def is_of(self, node: str) -> bool:
        """Whether this node's is one of them."""
        return any(fnmatchcase(node, pattern) for pattern in self.nodes)


def bmc_of(bmcs: Sequence[BmcSettings], node: str) -> BmcSettings | None:
    """The controller of a node: the first that is said to be."""
    return next((b for b in bmcs if b.is_of(node)), None)


def is_safe(url: str, *, allow_http: bool) -> bool:
    """Whether this is the plain address of a server, and what is said to it can be read by nobody between."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and (allow_http or _is_loopback(host)))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
