"""The sources of the limit that the site file names: whether what it says of each makes sense."""

from __future__ import annotations

from barq.doctor.finding import Finding, fail, ok, warn
from barq.doctor.place import Place


def sources(place: Place) -> Finding:
    """Whether each could be opened. Nobody is asked anything: `barq power` shows what they say."""
    from scheduler.errors import SettingsError
    from scheduler.settings import load_site
    from scheduler.wiring import check_sources

    if not place.site_file.exists():
        return ok("signals", "no site file names any")
    try:
        site = load_site(place.site_file)
    except SettingsError as error:
        first = str(error).splitlines()[0]
        return warn("signals", first, "the site would not start", "correct the site file")
    try:
        check_sources(site, place.state.absolute())
    except (SettingsError, OSError) as error:
        first = str(error).splitlines()[0]
        return fail("signals", first, "the site would not start", "correct the site file")
    return ok("signals", f"{len(site.signals)} can be opened")
