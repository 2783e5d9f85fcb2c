"""Which leader the groups of a site follow, kept up by what changed."""

from __future__ import annotations

from dataclasses import replace

from scheduler.core.orders import Fence
from scheduler.core.snapshot import Group
from scheduler.core.tracked import Tracked
from scheduler.following import Following
from tests.builders import site

GROUP = site().node("a").snapshot().groups["a"]


def following(epoch: int, *, known: bool = True) -> Group:
    """A group that acknowledged an order of this epoch last."""
    return replace(GROUP, account=replace(GROUP.account, acked=Fence(epoch=epoch, seq=1), known=known))


def test_all_follow_once_the_last_one_does() -> None:
    """And no more once one of them acknowledges another leader, who is the newest then."""
    groups, found = Tracked({"a": following(1), "b": following(2)}), Following()
    found.follow(groups.shot())
    assert (found.all_follow(2), found.newest) == (False, 2)
    groups["a"] = following(2)
    found.follow(groups.shot())
    assert (found.all_follow(2), found.newest) == (True, 2)
    groups["b"] = following(3)
    found.follow(groups.shot())
    assert (found.all_follow(2), found.newest) == (False, 3)


def test_who_left_counts_no_more() -> None:
    """Neither for the epochs, nor among those of which nothing is known."""
    groups, found = Tracked({"a": following(1), "b": following(2, known=False)}), Following()
    found.follow(groups.shot())
    assert found.unknown == {"b"}
    groups.pop("b")
    found.follow(groups.shot())
    assert (found.unknown, found.newest, found.all_follow(1)) == (set(), 1, True)
