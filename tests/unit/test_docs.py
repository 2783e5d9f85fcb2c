"""What the pages of the project point at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
FOLDERS = ("tests", "scheduler", "workers", "api", "barq", "configs", "docs", "benchmarks")
PLACEHOLDER = "NAME"  #: stands for whatever the reader writes

_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_TICKED = re.compile(r"`([^`\n]+)`")
_LINKED = re.compile(r"\]\(([^)\s]+)\)")


def named_paths(page: Path) -> list[Path]:
    """The files and folders that a page names in backticks, from the root, or links to, from where it lies."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    words = [word for ticked in _TICKED.findall(text) for word in ticked.split()]
    ticked_paths = [ROOT / w for w in words if w.startswith(tuple(f"{f}/" for f in FOLDERS))]
    links = [link.partition("#")[0] for link in _LINKED.findall(text) if "://" not in link]
    linked = [page.parent / link for link in links if link]
    return [p for p in ticked_paths + linked if PLACEHOLDER not in p.name]


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_every_path_that_is_named_exists(page: Path) -> None:
    """A page that names a file which was renamed or never written sends its reader nowhere."""
    paths = named_paths(page)

    assert paths, "this page names no file at all: is the pattern still right?"
    assert [str(p.relative_to(ROOT)) for p in paths if not p.exists()] == []


def test_every_hazard_names_its_test() -> None:
    """A row of the safety case without a test is a wish; what is not covered stands below the table."""
    page = (ROOT / "docs" / "safety-case.md").read_text(encoding="utf-8")
    table = re.findall(r"^\|(.+)\|(.+)\|(.+)\|$", page, re.MULTILINE)
    rows = {hazard.strip(): tests for hazard, _, tests in table[2:]}

    assert len(rows) > 10
    assert [hazard for hazard, tests in rows.items() if not re.search(r"`tests/\S+\.py`", tests)] == []
