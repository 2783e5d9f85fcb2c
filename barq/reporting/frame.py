"""The frame of a report's page, which needs nothing else: no script, no font, no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1d21; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: .5rem 0 2rem; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #d8dce1; vertical-align: top }
th { font-weight: 600; color: #4a5158 }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em }
svg { width: 100%; height: auto }
@media print { body { margin: 0; max-width: none } }
"""
_FRAME: Final = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>{style}</style></head>
<body>
{body}
</body>
</html>
"""


def framed(title: str, blocks: Iterable[str]) -> str:
    """The whole page; the blocks are HTML."""
    return _FRAME.format(title=escape(title), style=_STYLE, body="\n".join(blocks))


def facts_of(facts: Sequence[tuple[str, str]]) -> str:
    """Names and values, a line each."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts)
    return f"<table>{rows}</table>"


def table_of(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of text under headers."""
    head = "".join(f"<th>{escape(name)}</th>" for name in headers)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"<table><tr>{head}</tr>\n{body}</table>"
