"""Whose the state is, who can read its token, and what root would change."""

from __future__ import annotations

import os
import stat
from typing import Final

from barq.doctor.finding import Finding, fail, ok, warn
from barq.doctor.place import Place

OTHERS: Final = 0o077
CAP_SYS_ADMIN: Final = 21


def state_directory(place: Place) -> Finding:
    """Whether a site can keep its state, and keep it to itself."""
    try:
        found = place.state.stat()
    except FileNotFoundError:
        return _makeable(place)
    except OSError as error:
        return fail(
            "state-dir", f"{place.state}: {error.strerror}", "no site can run", "name another: BARQ_STATE"
        )
    if not stat.S_ISDIR(found.st_mode):
        return fail(
            "state-dir", f"{place.state} is no directory", "no site can run", "name another: BARQ_STATE"
        )
    if found.st_uid != place.uid:
        return fail(
            "state-dir",
            f"{place.state} belongs to user {found.st_uid}, we are {place.uid}",
            "a site started now could not read or would change what another user's site wrote",
            "use the same user as before, or name another directory: BARQ_STATE",
        )
    if found.st_mode & OTHERS:
        return warn(
            "state-dir",
            f"{place.state} is open to others ({stat.S_IMODE(found.st_mode):o})",
            "others on this machine can read the site's database and records",
            f"chmod 700 {place.state}",
        )
    return ok("state-dir", f"{place.state}, for us only")


def _makeable(place: Place) -> Finding:
    parent = place.existing()
    if os.access(parent, os.W_OK | os.X_OK):
        return ok("state-dir", f"{place.state} does not exist yet", "`barq up` makes it")
    return fail(
        "state-dir",
        f"{place.state} cannot be made in {parent}",
        "no site can run",
        "name another directory: BARQ_STATE",
    )


def token(place: Place) -> Finding:
    """Whether the site's token is a secret."""
    path = place.state / "token"
    try:
        mode = path.stat().st_mode
    except OSError:
        return ok("token", "no site has run here yet")
    if mode & OTHERS:
        return fail(
            "token",
            f"{path} can be read by others ({stat.S_IMODE(mode):o})",
            "whoever read it may do everything on this site",
            f"chmod 600 {path}, delete it, and start the site again for a new one",
        )
    return ok("token", "for us only")


def root(place: Place) -> Finding:
    """What the user that we are means for a site."""
    if _may_administrate(place):
        return ok(
            "root",
            f"user {place.uid} with CAP_SYS_ADMIN",
            "GPU power limits can be set; jobs run as this user too, so run those of trusted people only",
        )
    return ok(
        "root",
        f"user {place.uid} without CAP_SYS_ADMIN",
        "GPU power limits cannot be set from here: real GPUs count at their limit; simulated ones do not mind",
    )


def _may_administrate(place: Place) -> bool:
    lines = (place.read("proc/self/status") or "").splitlines()
    effective = next((line.split()[1] for line in lines if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> CAP_SYS_ADMIN & 1)
