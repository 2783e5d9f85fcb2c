"""The site's measured model, where its site file names one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from barq.doctor.finding import Finding, ok, unread, warn
from barq.doctor.place import Place

if TYPE_CHECKING:
    from pathlib import Path

    from scheduler.measured import Measured, Told
    from scheduler.settings import Site

OLD_DAYS: Final = 180  #: filters clog, pastes dry, fans wear: cooling of half a year ago is not today's
_CHECK: Final = "measured"
_REMEDY: Final = "measure again with `barq commission`, and correct the site file"


def measured(place: Place) -> Finding:
    """Whether there is one, of these devices, not too old, and not worse than the site file says."""
    from scheduler.errors import SettingsError
    from scheduler.measured import read_measured

    path = place.site_file
    if not path.exists():
        return ok(_CHECK, "there is no site here")
    try:
        site = _site(path)
    except SettingsError:
        return unread(_CHECK)
    try:
        found = None if site.measured is None else read_measured(path.parent / site.measured.file)
    except SettingsError as error:
        return warn(_CHECK, str(error), "what was measured does not count", _REMEDY)
    if found is None:
        means = "overhead and base are as the site file says, and nobody looked"
        return ok(_CHECK, "the site was not measured", means)
    return _judged(found, site.told())


def _site(path: Path) -> Site:
    """What the site file says by itself, without what was measured. Raises SettingsError."""
    from scheduler.plain_yaml import read_yaml
    from scheduler.settings import SIMULATION, site_of

    document = read_yaml(path)
    said = document if isinstance(document, dict) else {}
    return site_of({key: value for key, value in said.items() if key != SIMULATION}, path)


def _judged(found: Measured, told: Told) -> Finding:
    from scheduler.measured import differences

    days = (datetime.now(UTC) - found.measured_at).days
    apart = differences(found, told)
    if days > OLD_DAYS:
        apart.append(f"it is {days} days old")
    if apart:
        means = "the higher of two figures counts; what was measured on other devices says little of these"
        return warn(_CHECK, "; ".join(apart), means, _REMEDY)
    return ok(_CHECK, f"measured {days} day(s) ago, and not worse than the site file says")
