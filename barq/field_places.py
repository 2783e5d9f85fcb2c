"""Where each field of the job file stands, for suggestions to whoever put one elsewhere or spelled it otherwise."""

from __future__ import annotations

from typing import Final

from barq.request import PARTS, JobRequest

_PREFIXES: Final = {part: "" if part is JobRequest else f"{part.__name__.lower()}." for part in PARTS}
FIELD_PLACES: Final = frozenset(f"{_PREFIXES[part]}{name}" for part in PARTS for name in part.model_fields)
"""Every field with its place, such as `name` and `retry.backoff`."""
