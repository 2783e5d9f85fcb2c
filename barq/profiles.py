"""Sites that a person has logged in to: addresses and tokens, kept in the home for their owner's eyes only.

They lie in `$XDG_CONFIG_HOME/barq/profiles.json`, else in `~/.config/barq/profiles.json`. One is the current one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from barq.errors import BarqError, InvalidInput
from barq.strict_json import ContractError, is_plain_name, parse_object

ENV_PROFILE: Final = "BARQ_PROFILE"

_MAX_BYTES: Final = 1_000_000
_LIST_REMEDY: Final = "`barq profiles` lists them, `barq login URL` makes one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One site and who one is there. `user` and `role` are as they were at the login, for lists."""

    url: str
    token: str = field(repr=False)
    user: str = ""
    role: str = ""
    expires_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    """All profiles by name, and the name of the current one (None = there is none)."""

    current: str | None = None
    named: Mapping[str, Profile] = field(default_factory=dict)

    def get(self, name: str) -> Profile:
        """Return the profile of that name. Raises InvalidInput if there is none."""
        if name not in self.named:
            raise InvalidInput(
                f"there is no profile {name!r}", field="profile", value=name, remedy=_LIST_REMEDY
            )
        return self.named[name]

    def with_one(self, name: str, profile: Profile) -> Profiles:
        """Return these with `profile` added or replaced, as the current one. Raises InvalidInput (profile)."""
        if not is_plain_name(name):
            remedy = "write a plain name, such as lab"
            raise InvalidInput(f"profile: {name!r} is no name", field="profile", value=name, remedy=remedy)
        return Profiles(current=name, named={**self.named, name: profile})

    def without(self, name: str) -> Profiles:
        """Return these without the one of that name. Raises InvalidInput if there is none."""
        self.get(name)
        rest = {other: profile for other, profile in self.named.items() if other != name}
        return Profiles(current=None if self.current == name else self.current, named=rest)

    def using(self, name: str) -> Profiles:
        """Return these with that one as the current one. Raises InvalidInput if there is none."""
        self.get(name)
        return replace(self, current=name)


def profiles_file(environ: Mapping[str, str]) -> Path | None:
    """Return where the profiles lie, None if `environ` tells of no home."""
    if config := environ.get("XDG_CONFIG_HOME"):
        return Path(config) / "barq" / "profiles.json"
    home = environ.get("HOME")
    return Path(home) / ".config" / "barq" / "profiles.json" if home else None


def load_profiles(environ: Mapping[str, str]) -> Profiles:
    """Return the profiles, none if there is no file yet. Raises BarqError for one that makes no sense."""
    path = profiles_file(environ)
    try:
        data = path.read_bytes() if path else None
    except (FileNotFoundError, NotADirectoryError):
        data = None
    except OSError as error:
        raise _unreadable(path, error) from error
    if data is None:
        return Profiles()
    try:
        return _parsed(parse_object("profiles", data, _MAX_BYTES))
    except (ContractError, TypeError, AttributeError, KeyError) as error:
        raise _unreadable(path, error) from error


def save_profiles(environ: Mapping[str, str], profiles: Profiles) -> Path:
    """Write the profiles, whole or not at all, readable by their owner only; return where. Raises BarqError."""
    path = profiles_file(environ)
    if path is None:
        raise BarqError("there is no place for profiles", remedy="set HOME or XDG_CONFIG_HOME")
    named = {name: asdict(profile) for name, profile in profiles.named.items()}
    text = json.dumps({"current": profiles.current, "profiles": named}, indent=2)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_private(path, f"{text}\n".encode())
    except OSError as error:
        raise BarqError(f"{path} cannot be written: {error}", remedy="see who owns its folder") from error
    return path


def _parsed(record: Mapping[str, object]) -> Profiles:
    current, named = record["current"], record["profiles"]
    if not isinstance(named, dict) or not isinstance(current, (str, type(None))):
        raise TypeError("it holds no profiles")
    found = {str(name): Profile(**fields) for name, fields in named.items()}
    if not all(isinstance(value, str) for one in found.values() for value in (one.url, one.token)):
        raise TypeError("an address or a token is no text")
    return Profiles(current=current if current in found else None, named=found)


def _write_private(path: Path, data: bytes) -> None:
    """Replace the file by one that was never anybody else's to read."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _unreadable(path: Path | None, error: Exception) -> BarqError:
    remedy = "correct it, or remove it and log in again"
    return BarqError(f"{path} does not hold profiles: {error}", code="bad_profiles", remedy=remedy)
