"""A job's periodic commits: after how much computing each begins, and for how long it keeps the job from computing."""

from __future__ import annotations


class Commits:
    """Where a job stands between two commits. Microseconds in which it runs; while it does not, nothing moves here."""

    __slots__ = ("computed_us", "every_us", "saving_us", "takes_us")

    def __init__(self, *, every_us: int, takes_us: int) -> None:
        self.every_us = every_us  #: of computing, between two commits
        self.takes_us = takes_us
        self.computed_us = 0  #: since the last commit, or the start
        self.saving_us = 0  #: that the one in progress still takes; 0 = none is

    def passes(self, span_us: int) -> tuple[int, int, int | None]:
        """So much time passes. How much of it was computed, how much stalled, how much computed up to the last commit.

        The last is None where none was completed.
        """
        if self.takes_us == 0:
            return self._passes_free(span_us)
        computed_us, left_us, committed_us = 0, span_us, None
        while left_us > 0:
            if self.saving_us > 0:
                step_us = min(left_us, self.saving_us)
                self.saving_us -= step_us
                if self.saving_us == 0:
                    self.computed_us, committed_us = 0, computed_us
            else:
                step_us = min(left_us, max(0, self.every_us - self.computed_us))
                self.computed_us += step_us
                computed_us += step_us
                if self.computed_us >= self.every_us:
                    self.saving_us = self.takes_us
            left_us -= step_us
        return computed_us, span_us - computed_us, committed_us

    def _passes_free(self, span_us: int) -> tuple[int, int, int | None]:
        reached_us = self.computed_us + span_us
        if reached_us < self.every_us:
            self.computed_us = reached_us
            return span_us, 0, None
        self.computed_us = min(
            span_us, reached_us % self.every_us
        )  # at once, where the interval was made shorter
        return span_us, 0, span_us - self.computed_us

    def next_us(self) -> int:
        """How long it takes from now on until the next commit is completed: a moment where one is overdue.

        So it is where the interval was made shorter than what was computed since the last: it comes as time passes.
        """
        if self.saving_us > 0:
            return self.saving_us
        return max(1, max(0, self.every_us - self.computed_us) + self.takes_us)

    def lasts_us(self, work_us: int) -> int:
        """How long so much computing takes from now on, with the commits that begin before it is done."""
        if self.takes_us == 0 or work_us <= 0:
            return work_us + (self.saving_us if work_us > 0 else 0)
        first_us = self.every_us if self.saving_us else max(0, self.every_us - self.computed_us)
        begun = 0 if work_us <= first_us else -(-(work_us - first_us) // self.every_us)
        return self.saving_us + work_us + begun * self.takes_us
