"""Givers of limits in virtual time: they speak a source's own language, in bytes, into the source's own code."""

from __future__ import annotations

import json
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from scheduler.ports import LimitSource
from scheduler.sim.clock import BEGAN_AT, Timeline, us
from scheduler.store.testing import InMemoryStore
from tests.giving.plan import Doc, Pace, Plan, Span, Trouble, drawn_plan, drawn_troubles
from tests.giving.truth import Standing, Truth

HOUR_US = us(3600.0)
GARBAGE = (
    b"",
    b"\xff\xfe\x00",
    b"<html>busy</html>",
    b'{"limit": 9',
    b"[]",
    b"null",
    b'"9000"',
    b"{}",
    b"[[[[",
)
NONSENSE: Mapping[Trouble, float] = {
    Trouble.NAN: float("nan"),
    Trouble.NEGATIVE: -5000.0,
    Trouble.ABSURD: 1e14,
}
REACTION_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where a giver gives."""

    timeline: Timeline
    end_us: int
    base: Path  #: files of the site
    firm_w: float
    top_w: float
    pace: Pace
    seed: int
    store: InMemoryStore
    news: Callable[[str, float], None]  #: (source, in so many s): it says by itself that it should be read
    site_w: Callable[[], float]  #: what the site draws
    wake: Callable[[], None]  #: somebody wrote into the store


class Giver(ABC):
    """One giver, and what the site was told by it. `open` is what a scheduler that starts does."""

    name: ClassVar[str]
    poll_s: ClassVar[float] = 2.0
    grid_s: ClassVar[float] = 1e-3

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.chance = random.Random(f"{self.name}-{scene.seed}")
        self.messages = 0  #: sent, or fetched
        self.plan = self._plan()
        self.truth = self._truth()

    @abstractmethod
    def open(self) -> LimitSource | None:
        """The source, as a process that was just started has it. None = the limit comes another way."""

    @abstractmethod
    def begin(self) -> None:
        """Have the whole day's acts done when they are due."""

    @abstractmethod
    def _truth(self) -> Truth: ...

    def _plan(self) -> Plan:
        scene = self.scene
        return drawn_plan(
            self.chance,
            scene.end_us / 1e6,
            scene.pace,
            firm_w=scene.firm_w,
            top_w=scene.top_w,
            grid_s=self.grid_s,
        )

    def look(self) -> None:  # noqa: B027 - most need not look
        """A second has passed."""

    @property
    def now_us(self) -> int:
        return self.scene.timeline.now_us

    def at(self, at_us: int, act: Callable[[Any], None], what: object = None) -> None:
        """Have it done, unless the day is over by then."""
        if at_us < self.scene.end_us:
            self.scene.timeline.at(at_us, act, what)

    def surprises(self, act: Callable[[Any], None]) -> None:
        """Have it done at each step that was not announced."""
        for step in self.plan.steps:
            if step.is_surprise:
                self.at(step.at_us, act)

    def every(self, period_s: float, act: Callable[[Any], None]) -> None:
        """Have it done again and again, from the beginning on."""

        def again(_: object) -> None:
            act(None)
            self.at(self.now_us + us(period_s), again)

        self.at(self.now_us, again)


class Fetched(Giver):
    """Its word stands somewhere, and the site fetches it."""

    troubles: ClassVar[tuple[Trouble, ...]]
    answers_in: ClassVar[frozenset[Trouble]] = (
        frozenset()
    )  #: troubles in which it counts as heard all the same
    stale_after_s: ClassVar[float] = 60.0
    renewed_s: ClassVar[float] = 45.0  #: it is written anew at least so often
    asked_s: ClassVar[float] = 0.0  #: how much later than at a reading it may be fetched

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.doc: Doc = ()
        self.stamp_us = 0
        self.past: list[tuple[Doc, int]] = []
        self.trouble: Trouble | None = None

    def _truth(self) -> Standing:
        within_s = self.poll_s + self.asked_s + 1.0
        return Standing(firm_w=self.scene.firm_w, stale_after_s=self.stale_after_s, within_s=within_s)

    @property
    def standing(self) -> Standing:
        assert isinstance(self.truth, Standing)
        return self.truth

    def begin(self) -> None:
        self.every(self.renewed_s, self._publish)
        self.surprises(self._publish)
        for span in drawn_troubles(self.chance, self.scene.end_us / 1e6, self.scene.pace, self.troubles):
            self.at(span.starts_us, self._break, span)
            self.at(span.ends_us, self._mend)

    def _publish(self, _: object) -> None:
        if self.doc:
            self.past = [*self.past[-9:], (self.doc, self.stamp_us)]
        self.doc, self.stamp_us = self.plan.shown(self.now_us), self.now_us
        self.standing.publish(self.meant(self.doc), self.now_us)
        self.put()

    def _break(self, span: Span) -> None:
        self.trouble = span.trouble
        self.standing.wire(self.now_us, whole=False, heard=span.trouble in self.answers_in)
        self.put()

    def _mend(self, _: object) -> None:
        self.trouble = None
        self.standing.wire(self.now_us, whole=True)
        self.put()

    def meant(self, doc: Doc) -> Doc:
        """The limits that follow from it."""
        return doc

    def put(self) -> None:
        """Put it where it stands."""

    def shown(self) -> tuple[Doc, int]:
        """What is to be seen, with its time: not always what was published last."""
        if self.trouble is Trouble.OLD and self.past:
            return self.past[0]
        if self.trouble is Trouble.AHEAD:
            return ((0, self.scene.top_w),), self.now_us + HOUR_US
        return self.doc, self.stamp_us


def spoilt(document: Any, trouble: Trouble | None, chance: random.Random) -> bytes:
    """A JSON document, or what is left of it."""
    if trouble is Trouble.GARBAGE:
        return chance.choice(GARBAGE)
    text = json.dumps(document).encode()
    return text[: chance.randrange(len(text) - 1)] if trouble is Trouble.TORN else text


def at_of(at_us: int) -> datetime:
    """The instant as a time."""
    return BEGAN_AT + timedelta(microseconds=at_us)


def iso(at_us: int) -> str:
    """The instant as givers write it."""
    return at_of(at_us).astimezone(UTC).isoformat()
