"""The agent tells what is wrong in words, whatever a guard answers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from workers import agent
from workers.agent import SOCKET_NAME, Agent


async def test_an_answer_that_is_too_long_is_an_error_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never an exception, which the other side would need our classes to understand."""
    monkeypatch.setattr(agent, "LINE_LIMIT_BYTES", 1000)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'"' + b"x" * 5000 + b'"\n')
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(answer, tmp_path / SOCKET_NAME):
        said = json.loads(await Agent(str(tmp_path)).report(-1, 60.0))

    assert "too long" in said["error"]
