"""What is told of sources of the limit: that one cannot be read, that it is back, and what it heard and refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Final

from scheduler.core.given import Refusal
from scheduler.core.reasons import Event
from scheduler.ports import LimitSource, ListeningSource

MOST_AT_ONCE: Final = 5
"""Refused messages of one source that are told one by one: a peer that sends nothing else cannot fill the record."""
_MOST_CHARACTERS: Final = 500


class Hearing:
    """Turns what sources say of themselves into events, each once."""

    def __init__(
        self,
        tell: Callable[[Event], None],
        note: Callable[[str, Refusal, datetime], None] = lambda _source, _refusal, _at: None,
    ) -> None:
        self._tell = tell
        self._note = note  #: of what was refused that has a name
        self._failing: dict[str, str] = {}  #: why a source cannot be read, by name
        self._refused: dict[str, str] = {}  #: what of it was refused last

    def heard(self, source: LimitSource, at: datetime) -> None:
        """It was read."""
        if self._failing.pop(source.name, None) is not None:
            self._tell(_event(at, "signal.back", source.name, f"source {source.name} can be read again"))
        self._listen(source, at)

    def failed(self, source: LimitSource, error: Exception, at: datetime) -> None:
        """It cannot be read: told when it begins, and when the reason changes."""
        why = str(error)[:_MOST_CHARACTERS]
        if self._failing.get(source.name) != why:
            self._failing[source.name] = why
            text = f"source {source.name} cannot be read: {why}"
            self._tell(_event(at, "signal.lost", source.name, text))
        self._listen(source, at)

    def _listen(self, source: LimitSource, at: datetime) -> None:
        """Tell what it heard and refused."""
        if isinstance(source, ListeningSource):
            refused = source.refused()
            fresh = self._fresh(source.name, refused)
            for text in _news(source.name, fresh):
                self._tell(_event(at, "signal.refused", source.name, text))
            for refusal in fresh[:MOST_AT_ONCE]:
                if isinstance(refusal, Refusal) and refusal.giver_id:
                    self._note(source.name, refusal, at)

    def _fresh(self, name: str, texts: Sequence[str]) -> list[str]:
        fresh = []
        for text in texts:
            if text[:_MOST_CHARACTERS] != self._refused.get(name):
                fresh.append(text)
            self._refused[name] = text[:_MOST_CHARACTERS]
        return fresh


def _news(name: str, fresh: Sequence[str]) -> Iterator[str]:
    told = (text[:_MOST_CHARACTERS] for text in fresh[:MOST_AT_ONCE])
    yield from (f"source {name} refused a message: {text}" for text in told)
    if len(fresh) > MOST_AT_ONCE:
        yield f"source {name} refused {len(fresh) - MOST_AT_ONCE} more messages"


def _event(at: datetime, kind: str, source: str, text: str) -> Event:
    return Event(at=at, kind=kind, text=text, data={"source": source})
