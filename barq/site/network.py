"""Where a site listens, so that other machines find it there again after any restart: `network.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from ipaddress import IPv4Address

from barq.errors import InvalidInput
from barq.site.files import SiteFiles, read_json, write_json
from barq.site.ray_head import GCS_OFFSET, LAST_OFFSET, LOOPBACK, PORTS_FROM, free_port


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """An address of this machine, and the first of a block of ports; 0 = any free ones."""

    host: str = LOOPBACK
    port: int = 0

    @property
    def is_local(self) -> bool:
        """Whether no other machine can reach it."""
        return self.host == LOOPBACK


def read_network(files: SiteFiles) -> Network:
    """As last told; this machine only, if nobody ever did."""
    record = read_json(files.network)
    try:
        return Network(host=str(record["host"]), port=int(record["port"]))
    except (KeyError, ValueError, TypeError):
        return Network()


def choose_network(files: SiteFiles, *, host: str | None, port: int) -> Network:
    """As told now, else as told the last time, for members know it. Remembers it. Raises InvalidInput."""
    last = read_network(files)
    host = host or last.host
    check_address(host, field="listen")
    if host != LOOPBACK and port == 0:
        port = (last.port if last.host == host else 0) or PORTS_FROM
    chosen = Network(host=host, port=port)
    write_json(files.network, asdict(chosen))
    return chosen


def check_address(host: str, *, field: str) -> None:
    """Raise InvalidInput unless this is an IPv4 address of this machine that others could use."""
    remedy = "give the IPv4 address of the interface by which the machines reach each other (`ip address`)"
    try:
        if IPv4Address(host).is_unspecified:
            raise ValueError("it names no interface")
        free_port(host)
    except (ValueError, OSError) as error:
        message = f"{field}: {host!r} is no address of this machine: {error}"
        raise InvalidInput(message, field=field, value=host, remedy=remedy) from error


def what_to_open(ray_address: str) -> list[str]:
    """What other machines must be able to reach, when there may be any: sentences for a person."""
    host, _, port = ray_address.rpartition(":")
    if not host or host == LOOPBACK:
        return []
    first = int(port) - GCS_OFFSET
    ports = f"TCP ports {first}-{first + LAST_OFFSET} of {host}, and 20000 upwards for gangs"
    return [
        f"Other machines must reach {ports}. Ray listens on every interface, and asks for its token.",
        "The API speaks plain HTTP: listen on a private network, or put a proxy with TLS before it.",
        "Invite a machine: `barq node invite`, or `barq miners invite` for one that guards miners",
    ]
