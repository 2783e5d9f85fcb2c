"""One look at the site, and what of it a browser must be told anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from scheduler.records import PowerSample


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The site as a page shows it."""

    at: datetime
    html: Mapping[str, str] = field(default_factory=dict)  #: each part of the page, by the id of its element
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  #: ids in each list, in order
    samples: Sequence[PowerSample] = ()  #: the newest seconds, oldest first


def news(before: Picture | None, now: Picture) -> dict[str, Any]:
    """What a page that shows `before` (None = nothing) needs to show `now`: changed parts, lists, new samples."""
    old_html = before.html if before else {}
    old_lists = before.lists if before else {}
    return {
        "at": now.at.isoformat(),
        "html": {key: text for key, text in now.html.items() if old_html.get(key) != text},
        "lists": {key: ids for key, ids in now.lists.items() if old_lists.get(key) != ids},
        "points": [_point(sample) for sample in _after(before, now)],
    }


def _after(before: Picture | None, now: Picture) -> list[PowerSample]:
    newest_at = before.samples[-1].at if before and before.samples else None
    return [s for s in now.samples if newest_at is None or s.at > newest_at]


def _point(sample: PowerSample) -> list[float]:
    """Milliseconds since 1970, then watts: limit, the site's own, AI, mining."""
    watts = (sample.limit_w, sample.rest_w, sample.ai_w, sample.miners_w)
    return [round(sample.at.timestamp() * 1000), *(round(value) for value in watts)]
