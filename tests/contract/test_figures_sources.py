"""What may be relied on, whoever tells figures of the chain. Enter a new source in `OPENED`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from scheduler.connections.messages import Refused
from scheduler.core.chain_news import absurd
from scheduler.core.hashprice import ChainFigures
from scheduler.errors import SignalError
from scheduler.figures import open_sources
from scheduler.ports import FiguresSource
from scheduler.revenue_settings import MiningRevenue
from tests.builders import T0
from tests.chain import figures
from tests.json_served import served

TOLD: dict[str, Any] = {
    "btc": 91000.25,
    "difficulty": 152e12,
    "height": 925_000,
    "fees_btc": 0.03,
    "as_of_at": "2026-01-10T11:55:00Z",
}


@dataclass(slots=True)
class Told:
    """A source, and how its giver says something else."""

    source: FiguresSource
    write: Callable[[bytes], object] | None  #: None = it never says anything else
    says: Callable[[dict[str, Any]], bytes]  #: how it spells figures


def as_json(told: dict[str, Any]) -> bytes:
    """As a document."""
    return json.dumps(told).encode()


def as_csv(told: dict[str, Any]) -> bytes:
    """As the last of two rows."""
    first = TOLD | {"as_of_at": "2026-01-10T10:00:00Z"}
    rows = ["as_of_at,btc,difficulty,height,fees_btc"]
    rows += [
        f"{r['as_of_at']},{r['btc']},{r['difficulty']},{r['height']},{r['fees_btc']}" for r in (first, told)
    ]
    return ("\n".join(rows) + "\n").encode()


def _source(folder: Path, **said: Any) -> FiguresSource:
    [(source, poll_s)] = open_sources(MiningRevenue.model_validate(said), base=folder)
    assert poll_s > 0
    return source


def site_file(folder: Path, _: ExitStack) -> Told:
    """Figures that never change."""
    return Told(source=_source(folder, figures=TOLD | {"source": "report"}), write=None, says=as_json)


def json_file(folder: Path, _: ExitStack) -> Told:
    """A JSON file."""
    (folder / "chain.json").write_bytes(as_json(TOLD))
    said = {"type": "file", "name": "desk", "path": "chain.json"}
    return Told(
        source=_source(folder, sources=[said]), write=(folder / "chain.json").write_bytes, says=as_json
    )


def csv_file(folder: Path, _: ExitStack) -> Told:
    """A table."""
    (folder / "chain.csv").write_bytes(as_csv(TOLD))
    said = {"type": "file", "name": "desk", "path": "chain.csv"}
    return Told(source=_source(folder, sources=[said]), write=(folder / "chain.csv").write_bytes, says=as_csv)


def url(folder: Path, stack: ExitStack) -> Told:
    """A document behind a URL."""
    page = stack.enter_context(served())
    page.body = as_json(TOLD)

    def write(body: bytes) -> None:
        page.body = body

    said = {"type": "url", "name": "node", "url": page.url}
    return Told(source=_source(folder, sources=[said]), write=write, says=as_json)


OPENED = {"site file": site_file, "JSON file": json_file, "CSV file": csv_file, "URL": url}
CHANGING = [name for name in OPENED if name != "site file"]


@pytest.fixture
async def told(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Told]:
    """A source that tells `TOLD`."""
    with ExitStack() as stack:
        made = OPENED[request.param](tmp_path, stack)
        yield made
        await made.source.close()


@pytest.mark.parametrize("told", OPENED, indirect=True)
async def test_it_tells_figures_with_provenance_and_date(told: Told) -> None:
    """Money to the micro-unit; the date is the giver's, and reading again tells the same."""
    found = await told.source.read(T0)

    assert found == ChainFigures(
        btc_micro=91_000_250_000,
        difficulty=152_000_000_000_000,
        height=925_000,
        fees_sat=3_000_000,
        source=found.source,
        as_of_at=datetime.fromisoformat(TOLD["as_of_at"]),
    )
    assert found.source
    assert absurd(found, T0) is None
    assert await told.source.read(T0) == found


@pytest.mark.parametrize("told", CHANGING, indirect=True)
@pytest.mark.parametrize(
    "changes",
    [
        {"btc": float("nan")},
        {"btc": float("inf")},
        {"btc": -91000},
        {"btc": 0},
        {"btc": "dear"},
        {"difficulty": 0},
        {"height": 925_000.5},
        {"fees_btc": -0.03},
        {"as_of_at": "yesterday"},
        {"as_of_at": "2026-01-10T11:56:00"},
        {"btc": "1e400"},
    ],
    ids=str,
)
async def test_what_cannot_be_is_refused_in_words_and_mended_by_the_next(
    told: Told, changes: dict[str, Any]
) -> None:
    """Which place and field, and what to do."""
    assert told.write is not None
    told.write(told.says(TOLD | changes))
    with pytest.raises(Refused, match=r"; |it was|give "):
        await told.source.read(T0)

    told.write(told.says(TOLD | {"height": 925_001, "as_of_at": "2026-01-10T11:59:00Z"}))
    assert (await told.source.read(T0)).height == 925_001


