"""`barq` as its own process against a site behind a real socket."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.busy_site import busy_site
from tests.stub_site import StubSite
from tests.waiting import wait_for


@pytest.fixture
def site() -> StubSite:
    """A site with something of everything."""
    return busy_site()


@pytest.fixture
def url(site: StubSite) -> Iterator[str]:
    """Where the site is served."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            response = site.handle(httpx.Request(self.command, f"http://site.test{self.path}", content=body))
            self.send_response(response.status_code)
            self.send_header("content-type", response.headers["content-type"])
            self.end_headers()
            self.wfile.write(response.content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def barq(*words: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Start `barq` with these words, and leave none behind; nothing of this machine's site is seen."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("BARQ_")}
    with subprocess.Popen(
        [sys.executable, "-m", "barq", *words],
        env={**mine, "HTTP_PROXY": "http://127.0.0.1:9", **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_job_goes_from_the_shell_to_the_site(site: StubSite, url: str, tmp_path: Path) -> None:
    """Found by the state directory alone, past a proxy that does not exist, with one JSON value as the answer."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "site.json").write_text(json.dumps({"api_url": url}))
    (tmp_path / "token").write_text("secret\n")

    with barq("submit", "--json", "--", "python", "train.py", BARQ_STATE=str(tmp_path)) as process:
        stdout, stderr = process.communicate(timeout=60)

    assert (process.returncode, stderr) == (0, "")
    assert [job["id"] for job in json.loads(stdout)] == ["demo-4"]
    assert site.asked()[0][1]["entrypoint"] == ["python", "train.py"]


def test_logs_come_through(url: str) -> None:
    """A streamed text arrives as it is; what became of the job is no part of it."""
    with barq("logs", "-f", "demo-1", BARQ_URL=url) as process:
        stdout, stderr = process.communicate(timeout=60)
    assert (stdout, stderr[:7]) == ("step 1\nstep 2 ✓\n", "demo-1 ")


def test_interrupted_waiting_ends_with_130(site: StubSite, url: str) -> None:
    """Ctrl-C ends the waiting with no traceback, and asks nothing of the job."""
    with barq("wait", "demo-2", BARQ_URL=url) as process:
        wait_for(lambda: len(site.requests) > 2, timeout_s=60, what="the second look at the job")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert site.asked() == []


def test_no_server_ends_with_5(tmp_path: Path) -> None:
    """Nothing listens there: after a few tries, one line."""
    with barq("power", BARQ_URL="http://127.0.0.1:9", BARQ_TOKEN="x") as process:  # noqa: S106
        stdout, stderr = process.communicate(timeout=60)

    assert (process.returncode, stdout) == (5, "")
    assert stderr.startswith("barq: no site answers at http://127.0.0.1:9")
