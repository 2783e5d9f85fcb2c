"""Three nodes: a gang runs on two of them, one dies, the job resumes on the others; then Ray's head dies."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from barq.cli.members import join_site, leave_site
from barq.errors import Refused
from barq.site.processes import Process, wait_gone
from barq.site.stopping import read_processes
from tests.many_nodes import POWER, ManyNodes, a_node, many_nodes
from tests.site_harness import EXAMPLES
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(300)

FIRM_W, LIMIT_W = 1900.0, 2300.0
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManyNodes]:
    """A head and two members, with storage that all of them share, and less power than their GPUs could use."""
    directory = tmp_path_factory.mktemp("many")
    changes = {
        "storage": {"jobs_dir": str(directory / "shared" / "jobs")},
        "power": POWER | {"firm_w": FIRM_W},
        "signals": [{"type": "constant", "name": "contract", "limit_w": LIMIT_W}],
    }
    with many_nodes(directory, ["node-2", "node-3"], **changes) as running:
        yield running


def a_gang(site: ManyNodes) -> str:
    """DDP over gloo: two nodes, a GPU on each."""
    request: dict[str, Any] = {
        "name": "gang",
        "entrypoint": [sys.executable, "char_transformer.py", "--steps", "100000"],
        "working_dir": str(EXAMPLES),
        "resources": {"gpus": 1},
        "nodes": 2,
        "checkpoint": {"interval": "2s", "keep": 2},
    }
    return site.client.submit(request)["id"]


def placed_on(site: ManyNodes, job_id: str) -> set[str]:
    """The nodes of its newest attempt."""
    return {p["node_id"] for p in site.client.attempts(job_id)[-1]["placements"]}


def all_well(site: ManyNodes, *names: str) -> bool:
    """Whether all of these nodes report, and follow orders."""
    nodes = {node["id"]: node for node in site.client.nodes()}
    return all(nodes[n]["reachable"] and not nodes[n]["in_fallback"] for n in names)


def test_a_gang_survives_the_loss_of_a_node_and_of_the_head_of_ray(site: ManyNodes) -> None:
    """It resumes from its verified commit on the nodes that are left; without Ray the guards keep the firm level."""
    job_id = a_gang(site)
    site.head.wait_state(job_id, "RUNNING", timeout_s=PATIENCE_S)
    assert placed_on(site, job_id) == {"node-2", "node-3"}
    wait_for(lambda: site.client.job(job_id)["last_commit"], timeout_s=PATIENCE_S, what="a commit")
    _lose_a_node(site, job_id)
    _lose_ray(site, job_id)
    site.client.cancel(job_id)
    site.head.wait_state(job_id, "CANCELLED", timeout_s=PATIENCE_S)
    _leave(site)


def _leave(site: ManyNodes) -> None:
    """One node leaves in order, one that is dead is forgotten; one that the firm level cannot hold never comes in."""
    member = site.machines[1]
    family = member.family()
    assert leave_site(member.state, grace_s=10.0).node == "node-2"
    assert wait_gone(family, timeout_s=60) == []
    site.client.forget_node("node-3")
    wait_for(lambda: [n["id"] for n in site.client.nodes()] == ["node-1"], timeout_s=PATIENCE_S)
    glutton = a_node(site.head.files, "node-4", address="127.0.0.9", ports_from=1024, base_w=5000.0)
    with pytest.raises(Refused, match=r"power\.firm_w is 1900 W"):
        join_site(glutton, member.state)
    assert member.files.token.exists() is member.files.membership.exists() is False


def _lose_a_node(site: ManyNodes, job_id: str) -> None:
    """One of the two that the gang is on loses its power."""
    site.machines[-1].lose_power()
    committed = committed_step(site, job_id)
    wait_for(lambda: site.client.job(job_id)["attempts"] == 2, timeout_s=90.0, what="a second attempt")
    site.head.wait_state(job_id, "RUNNING", timeout_s=PATIENCE_S)
    first, second = site.client.attempts(job_id)
    assert (first["outcome"], first["cause"], second["outcome"]) == ("LOST", "NodeLost", None)
    assert placed_on(site, job_id) == {"node-1", "node-2"}
    wait_for(lambda: resumed_step(site, job_id) >= committed, timeout_s=PATIENCE_S, what="resumed")
    wait_for(lambda: committed_step(site, job_id) > committed, timeout_s=PATIENCE_S, what="progress")


def _lose_ray(site: ManyNodes, job_id: str) -> None:
    """Ray's head dies and stays away until every lease is over: flexible work is saved, firm work goes on."""
    survivors = ("node-1", "node-2")
    firm = site.head.submit("counter.py", "--steps=1000000", name="firm", flex=0)
    site.head.wait_state(firm, "RUNNING", timeout_s=PATIENCE_S)
    before, keeper = job_pids(site, firm), site.head.kill("keeper", signal.SIGSTOP)
    try:
        for name, process in read_processes(site.head.files).items():
            if name == "ray" or name.startswith("ray/"):
                process.send(signal.SIGKILL)

        def fell() -> bool:
            assert site.draw_w(survivors) <= LIMIT_W
            return all(site.report(n)["in_fallback"] for n in survivors) and site.draw_w(survivors) <= FIRM_W

        wait_for(fell, timeout_s=PATIENCE_S, what="guards at the firm level by themselves")
        assert job_pids(site, firm) == before
    finally:
        assert keeper.send(signal.SIGCONT)

    def back() -> bool:
        assert site.draw_w(survivors) <= LIMIT_W
        return all_well(site, *survivors)

    wait_for(back, timeout_s=90.0, what="Ray is back, and both guards follow orders")
    site.head.wait_state(job_id, "RUNNING", timeout_s=PATIENCE_S)
    left = [a["outcome"] for a in site.client.attempts(job_id)[1:-1]]
    assert set(left) <= {"PREEMPTED"}, "saved, not lost"
    assert job_pids(site, firm) == before
    assert [a["outcome"] for a in site.client.attempts(firm)] == [None]
    site.client.cancel(firm)


def committed_step(site: ManyNodes, job_id: str) -> int:
    """The step of its newest verified commit."""
    commit = site.client.job(job_id)["last_commit"]
    return commit["step"] if commit else 0


def resumed_step(site: ManyNodes, job_id: str) -> int:
    """Where its newest attempt began."""
    return site.client.attempts(job_id)[-1]["resumed_step"] or 0


def job_pids(site: ManyNodes, job_id: str) -> dict[str, int]:
    """Who supervises its attempts, living ones only, by attempt."""
    found = {}
    for path in (p for m in site.machines for p in m.state.glob(f"groups/*/attempts/{job_id}.*")):
        pid: int = json.loads((path / "supervisor.pid").read_text(encoding="utf-8"))["process"]["pid"]
        if Process.of(pid) is not None:
            found[path.name] = pid
    return found
