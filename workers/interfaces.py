"""Which network interface has an address: what collective libraries want to be told when a gang spans machines."""

from __future__ import annotations

import fcntl
import socket
import struct
from ipaddress import IPv4Address, IPv4Network

_SIOCGIFADDR = 0x8915
_SIOCGIFNETMASK = 0x891B
_REQUEST = "256s"
_ADDRESS = slice(20, 24)


def interface_of(address: str) -> str:
    """The name of the interface in whose network `address` lies, empty if there is none."""
    try:
        wanted = IPv4Address(address)
    except ValueError:
        return ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                network = _network(probe.fileno(), name)
            except OSError:  # an interface without an address
                continue
            if wanted in network:
                return name
    return ""


def _network(descriptor: int, name: str) -> IPv4Network:
    request = struct.pack(_REQUEST, name.encode()[:15])
    own = fcntl.ioctl(descriptor, _SIOCGIFADDR, request)[_ADDRESS]
    mask = fcntl.ioctl(descriptor, _SIOCGIFNETMASK, request)[_ADDRESS]
    return IPv4Network(f"{IPv4Address(own)}/{IPv4Address(mask)}", strict=False)
