"""What a machine does, by all that is known of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.core.condition import Evidence, Word, condition_of
from scheduler.core.inventory import Condition

ASLEEP = Evidence(
    is_usable=True,
    is_to_work=False,
    told_s=100.0,
    word=Word.ASLEEP,
    silent_s=1.0,
    missed=False,
    is_in_doubt=False,
    is_given_up=False,
    is_cut=False,
)
AT_WORK = replace(ASLEEP, is_to_work=True, word=Word.RUNNING)


@pytest.mark.parametrize(
    "seen, condition",
    [
        (ASLEEP, Condition.ASLEEP),
        (AT_WORK, Condition.RUNNING),
        (replace(ASLEEP, is_usable=False), Condition.UNUSABLE),
        (replace(ASLEEP, word=None), Condition.LOST),
        (replace(ASLEEP, silent_s=11.0), Condition.LOST),
        (replace(ASLEEP, silent_s=11.0, is_cut=True), Condition.FAULTED),
        (replace(ASLEEP, missed=True), Condition.STALE),
        (replace(ASLEEP, word=Word.RUNNING, is_in_doubt=True), Condition.RAMPING),
        (replace(ASLEEP, is_in_doubt=True), Condition.RAMPING),
        (replace(ASLEEP, word=Word.RUNNING, is_in_doubt=True, is_given_up=True), Condition.FAULTED),
        (replace(AT_WORK, word=Word.RAMPING), Condition.RAMPING),
        (replace(AT_WORK, word=Word.ASLEEP), Condition.RAMPING),
        (replace(AT_WORK, word=Word.ASLEEP, told_s=601.0), Condition.FAULTED),
        (replace(AT_WORK, word=Word.FAULTED), Condition.FAULTED),
    ],
)
def test_a_condition_follows_from_what_is_known(seen: Evidence, condition: Condition) -> None:
    """What cannot be told comes first, then who is not heard of, then who does not obey."""
    assert condition_of(seen, lost_after_s=10.0, ramp_s=600.0) is condition
