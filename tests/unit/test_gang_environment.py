"""What the members of a gang find in their environment, so that they and their launchers meet across machines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from scheduler.core.jobs import Phase
from scheduler.core.orders import AttemptOrder, Rank
from tests.builders import launch
from workers.attempt_files import AttemptFiles, Launching
from workers.interfaces import interface_of
from workers.job_environment import job_environment


def environment(rank: Rank, *, interface: str = "eth1", auto: bool = False, **env: str) -> dict[str, str]:
    """Of a member with this rank, on a node whose network is on this interface."""
    order = AttemptOrder(
        attempt_id="t-1.1",
        job_id="t-1",
        number=1,
        phase=Phase.RUN,
        gpu_ids=("0",),
        cap_w=400.0,
        tier=4,
        launch=launch(env=tuple(env.items()), checkpoint_auto=auto),
        rank=rank,
    )
    told = Launching(
        order=order, guard_lock="/lock", orphan_s=20.0, suspend_patience_s=2.0, interface=interface
    )
    return job_environment(told, AttemptFiles(Path("/attempt")), resume_from="", inherited={})


GANG = Rank(node_rank=1, nodes=2, master_addr="192.0.2.7", master_port=20_014)


def test_a_member_is_a_rank_that_finds_the_first_node() -> None:
    """One process per node, as torch's env:// wants it."""
    found = environment(GANG)

    wanted = {
        "MASTER_ADDR": "192.0.2.7",
        "MASTER_PORT": "20014",
        "RANK": "1",
        "WORLD_SIZE": "2",
        "LOCAL_RANK": "0",
    }
    assert {name: found[name] for name in wanted} == wanted


def test_a_launcher_on_each_node_needs_no_arguments_to_meet_the_others() -> None:
    """The variables from which torchrun takes its defaults."""
    found = environment(GANG)

    wanted = {"NNODES": "2", "NODE_RANK": "1"}
    wanted |= {
        "PET_NNODES": "2",
        "PET_NODE_RANK": "1",
        "PET_MASTER_ADDR": "192.0.2.7",
        "PET_MASTER_PORT": "20014",
    }
    assert {name: found[name] for name in wanted} == wanted


def test_a_gang_talks_over_the_interface_of_its_node_unless_the_job_says_otherwise() -> None:
    """Else libraries ask for the host's name, which often leads to this machine alone."""
    found = environment(GANG, NCCL_SOCKET_IFNAME="ib0")

    assert (found["GLOO_SOCKET_IFNAME"], found["NCCL_SOCKET_IFNAME"]) == ("eth1", "ib0")


def test_one_alone_is_told_nothing_of_it() -> None:
    """It would wait for somebody who does not exist."""
    found = environment(Rank(), interface="")

    assert not [
        n for n in found if n.startswith(("MASTER", "PET_", "GLOO", "NCCL")) or n in ("RANK", "NNODES")
    ]


def test_an_address_leads_to_its_interface() -> None:
    """Any of the loopback network is on the loopback interface; what is nowhere has none."""
    assert interface_of("127.0.0.1") == interface_of("127.0.0.77") == "lo"
    assert interface_of("203.0.113.200") == interface_of("not an address") == ""


def test_who_leaves_it_to_barq_is_told_a_first_interval_of_his_own() -> None:
    """The same on all nodes of a gang; who pins his interval has it from the start."""
    auto = [environment(replace(GANG, node_rank=n), auto=True)["BARQ_CHECKPOINT_FIRST_S"] for n in (0, 1)]

    assert auto[0] == auto[1]
    assert 2.5 <= float(auto[0]) < 5.0
    assert environment(GANG)["BARQ_CHECKPOINT_FIRST_S"] == environment(GANG)["BARQ_CHECKPOINT_INTERVAL_S"]
