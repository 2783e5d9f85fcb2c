"""Getting a package to this node: from the site's blobs where they are on this disk, else from the site's API.

A node that joined has the site's address in `run/site.json` and a token in `token`, under the names of the head.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Self
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import BaseHandler, ProxyHandler, Request, build_opener

from barq.blobs import CHUNK_BYTES, KEEP_S, Blobs, WrongContent
from barq.package import MAX_MANIFEST_BYTES, Package, hash_of

TIMEOUT_S = 60.0  #: without a byte
RETRY_AFTER_S = (0.5, 1.0, 2.0, 4.0, 8.0)
_ADDRESSES = ("run/site.json", "run/api.json")


class CannotFetch(Exception):
    """The package cannot be had; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteApi:
    """Where the site's API is, and the token to show it."""

    url: str
    token: str

    @classmethod
    def of(cls, state_dir: Path) -> Self | None:
        """The API as this node's state directory tells it, None if it does not."""
        for name in _ADDRESSES:
            try:
                url = json.loads((state_dir / name).read_bytes())["api_url"]
                token = (state_dir / "token").read_text(encoding="utf-8").strip()
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if urlsplit(url).scheme in ("http", "https"):
                return cls(url=url, token=token)
        return None

    @contextmanager
    def get(self, path: str) -> Iterator[IO[bytes]]:
        """The answer to a GET, to be read. Raises OSError, URLError, HTTPException."""
        address = f"{self.url.rstrip('/')}/api/v1/uploads/{path}"
        request = Request(address, headers={"Authorization": f"Bearer {self.token}"})  # noqa: S310 - checked in `of`
        direct: list[BaseHandler] = [ProxyHandler({})] if _is_here(self.url) else []
        with build_opener(*direct).open(request, timeout=TIMEOUT_S) as answer:
            yield answer


def ensure_package(name: str, blobs: Blobs, api: SiteApi | None) -> Package:
    """The package, with all its blobs on this node. Raises CannotFetch, WrongContent, OSError."""
    package = blobs.package(name)
    if package is not None and not blobs.missing(package.blobs):
        return package
    if api is None:
        raise CannotFetch(
            f"package {name[:12]} is not on this node, and nothing says where the site's API is"
        )
    data = _patiently(lambda: _read(api, f"packages/{name}"))
    if hash_of(data) != name:
        raise WrongContent(f"the site sent another package than {name[:12]}")
    package = Package.from_bytes(data)
    for blob in blobs.missing(package.blobs):
        _patiently(partial(_receive, api, blobs, blob, package.blobs[blob]))
    blobs.put_package(name, data, limit_bytes=package.size)
    blobs.prune(keep=[name], older_than_s=KEEP_S)  # a node that fetches keeps no more than what is in use
    return package


def _read(api: SiteApi, path: str) -> bytes:
    with api.get(path) as answer:
        return answer.read(MAX_MANIFEST_BYTES + 1)


def _receive(api: SiteApi, blobs: Blobs, name: str, size: int) -> bytes:
    with api.get(f"blobs/{name}") as answer, blobs.receive(name, limit_bytes=size) as incoming:
        while data := answer.read(CHUNK_BYTES):
            incoming.write(data)
        incoming.finish()
    return b""


def _patiently(get: Callable[[], bytes]) -> bytes:
    """Try again what may be a passing trouble; not what the site refuses."""
    for delay_s in (*RETRY_AFTER_S, None):
        try:
            return get()
        except HTTPError as error:
            with error:
                if delay_s is None or error.code < http.client.INTERNAL_SERVER_ERROR:
                    raise CannotFetch(_said(error)) from error
        except (URLError, http.client.HTTPException, TimeoutError, ConnectionError, WrongContent) as error:
            if delay_s is None:
                raise CannotFetch(f"the working directory cannot be fetched: {error}") from error
        time.sleep(delay_s)
    raise AssertionError  # the last turn returned or raised


def _said(error: HTTPError) -> str:
    """The site's own sentence, if it gave one."""
    try:
        problem = json.loads(error.read(CHUNK_BYTES))
        return f"the site refused it: {problem['detail']}; {problem.get('remedy', 'submit the job again')}"
    except (OSError, ValueError, KeyError, TypeError):
        return f"the site answered {error.code} when asked for the working directory; submit the job again"


def _is_here(url: str) -> bool:
    """No proxy reaches a site on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
