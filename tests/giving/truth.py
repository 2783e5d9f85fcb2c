"""What a site may draw by what one giver told it, kept on the giver's side alone.

Nothing of Barq is asked: the truth is the same whether the scheduler lives, listens or reads rightly.

* `Truth` is of messages. A message that came whole over a wire that was whole is told, at the instant at which it came,
  also while the scheduler is dead. One that was lost, spoilt, dated wrongly or overtaken by a newer one never was:
  the site cannot know of it.
* `Standing` is of what stands somewhere to be fetched. It is told once it stood, whole and on a wire that was whole,
  for `within_s` (the period of asking, and a second); a rise may be taken sooner, so it counts from when it stands.

From `stale_after_s` after the giver was heard last (a message that is told, or a wire that is whole) it allows
min(what it told last, the firm level), and less where it had announced less.
"""

from __future__ import annotations

import math

from scheduler.sim.clock import us
from tests.giving.plan import Doc

LONG_AGO_US = -(10**15)


def level_w(doc: Doc, at_us: int) -> float | None:
    """The limit that a document gives for an instant, None before its first."""
    return next((limit_w for starts_us, limit_w in reversed(doc) if starts_us <= at_us), None)


class Truth:
    """Of messages."""

    def __init__(self, *, firm_w: float, stale_after_s: float | None) -> None:
        self.firm_w = firm_w
        self.told: Doc = ()
        self._stale_us = math.inf if stale_after_s is None else us(stale_after_s)
        self._heard_us = LONG_AGO_US
        self._stamp_us = LONG_AGO_US

    def say(self, doc: Doc, *, stamp_us: int, heard_us: int) -> bool:
        """A message came whole, of `stamp_us`. Whether it is told: one that was overtaken is not."""
        if stamp_us <= self._stamp_us:
            return False
        self.told, self._stamp_us = doc, stamp_us
        self.hear(heard_us)
        return True

    def hear(self, at_us: int) -> None:
        """The giver is there."""
        self._heard_us = max(self._heard_us, at_us)

    def is_stale(self, at_us: int) -> bool:
        """Whether the giver has been silent for too long."""
        return at_us - self._heard_us > self._stale_us

    def allowed_w(self, at_us: int) -> float:
        """What the giver allows."""
        told_w = level_w(self.told, at_us)
        if told_w is None:
            return self.firm_w
        if not self.is_stale(at_us):
            return told_w
        last_w = level_w(self.told, self._heard_us)
        return min(told_w, self.firm_w if last_w is None else last_w, self.firm_w)


class Standing(Truth):
    """Of what stands somewhere to be fetched."""

    def __init__(self, *, firm_w: float, stale_after_s: float | None, within_s: float) -> None:
        super().__init__(firm_w=firm_w, stale_after_s=stale_after_s)
        self._within_us = us(within_s)
        self._stands: Doc = ()
        self._whole_since_us: int | None = 0
        self._heard = True
        self._fetched: list[
            tuple[Doc, int]
        ] = []  #: what may be the last that was fetched, and since when it stands

    def publish(self, doc: Doc, at_us: int) -> None:
        """From now on this stands there."""
        self._settle(at_us)
        self._stands = doc
        if self._whole_since_us is not None:
            self._show(at_us)

    def wire(self, at_us: int, *, whole: bool, heard: bool = False) -> None:
        """From now on it can be fetched, and makes sense; or not, and yet its giver is there, `heard`."""
        self._settle(at_us)
        self._heard = whole or heard
        if not whole:
            self._whole_since_us = None
        elif self._whole_since_us is None:
            self._whole_since_us = at_us
            self._show(at_us)

    def allowed_w(self, at_us: int) -> float:
        """What the giver allows: the most that it may have told."""
        self._settle(at_us)
        if not self._fetched:
            return self.firm_w
        return max(self._by(doc, at_us) for doc, _ in self._fetched)

    def _by(self, doc: Doc, at_us: int) -> float:
        self.told = doc
        return super().allowed_w(at_us)

    def _show(self, at_us: int) -> None:
        if not self._fetched or self._fetched[-1][0] != self._stands:
            self._fetched.append((self._stands, at_us))

    def _settle(self, at_us: int) -> None:
        """What was replaced while it could be fetched for a whole period since is not the last that was fetched."""
        if self._heard:
            self.hear(at_us)
        if self._whole_since_us is None:
            return
        while (
            len(self._fetched) > 1
            and at_us - max(self._whole_since_us, self._fetched[1][1]) >= self._within_us
        ):
            del self._fetched[0]
