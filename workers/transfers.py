"""Inputs and outputs by URL, through fsspec: file://, and s3://, gs://, https:// where their packages are installed.

Credentials come by environment variables, as each store's own tools take them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec

from barq.contract import ContractError
from barq.package import check_path

RETRY_AFTER_S = (1.0, 4.0)
_PART = ".barq-part"
_LOCAL = ("file", "local")
_FOR_GOOD = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)


class CannotTransfer(Exception):
    """A file cannot be fetched or put; the message names it and says why."""


def fetch(url: str, target: Path) -> None:
    """Fetch a file, or all files below a folder, to `target`. Raises CannotTransfer."""

    def once() -> None:
        system, root = _open(url)
        if not system.isdir(root):
            _get(system, root, target)
            return
        for path in system.find(root):
            _get(system, path, target / _below(root, path))

    _patiently(once, f"cannot fetch {url}")


def put(source: Path, url: str) -> None:
    """Copy a file, or all files below a folder, to `url`; into it if that ends with `/`. Raises CannotTransfer.

    A link that leads out of the folder is left out.
    """

    def once() -> None:
        system, root = _open(url)
        if source.is_dir():
            for path, name in _files(source):
                _put(system, path, f"{root.rstrip('/')}/{name}")
        else:
            _put(system, source, f"{root.rstrip('/')}/{source.name}" if url.endswith("/") else root)

    if not source.exists():
        raise CannotTransfer(f"{source} was not written, so nothing is copied to {url}")
    _patiently(once, f"cannot copy {source} to {url}")


def _get(system: Any, path: str, target: Path) -> None:  # noqa: ANN401 - fsspec is not typed
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + _PART)
    try:
        system.get_file(path, str(part))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _put(system: Any, path: Path, target: str) -> None:  # noqa: ANN401 - as above
    """A store shows an object once it is complete; on a disk that takes a rename."""
    if _is_local(system):
        system.makedirs(target.rpartition("/")[0], exist_ok=True)
        system.put_file(str(path), target + _PART)
        Path(target + _PART).replace(target)
    else:
        system.put_file(str(path), target)


def _is_local(system: Any) -> bool:  # noqa: ANN401 - as above
    protocol = system.protocol
    return any(name in _LOCAL for name in ([protocol] if isinstance(protocol, str) else protocol))


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    inside = folder.resolve()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.resolve().is_relative_to(inside):
            yield path, path.relative_to(folder).as_posix()


def _below(root: str, path: str) -> str:
    """The name of a listed file below its folder: a store may list anything. Raises CannotTransfer."""
    name = path.removeprefix(root).lstrip("/")
    try:
        check_path(name)
    except ContractError as error:
        raise CannotTransfer(
            f"{path} would not stay inside its folder; fetch its files one by one"
        ) from error
    return name


def _open(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it. Raises CannotTransfer."""
    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        message = (
            f"{url}: {error}; install its package where the site's Python is (pip install 's3fs', for s3://)"
        )
        raise CannotTransfer(message) from error
    return system, path


def _patiently(once: Callable[[], None], what: str) -> None:
    """Try again what may be a passing trouble. Stores raise errors of all kinds."""
    for delay_s in (*RETRY_AFTER_S, None):
        try:
            return once()
        except (CannotTransfer, FileNotFoundError, PermissionError) as error:
            raise (
                error if isinstance(error, CannotTransfer) else CannotTransfer(f"{what}: {error}")
            ) from error
        except Exception as error:
            if delay_s is None:
                raise CannotTransfer(f"{what}: {type(error).__name__}: {error}") from error
            time.sleep(delay_s)
    return None
