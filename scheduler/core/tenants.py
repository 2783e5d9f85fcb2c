"""The projects of a site as a plan follows them: whose turn it is, and how many GPUs each holds."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.core.fair_share import turns
from scheduler.core.jobs import Attempt, Job
from scheduler.core.projects import OTHERS, FairShare, Project, Used, listed
from scheduler.core.quotas import Holdings, Quotas, beyond
from scheduler.core.reasons import Reason
from scheduler.core.snapshot import SitePolicy

NOBODY = ""
"""What all jobs count as where the site file names no project."""


class Tenants:
    """Kept up by a plan. Where no project is named it is without effect."""

    def __init__(self) -> None:
        self.projects: Mapping[str, Project] = {}
        self.turns: Mapping[str, int] = {}  #: by what `of` says; less is sooner
        self._holdings = Holdings()
        self._named: tuple[Project, ...] = ()
        self._fair_share: FairShare | None = None
        self._used: Used | None = None
        self.has_quotas = False  #: whether any project has a nominal
        self._gpus: dict[str, int] = {}
        self.site_gpus = 0  #: of all nodes, idle or not
        self._largest: dict[str, int] = {}

    def follow(self, site: SitePolicy, used: Used | None) -> None:
        """Take in what the site promises and what was used."""
        if site.projects is self._named and site.fair_share is self._fair_share and used is self._used:
            return
        if site.projects != self._named:
            self.projects = listed(site.projects)
            self.has_quotas = any(p.nominal_gpus is not None for p in site.projects)
            self._largest.clear()
        self._named, self._fair_share, self._used = site.projects, site.fair_share, used
        known = used.projects if used is not None else {}
        self.turns = turns(self.projects, known, site.fair_share) if self.projects else {}

    def count(self, node_id: str, gpus: int) -> None:
        """A node has so many GPUs."""
        self.site_gpus += gpus - self._gpus.pop(node_id, 0)
        self._largest.clear()
        if gpus:
            self._gpus[node_id] = gpus

    def put(self, attempt: Attempt, project: str) -> None:
        """An attempt of a project's job holds its GPUs."""
        self._holdings.put(attempt.id, project, attempt.gpu_count)

    def take(self, attempt_id: str) -> None:
        """An attempt holds none any more."""
        self._holdings.take(attempt_id)

    def of(self, job: Job) -> str:
        """What a job counts as: its project, the others, or nobody."""
        if not self.projects:
            return NOBODY
        return job.spec.project if job.spec.project in self.projects else OTHERS

    def turn(self, job: Job) -> int:
        """The turn of its project."""
        return self.turns.get(self.of(job), 0)

    def quotas(self) -> Quotas | None:
        """The quotas as they stand now, None where no project has a nominal."""
        if not self.has_quotas:
            return None
        return Quotas(self._named, self.site_gpus, self._holdings.gpus())

    def never(self, job: Job) -> Reason | None:
        """Why a job is too large for its project's quota for ever, None if it is not."""
        if not self.has_quotas:
            return None
        project, gpus = self.of(job), job.spec.total_gpus
        if project not in self._largest:
            self._largest[project] = Quotas(self._named, self.site_gpus, {}).largest(project)
        if gpus <= self._largest[project]:
            return None
        return beyond(Quotas(self._named, self.site_gpus, self._holdings.gpus()), project, gpus)
