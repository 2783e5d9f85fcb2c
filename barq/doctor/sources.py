"""The sources of the limit that the site file names: whether what it says of each makes sense, and files are good."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from barq.doctor.finding import Finding, fail, ok, warn
from barq.doctor.place import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scheduler.settings import Site


def sources(place: Place) -> Finding:
    """Whether each could be opened. Files are read; nobody else is asked: `barq power` shows what they say."""
    from scheduler.errors import SettingsError
    from scheduler.settings import load_site
    from scheduler.wiring import check_sources

    if not place.site_file.exists():
        return ok("signals", "no site file names any")
    try:
        site = load_site(place.site_file)
        check_sources(site, place.state.absolute())
    except (SettingsError, OSError) as error:
        return fail("signals", _on_one_line(error), "the site would not start", "correct the site file")
    if unread := list(_unread_files(site, place)):
        means = "until it can be read, it limits the site to the firm level"
        return warn(
            "signals", "; ".join(unread), means, "put the file right; it is read again when it changes"
        )
    return ok("signals", f"{len(site.signals)} can be opened")


def _unread_files(site: Site, place: Place) -> Iterator[str]:
    """What is wrong with those that are files, by the name of the source."""
    from scheduler.errors import SignalError
    from scheduler.wiring import open_source

    now_at = datetime.now(UTC)
    for settings in site.signals:
        if "path" not in settings.options():
            continue
        source = open_source(settings, site, place.state.absolute(), first_at=now_at)
        try:
            asyncio.run(source.read(now_at))
        except SignalError as error:
            yield f"{source.name}: {_on_one_line(error)}"


def _on_one_line(error: Exception) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
