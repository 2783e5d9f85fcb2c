"""YAML and JSON text as plain values, strictly: no duplicate keys, no tags, no alias bombs; lines are kept.

YAML is read by the 1.2 core schema, so that it means what the same text means in JSON: `no` is text, not
false, `1:30` is text, not 90, and dates stay text. `<<` merges nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NoReturn

import yaml

MAX_NODES: Final = 20_000
MAX_DEPTH: Final = 40
Path = tuple[str | int, ...]

_FLOAT = r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan"
#: The core schema: tag, what its plain scalars look like, and their first characters ("" = an empty scalar).
_SCALARS: Final = (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ("", *"~nN")),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", tuple("tTfF")),
    ("tag:yaml.org,2002:int", r"[-+]?(?:0|[1-9][0-9]*)", tuple("-+0123456789")),
    ("tag:yaml.org,2002:float", _FLOAT, tuple("-+.0123456789")),
)


class DocumentError(ValueError):
    """The text is not what a document may be. `line` counts from 1, None = not known."""

    def __init__(self, problem: str, *, remedy: str, line: int | None = None, path: Path = ()) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy
        self.line = line
        self.path = path


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document's plain value, and the line on which each part of it begins."""

    value: object
    lines: dict[Path, int] = field(default_factory=dict)

    def line_of(self, path: Path) -> int | None:
        """Return the line of the deepest part of `path` that is there, None where lines are not known."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None


def read_json(text: str, *, max_names: int = MAX_NODES) -> Document:
    """Return the JSON value in `text`.

    Raises DocumentError on bad JSON, on NaN, on duplicate names and on a mapping of more than `max_names`.
    """

    def mapping(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(pairs) > max_names:
            raise DocumentError(f"has a mapping of more than {max_names} names", remedy="split it")
        return _distinct(pairs)

    try:
        return Document(value=json.loads(text, object_pairs_hook=mapping, parse_constant=_no_constant))
    except json.JSONDecodeError as error:
        raise DocumentError(f"is not JSON: {error.msg}", remedy="correct it", line=error.lineno) from error
    except DocumentError:
        raise
    except (ValueError, RecursionError) as error:
        raise DocumentError(
            "has a number too long, or levels too deep, to read", remedy="shorten it"
        ) from error


def read_yaml(text: str) -> list[Document]:
    """Return the documents in `text`, empty ones left out. Raises DocumentError on what is not plain YAML."""
    try:
        return [_document(node) for node in _nodes(_Loader(text)) if not _is_empty(node)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        problem = f"is not YAML: {error.problem or error.context}"
        raise DocumentError(problem, remedy="correct it", line=line) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DocumentError("has a character that YAML forbids", remedy="remove it", line=line) from error
    except DocumentError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DocumentError("has a value out of range, or levels too deep", remedy="shorten it") from error


class _Loader(yaml.SafeLoader):
    """Composes nodes by the core schema and gives up on what is absurdly large or deep. Builds no objects."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as in the base

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.count = 0
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.count += 1
        self.depth += 1
        if self.count > MAX_NODES or self.depth > MAX_DEPTH:
            _too_large(self.line + 1)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


for _tag, _pattern, _firsts in _SCALARS:
    for _first in _firsts:
        _whole = re.compile(rf"(?:{_pattern})\Z", re.ASCII)
        _Loader.yaml_implicit_resolvers.setdefault(_first, []).append((_tag, _whole))


def _nodes(loader: _Loader) -> Iterator[yaml.Node]:
    while loader.check_node():
        if (node := loader.get_node()) is not None:
            yield node


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == "" and node.style is None


def _document(root: yaml.Node) -> Document:
    """Turn nodes into values, counting what aliases expand to: they may say much in few words."""
    lines: dict[Path, int] = {}
    return Document(value=_value(root, (), lines), lines=lines)


def _value(node: yaml.Node, path: Path, lines: dict[Path, int]) -> object:
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if len(lines) > MAX_NODES or len(path) > MAX_DEPTH:
        _too_large(line)
    match node:
        case yaml.MappingNode(tag="tag:yaml.org,2002:map"):
            return _mapping(node, path, lines)
        case yaml.SequenceNode(tag="tag:yaml.org,2002:seq"):
            return [_value(item, (*path, i), lines) for i, item in enumerate(node.value)]
        case yaml.ScalarNode():
            return _scalar(node, path)
        case _:
            raise _tagged(node, path)


def _mapping(node: yaml.MappingNode, path: Path, lines: dict[Path, int]) -> dict[str, object]:
    result: dict[str, object] = {}
    for key, item in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise DocumentError(
                "has a name that is not text", remedy="write plain names", line=line, path=path
            )
        name = str(key.value)
        if name in result:
            raise DocumentError("is given twice", remedy="keep one", line=line, path=(*path, name))
        lines[(*path, name)] = line
        result[name] = _value(item, (*path, name), lines)
    return result


def _scalar(node: yaml.ScalarNode, path: Path) -> object:
    text = str(node.value)
    match node.tag.removeprefix("tag:yaml.org,2002:"):
        case "str":
            return text
        case "null":
            return None
        case "bool" if text.lower() in ("true", "false"):
            return text.lower() == "true"
        case "int":
            return int(text)
        case "float":
            return float(text.replace(".inf", "inf").replace(".nan", "nan"))
        case _:
            raise _tagged(node, path)


def _tagged(node: yaml.Node, path: Path) -> DocumentError:
    line = node.start_mark.line + 1
    return DocumentError(
        f"has the tag {ascii(node.tag)[:80]}", remedy="write plain YAML", line=line, path=path
    )


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result: dict[str, object] = {}
    for name, value in pairs:
        if name in result:
            raise DocumentError("is given twice", remedy="keep one", path=(name,))
        result[name] = value
    return result


def _no_constant(name: str) -> NoReturn:
    raise DocumentError(f"holds {name}, which is not JSON", remedy="write a finite number")


def _too_large(line: int) -> NoReturn:
    problem = f"has more than {MAX_NODES} parts or {MAX_DEPTH} levels, aliases counted in full"
    raise DocumentError(problem, remedy="split it", line=line)
