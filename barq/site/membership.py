"""What a machine knows of the site that it has joined: `member.json` in its state directory."""

from __future__ import annotations

import socket
from dataclasses import asdict, dataclass

from barq.site.files import SiteFiles, read_json, write_json
from barq.site.ray_head import PORTS_FROM


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """This machine as a part of a site elsewhere. Holds no secret: those are in files of their own."""

    site: str
    node: str  #: name of the machine; of a node, also that of its group
    api_url: str
    ray_address: str  #: of the head, HOST:PORT
    host: str  #: of this machine, by which the others reach it
    ports_from: int = PORTS_FROM
    guards: bool = False  #: it guards miners; False = it is a node

    @property
    def what(self) -> str:
        """What it is, in words."""
        return "a guard of miners" if self.guards else "a node"

    @property
    def verb(self) -> str:
        """The command that it came by."""
        return "barq miners" if self.guards else "barq node"

    @property
    def farewell(self) -> str:
        """What is to be known once it left."""
        if not self.guards:
            return f"{self.node} has left {self.site}; it may be switched off"
        return (
            f"{self.node} has left {self.site}. Its miners were told to sleep, and nobody holds them there: "
            "the site counts all that they can draw until another machine joins for them"
        )


def read_membership(files: SiteFiles) -> Membership | None:
    """What was written when this machine joined, None if it is no member. Raises ValueError if it makes no sense."""
    record = read_json(files.membership)
    if not record:
        return None
    try:
        return Membership(**record)
    except TypeError as error:
        raise ValueError(f"{files.membership}: {error}; join again") from error


def write_membership(files: SiteFiles, membership: Membership) -> None:
    """Remember it, for the next start."""
    write_json(files.membership, asdict(membership))


def own_address(towards: str) -> str:
    """The address of the interface through which this machine reaches a host. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((towards, 9))  # a datagram socket sends nothing by that
        return str(probe.getsockname()[0])
