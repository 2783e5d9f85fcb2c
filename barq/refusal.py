"""What is wrong with a field, in words: one refusal names the field, the value and the remedy.

The command line and the API both speak through this: a job file is refused with the same words by either.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_LATER = "image max_wait on_exit_codes service"
NOT_YET: Final = frozenset(_LATER.split())
"""Fields of the job file's language that this version does not honour: refused by name, never ignored."""

_NO_SECRETS: Final = frozenset({"url", "on", "secret_env"})
"""What may be shown of a webhook's settings that are refused."""
_SHOWN_CHARACTERS: Final = 80
_PATH_CHARACTERS: Final = 120
_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, default=str)

_Path = tuple[str | int, ...]

_REMEDIES: Final = {
    "missing": "add it",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "int_parsing": "write a whole number",
    "float_type": "write a number",
    "float_parsing": "write a number",
    "finite_number": "write a finite number",
    "bool_type": "write true or false",
    "string_type": "write text (put quotes around it)",
    "string_unicode": "write text that is valid Unicode",
    "string_pattern_mismatch": "write text of the form {pattern}",
    "string_too_short": "write at least {min_length} character(s)",
    "string_too_long": "write at most {max_length} characters",
    "list_type": "write a list",
    "dict_type": "write a mapping of names to values",
    "too_long": "give at most {max_length} entries",
    "too_short": "give at least {min_length} entry",
    "greater_than": "write a number above {gt}",
    "greater_than_equal": "write a number of at least {ge}",
    "less_than": "write a number below {lt}",
    "less_than_equal": "write a number of at most {le}",
    "literal_error": "write one of {expected}",
    "enum": "write one of {expected}",
    "invalid_key": "write names as text",
    "model_type": "write a mapping of fields to values",
    "model_attributes_type": "write a mapping of fields to values",
    "json_invalid": "send valid JSON ({error})",
}


class NotSupportedYet(ValueError):
    """The value makes sense in the job file's language, but this version cannot honour it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One field that is refused. `path` holds the steps to it, `value` is JSON cut short ("" = absent)."""

    code: str  #: invalid_field | unknown_field | not_supported
    field: str
    value: str
    remedy: str
    path: tuple[str | int, ...] = ()

    @property
    def problem(self) -> str:
        """What is wrong, without the field and the remedy."""
        return f"= {self.value} is refused" if self.value else "is missing"

    @property
    def sentence(self) -> str:
        """Field, value and remedy as one sentence."""
        return f"{self.field} {self.problem}; {self.remedy}"


def explain(details: Mapping[str, Any], *, known: Collection[str] = ()) -> Refusal:
    """Put one of pydantic's error details into words, suggesting one of `known` for an unknown name."""
    path = tuple(step for step in details["loc"] if step != "[key]")
    code, remedy = _judged(details, path, known)
    value = "" if details["type"] == "missing" else shown(details.get("input"))
    if "notify" in path and path[-1] not in _NO_SECRETS and value:
        value = "(not shown)"
    return Refusal(code=code, field=dotted(path), value=value, remedy=remedy, path=path)


def shown(value: object) -> str:
    """Return `value` as JSON, cut to a readable length; what is not JSON is shown as Python writes it."""
    text = ""
    try:
        for piece in _ENCODER.iterencode(value):  # no further than is shown: the value may be huge
            text += piece
            if len(text) > _SHOWN_CHARACTERS:
                break
    except (ValueError, TypeError, RecursionError):
        text = ascii(type(value).__name__)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def dotted(path: Sequence[str | int]) -> str:
    """Return a path such as `jobs[3].resources.gpus`; the whole document is `(document)`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f"{'.' if text else ''}{ascii(step)[1:-1]}"
    return text[:_PATH_CHARACTERS] or "(document)"


def _judged(details: Mapping[str, Any], path: _Path, known: Collection[str]) -> tuple[str, str]:
    """Code and remedy."""
    name = str(path[-1]) if path else ""
    context = details.get("ctx", {})
    if details["type"] == "extra_forbidden" and name in NOT_YET:
        return "not_supported", f"{name} is not supported yet; remove it"
    if details["type"] == "extra_forbidden":
        return "unknown_field", _nearest(path, known)
    if details["type"] == "value_error":
        unsupported = isinstance(context["error"], NotSupportedYet)
        return "not_supported" if unsupported else "invalid_field", str(context["error"])
    template = _REMEDIES.get(details["type"])
    numbers = {name: f"{v:.15g}" if isinstance(v, float) else v for name, v in context.items()}
    return "invalid_field", template.format(**numbers) if template else str(details["msg"])


def _nearest(path: _Path, known: Collection[str]) -> str:
    """Where a field is that is called alike: by its name if it is in the same part, else with its place."""
    names = {place.rpartition(".")[2] for place in known}
    near = difflib.get_close_matches(str(path[-1])[:_PATH_CHARACTERS], sorted(names), n=1)
    if not near:
        return "no such field; remove it"
    places = sorted(place for place in known if place.rpartition(".")[2] == near[0])
    part = next((step for step in reversed(path[:-1]) if isinstance(step, str) and step != "jobs"), "")
    is_here = any(place.rpartition(".")[0] == part for place in places)
    return f"no such field; did you mean {near[0] if is_here else places[0]}?"
