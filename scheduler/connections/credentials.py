"""Secrets come from a file or from the environment, never from the site file, and no error repeats one."""

from __future__ import annotations

import os
from pathlib import Path

from scheduler.errors import SettingsError, SignalError


def check_one_place(
    name: str, what: str, *, file: Path | None, env: str | None, part: str = "signals"
) -> None:
    """Raises `SettingsError` where the source `name`, in that part of the site file, has both."""
    if file is not None and env is not None:
        raise SettingsError(
            f"{part}: {name}: {what}_file and {what}_env are both given; keep the one that holds it"
        )


def read_secret(what: str, *, file: Path | None, env: str | None, base: Path) -> str | None:
    """The secret without its line end, None where neither place is named. Relative paths start at `base`.

    It is read anew at each call, so that one that is renewed in its place is used from the next connection on.
    Raises `SignalError` that names the place.
    """
    if file is not None:
        return _from_file(what, base / file)
    return None if env is None else _from_environment(what, env)


def _from_file(what: str, path: Path) -> str:
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise SignalError(f"{what}_file: {path} is no text in UTF-8; write it anew") from None
    except OSError as error:
        raise SignalError(f"{what}_file: {path}: {error.strerror}; put the {what} there") from error
    if not secret:
        raise SignalError(f"{what}_file: {path} is empty; put the {what} there")
    return secret


def _from_environment(what: str, env: str) -> str:
    secret = os.environ.get(env, "")
    if not secret:
        raise SignalError(f"{what}_env: {env} is not set where the site was started; set it there")
    return secret
