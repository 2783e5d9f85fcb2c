"""The site's own meter, where its site file names one."""

from __future__ import annotations

import socket
from typing import Any, Final

import yaml

from barq.doctor.finding import Finding, ok, warn
from barq.doctor.place import Place

ASK_S: Final = 1.0
MODBUS_PORT: Final = 502


def meter(place: Place) -> Finding:
    """Whether the meter accepts a connection. What it then says, `barq power` shows."""
    found = _described(place)
    if found.get("type") == "redfish":
        return ok("meter", "the sum of what the nodes' own controllers read: see bmc")
    if found.get("type") != "modbus":
        return ok("meter", "the site has none of its own; its draw is what devices report")
    host, port = str(found.get("host", "")), found.get("port", MODBUS_PORT)
    try:
        socket.create_connection((host, int(port)), timeout=ASK_S).close()
    except (OSError, ValueError, TypeError, OverflowError) as error:
        return warn(
            "meter",
            f"{host}:{port} does not accept a connection: {error}",
            "the draw is estimated from what devices report, and nobody sees what they do not report",
            "see that it is on and reachable; one that takes few connections may be read already: see `barq power`",
        )
    return ok("meter", f"{host}:{port} accepts connections; `barq power` shows what it says")


def _described(place: Place) -> dict[str, Any]:
    """The site file's word on it; empty where there is none. Whether it makes sense, `barq up` says."""
    try:
        document = yaml.safe_load(place.site_file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    found = document.get("meter") if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}
