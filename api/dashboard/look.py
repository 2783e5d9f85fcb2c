"""Looks at the site and makes the parts of the page; a part whose facts did not change is not made again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from jinja2 import Environment

from api.dashboard.fleets import Tile, tiles
from api.dashboard.picture import Picture
from api.dashboard.words import headline
from api.routes.nodes import known_nodes
from api.routes.power import known_power
from api.wire import from_store
from api.wire.jobs import JobView
from api.wire.site import NodeView, SummaryView
from scheduler.core.dispatch import Instruction
from scheduler.store.desk import Desk
from scheduler.store.instructions import ACTIVE, InstructionFilter
from scheduler.store.job_queries import JobFilter
from scheduler.store.views import EventView

SHOWN_JOBS: Final = {"active": 100, "waiting": 50, "finished": 12}
"""How many of each are on the page; the command line lists them all."""
SHOWN_EVENTS: Final = 14
SHOWN_INSTRUCTIONS: Final = 20
SAMPLES: Final = timedelta(seconds=15)
"""A page that missed no more than this goes on without asking for the past again."""
SUMMARY_EVERY: Final = timedelta(seconds=15)
"""Sums over all of the site's life are made no more often than this."""

Member = Tile | JobView | EventView | Instruction
"""What the page has lists of."""


@dataclass(slots=True)
class Looker:
    """Makes pictures of a site. Not to be used by two threads at once."""

    desk: Desk
    templates: Environment
    _made: dict[str, tuple[object, str]] = field(default_factory=dict)
    _summed: tuple[datetime, SummaryView] | None = None

    def look(self) -> Picture:
        """The site now. Raises `StoreError`."""
        now = datetime.now(UTC)
        summary = self._sums(now)
        power = known_power(self.desk, over_limit_s=summary.over_limit_s)
        jobs, nodes = self._jobs(), _troubled_first(known_nodes(self.desk))
        shown = tiles(nodes, self.desk.machines.now().inventories)
        events = self.desk.recent_events(limit=SHOWN_EVENTS)[::-1]
        told = self.desk.instructions(InstructionFilter(state=ACTIVE), limit=SHOWN_INSTRUCTIONS).instructions
        fresh: dict[str, str] = {
            "headline": self._part("headline", "headline", headline(power, now)),
            "balance": self._part("balance", "balance", power),
            "summary": self._part("summary", "summary", summary),
            "limits": self._part("limits", "limits", power.limits if power else []),
            "counts": self._part("counts", "counts", self._counts(jobs)),
        }
        lists = {
            "nodes": self._list("node", ((tile.node.id, tile) for tile in shown), fresh),
            "jobs": self._list("job", ((job.id, job) for job in jobs), fresh),
            "events": self._list("event", ((str(event.seq), event) for event in events), fresh),
            "instructions": self._list(
                "instruction", ((one.id, one) for one in sorted(told, key=_when)), fresh
            ),
        }
        self._made = {key: made for key, made in self._made.items() if key in fresh}
        return Picture(at=now, html=fresh, lists=lists, samples=self.desk.samples(now - SAMPLES))

    def _list(
        self, kind: str, members: Iterable[tuple[str, Member]], fresh: dict[str, str]
    ) -> tuple[str, ...]:
        ids = []
        for name, facts in members:
            key = f"{kind}-{name}"
            fresh[key] = self._part(key, kind, facts)
            ids.append(key)
        return tuple(ids)

    def _part(self, key: str, macro: str, facts: object) -> str:
        known = self._made.get(key)
        if known is None or known[0] != facts:
            parts: Any = self.templates.get_template("parts.html").module
            known = self._made[key] = (facts, str(getattr(parts, macro)(facts)).strip())
        return known[1]

    def _jobs(self) -> list[JobView]:
        """Those at work by number, then those that wait by priority, then the last that ended."""
        found = {
            state: [from_store.job(view) for view in self.desk.list(JobFilter(state=state), limit=most).jobs]
            for state, most in SHOWN_JOBS.items()
        }
        active = sorted(found["active"], key=lambda job: (job.state != "RUNNING", job.submitted_at))
        waiting = sorted(found["waiting"], key=lambda job: (-job.priority, job.submitted_at))
        finished = sorted(found["finished"], key=lambda job: job.since_at, reverse=True)
        return [*active, *waiting, *finished]

    def _counts(self, jobs: Sequence[JobView]) -> dict[str, int]:
        """How many jobs there are of each state, and how many of them are shown."""
        counted = self.desk.job_counts()
        return {state.value: n for state, n in counted.items()} | {"shown": len(jobs)}

    def _sums(self, now: datetime) -> SummaryView:
        if self._summed is None or now - self._summed[0] > SUMMARY_EVERY:
            self._summed = (now, from_store.summary(self.desk.summary()))
        return self._summed[1]


def _when(one: Instruction) -> tuple[datetime, int]:
    """What holds first comes first."""
    return one.starts_at, one.number


def _troubled_first(nodes: Sequence[NodeView]) -> list[NodeView]:
    """Nobody has to look for what is wrong; apart from that, groups of miners come after the nodes."""
    return sorted(nodes, key=lambda node: (node.reachable and not node.alarms, node.kind != "node"))
