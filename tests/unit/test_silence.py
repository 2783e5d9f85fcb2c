"""Who was not heard of for long, found as a look at every group would find it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings, strategies as st

from scheduler.core.silence import Silence
from scheduler.core.snapshot import Group
from tests.builders import T0, site

GROUP = site().node("a").snapshot().groups["a"]
AGES_S = st.none() | st.integers(0, 60)


def heard(age_s: int | None, now: datetime) -> Group:
    """A group that was heard of so long ago, None = never."""
    return replace(GROUP, reported_at=None if age_s is None else now - timedelta(seconds=age_s))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("abc"), AGES_S, st.integers(0, 70)), max_size=12))
def test_it_finds_all_that_are_silent_and_nobody_else(steps: list[tuple[str, int | None, int]]) -> None:
    """Whatever came in before, and however the cutoffs went: groups that were never heard of are silent, too."""
    silence, groups, now = Silence(), dict[str, Group](), T0
    for gid, age_s, since_s in steps:
        now += timedelta(seconds=1)
        groups[gid] = heard(age_s, now)
        silence.note(groups[gid])
        cutoff = now - timedelta(seconds=since_s)
        found = {k for k, g in groups.items() if g.reported_at is None or g.reported_at < cutoff}
        assert silence.since(groups, cutoff) == found
