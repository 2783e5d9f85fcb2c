"""What an answer of a site means: its JSON, or the typed error that its refusal is. Shared by both transports."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

import httpx

from barq.errors import BarqError, InvalidInput, NotFound, Refused, ServerError, Unauthorized, Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

DROPPED: Final = "Barq-Log-Dropped"  #: header: bytes that went from the start of a log
NOTHING_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout)
ANSWER_LOST: Final = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)
_REPEATABLE: Final = frozenset({"GET", "PUT"})
_PROBLEM: Final = "application/problem+json"
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
    Unauthorized: "log in with `barq login`, or set BARQ_TOKEN to a token of this site",
    ServerError: "try again; if it stays so, look into the site's logs",
}
_NO_SITE_REMEDY: Final = "check BARQ_URL, or start a site here with `barq up`"
_LOST_REMEDY: Final = "look at `barq jobs` or `barq power` for what was done before you try again"
_TRUST_REMEDY: Final = "if it is a private one, have SSL_CERT_FILE name the file with its authority"


def is_asked_again(request: httpx.Request, error: httpx.TransportError) -> bool:
    """Tell whether the request may be sent again: nothing was sent, or the answer to a GET or PUT was lost.

    A certificate that is not trusted stays so.
    """
    retried = NOTHING_SENT + (ANSWER_LOST if request.method in _REPEATABLE else ())
    return isinstance(error, retried) and _distrusted(error) is None


def unreachable(url: str, request: httpx.Request, error: httpx.TransportError) -> Unreachable:
    """Return the error that says what became of a request to the site at `url`."""
    if distrusted := _distrusted(error):
        message = f"the certificate of {url} is not trusted: {distrusted.verify_message}"
        return Unreachable(message, code="not_trusted", remedy=_TRUST_REMEDY)
    if isinstance(error, NOTHING_SENT):
        return Unreachable(f"no site answers at {url}", code="no_answer", remedy=_NO_SITE_REMEDY)
    what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "broke off its answer"
    remedy = "try again" if request.method == "GET" else _LOST_REMEDY
    return Unreachable(f"the site at {url} {what}", code="answer_lost", remedy=remedy)


def json_of(response: httpx.Response) -> Any:  # noqa: ANN401 - the caller knows the shape
    """Return the JSON of an answer. Raises the error that a refusal means."""
    raise_for_refusal(response)
    return _json(response)


def _distrusted(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """Return what TLS has against the site's certificate, if that is why the connection failed."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error


def _json(response: httpx.Response) -> Any:  # noqa: ANN401 - the caller knows the shape
    try:
        return response.json()
    except ValueError as error:
        raise _not_a_site(response) from error


def raise_for_refusal(response: httpx.Response) -> None:
    """Raise the error that the answer means, if it is not a success."""
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
