"""What the API takes: `python -m benchmarks.api --json`.

The real server process (`python -m api`) over SQLite in WAL mode with synchronous=FULL, asked by 16 clients at once,
each on a connection of its own, one request after the other:

    submit   POST /jobs, one job each: one durable transaction per request
    list     GET /jobs, the newest 100
    show     GET /jobs/ID

Requests answered a second, and the 50th and 99th percentile of the seconds that one took, as the client saw it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from barq.site.files import SiteFiles, read_json
from benchmarks.site import Size, site_file

CLIENTS = 16
PAGE = 100
START_S = 60.0
JOB = {"name": "bench", "entrypoint": ["python", "train.py"], "resources": {"gpus": 1}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """An API that serves."""

    port: int
    token: str

    @contextmanager
    def connect(self) -> Iterator[Caller]:
        """A connection of one's own."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            yield Caller(connection, self.token)


class Caller:
    """One client."""

    def __init__(self, connection: http.client.HTTPConnection, token: str) -> None:
        self._connection = connection
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: object = None) -> bytes:
        """The answer. Raises OSError for one that is no success."""
        data = None if body is None else json.dumps(body)
        self._connection.request(method, f"/api/v1{path}", body=data, headers=self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise OSError(f"{method} {path} was answered by {answer.status}: {content[:200]!r}")
        return content


@contextmanager
def serving() -> Iterator[Server]:
    """A real server process over a new store; ended at the end."""
    state = Path(tempfile.mkdtemp(prefix="barq-bench-"))
    files = SiteFiles(state)
    files.create()
    files.site_file.write_text(yaml.safe_dump(site_file(Size(nodes=8, gpus=8))), encoding="utf-8")
    with files.log("api").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "api", "--state", str(state)], stdout=log, stderr=log
        )
    try:
        yield Server(port=_port(files, server), token=files.token.read_text(encoding="utf-8").strip())
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(state)


def _port(files: SiteFiles, server: subprocess.Popen[bytes]) -> int:
    deadline_s = time.monotonic() + START_S
    while (port := read_json(files.api_address).get("port")) is None:
        if server.poll() is not None or time.monotonic() > deadline_s:
            raise OSError(f"the API did not start: {files.log('api').read_text(encoding='utf-8')}")
        time.sleep(0.05)
    return int(port)


def load(server: Server, step: Callable[[Caller, int], object], *, requests: int) -> dict[str, float]:
    """`CLIENTS` clients do `step` so often in all."""
    took_s: list[float] = []

    def client(number: int) -> None:
        with server.connect() as caller:
            for turn in range(number, requests, CLIENTS):
                began_s = time.perf_counter()
                step(caller, turn)
                took_s.append(time.perf_counter() - began_s)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(CLIENTS)]
    began_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent_s = time.perf_counter() - began_s
    if len(took_s) < requests:
        raise OSError(f"{requests - len(took_s)} of {requests} requests failed")
    took_s.sort()
    return {
        "requests_per_s": requests / spent_s,
        "p50_s": took_s[len(took_s) // 2],
        "p99_s": took_s[int(len(took_s) * 0.99)],
    }


def measure(*, requests: int) -> dict[str, dict[str, float]]:
    """All figures."""
    with serving() as server, server.connect() as caller:
        ids = [json.loads(caller.ask("POST", "/jobs", JOB))["id"] for _ in range(CLIENTS)]
        return {
            "submit": load(server, lambda c, _: c.ask("POST", "/jobs", JOB), requests=requests),
            "list": load(server, lambda c, _: c.ask("GET", f"/jobs?limit={PAGE}"), requests=requests),
            "show": load(server, lambda c, n: c.ask("GET", f"/jobs/{ids[n % len(ids)]}"), requests=requests),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.api", description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_000, help="of each kind")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args(arguments)
    print(f"load before: {os.getloadavg()[0]:.2f}", file=sys.stderr)
    figures = measure(requests=options.requests)
    rounded = {kind: {key: round(v, 4) for key, v in f.items()} for kind, f in figures.items()}
    print(json.dumps(rounded) if options.json else "\n".join(f"{k:<8}{f}" for k, f in rounded.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
