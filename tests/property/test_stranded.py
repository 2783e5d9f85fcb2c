"""Whatever is said of what work has use for, the limit is kept, and a policy that remembers decides as a fresh one."""

from __future__ import annotations

from datetime import datetime

from hypothesis import settings, strategies as st
from hypothesis.stateful import precondition, rule

from scheduler.core.stranded import NOTHING_KNOWN, Useful
from scheduler.watching import Watching
from tests.power_world import POLICY
from tests.property.test_memo import LossySiteWithTwoMinds


class Told(Watching):
    """Knows what it is told, true or not."""

    said: Useful = NOTHING_KNOWN

    def known(self, at: datetime) -> Useful:
        """Whatever `at`."""
        del at
        return self.said


class LossySiteOfLightWork(LossySiteWithTwoMinds):
    """The site of the invariant. Every job draws to the last watt of its cap, and is taken for light all the same."""

    @precondition(lambda self: self.world.loop is not None and self.world.loop.view.attempts)
    @rule(
        data=st.data(),
        cap_w=st.sampled_from([None, 100.0, 205.0, 225.0, 310.0, 395.0]),
        seconds=st.integers(0, 6),
    )
    def work_is_taken_for_light(self, data: st.DataObject, cap_w: float | None, seconds: int) -> None:
        """Or not any more: then others make room for it."""
        view = self.world.loop.view if self.world.loop is not None else None
        assert view is not None
        attempt_id = data.draw(st.sampled_from(sorted(view.attempts)))
        watching = view.watching if isinstance(view.watching, Told) else Told(POLICY)
        caps_w = {k: w for k, w in watching.said.caps_w.items() if k != attempt_id}
        if cap_w is not None:
            caps_w[attempt_id] = cap_w
        watching.said = Useful(caps_w=caps_w, regaining=() if cap_w is not None else (attempt_id,))
        view.watching = watching
        self.calm(seconds)


TestLossySiteOfLightWork = LossySiteOfLightWork.TestCase
TestLossySiteOfLightWork.settings = settings(max_examples=10, stateful_step_count=30)
