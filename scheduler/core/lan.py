"""Addresses on a miner LAN, as a site file writes them: one machine, a range of them, or a network.

- 10.20.0.7 is one, and 10.20.0.7:8080 one whose API listens elsewhere than usual;
- 10.20.0.10-40 is a range of the last part;
- 10.20.1.0/26 is a network, without its first and last address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

#: More than so many addresses are a slip of the pen: each is asked, again and again.
MOST: Final = 4096
_LAST: Final = 255
_MOST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """Where a machine may be. Port 0 = as its firmware has it."""

    host: str
    port: int = 0

    @property
    def name(self) -> str:
        """As it is written: the id of the machine that is there."""
        return f"{self.host}:{self.port}" if self.port else self.host


def places(written: Iterable[str]) -> tuple[Place, ...]:
    """Each place once, in the order written. Raises ValueError that names the entry, what is wrong and the remedy."""
    found: dict[Place, None] = {}
    for entry in written:
        for place in _of(entry):
            found[place] = None
            if len(found) > MOST:
                raise ValueError(f"addresses: {entry!r}: makes more than {MOST} in all; split the group")
    return tuple(found)


def is_single(entry: str) -> bool:
    """Whether it names one machine, so that one is expected there."""
    return "/" not in entry and "-" not in entry


def _of(entry: str) -> Iterator[Place]:
    try:
        if "/" in entry:
            return _network(entry)
        if "-" in entry:
            return _range(entry)
        host, colon, port = entry.partition(":")
        return iter([Place(host=str(ipaddress.IPv4Address(host)), port=_port(port) if colon else 0)])
    except ValueError as error:
        raise ValueError(
            f"addresses: {entry!r}: {error}; write 10.20.0.7, 10.20.0.10-40 or 10.20.1.0/26"
        ) from error


def _network(entry: str) -> Iterator[Place]:
    network = ipaddress.IPv4Network(entry)
    if network.num_addresses > 2 * MOST:
        raise ValueError(f"is a network of {network.num_addresses} addresses, and {MOST} are too many")
    return (Place(host=str(address)) for address in network.hosts())


def _range(entry: str) -> Iterator[Place]:
    first, _, last = entry.partition("-")
    begin = ipaddress.IPv4Address(first)
    end = int(last)
    if not int(begin) & _LAST <= end <= _LAST:
        raise ValueError(f"a range ends at the first address or after it, and at {_LAST} at most")
    return (Place(host=str(begin + i)) for i in range(end - (int(begin) & _LAST) + 1))


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= _MOST_PORT:
        raise ValueError(f"a port is between 1 and {_MOST_PORT}")
    return port
