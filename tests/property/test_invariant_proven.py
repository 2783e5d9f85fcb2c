"""The promise of section 4 where the site's meter has proven that no margin is needed."""

from __future__ import annotations

from hypothesis import settings

from scheduler.core.proving import PROVE_S, Piece, Proof
from scheduler.core.trim import TrimRule
from tests.power_world import World
from tests.property.test_invariant import LossySite


class ProvenSite(LossySite):
    """The site's meter has proven that no margin at all is needed: orders fill the limit, and the limit is kept."""

    def new_world(self) -> World:
        """The same site, with a meter of its own."""
        return World(policy=self.new_mind, trim=TrimRule(most=0.02, accuracy=0.0, least=0.0, fresh_s=20.0))

    def calm(self, seconds: int) -> None:
        """The meter has seen all this before."""
        assert self.world.loop is not None
        lessons, now = self.world.loop.view.lessons, self.world.clock.now()
        seen = Piece(since_at=now, covered_s=PROVE_S, peak=-0.1)
        lessons.proof = Proof(at=now, margin=0.0, pieces=(seen,), stood=lessons.proof.stood)
        super().calm(seconds)


TestProvenSite = ProvenSite.TestCase
TestProvenSite.settings = settings(max_examples=25, stateful_step_count=40)
