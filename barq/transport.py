"""One request and its answer: retries while a site restarts, and its refusals as typed errors.

A refused connection means that nothing was sent, so any request is tried again for about three seconds,
the time in which a site brings its API back. An answer lost half-way is asked for again only by a GET.
"""

from __future__ import annotations

import ipaddress
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx

from barq.errors import BarqError, InvalidInput, NotFound, Refused, ServerError, Unauthorized, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

RETRY_DELAYS_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6)

_NOTHING_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout)
_ANSWER_LOST: Final = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)
_PROBLEM: Final = "application/problem+json"
_SHOWN_CHARACTERS: Final = 80
_REFUSED_CODES: Final = frozenset({"never_fits", "refused_final"})
_ERRORS: Final[Mapping[int, type[BarqError]]] = {
    400: InvalidInput,
    401: Unauthorized,
    403: Refused,
    404: NotFound,
    409: Refused,
    413: InvalidInput,
    422: InvalidInput,
    429: Refused,
}
_REMEDIES: Final[Mapping[type[BarqError], str]] = {
    Unauthorized: "set BARQ_TOKEN to a token of this site",
    ServerError: "try again; if it stays so, look into the site's logs",
}
_NO_SITE_REMEDY: Final = "check BARQ_URL, or start a site here with `barq up`"
_LOST_REMEDY: Final = "look at `barq jobs` or `barq power` for what was done before you try again"


class Transport:
    """Sends requests to one site. Raises InvalidInput (url) if the address is none."""

    def __init__(
        self,
        url: str,
        token: str | None,
        timeout_s: float,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url
        self._sleep = sleep
        address = _parse_address(url)
        self._http = httpx.Client(
            base_url=address,
            headers={"Authorization": f"Bearer {_checked(token)}"} if token else {},
            timeout=timeout_s,
            transport=transport,
            trust_env=not _is_here(address.host),  # a proxy cannot reach a site on this machine
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, body: object = None
    ) -> Any:  # noqa: ANN401
        """Return the JSON of the answer. Raises the error that the site's refusal means, or Unreachable."""
        request = self._build(method, path, params=_present(params), json=body)
        response = self._open(request, stream=False)
        _raise_for_refusal(response)
        return _json(response)

    @contextmanager
    def stream(self, path: str, *, params: Mapping[str, Any] | None = None) -> Iterator[Iterator[str]]:
        """Give the text of a GET as it comes, without a time limit between pieces. Raises as `send`."""
        request = self._build("GET", path, params=_present(params))
        request.extensions["timeout"] = {**request.extensions["timeout"], "read": None}
        response = self._open(request, stream=True)
        try:
            if not response.is_success:
                response.read()
            _raise_for_refusal(response)
            yield response.iter_text()
        except httpx.TransportError as error:
            raise self._unreachable(request, error) from error
        finally:
            response.close()

    def _build(self, method: str, path: str, **content: Any) -> httpx.Request:  # noqa: ANN401 - httpx's own
        try:
            return self._http.build_request(method, path, **content)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            what = ascii(path)[1:-1][:_SHOWN_CHARACTERS]
            raise InvalidInput(
                f"{method} {what} cannot be sent: {error}",
                code="cannot_be_sent",
                remedy="write ids and texts in plain characters, and not at length",
            ) from error

    def _open(self, request: httpx.Request, *, stream: bool) -> httpx.Response:
        retried = _NOTHING_SENT + (_ANSWER_LOST if request.method == "GET" else ())
        for delay_s in (*RETRY_DELAYS_S, None):
            try:
                return self._http.send(request, stream=stream)
            except httpx.TransportError as error:
                if delay_s is None or not isinstance(error, retried):
                    raise self._unreachable(request, error) from error
                self._sleep(delay_s)
        raise AssertionError  # the last turn returned or raised

    def _unreachable(self, request: httpx.Request, error: httpx.TransportError) -> Unreachable:
        if isinstance(error, _NOTHING_SENT):
            return Unreachable(f"no site answers at {self.url}", code="no_answer", remedy=_NO_SITE_REMEDY)
        what = (
            "did not answer in time" if isinstance(error, httpx.TimeoutException) else "broke off its answer"
        )
        remedy = "try again" if request.method == "GET" else _LOST_REMEDY
        return Unreachable(f"the site at {self.url} {what}", code="answer_lost", remedy=remedy)


def _checked(token: str) -> str:
    """The token if it can be sent at all; it is never shown."""
    if token.isascii() and token.isprintable():
        return token
    message = "the token has a character that no token has"
    raise Unauthorized(message, field="token", remedy="copy it again, as one line, and set BARQ_TOKEN")


def _parse_address(url: str) -> httpx.URL:
    try:
        parts = urlsplit(url)
        is_plain = url.isprintable() and " " not in url
        is_web = parts.scheme in {"http", "https"} and parts.hostname
        if is_plain and is_web and (parts.port is None or parts.port):
            return httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise _no_address(url) from error
    raise _no_address(url)


def _no_address(url: str) -> InvalidInput:
    return InvalidInput(
        f"url: {url!r} is no address", field="url", value=url, remedy="write http://HOST:PORT"
    )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _present(params: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (params or {}).items() if value is not None}


def _json(response: httpx.Response) -> Any:  # noqa: ANN401 - the caller knows the shape
    try:
        return response.json()
    except ValueError as error:
        raise _not_a_site(response) from error


def _raise_for_refusal(response: httpx.Response) -> None:
    if response.is_success:
        return
    if not response.headers.get("content-type", "").startswith(_PROBLEM):
        raise _not_a_site(response)
    problem = _json(response)
    raise _error_of(response.status_code, problem if isinstance(problem, dict) else {})


def _error_of(status: int, problem: Mapping[str, Any]) -> BarqError:
    code = str(problem.get("code") or "") or None
    kind = Refused if code in _REFUSED_CODES else _ERRORS.get(status, ServerError)
    return kind(
        str(problem.get("detail") or problem.get("title") or f"the site answered {status}"),
        code=code,
        field=problem.get("field"),
        value=problem.get("value"),
        remedy=problem.get("remedy") or _REMEDIES.get(kind),
    )


def _not_a_site(response: httpx.Response) -> ServerError:
    message = f"{response.request.url} answered {response.status_code} in no form that a site uses"
    return ServerError(message, code="not_a_site", remedy="check that BARQ_URL is the address of a Barq site")
