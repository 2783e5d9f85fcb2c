"""The API on TCP 4028 that most firmwares share: one JSON request, one JSON answer, one connection for each.

The answer ends with a NUL, or where the connection ends. Old firmwares send JSON that is not quite JSON: what can be
read all the same is read, and the rest is NotUnderstood.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from workers.miners.port import MinerError, NotUnderstood, Unreachable, Wrong

PORT: Final = 4028
#: A peer that is silent for so long may be no miner, s.
PROBING_S: Final = 0.3
_MAX_BYTES: Final = 1 << 20
_SHOWN: Final = 80
#: What other services begin with when they are spoken to in JSON.
_OTHERS: Final = {
    b"HTTP/": "a web server",
    b"SSH-": "an SSH server",
    b"<": "a web server",
    b"\x15\x03": "TLS",
}
_REPAIRS: Final = (
    (re.compile(r"^\s*,"), ""),
    (re.compile(r",\s*([}\]])"), r"\1"),
    (re.compile(r"([\[{])\s*,"), r"\1"),
    (re.compile(r"}\s*{"), "},{"),
)


@asynccontextmanager
async def within(deadline_s: float, address: str) -> AsyncIterator[None]:
    """Everything inside ends by then. Whatever goes wrong on the line is Unreachable; a MinerError stays itself."""
    try:
        async with asyncio.timeout(deadline_s):
            yield
    except MinerError:
        raise
    except TimeoutError as error:
        raise Unreachable(
            f"{address}: no answer within {deadline_s:g} s; is it on, and on this LAN?"
        ) from error
    except OSError as error:
        raise Unreachable(f"{address}: {error.strerror or error}; is it on, and its API enabled?") from error


async def ask(
    host: str, port: int, request: Mapping[str, object], *, probing_s: float | None = None
) -> dict[str, Any]:
    """The answer to one request. Raises MinerError and OSError; the caller sets the deadline with `within`.

    With `probing_s`, a peer that is silent for so long gets an empty line: a web server, which waits for the end of
    what it takes for a request, then says what it is. A miner has read its request by then.
    """
    address = f"{host}:{port}"
    reader, writer = await asyncio.open_connection(host, port, limit=_MAX_BYTES)
    try:
        writer.write(json.dumps(request).encode())
        await writer.drain()
        return parse(await _answer(reader, writer, address, probing_s), address)
    finally:
        writer.close()


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, probing_s: float | None
) -> bytes:
    reading = asyncio.ensure_future(_until_end(reader, address))
    try:
        if probing_s is not None:
            done, _ = await asyncio.wait([reading], timeout=probing_s)
            if not done:
                writer.write(b"\r\n\r\n")
        return await reading
    finally:
        reading.cancel()


async def _until_end(reader: asyncio.StreamReader, address: str) -> bytes:
    """What comes up to a NUL or the end of the connection, whichever is first: some keep it open."""
    try:
        return (await reader.readuntil(b"\0"))[:-1]
    except asyncio.IncompleteReadError as ended:
        return ended.partial
    except asyncio.LimitOverrunError as error:
        raise Wrong(f"{address}: answers with more than {_MAX_BYTES} bytes; no miner does") from error


def parse(data: bytes, address: str) -> dict[str, Any]:
    """The JSON object in an answer, mended where old firmwares break it. Raises MinerError."""
    text = data.decode("utf-8", "replace").strip()
    if not text:
        raise Unreachable(f"{address}: closed the connection without an answer; ask again")
    for mark, what in _OTHERS.items():
        if data.startswith(mark):
            raise Wrong(f"{address}: is {what}, no miner's API; look at the address and the port")
    if "connect failed" in text:
        raise Unreachable(
            f"{address}: its mining program does not answer ({text[:_SHOWN]}); it may be restarting"
        )
    answer = _loaded(text)
    if not isinstance(answer, dict):
        raise NotUnderstood(f"{address}: answers with what is no JSON object: {text[:_SHOWN]!r}")
    return answer


def _loaded(text: str) -> object:
    for attempt in (text, _mended(text)):
        try:
            return json.loads(attempt, strict=False)
        except ValueError:
            continue
    return None


def _mended(text: str) -> str:
    for pattern, instead in _REPAIRS:
        text = pattern.sub(instead, text)
    return text


def status(answer: Mapping[str, Any]) -> tuple[str, int, str]:
    """Letter (S, I, W, E, F), code and message of an answer; ("", 0, "") where it has none."""
    said = answer.get("STATUS")
    first = said[0] if isinstance(said, list) and said else answer if isinstance(said, str) else said
    if not isinstance(first, Mapping):
        return "", 0, ""
    code = first.get("Code")
    return str(first.get("STATUS", "")), code if isinstance(code, int) else 0, str(first.get("Msg", ""))


def rows(answer: Mapping[str, Any], name: str, address: str) -> list[Mapping[str, Any]]:
    """The list of objects under `name`. Raises NotUnderstood if there is none."""
    found = answer.get(name)
    if not isinstance(found, list) or not all(isinstance(row, Mapping) for row in found):
        raise NotUnderstood(f"{address}: its answer has no list {name!r}: {str(answer)[:_SHOWN]}")
    return found


def number(row: Mapping[str, Any], name: str) -> float | None:
    """A number that is one, or text that reads as one; None = not told."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        told = float(value)
    except ValueError:
        return None
    return told if abs(told) != float("inf") and told == told else None  # noqa: PLR0124 (NaN differs from itself)
