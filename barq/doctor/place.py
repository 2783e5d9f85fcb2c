"""Where the checks look: this machine, or a tree of files that stands for one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from barq.location import state_dir
from barq.site.files import SiteFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A machine as its files show it."""

    root: Path = Path("/")  #: above proc, sys and run
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    uid: int = field(default_factory=os.geteuid)
    state: Path = field(default_factory=lambda: state_dir(os.environ))
    proposed: Path | None = None  #: a site file that is looked at before a site is started with it

    @property
    def site_file(self) -> Path:
        """The site file that counts; it need not exist."""
        return self.proposed or SiteFiles(self.state).site_file

    def at(self, path: str) -> Path:
        """A path of the machine, such as `proc/meminfo`."""
        return self.root / path

    def read(self, path: str) -> str | None:
        """The text of a file of the machine; None if it cannot be read."""
        try:
            return self.at(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def existing(self) -> Path:
        """The state directory, or the nearest directory above it that exists."""
        path = self.state.absolute()
        return next((p for p in (path, *path.parents) if p.is_dir()), Path("/"))
