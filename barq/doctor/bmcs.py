"""The controllers of the nodes (BMCs), where the site file names them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from barq.doctor.finding import Finding, ok, unread, warn
from barq.doctor.place import Place

if TYPE_CHECKING:
    from scheduler.connections.bmc_options import BmcSettings

ASK_S: Final = 2.0  #: for all questions to one of them
MOST: Final = 64  #: that are asked


def bmcs(place: Place) -> list[Finding]:
    """Whether each answers over a connection that is vouched for, and has a reading."""
    from scheduler.errors import SettingsError
    from scheduler.settings import load_site

    path = place.site_file
    try:
        settings = load_site(path).bmcs if path.exists() else ()
    except SettingsError:
        return [unread("bmc")]
    if not settings:
        return [ok("bmc", "the site file names no controllers of nodes")]
    named = {node: b for b in reversed(settings) for node in b.nodes if not _is_pattern(node)}
    patterns = [node for b in settings for node in b.nodes if _is_pattern(node)]
    found = asyncio.run(_ask_all(dict(list(named.items())[:MOST]), place))
    return [*found, *(_of_pattern(pattern) for pattern in patterns)]


def _is_pattern(node: str) -> bool:
    return "*" in node or "?" in node


def _of_pattern(pattern: str) -> Finding:
    text = f"{pattern}: which nodes those are, only the running site knows"
    return ok("bmc", f"{text}; `barq events` tells of each whose controller has no reading")


async def _ask_all(named: dict[str, BmcSettings], place: Place) -> list[Finding]:
    return list(await asyncio.gather(*(_ask(node, bmc, place) for node, bmc in named.items())))


async def _ask(node: str, bmc: BmcSettings, place: Place) -> Finding:
    from scheduler.connections.redfish_host import RedfishHost
    from scheduler.errors import HostError

    check = f"bmc-{node}"
    try:
        host = RedfishHost(node, bmc.of(node), base=place.state)
        try:
            async with asyncio.timeout(ASK_S):
                state, draw_w = await host.state(), await host.read_w()
        finally:
            await host.close()
    except TimeoutError:
        return _bad(
            check, f"no answer to all questions within {ASK_S:g} s: reachable, and slow, or not at all"
        )
    except (HostError, ValueError) as error:
        return _bad(check, str(error).splitlines()[0])
    is_safe = bmc.url.lower().startswith("https:")
    how = "its certificate is vouched for" if is_safe else "over plain http"
    return ok(check, f"answers, {how}; {state}, draws {draw_w:.0f} W")


def _bad(check: str, found: str) -> Finding:
    return warn(
        check,
        found,
        "what this node draws is not measured, and it is not switched off while it is not needed",
        "see docs/metering.md; its own web page shows whether it is well",
    )
