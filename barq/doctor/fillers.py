"""The programs that a site file lets mine on idle GPUs: whether they are here, and what starts and reads them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from barq.doctor.finding import Finding, ok, unread, warn
from barq.doctor.place import Place
from barq.doctor.rights import OTHERS

if TYPE_CHECKING:
    from scheduler.filler_settings import FillerSettings

_NEEDED: Final = {
    "setpriv": "util-linux",
    "nice": "coreutils",
}  #: what starts them, by the package that has it


def fillers(place: Place) -> list[Finding]:
    """Whether each can be started on the nodes of this machine. Those that join look for themselves."""
    from scheduler.errors import SettingsError
    from scheduler.settings import load_site

    if not place.site_file.exists():
        return [ok("fillers", "no site file names any")]
    try:
        site = load_site(place.site_file)
    except SettingsError:
        return [unread("fillers")]
    if not site.fillers:
        return [ok("fillers", "the site file names none")]
    here = [gid for nodes in site.nodes for gid in nodes.ids()]
    return [_of(filler, place, is_here=any(map(filler.is_of, here))) for filler in site.fillers]


def _of(filler: FillerSettings, place: Place, *, is_here: bool) -> Finding:
    check = f"filler-{filler.name}"
    if not is_here:
        names = ", ".join(filler.nodes)
        return ok(
            check, f"no node here is called {names}: for those that join; each needs its program and setpriv"
        )
    path = place.environ.get("PATH")
    missing = [
        f"{tool} ({package})" for tool, package in _NEEDED.items() if shutil.which(tool, path=path) is None
    ]
    if missing:
        means = "without it a program would outlive its guard: none is started"
        return warn(check, f"there is no {' and no '.join(missing)}", means, "install it, as root")
    if shutil.which(filler.command[0], path=path) is None:
        means = "the GPUs stay idle, and an alarm says so"
        return warn(
            check, f"{filler.command[0]} is not there or no program", means, "install it, or give its path"
        )
    return _token(filler, place, check)


def _token(filler: FillerSettings, place: Place, check: str) -> Finding:
    """Whether what opens its API is there, and nobody else's to read."""
    name, api = filler.command[0], filler.api
    means = "its hashes are not known; it runs all the same"
    if api is not None and api.token_env is not None and not place.environ.get(api.token_env):
        return warn(
            check, f"api.token_env: {api.token_env} is not set", means, "set it where `barq up` is typed"
        )
    if api is None or api.token_file is None:
        return ok(check, f"{name} is there")
    file: Path = place.state.absolute() / api.token_file
    try:
        is_public = bool(file.stat().st_mode & OTHERS)
        is_empty = not file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        return warn(check, f"api.token_file: {file}: {error}", means, "write the token there")
    if is_empty:
        return warn(check, f"api.token_file: {file} is empty", means, "write the token there")
    if is_public:
        return warn(
            check, f"{file} can be read by others", "whoever read it may pause it", f"chmod 600 {file}"
        )
    return ok(check, f"{name} and its token are there")
