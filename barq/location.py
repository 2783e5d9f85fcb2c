"""Where the site is and which token it wants, by the first of these that is there.

1. the profile that the command names (`barq --profile NAME ...`), from an earlier `barq login`;
2. `BARQ_URL`, with `BARQ_TOKEN`;
3. the site whose state is in `BARQ_STATE`: its address lies in `run/api.json` or `run/site.json`, its token in `token`;
4. the profile that `BARQ_PROFILE` names;
5. the site on this machine whose state is in `~/.barq`, unless `BARQ_STATE` names another place;
6. the current profile, likewise.

So who names a site gets that site or an error, never another one.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from barq.errors import Unauthorized, Unreachable
from barq.profiles import ENV_PROFILE, Profile, load_profiles

if TYPE_CHECKING:
    from collections.abc import Mapping

ENV_URL: Final = "BARQ_URL"
ENV_TOKEN: Final = "BARQ_TOKEN"  # noqa: S105 - the name of a variable
ENV_STATE: Final = "BARQ_STATE"
SITE_USER: Final = "site"
"""Whom the site's own token names: whoever may read its state directory."""

_ADDRESS_FILES: Final = ("run/api.json", "run/site.json")
_ADDRESS_KEYS: Final = ("api_url", "url")
_START_REMEDY: Final = (
    "start a site here with `barq up`, log in to another with `barq login URL`, "
    "or name one by BARQ_URL and BARQ_TOKEN"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """The address of a site's API, and the token to show it (None = none is known).

    `user` is whom that token names, as far as this is known without asking; empty = it is not.
    """

    url: str
    token: str | None
    user: str = ""


def state_dir(environ: Mapping[str, str]) -> Path:
    """Return the directory in which a local site keeps its state, whether or not it exists."""
    wanted = environ.get(ENV_STATE) or "~/.barq"
    return Path(os.path.expanduser(wanted))  # noqa: PTH111 - leaves an unknown ~user as it is


def find_site(environ: Mapping[str, str], profile: str | None = None) -> Location:
    """Return where the site is; the token of one site is never shown to another address.

    Raises Unreachable if nothing tells where it is, Unauthorized if its token cannot be read, InvalidInput
    for a profile that there is not.
    """
    if profile:
        return _of_profile(load_profiles(environ).get(profile))
    directory = state_dir(environ)
    if environ.get(ENV_URL):
        return _of_url(environ[ENV_URL], environ, directory)
    chosen = environ.get(ENV_PROFILE)
    url_here = None if chosen and not environ.get(ENV_STATE) else local_url(directory)
    if url_here is not None:
        if token := environ.get(ENV_TOKEN):
            return Location(url=url_here, token=token)
        return Location(url=url_here, token=_local_token(directory), user=SITE_USER)
    if chosen:
        return _of_profile(load_profiles(environ).get(chosen))
    profiles = load_profiles(environ)
    if profiles.current is not None and not environ.get(ENV_STATE):
        return _of_profile(profiles.get(profiles.current))
    message = f"no site runs here: {directory / _ADDRESS_FILES[-1]} does not exist"
    raise Unreachable(message, code="no_site", remedy=_START_REMEDY)


def _of_profile(profile: Profile) -> Location:
    return Location(url=profile.url, token=profile.token, user=profile.user)


def _of_url(url: str, environ: Mapping[str, str], directory: Path) -> Location:
    """The site at `url`; without a token in the environment, that of the site here if it is the one."""
    token = environ.get(ENV_TOKEN) or None
    if token is None and url.rstrip("/") == (local_url(directory) or "").rstrip("/"):
        return Location(url=url, token=_local_token(directory), user=SITE_USER)
    return Location(url=url, token=token)


def local_url(directory: Path) -> str | None:
    """Return the address of the site that keeps its state there, None if none is written down. Raises Unreachable."""
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
