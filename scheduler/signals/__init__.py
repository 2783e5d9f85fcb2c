"""Where the power limit comes from; one source is one file.

Each file has `open_source(name, options, *, base, reaction_s)`, which makes the source from its part of the site file.
A new source starts as a copy of `_blueprint.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from scheduler.errors import SettingsError


class Options(BaseModel):
    """What a source reads from its part of the site file. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
    return f"signals: {name}: {field}: {error['msg'].removeprefix('Value error, ')}, got {error['input']!r}"
