"""HTTP by hand, for what no client would send."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

HOST = b"Host: x\r\n"
JSON = b"Content-Type: application/json\r\n"
MEBI = 1 << 20


class RawClient:
    """Sends bytes to a server and reads what comes."""

    def __init__(self, host: str, port: int, token: str = "") -> None:
        self._address = (host, port)
        self.auth = b"Authorization: Bearer " + token.encode() + b"\r\n"

    def connect(self) -> socket.socket:
        """A connection; the caller closes it."""
        return socket.create_connection(self._address, timeout=60)

    def ask(self, request: bytes, pieces: Iterable[bytes] = ()) -> tuple[int, dict[str, Any]]:
        """Status and problem that come back for these bytes; an answer before their end counts too."""
        with closing(self.connect()) as stream:
            stream.sendall(request)
            for piece in pieces:
                try:
                    stream.sendall(piece)
                except OSError:  # the server has answered and gone
                    break
            return read_answer(stream)

    def post(self, path: str, *lines: bytes, body: bytes = b"", pieces: Iterable[bytes] = ()) -> Any:
        """A POST with these header lines, and a body of any kind."""
        head = b"POST " + path.encode() + b" HTTP/1.1\r\n" + HOST + self.auth + b"".join(lines)
        return self.ask(head + b"\r\n" + body, pieces)


def read_answer(stream: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and JSON of the next answer on a connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(stream)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert b"content-type: application/problem+json" in lines, head
    [length] = [int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")]
    while len(body) < length:
        body += _more(stream)
    return int(lines[0].split()[1]), json.loads(body[:length])


def is_closed(stream: socket.socket) -> bool:
    """Whether the server ends the connection, without a further word."""
    try:
        return stream.recv(1) == b""
    except ConnectionResetError:
        return True


def gigabyte(*, chunked: bool) -> Iterator[bytes]:
    """2^30 bytes of body."""
    piece = b" " * MEBI
    framed = b"%x\r\n%b\r\n" % (MEBI, piece) if chunked else piece
    return (framed for _ in range(1024))


def _more(stream: socket.socket) -> bytes:
    data = stream.recv(65536)
    assert data, "the server closed the connection before it answered"
    return data
