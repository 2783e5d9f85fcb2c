"""Quotas of projects: their own GPUs, what they borrow of others, and what others lend.

A project may use its nominal whenever it is there. Beyond that it borrows what others do not use *and nobody of theirs
waits for*, as far as they lend it and as far as it may borrow. Projects without a nominal share one pot: the GPUs of
the site that are nobody's nominal. So no promise is broken by a name that the site file does not know, and no GPU is
left to nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scheduler.core.projects import Project
from scheduler.core.reasons import Code, Reason

POT = ""
"""The name of what all that have no nominal share."""


class Holdings:
    """The GPUs that each project holds, whether they run, wait or leave: kept up, never counted anew."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[str, int]] = {}
        self._gpus: dict[str, int] = defaultdict(int)

    def put(self, attempt_id: str, project: str, gpus: int) -> None:
        """An attempt holds so many."""
        if self._of.get(attempt_id) != (project, gpus):
            self.take(attempt_id)
            self._of[attempt_id] = (project, gpus)
            self._gpus[project] += gpus

    def take(self, attempt_id: str) -> None:
        """An attempt holds none any more."""
        if (known := self._of.pop(attempt_id, None)) is not None:
            project, gpus = known
            self._gpus[project] -= gpus
            if not self._gpus[project]:
                del self._gpus[project]

    def gpus(self) -> Mapping[str, int]:
        """By project, as jobs name them."""
        return self._gpus


@dataclass(slots=True)
class _Account:
    """One nominal, and who uses it."""

    nominal: int
    borrowing_limit: int | None
    lending_limit: int | None
    used: int = 0
    wanted: int = 0  #: of its own that its own jobs wait for

    @property
    def borrowed(self) -> int:
        return max(0, self.used - self.nominal)

    @property
    def offered(self) -> int:
        free = self.nominal - self.used - self.wanted
        return max(0, free if self.lending_limit is None else min(free, self.lending_limit))

    @property
    def most_lent(self) -> int:
        return self.nominal if self.lending_limit is None else min(self.nominal, self.lending_limit)


class Quotas:
    """All quotas of a site in one round. Starts only ever make them tighter."""

    def __init__(self, projects: Iterable[Project], site_gpus: int, used: Mapping[str, int]) -> None:
        own = {
            p.name: _Account(p.nominal_gpus, p.borrowing_limit_gpus, p.lending_limit_gpus)
            for p in projects
            if p.nominal_gpus is not None
        }
        rest = max(0, site_gpus - sum(a.nominal for a in own.values()))
        self._accounts = {**own, POT: _Account(rest, None, None)}
        for project, gpus in used.items():
            self._of(project).used += gpus

    def _of(self, project: str) -> _Account:
        return self._accounts.get(project) or self._accounts[POT]

    def account(self, project: str) -> str:
        """The name of the nominal that a project uses: its own, or the pot."""
        return project if project in self._accounts else POT

    def reserve(self, waiting: Iterable[tuple[str, int, int]]) -> None:
        """Lend nothing that jobs of its own project wait for: (project, GPUs of each, how many)."""
        for project, gpus, jobs in waiting:
            account = self._of(project)
            own = account.nominal - account.used
            if gpus <= own:
                account.wanted = min(own, account.wanted + gpus * jobs)

    def available(self, project: str) -> int:
        """The most GPUs that a project may have on top of those it has."""
        mine = self._of(project)
        return max(0, mine.nominal - mine.used) + self._borrowable(mine)

    def _borrowable(self, mine: _Account) -> int:
        accounts = self._accounts.values()
        lent = sum(a.offered for a in accounts if a is not mine) - sum(a.borrowed for a in accounts)
        limit = mine.borrowing_limit
        return max(0, lent if limit is None else min(lent, limit - mine.borrowed))

    def borrows(self, project: str, gpus: int) -> bool:
        """Whether a job of so many GPUs would take some that are others' own."""
        account = self._of(project)
        return account.used + gpus > account.nominal

    def start(self, project: str, gpus: int) -> None:
        """A job starts."""
        account = self._of(project)
        account.used += gpus
        account.wanted = max(0, account.wanted - gpus)

    def own_left(self, project: str) -> int:
        """GPUs of its own that a project does not use."""
        account = self._of(project)
        return max(0, account.nominal - account.used)

    def borrowed(self) -> dict[str, int]:
        """By account, those above their nominals: GPUs that they have to give back when lenders need them."""
        return {name: a.borrowed for name, a in self._accounts.items() if a.borrowed}

    def largest(self, project: str) -> int:
        """The largest job that a project could ever start."""
        mine = self._of(project)
        lent = sum(a.most_lent for a in self._accounts.values() if a is not mine)
        return mine.nominal + (lent if mine.borrowing_limit is None else min(lent, mine.borrowing_limit))

    def lent(self) -> dict[str, int]:
        """What each account lends, by name. Nobody borrows of anybody in particular: in proportion to what is free."""
        owed = sum(a.borrowed for a in self._accounts.values())
        free = {name: a.offered for name, a in self._accounts.items()}
        everything, found, passed = sum(free.values()), {}, 0
        for name, gpus in free.items():
            before, passed = passed, passed + gpus
            share = min(1.0, owed / everything) if everything else 0.0
            found[name] = round(share * passed) - round(share * before)
        return found

    def figures(self, project: str) -> dict[str, float]:
        """What a reason says in numbers."""
        account = self._of(project)
        return {
            "used_gpus": account.used,
            "nominal_gpus": account.nominal,
            "borrowed_gpus": account.borrowed,
            "available_gpus": self.available(project),
        }


def exceeded(quotas: Quotas, project: str, gpus: int) -> Reason | None:
    """Why a job of so many GPUs may not start now, None if it may."""
    available = quotas.available(project)
    if gpus <= available:
        return None
    numbers = quotas.figures(project)
    return Reason(
        code=Code.QUOTA_EXCEEDED,
        text=(
            f"{_named(quotas, project)} {numbers['used_gpus']:.0f} GPUs of {numbers['nominal_gpus']:.0f} nominal, "
            f"{numbers['borrowed_gpus']:.0f} of them borrowed, and may have {available} more; it asks for {gpus}"
        ),
        numbers={**numbers, "asked_gpus": gpus},
        remedy="fewer GPUs, or a larger nominal_gpus or borrowing_limit_gpus of the project in the site file",
    )


def beyond(quotas: Quotas, project: str, gpus: int) -> Reason | None:
    """Why a job can never start under its project's quota, None if it can."""
    largest = quotas.largest(project)
    if gpus <= largest:
        return None
    numbers = quotas.figures(project)
    who = f"project {project}" if quotas.account(project) != POT else f"project {project}, without a nominal,"
    return Reason(
        code=Code.NEVER_FITS,
        text=f"asks for {gpus} GPUs; {who} can have {largest} at most, what others lend included",
        numbers={"asked_gpus": gpus, "largest_gpus": largest, "nominal_gpus": numbers["nominal_gpus"]},
        remedy="submit it with fewer GPUs, or raise nominal_gpus or borrowing_limit_gpus in the site file",
    )


def _named(quotas: Quotas, project: str) -> str:
    return f"project {project} uses" if quotas.account(project) != POT else "projects without a nominal use"
