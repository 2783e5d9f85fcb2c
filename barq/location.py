"""Where the site is and which token it wants: from the environment, else from the site on this machine.

`BARQ_URL` and `BARQ_TOKEN` win. Without them, the state directory (`BARQ_STATE`, else `~/.barq`) of a
local site tells its address in `run/api.json` or `run/site.json`, and the token lies beside it in `token`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from barq.errors import Unauthorized, Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

ENV_URL: Final = "BARQ_URL"
ENV_TOKEN: Final = "BARQ_TOKEN"  # noqa: S105 - the name of a variable
ENV_STATE: Final = "BARQ_STATE"

_ADDRESS_FILES: Final = ("run/api.json", "run/site.json")
_ADDRESS_KEYS: Final = ("api_url", "url")
_START_REMEDY: Final = "start a site here with `barq up`, or name another by BARQ_URL and BARQ_TOKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """The address of a site's API, and the token to show it (None = none is known)."""

    url: str
    token: str | None


def state_dir(environ: Mapping[str, str]) -> Path:
    """Return the directory in which a local site keeps its state, whether or not it exists."""
    wanted = environ.get(ENV_STATE) or "~/.barq"
    return Path(os.path.expanduser(wanted))  # noqa: PTH111 - leaves an unknown ~user as it is


def find_site(environ: Mapping[str, str]) -> Location:
    """Return where the site is; the token of a local site is never shown to another address.

    Raises Unreachable if nothing tells where it is, Unauthorized if its token cannot be read.
    """
    wanted_url, token = environ.get(ENV_URL) or None, environ.get(ENV_TOKEN) or None
    if wanted_url and token:
        return Location(url=wanted_url, token=token)
    directory = state_dir(environ)
    local_url = _local_url(directory)
    url = wanted_url or local_url
    if url is None:
        message = f"no site runs here: {directory / _ADDRESS_FILES[-1]} does not exist"
        raise Unreachable(message, code="no_site", remedy=_START_REMEDY)
    if token is None and url.rstrip("/") == (local_url or "").rstrip("/"):
        token = _local_token(directory)
    return Location(url=url, token=token)


def _local_url(directory: Path) -> str | None:
    for name in _ADDRESS_FILES:
        record = _read_json(directory / name)
        for key in _ADDRESS_KEYS:
            url = record.get(key)
            if isinstance(url, str) and url:
                return url
    return None


def _read_json(path: Path) -> dict[str, object]:
    try:
        record = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError) as error:
        message = f"{path} does not tell where the site is: {error}"
        raise Unreachable(message, code="no_site", remedy="set BARQ_URL and BARQ_TOKEN") from error
    return record if isinstance(record, dict) else {}


def _local_token(directory: Path) -> str | None:
    path = directory / "token"
    try:
        return path.read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        message = f"the token file {path} cannot be read: {error}"
        raise Unauthorized(
            message, remedy="ask whoever started the site for a token, and set BARQ_TOKEN"
        ) from error
