"""Which attempts are on which node, those among them that are on nodes which left the site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from scheduler.core.jobs import Attempt


class Occupants:
    """Kept up by a plan, one attempt and one node at a time, so that nobody looks at every node."""

    def __init__(self) -> None:
        self.on: dict[str, dict[str, Attempt]] = {}  #: by node, and by id in order
        self.graces_s: dict[
            str, float
        ] = {}  #: the longest grace of all on a node, where somebody worked it out
        self.bare: set[str] = set()  #: groups of the site with nobody on them
        self._site: set[str] = set()
        self._beyond: set[str] = set()  #: nodes that had somebody on them and are not part of the site

    def admit(self, group_id: str) -> None:
        """A group is part of the site."""
        self._site.add(group_id)
        self._beyond.discard(group_id)
        if not self.on.get(group_id):
            self.bare.add(group_id)

    def dismiss(self, group_id: str) -> None:
        """A group is part of the site no more, whoever is on it."""
        self._site.discard(group_id)
        self.bare.discard(group_id)
        self._beyond.add(group_id)

    def put(self, node_id: str, attempts: Mapping[str, Attempt]) -> None:
        """These are on a node, by id, as they are now."""
        here = self.on.get(node_id)
        if here is None:
            here = self.on[node_id] = {}
            if node_id not in self._site:
                self._beyond.add(node_id)
        known = len(here)
        here.update(attempts)
        if len(here) > known:
            self.on[node_id] = {k: here[k] for k in sorted(here)}
            self.graces_s.pop(node_id, None)
            self.bare.discard(node_id)

    def reopen(self, node_ids: Iterable[str]) -> None:
        """What was worked out of all on these nodes may be another: the job of one of them is."""
        for node_id in node_ids:
            self.graces_s.pop(node_id, None)

    def take(self, node_id: str, attempt_id: str) -> None:
        """One is on a node no more."""
        here = self.on.get(node_id)
        if here is None or here.pop(attempt_id, None) is None:
            return
        self.graces_s.pop(node_id, None)
        if not here and node_id in self._site:
            self.bare.add(node_id)

    def away(self) -> list[str]:
        """Nodes with somebody on them that are not part of the site."""
        return [node_id for node_id in self._beyond if self.on.get(node_id)]
