"""The shape of the house: short files, short functions, and a core that asks nobody."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("barq", "scheduler", "workers", "api", "benchmarks", "tests", "configs")
FILE_LINES = 400
FUNCTION_LINES = 50

#: What would let the core fetch time, chance or facts by itself.
FETCHES = {"asyncio", "concurrent", "ctypes", "glob", "http", "importlib", "io", "logging", "multiprocessing"}
FETCHES |= {"os", "pathlib", "queue", "random", "secrets", "select", "selectors", "shutil", "signal"}
FETCHES |= {"socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib"}
#: The rest of the house, and the frameworks that belong at its edges.
EDGES = {"alembic", "api", "barq", "fastapi", "httpx", "numpy", "psutil", "pydantic", "pynvml", "ray", "rich"}
EDGES |= {"sqlalchemy", "sqlmodel", "starlette", "structlog", "torch", "typer", "uuid", "workers", "yaml"}


def sources(*folders: str) -> list[Path]:
    """Every Python file under the folders, in order."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def long_files(paths: list[Path]) -> list[str]:
    """Each file over the limit, with its length."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    return [f"{path}: {lines} lines" for path, lines in lengths.items() if lines > FILE_LINES]


def long_functions(paths: list[Path]) -> list[str]:
    """Each function over the limit, decorators not counted, with its place and length."""
    return [
        f"{path}:{node.lineno} {node.name}: {lines} lines"
        for path in paths
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]


def impure_imports(paths: list[Path]) -> list[str]:
    """Each import that the core must not make, wherever in the file it stands."""
    return [
        f"{path}:{line} imports {module}"
        for path in paths
        for line, module in _imports(_tree(path))
        if module.partition(".")[0] in FETCHES | EDGES
    ]


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def test_no_file_is_long() -> None:
    """A file of more than 400 lines is two files."""
    found = long_files(sources(*FOLDERS))

    assert not found, f"over {FILE_LINES} lines; split:\n" + "\n".join(found)


def test_no_function_is_long() -> None:
    """A function of more than 50 lines hides one that has a name."""
    found = long_functions(sources(*FOLDERS))

    assert not found, f"over {FUNCTION_LINES} lines; split:\n" + "\n".join(found)


def test_the_core_asks_nobody() -> None:
    """What the core needs to know is handed to it."""
    found = impure_imports(sources("scheduler/core"))

    assert not found, "hand it in as an argument instead:\n" + "\n".join(found)


def test_every_folder_of_source_is_looked_at() -> None:
    """The checks above do not pass because they look at nothing."""
    assert all(
        sources(folder) for folder in ("barq", "scheduler", "scheduler/core", "workers", "api", "tests")
    )


def test_faults_are_found(tmp_path: Path) -> None:
    """A long file, a long function and an impure import are each named with their place."""
    bad = tmp_path / "bad.py"
    lines = ["def f():", "    from os import path", *["    pass"] * FUNCTION_LINES, *["#"] * FILE_LINES]
    bad.write_text("\n".join(lines), encoding="utf-8")

    assert long_files([bad]) == [f"{bad}: {FUNCTION_LINES + FILE_LINES + 2} lines"]
    assert long_functions([bad]) == [f"{bad}:1 f: {FUNCTION_LINES + 2} lines"]
    assert impure_imports([bad]) == [f"{bad}:2 imports os"]
