"""The loopback interface and its ports."""

from __future__ import annotations

import socket
from typing import Final
from urllib.parse import urlsplit

from barq.doctor.finding import Finding, fail, ok, warn
from barq.doctor.place import Place
from barq.site.files import SiteFiles, is_held, read_json

#: Ray alone takes some ten ports for each node, and each job of several nodes one more.
FEW_PORTS: Final = 2000
ASK_S: Final = 0.5


def loopback(_place: Place) -> Finding:
    """Whether processes here can talk to each other."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=ASK_S).close()
    except OSError as error:
        return fail(
            "loopback",
            f"127.0.0.1 does not work: {error}",
            "the parts of a site cannot reach each other",
            "ip link set lo up",
        )
    return ok("loopback", "127.0.0.1 works")


def ports(place: Place) -> Finding:
    """How many ports there are to choose from."""
    numbers = (place.read("proc/sys/net/ipv4/ip_local_port_range") or "").split()
    if len(numbers) != 2:  # noqa: PLR2004 - the first and the last
        return warn(
            "ports", "the range of free ports is unknown", "nothing can be said", "see ip_local_port_range"
        )
    count = int(numbers[1]) - int(numbers[0]) + 1
    if count < FEW_PORTS:
        return warn(
            "ports",
            f"{count} free ports only ({numbers[0]}-{numbers[1]})",
            "Ray and jobs of several nodes may find none",
            "sysctl -w net.ipv4.ip_local_port_range='32768 60999'",
        )
    return ok("ports", f"{count} ports to choose from")


def api_port(place: Place) -> Finding:
    """Whether the API of the site that ran here answers at its address, or somebody else does."""
    files = SiteFiles(place.state)
    address = urlsplit(str(read_json(files.address).get("api_url", "")))
    if not address.hostname or not address.port:
        return ok("api-port", "no site has run here; `barq up` takes a free port")
    is_up, listens = is_held(files.keeper_lock), _listens(address.hostname, address.port)
    where = f"{address.hostname}:{address.port}"
    if is_up and not listens:
        return fail(
            "api-port",
            f"the site is up, and nothing listens at {where}",
            "no command reaches it",
            f"see {files.logs}/api.log",
        )
    if listens and not is_up:
        return warn(
            "api-port",
            f"the site is down, and something else listens at {where}",
            "a site that is started with this very port could not have it",
            f"ss -ltnp 'sport = :{address.port}' says who; or let `barq up` choose a port",
        )
    return ok("api-port", f"{where}, {'ours' if is_up else 'free'}")


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=ASK_S).close()
    except OSError:
        return False
    return True
