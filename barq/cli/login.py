"""`barq login`, `barq logout`, `barq profiles`: the sites that a person works with from here."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from barq.cli.facts import NOTHING, moment
from barq.cli.options import JsonOption, QuietOption
from barq.cli.output import Format, Table, chosen_format, emit, say
from barq.errors import BarqError, InvalidInput
from barq.location import find_site
from barq.profiles import ENV_PROFILE, Profile, Profiles, load_profiles, save_profiles

if TYPE_CHECKING:
    from barq.views import MeView

ProfileOption = Annotated[str | None, typer.Option(metavar="NAME", help="What to call it here.")]
TokenFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Read the token from there; - is stdin. Else you are asked."),
]


def login(
    url: Annotated[str, typer.Argument(metavar="URL", help="The address of the site's API.")],
    *,
    profile: ProfileOption = None,
    token_file: TokenFile = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Remember a site and your token for it, once the site says that the token is good.

    From then on commands go there, where no site runs on this machine. An operator of the site makes
    tokens: `barq token create`.
    """
    form = chosen_format(as_json=as_json, quiet=quiet)
    known = load_profiles(os.environ)
    _warn_if_readable(url)
    token = _read_token(token_file)
    me = _ask(url, token)
    name = profile or _free_name(me["site"], url, known)
    made = Profile(url=url, token=token, user=me["user"], role=me["role"], expires_at=me["expires_at"])
    path = save_profiles(os.environ, known.with_one(name, made))
    lines = [
        f"{name}: {me['user']} ({me['role']}) at {url}, token {me['token']}, {_ends(made)}",
        f"kept in {path}",
    ]
    emit(form, value=_shown(name, made, current=name), ids=[name], blocks=lambda: lines)
    _say_if_hidden(name, url)


def logout(
    *,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which one; the current one if not said.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Forget a site and your token for it. The token itself stays good until it ends or is revoked."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    known = load_profiles(os.environ)
    name = profile or os.environ.get(ENV_PROFILE) or known.current
    if name is None:
        remedy = "say which: --profile NAME; `barq profiles` lists them"
        raise InvalidInput("there is no current profile", field="--profile", remedy=remedy)
    gone = known.get(name)
    save_profiles(os.environ, known.without(name))
    emit(
        form,
        value=_shown(name, gone, current=None),
        ids=[name],
        blocks=lambda: [f"{name}: forgotten; an operator can revoke the token too"],
    )


def profiles(
    *,
    use: Annotated[str | None, typer.Option(metavar="NAME", help="Make this the current one.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the sites that you logged in to; the current one is marked."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    known = load_profiles(os.environ)
    if use is not None:
        known = known.using(use)
        save_profiles(os.environ, known)
    value = [_shown(name, one, current=known.current) for name, one in sorted(known.named.items())]
    emit(form, value=value, ids=sorted(known.named), blocks=lambda: [_table(known)])
    if form is Format.TABLE and not known.named:
        say("no profiles; `barq login URL` makes one")


def _ask(url: str, token: str) -> MeView:
    """Return who the site says that the token belongs to."""
    from barq.client import Client

    with Client(url, token) as site:
        return site.me()


def _warn_if_readable(url: str) -> None:
    from barq.transport import is_here, parse_address

    address = parse_address(url)
    if address.scheme == "http" and not is_here(address.host):
        say(f"warning: {url} is not encrypted: who is on the way can read your token; use https")


def _say_if_hidden(name: str, url: str) -> None:
    """Tell a person who has just logged in that commands without `--profile` lead elsewhere."""
    try:
        found = find_site(os.environ).url
    except BarqError:
        found = "the place that BARQ_STATE names"
    if found != url:
        say(f"note: from here commands go to {found}; --profile {name} leads to this site")


def _read_token(file: str | None) -> str:
    """Return the token from the file, from what is piped in, or from a prompt that shows nothing."""
    if file is None and sys.stdin.isatty():
        text = str(typer.prompt("Token", hide_input=True, err=True))
    elif file in (None, "-"):
        text = sys.stdin.readline()
    else:
        text = _text_of(Path(str(file)))
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        remedy = "give the one line that `barq token create` printed"
        raise InvalidInput("that is no token", field="--token-file", remedy=remedy)
    return token


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"the token file {path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}",
            field="--token-file",
            remedy="name a file with a token",
        ) from error


def _free_name(site: str, url: str, known: Profiles) -> str:
    """Return the site's own name, unless that is already another site's. Raises InvalidInput."""
    if site in known.named and known.named[site].url != url:
        message = f"there is a profile {site!r} already, of {known.named[site].url}"
        raise InvalidInput(message, field="--profile", remedy="say what to call this one: --profile NAME")
    return site


def _shown(name: str, profile: Profile, *, current: str | None) -> dict[str, object]:
    """Return a profile as JSON; a token is never printed."""
    return {
        "name": name,
        "url": profile.url,
        "user": profile.user,
        "role": profile.role,
        "expires_at": profile.expires_at,
        "current": name == current,
    }


def _table(known: Profiles) -> Table:
    rows = [
        [
            "*" if name == known.current else "",
            name,
            one.user or NOTHING,
            one.role or NOTHING,
            _ends(one),
            one.url,
        ]
        for name, one in sorted(known.named.items())
    ]
    return Table(headers=("", "PROFILE", "USER", "ROLE", "TOKEN", "SITE"), rows=rows)


def _ends(profile: Profile) -> str:
    return "without end" if profile.expires_at is None else f"ends {moment(profile.expires_at)}"
