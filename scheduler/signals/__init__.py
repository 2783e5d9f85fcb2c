"""Where the power limit comes from; one source is one file.

Each file has `open_source(name, options, *, base, reaction_s)`, which makes the source from its part of the site file.
A new source starts as a copy of `_blueprint.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from scheduler.errors import SettingsError, in_our_words, with_remedy
from scheduler.series.playback import Pace


class Options(BaseModel):
    """What a source reads from its part of the site file. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _is_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("there is no such time zone; use an IANA name like Asia/Karachi") from error
    return zone


ZoneName = Annotated[str, AfterValidator(_is_zone)]
"""The IANA name of a time zone."""


class PlayedOptions(Options):
    """What every source that plays a day reads from the site file."""

    speed: float = Field(default=1.0, gt=0, le=1e6)  #: seconds of the day in one second
    notice_s: float = Field(default=0.0, ge=0)  #: how far ahead a step is told
    loop: bool = False
    began_at: AwareDatetime | None = None  #: None = when the source is first read
    reaction_s: float | None = Field(default=None, gt=0)  #: what is granted, if not as the site
    stale_after_s: float = Field(default=30.0, gt=0)

    def pace(self, *, reaction_s: float) -> Pace:
        """How to play it; `reaction_s` is the site's."""
        return Pace(
            speed=self.speed,
            notice_s=self.notice_s,
            reaction_s=self.reaction_s or reaction_s,
            stale_after_s=self.stale_after_s,
            loop=self.loop,
            began_at=self.began_at,
        )


O = TypeVar("O", bound=Options)  # noqa: E741 - it stands next to Options and nowhere else


def read_options(kind: type[O], name: str, options: Mapping[str, Any]) -> O:
    """The options of the source called `name`. Raises `SettingsError` that names field, value and remedy."""
    try:
        return kind.model_validate(options)
    except ValidationError as error:
        complaints = (_complaint(name, kind, e) for e in error.errors(include_url=False))
        raise SettingsError("\n".join(complaints)) from error


def _complaint(name: str, kind: type[Options], error: Mapping[str, Any]) -> str:
    field = ".".join(str(part) for part in error["loc"]) or "options"
    if error["type"] == "extra_forbidden":
        return f"signals: {name}: {field} is not known; use one of {', '.join(kind.model_fields)}"
    if error["type"] == "missing":
        return f"signals: {name}: {field} is missing; see the head of {kind.__module__.replace('.', '/')}.py"
    text = f"signals: {name}: {field}: {in_our_words(error)}, got {error['input']!r}"
    return with_remedy(text, error["type"])
