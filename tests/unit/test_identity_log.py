"""Changes of machines as lines of the log."""

from __future__ import annotations

from scheduler.core.identities import Trait, looked
from scheduler.core.identity_log import digest_of, lines_of
from tests.machines import inventory, machine
from tests.stores import T0


def test_a_fleet_that_appears_is_one_line_with_all_its_machines() -> None:
    """And one for the pools that they tell; the line proves what the record of changes says of each."""
    found = looked({}, inventory(*(machine(n) for n in range(1, 8))), "acme-ltd", T0)
    (appeared, of_each), (pools, _) = lines_of(found.changes)
    assert appeared.kind == "machine.appeared"
    assert appeared.text == (
        "7 machines appeared in acme-ltd/acme: acme-1, acme-2, acme-3, acme-4, acme-5 and 2 more"
    )
    assert appeared.data["machines"] == " ".join(f"acme-{n}" for n in range(1, 8))
    assert appeared.data["changes_sha256"] == digest_of(of_each)
    assert [c.miner_id for c in of_each] == [f"acme-{n}" for n in range(1, 8)]
    assert pools.text.startswith("7 machines of acme-ltd/acme tell their pools: acme-1,")


def test_one_machine_and_what_changed_of_one_have_their_own_lines() -> None:
    """Nobody looks for a change of a serial number in a list."""
    first = looked({}, inventory(machine(1)), "acme-ltd", T0)
    assert [event.text.partition(" ")[0] for event, _ in lines_of(first.changes)] == ["acme-1"] * 2
    known = {k.miner_id: k for k in looked({}, inventory(machine(1), machine(2)), "acme-ltd", T0).machines}
    moved = inventory(machine(1, address="10.9.9.1"), machine(2, address="10.9.9.2"))
    told = lines_of(looked(known, moved, "acme-ltd", T0).changes)
    assert [[c.what for c in some] for _, some in told] == [[Trait.ADDRESS], [Trait.ADDRESS]]
    gone = lines_of(looked(known, inventory(), "acme-ltd", T0).changes)
    assert [event.text for event, _ in gone] == [
        "2 machines are not among those of acme-ltd/acme any more: acme-1, acme-2"
    ]
