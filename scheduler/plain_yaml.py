"""The site file's YAML, read with suspicion: no key twice, no tags, nothing that grows or nests without end."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from scheduler.errors import SettingsError

MAX_BYTES: Final = 1_000_000
MAX_NODES: Final = 20_000
"""Parts of the document, what aliases stand for counted each time."""
MAX_DEPTH: Final = 40


def read_yaml(path: Path) -> object:
    """The value in the file. Raises `SettingsError` that names file, line and remedy."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise SettingsError(f"{path}: it is larger than {MAX_BYTES} bytes; a site file is a page or two")
        loader = _Loader(data.decode("utf-8-sig"))
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except SettingsError:
        raise
    # ValueError: not UTF-8, or a number or date that is none. RecursionError: levels without end.
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: cannot be read as a site file: {_problem(error)}") from error


def _problem(error: Exception) -> str:
    """On one line: where, what, and the remedy where the words of the error have none."""
    match error:
        case OSError():
            return f"{error.strerror}; name a file that you may read, see configs/sites/"
        case UnicodeDecodeError():
            line = error.object.count(b"\n", 0, error.start) + 1
            return f"line {line} is not UTF-8; save it as UTF-8"
        case yaml.MarkedYAMLError():
            mark = error.problem_mark or error.context_mark
            where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
            return where + ", ".join(filter(None, (error.context, error.problem))).replace(", but ", " but ")
        case _:
            return " ".join(str(error).split())


class _Loader(yaml.SafeLoader):
    """Counts what it composes, and looks at keys before they become a mapping."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._sizes: dict[int, int] = {}  #: of nodes, by identity; each lives as long as the document

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _refused(f"it has more than {MAX_DEPTH} levels", self.get_mark())
        is_alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None and is_alias and id(node) not in self._sizes:
            raise _refused("a part of it contains itself", node.start_mark)
        if node is not None and self._size(node) > MAX_NODES:
            raise _refused(f"it has more than {MAX_NODES} parts, aliases counted in full", node.start_mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - as in the base
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, _ in node.value:
            if names.count(key.value) > 1:
                raise _refused(f"{str(key.value)[:80]!r} is given twice; keep one", key.start_mark)
        return super().construct_mapping(node, deep=deep)

    def _size(self, node: yaml.Node) -> int:
        """Parts of a node whose parts are known."""
        if id(node) not in self._sizes:
            match node:
                case yaml.MappingNode():
                    inner = [part for pair in node.value for part in pair]
                case yaml.SequenceNode():
                    inner = list(node.value)
                case _:
                    inner = []
            self._sizes[id(node)] = 1 + sum(self._sizes[id(part)] for part in inner)
        return self._sizes[id(node)]


def _refused(what: str, mark: yaml.Mark | None) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=what, problem_mark=mark)
