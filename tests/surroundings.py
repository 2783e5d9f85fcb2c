"""A guarded node with a state directory of its own, jobs that bring things along, and a site to fetch them from."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from barq.blobs import Blobs
from barq.package import Package
from barq.packing import pack
from scheduler.core.orders import AttemptOrder
from tests.guarding import GuardedNode

PATIENCE_S = 60.0
LIMIT_BYTES = 10_000_000
TOKEN = "token-of-the-site"  # noqa: S105 - of a test


def write(root: Path, files: dict[str, str]) -> Path:
    """A folder with these files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def keep(folder: Path, blobs: Blobs) -> Package:
    """Pack a folder and keep it, as the API does."""
    packed = pack(folder, limit_bytes=LIMIT_BYTES)
    for name, source in packed.sources.items():
        with blobs.receive(name, limit_bytes=LIMIT_BYTES) as incoming:
            incoming.write(source.read_bytes())
            incoming.finish()
    blobs.put_package(packed.package.id, packed.package.to_bytes(), limit_bytes=LIMIT_BYTES)
    return packed.package


def make_wheel(folder: Path, name: str, code: str) -> None:
    """The smallest wheel that pip installs: one module."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", code)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


class PreparingNode(GuardedNode):
    """A guarded node whose state directory lies where a site has it: two above the group's."""

    def __init__(self, root: Path, **config: Any) -> None:
        (root / "groups").mkdir(parents=True)
        super().__init__(root / "groups", **config)
        self.state = root
        self.blobs = Blobs(root / "blobs")

    def bringing(self, attempt_id: str, command: tuple[str, ...], **launch: Any) -> AttemptOrder:
        """An attempt whose launch is changed by `launch`; it runs in its output folder unless that says otherwise."""
        order = self.job(attempt_id, command, grace_s=launch.pop("grace_s", PATIENCE_S))
        return replace(
            order, launch=replace(order.launch, **{"working_dir": order.launch.output_dir, **launch})
        )

    def log(self, job_id: str) -> str:
        """What a job has printed so far."""
        path = self.directory.parent / job_id / "job.log"
        return path.read_text() if path.exists() else ""

    def joins(self, url: str, token: str) -> None:
        """Know a site, as a machine that joined it does."""
        (self.state / "run").mkdir(exist_ok=True)
        (self.state / "run" / "site.json").write_text(json.dumps({"api_url": url}))
        (self.state / "token").write_text(f"{token}\n")


@contextmanager
def slow_site(blobs: Blobs) -> Iterator[tuple[str, threading.Event]]:
    """The address of what serves these blobs to whoever has the token, but not before the event is set."""
    gate = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            gate.wait(PATIENCE_S)
            kind, name = self.path.removeprefix("/api/v1/uploads/").split("/")
            path = blobs.package_path(name) if kind == "packages" else blobs.path(name)
            is_known = self.headers["Authorization"] == f"Bearer {TOKEN}" and path.exists()
            body = path.read_bytes() if is_known else json.dumps({"detail": "it is gone"}).encode()
            self.send_response(200 if is_known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", gate
    finally:
        gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
