"""Free GPUs, kept up from round to round: always what counting them anew gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings, strategies as st

from scheduler.core.jobs import Phase, Placement
from scheduler.core.orders import NodePower
from scheduler.core.plan import Plan
from scheduler.core.room import Room
from tests.builders import SiteBuilder, site

NODES = ("a", "b", "c")


def kept(built: SiteBuilder) -> tuple[Room, Plan]:
    """The room of a site."""
    plan = Plan(built.snapshot())
    return Room(plan), plan


def follow(room: Room, plan: Plan, built: SiteBuilder) -> Room:
    """What the next snapshot says."""
    plan.follow(built.snapshot())
    room.refresh(plan)
    return room


def state(room: Room) -> tuple[object, ...]:
    """All that can be asked of a room."""
    return room.free, room.total, room.largest, [list(room.fullest(n)) for n in range(6)]


def test_nodes_with_the_fewest_free_gpus_come_first() -> None:
    """Of those with enough, by name where they have as many."""
    built = site().node("a", gpus=4).node("b", gpus=2).node("c", gpus=2).running("j", "a", gpus=1)
    room, _ = kept(built)

    assert list(room.fullest(1)) == ["b", "c", "a"]
    assert list(room.fullest(3)) == ["a"]
    assert (room.total, room.largest) == (7, 3)


def test_what_is_taken_is_not_free_until_it_is_given_back() -> None:
    """Within a round nobody else gets it; the next one counts what is really held."""
    built = site().node("a", gpus=4)
    room, plan = kept(built)

    room.take((Placement(node_id="a", gpu_ids=("0", "1")),))
    assert room.free == {"a": ("2", "3")}

    plan.touched.add("a")
    assert follow(room, plan, built).free == {"a": ("0", "1", "2", "3")}


def test_gpus_come_back_when_an_attempt_is_gone() -> None:
    """In slot order."""
    built = site().node("a", gpus=2).running("j", "a", gpus=1).running("k", "a", gpus=1)
    room, plan = kept(built)
    assert room.free == {"a": ()}
    gains = room.gains

    del built.attempts["j.1"]
    built.groups["a"] = replace(built.groups["a"], gpus=())

    assert follow(room, plan, built).free == {"a": ("0",)}
    assert room.gains > gains


def test_only_nodes_that_take_work_have_room() -> None:
    """Not the cordoned, those in standby or on their way up, and miners never."""
    built = (
        site().node("on").node("cordoned").node("off", standby_w=50.0).node("boots", standby_w=50.0).miners()
    )
    changes: dict[str, dict[str, Any]] = {
        "cordoned": {"cordoned": True},
        "off": {"power": NodePower.STANDBY},
        "boots": {"power": NodePower.BOOTING},
    }
    for name, changed in changes.items():
        built.groups[name] = replace(built.groups[name], **changed)

    assert kept(built)[0].free.keys() == {"on"}


def test_a_node_that_is_told_to_go_to_standby_has_no_room_from_then_on() -> None:
    """Though its host is still on; and it has once it is told to come back and is on."""
    built = site().node("a", standby_w=50.0)
    room, plan = kept(built)

    plan.switch("a", asleep=True)
    room.refresh(plan)
    assert (room.free, room.total, room.largest) == ({}, 0, 0)

    plan.switch("a", asleep=False)
    room.refresh(plan)
    assert room.free.keys() == {"a"}


def test_time_alone_takes_a_silent_node_out_and_a_report_puts_it_in() -> None:
    """Nothing else has to change."""
    built = site().node("a").node("b")
    room, plan = kept(built)
    told_at = built.at

    built.passes(built.site.unreachable_after_s + 0.1)
    built.groups["b"] = replace(built.groups["b"], reported_at=told_at)
    assert follow(room, plan, built).free.keys() == {"a"}

    assert follow(room, plan, built.passes(0.1)).free.keys() == {"a", "b"}


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(
            ["start", "end", "phase", "cordon", "power", "stranger", "silent", "come", "go", "switch"]
        ),
        st.sampled_from(NODES),
        st.integers(1, 4),
    ),
    max_size=15,
)


def change_node(built: SiteBuilder, how: str, name: str, number: int) -> None:
    """One change of a node itself."""
    group = built.groups[name]
    first = [replace(g, processes=number // 3) for g in group.gpus[:1]]
    changed = {
        "cordon": replace(group, cordoned=number > 2),
        "power": replace(group, power=[*NodePower, NodePower.ON][number - 1]),
        "stranger": replace(group, gpus=(*first, *group.gpus[1:])),
        "silent": group,
    }
    if how == "silent":
        built.passes(2.0 * number)
    built.groups[name] = changed.get(how, group)


def change_work(built: SiteBuilder, how: str, name: str, number: int) -> None:
    """One change of what is on a node."""
    ours = [a for a in built.attempts.values() if a.placements[0].node_id == name]
    if how == "start" and sum(a.gpu_count for a in ours) + number <= len(built.groups[name].spec.gpus):
        built.running(f"j{len(built.jobs)}", name, gpus=number)
    elif how == "end" and ours:
        del built.attempts[ours[0].id]
    elif how == "phase" and ours:
        built.attempts[ours[0].id] = replace(ours[0], phase=[*Phase][number - 1])
    elif how == "go" and not ours:
        del built.groups[name]


def change(built: SiteBuilder, plan: Plan, how: str, name: str, number: int) -> None:
    """Anything that happens to a node."""
    if how == "come":
        built.node(name, gpus=number, standby_w=50.0)
    elif name in built.groups:
        if how == "switch":
            plan.switch(name, asleep=number > 2)
        change_node(built, how, name, number)
        change_work(built, how, name, number)


@given(CHANGES, st.sets(st.integers(0, 14)))
@settings(max_examples=200)
def test_a_room_that_was_kept_up_is_as_a_new_one(
    changes: list[tuple[str, str, int]], looked: set[int]
) -> None:
    """Whatever happened on the nodes, and however many rounds nobody asked for the room."""
    built = site().node("a", standby_w=50.0).node("b", gpus=2, standby_w=50.0)
    room, plan = kept(built)
    for turn, (how, name, number) in enumerate(changes):
        change(built, plan, how, name, number)
        if how != "switch":
            plan.follow(built.snapshot())
        if turn not in looked:
            continue
        room.refresh(plan)
        if how != "switch":
            assert state(room) == state(Room(Plan(built.snapshot())))
        assert state(room) == state(counted(plan))


def counted(plan: Plan) -> Room:
    """All nodes of a plan, counted anew."""
    plan.touched |= plan.groups.keys()
    return Room(plan)