@pytest.mark.parametrize("told", CHANGING, indirect=True)
async def test_half_of_it_and_garbage_are_refused(told: Told) -> None:
    """As while it is being written."""
    assert told.write is not None
    whole = told.says(TOLD)
    for part in (whole[: len(whole) * 2 // 3], whole[:-3], b"", b"\x00\xff\x13", b"[]", b"{" * 5000):
        told.write(part)
        with pytest.raises(Refused):
            await told.source.read(T0)


@pytest.mark.parametrize("told", CHANGING, indirect=True)
async def test_a_figure_that_is_missing_is_named(told: Told) -> None:
    """With where it was looked for."""
    assert told.write is not None
    told.write(told.says(TOLD).replace(b"height", b"heigth"))

    with pytest.raises(Refused, match="'height'"):
        await told.source.read(T0)


async def test_a_file_that_is_not_there_cannot_be_had(tmp_path: Path) -> None:
    """Which is not the same as one that tells nonsense; nor is a pipe waited for."""
    source = _source(tmp_path, sources=[{"type": "file", "name": "desk", "path": "chain.json"}])
    with pytest.raises(SignalError, match="put the figures there"):
        await source.read(T0)
    (tmp_path / "chain.json").mkdir()
    with pytest.raises(SignalError, match="no plain file"):
        await source.read(T0)


async def test_times_of_a_table_rise(tmp_path: Path) -> None:
    """Or nobody knows which row is the newest."""
    rows = as_csv(TOLD).decode().splitlines()
    (tmp_path / "chain.csv").write_text("\n".join([rows[0], rows[2], rows[1]]) + "\n", encoding="utf-8")
    source = _source(tmp_path, sources=[{"type": "file", "name": "desk", "path": "chain.csv"}])

    with pytest.raises(Refused, match="line 3"):
        await source.read(T0)


async def test_a_document_is_read_as_the_site_file_maps_it(tmp_path: Path) -> None:
    """Pointers, satoshi, texts for numbers, no date: then they are of when they are read."""
    document = {
        "market": {"usd": "91000"},
        "chain": {"diff": 152e12, "tip": 925_000, "fees": 3_000_000},
        "by": "x",
    }
    said = {"type": "url", "name": "node", "btc_field": "/market/usd", "difficulty_field": "/chain/diff",
            "height_field": "/chain/tip", "fees_field": "/chain/fees", "fees_unit": "sat",
            "timestamp_field": None, "source_field": "by"}  # fmt: skip
    with served() as page:
        page.say(document)
        source = _source(tmp_path, stale_after_s=3600, sources=[said | {"url": page.url}])
        found = await source.read(T0)
        await source.close()

    assert found == figures(source="127.0.0.1: x", stale_after_s=3600.0)


async def test_figures_of_several_documents_are_as_old_as_the_oldest(tmp_path: Path) -> None:
    """A price from a market, the rest from a node; each names its own fields, and what lacks is named."""
    with served() as node, served() as market:
        node.say(TOLD | {"btc": 1, "as_of_at": "2026-01-10T11:59:00Z"})
        market.say({"bitcoin": {"usd": 91000, "at": "2026-01-10T11:30:00Z"}})
        also = {"url": market.url, "btc_field": "/bitcoin/usd", "timestamp_field": "/bitcoin/at"}
        source = _source(tmp_path, sources=[{"type": "url", "name": "both", "url": node.url, "also": [also]}])
        found = await source.read(T0)
        market.say({"bitcoin": {"eur": 80000, "at": "2026-01-10T11:30:00Z"}})
        with pytest.raises(Refused, match="/bitcoin/usd"):
            await source.read(T0)
        market.status = 500
        with pytest.raises(SignalError, match="answered 500"):
            await source.read(T0)
        await source.close()

    assert found == figures(source="127.0.0.1", as_of_at=datetime.fromisoformat("2026-01-10T11:30:00Z"))


async def test_a_secret_is_sent_and_in_no_error(tmp_path: Path) -> None:
    """It comes from a file, at each asking anew."""
    (tmp_path / "token").write_text("s3cret\n", encoding="utf-8")
    with served() as page:
        page.status = 403
        said = {"type": "url", "name": "node", "url": f"{page.url}?key=s3cret", "token_file": "token"}
        source = _source(tmp_path, sources=[said])
        with pytest.raises(SignalError) as refused:
            await source.read(T0)
        await source.close()

        assert page.asked[0]["authorization"] == "Bearer s3cret"
    assert "s3cret" not in str(refused.value)


async def test_a_server_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    """Longer than its deadline."""
    with served() as page:
        page.hangs = True
        source = _source(
            tmp_path, sources=[{"type": "url", "name": "node", "url": page.url, "timeout_s": 0.2}]
        )
        with pytest.raises(SignalError, match=r"within 0\.2 s"):
            await source.read(T0)
        await source.close()
