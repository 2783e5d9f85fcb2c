"""What the API needs to know of its site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from barq.package import DEFAULT_LIMIT_BYTES
from scheduler.core.contracts import Terms
from scheduler.core.partners import HOUSE, PoolTerms
from scheduler.revenue_settings import STALE_AFTER_S
from scheduler.settings import Site, load_site
from scheduler.signals.http_push import TYPE as PUSHED, PushOptions, read_push_options


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where a site keeps its state, and what it is called. `database` is a URL or the path of a SQLite file."""

    site: str  #: prefix of job ids
    state_dir: Path  #: absolute, so that job files mean the same in every process
    database: str | Path
    jobs_dir: Path | None = None  #: below which jobs have their directories; None = in the state directory
    upload_limit_bytes: int = DEFAULT_LIMIT_BYTES  #: of one working directory

    figures_stale_after_s: float = (
        STALE_AFTER_S  #: how long figures of the chain that people tell are trusted
    )

    pools: Mapping[str, PoolTerms] = field(default_factory=dict)
    """Where each mining partner hashes, the site itself among them (`house`)."""

    contracts: Mapping[str, Terms] = field(default_factory=dict)
    """What each mining partner is settled by."""

    is_shadow: bool = False  #: nothing is acted: jobs never run, only a twin of them does

    pushed: Mapping[str, PushOptions] = field(default_factory=dict)
    """Sources of the limit whose givers push it here, by name."""

    @classmethod
    def of_state(cls, state_dir: Path) -> Self:
        """The settings of the site whose state is in `state_dir`. Raises `SettingsError`."""
        directory = state_dir.expanduser().absolute()
        site = load_site(directory / "site.yaml")
        jobs_dir = site.jobs_dir(directory)
        return cls(
            site=site.name,
            state_dir=directory,
            database=site.database(directory),
            is_shadow=site.is_shadow,
            jobs_dir=jobs_dir,
            upload_limit_bytes=site.upload_limit_bytes,
            pushed=_pushed(site),
            figures_stale_after_s=site.revenue.stale_after_s,
            pools={p.name: p.pool() for p in site.partners} | {HOUSE: site.revenue.house_pool()},
            contracts=site.contracts(),
        )

    @property
    def job_prefix(self) -> str:
        """What job ids begin with: those of a shadow cannot be taken for others."""
        return f"{self.site}-shadow" if self.is_shadow else self.site

    @property
    def jobs_home(self) -> Path:
        """Below which every job has its directory."""
        return self.jobs_dir or self.state_dir / "jobs"

    @property
    def run_dir(self) -> Path:
        """Sockets and addresses of the processes of the site."""
        return self.state_dir / "run"

    @property
    def token_file(self) -> Path:
        """The site's own token in clear text, readable by its owner only."""
        return self.state_dir / "token"


def _pushed(site: Site) -> Mapping[str, PushOptions]:
    signals = [s for s in site.signals if s.type == PUSHED]
    return {name: read_push_options(name, s.options()) for s in signals for name in [s.name or s.type]}
