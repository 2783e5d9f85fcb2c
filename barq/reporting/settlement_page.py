"""A statement as one HTML page that needs nothing else."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from barq.reporting import settlement_words as words
from barq.reporting.frame import facts_of, framed, table_of
from barq.reporting.settlement import written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from barq.reporting.settlement_views import StatementView
    from barq.reporting.words import Rows

_NOTE: Final = (
    "charge = drawn x price, credit = curtailed by causes that are not excused x credit rate, each in watt-seconds x "
    "micro-units per MWh / 3,600,000,000, to the nearest micro-unit, half of one away from zero. A price stands in "
    "micro-units; its inputs are above. Money is in the site's currency. An interval is never edited: adjustments are "
    "added. docs/settlement.md has the formulas; the CSV has every interval with its readings and inputs."
)


def page_of(statement: StatementView, *, complaints: list[str]) -> str:
    """The whole page, with what does not add up, if anything does not."""
    title = f"Settlement {statement['month']}: {statement['partner']} at {statement['site']}"
    blocks = [
        f"<h1>{escape(title)}</h1>",
        f"<p>Month and days in UTC. Made {escape(statement['made_at'][:19])} UTC.</p>",
        facts_of(words.summary_facts(statement)),
        table_of(*words.sum_rows(statement)),
        *_section("Curtailed, by cause", words.cause_rows(statement)),
        *_section("Notice of curtailments", words.notice_rows(statement)),
        *_section("By day", words.day_rows(statement)),
        *_section("What prices were made of", words.input_rows(statement)),
        *_section("Without a price", words.unpriced_rows(statement)),
        *_section("Adjustments", words.adjustment_rows(statement)),
        "<h2>Does it add up</h2>",
        *_proof(statement, complaints),
        f"<p>{escape(_NOTE)}</p>",
    ]
    return framed(title, blocks)


def _section(title: str, rows: Rows) -> Iterator[str]:
    headers, lines = rows
    yield f"<h2>{escape(title)}</h2>"
    yield table_of(headers, lines) if lines else "<p>None.</p>"


def _proof(statement: StatementView, complaints: list[str]) -> Iterator[str]:
    if complaints:
        yield "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in complaints) + "</ul>"
        return
    links = statement["links"]
    last = f" The newest row has the hash <code>{escape(links[-1]['hash'])}</code>." if links else ""
    count = len(written(statement).intervals)
    yield f"<p>Amounts, totals, readings and hashes of {count} intervals do.{last}</p>"
