"""The sources of the limit that the site file names: whether what it says of each makes sense."""

from __future__ import annotations

from barq.doctor.finding import Finding, fail, ok
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
        check_sources(site, place.state.absolute())
    except (SettingsError, OSError) as error:
        return fail("signals", _on_one_line(error), "the site would not start", "correct the site file")
    return ok("signals", f"{len(site.signals)} can be opened")


def _on_one_line(error: Exception) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
