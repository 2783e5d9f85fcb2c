"""A site behind HTTPS: the token is shown to nobody whose certificate is not trusted."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from barq import AsyncClient, Client
from barq.errors import Unreachable
from tests.awaited import awaited
from tests.stub_site import StubSite, job

NAME = "localhost"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate that its owner signed, with its key, in one file."""
    file = tmp_path / "site.pem"
    asked = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    asked += ["-days", "1", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    subprocess.run([*asked, "-keyout", file, "-out", tmp_path / "cert.pem"], check=True, capture_output=True)
    file.write_bytes(file.read_bytes() + (tmp_path / "cert.pem").read_bytes())
    return file


@pytest.fixture
def site() -> StubSite:
    """A site with one job."""
    return StubSite(job(1))


@pytest.fixture
def url(site: StubSite, certificate: Path) -> Iterator[str]:
    """Where the site is served with that certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            response = site.handle(
                httpx.Request("GET", f"https://{NAME}{self.path}", headers=[*self.headers.items()])
            )
            self.send_response(response.status_code)
            self.send_header("content-type", response.headers["content-type"])
            self.end_headers()
            self.wfile.write(response.content)

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"https://{NAME}:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_certificate_that_is_not_trusted_is_refused(url: str, site: StubSite) -> None:
    """At once, with what to do about a private one; the site has not seen a token."""
    slept_s: list[float] = []

    with (
        Client(url, "secret", sleep=slept_s.append) as waits,
        awaited(lambda: AsyncClient(url, "secret")) as awaits,
    ):
        for client in (waits, awaits):
            with pytest.raises(Unreachable, match=r"certificate of https://.* SSL_CERT_FILE") as caught:
                client.jobs()
            assert caught.value.code == "not_trusted"

    assert (slept_s, site.requests) == ([], [])


def test_a_private_certificate_is_trusted_where_it_is_named(
    url: str, site: StubSite, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variable that the refusal names."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_name("cert.pem")))

    with Client(url, "secret") as client:
        assert client.job("demo-1")["id"] == "demo-1"

    assert site.requests[0].headers["authorization"] == "Bearer secret"
