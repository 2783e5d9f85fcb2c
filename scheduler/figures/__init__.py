"""Where figures of the chain come from: price of bitcoin, difficulty, height, fees. One source is one file.

Each source meets `scheduler.ports.FiguresSource`, and is entered in `tests/contract/test_figures_sources.py`. What a
person tells comes through the store. `keeping` asks them all, and keeps what can be true.
"""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from scheduler.figures.polled_url import PolledUrl
from scheduler.figures.site_file import SiteFile
from scheduler.figures.watched_file import WatchedFile
from scheduler.ports import FiguresSource
from scheduler.revenue_settings import FileSource, MiningRevenue, SourceSettings, UrlSource


def open_sources(settings: MiningRevenue, *, base: Path) -> tuple[tuple[FiguresSource, float], ...]:
    """The sources that the site file names, with how often each is asked, s. Relative paths start at `base`."""
    told = settings.told()
    own: tuple[tuple[FiguresSource, float], ...] = (
        () if told is None else ((SiteFile(told), SiteFile.poll_s),)
    )
    opened = (_opened(s, base, stale_after_s=settings.stale_after_s) for s in settings.sources)
    return (*own, *opened)


def _opened(settings: SourceSettings, base: Path, *, stale_after_s: float) -> tuple[FiguresSource, float]:
    match settings:
        case FileSource():
            return WatchedFile(settings, base=base, stale_after_s=stale_after_s), settings.poll_s
        case UrlSource():
            return PolledUrl(settings, base=base, stale_after_s=stale_after_s), settings.poll_s
    assert_never(settings)
