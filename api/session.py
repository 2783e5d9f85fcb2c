"""The token of a person at a browser: in a cookie that no script reads and no other site can use."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

LOGIN: Final = "/login"
LONGEST_S: Final = 30 * 86_400
"""After this the browser forgets the token; the site may refuse it sooner."""
_STATIC: Final = "/static/"
_JOB_PAGES: Final = "/jobs/"
_SAFE: Final = frozenset({"GET", "HEAD"})


def cookie_name(site: str) -> str:
    """Of a site's cookie: browsers share cookies between the ports of a host, where another site may live."""
    return f"barq_{site}"


def is_open(scope: Scope) -> bool:
    """Whether the path is shown to everybody: the page to log in, and how pages look."""
    path: str = scope["path"]
    return path == LOGIN or path.startswith(_STATIC)


def session_token(scope: Scope, cookie: str) -> str | None:
    """The token of the browser that asks; None if it has none, or if another site made it ask for a change."""
    headers = Headers(scope=scope)
    if "authorization" in headers:
        return None  # a request speaks for one person
    if scope["method"] not in _SAFE and not is_same_origin(headers):
        return None
    return cookie_parser(headers.get("cookie", "")).get(cookie) or None


def is_same_origin(headers: Headers) -> bool:
    """Whether a page of this very site sent the request, by the word of the browser."""
    fetched_from = headers.get("sec-fetch-site")
    if fetched_from is not None:
        return fetched_from == "same-origin"
    return urlsplit(headers.get("origin", "")).netloc == headers.get("host", "nowhere")


def keep(response: Response, scope: Scope, cookie: str, token: str) -> None:
    """Have the browser keep the token."""
    response.set_cookie(
        cookie,
        token,
        max_age=LONGEST_S,
        httponly=True,
        samesite="strict",
        secure=scope["scheme"] == "https",
    )


def to_login(scope: Scope) -> Response | None:
    """The way to the page to log in, for a person who wants to see a page; None for a program."""
    path: str = scope["path"]
    is_page = path == "/" or path.startswith(_JOB_PAGES)
    if scope["method"] not in _SAFE or not is_page:
        return None
    return RedirectResponse(f"{LOGIN}?next={quote(path)}", status_code=303)


def local_path(text: str) -> str:
    """`text` if it leads to a page of this site, else the first page."""
    return text if text == "/" or text.startswith(_JOB_PAGES) else "/"
