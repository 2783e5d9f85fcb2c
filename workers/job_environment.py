"""What a job process finds in its environment: a clean one, what the job file says, and the contract above both."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from barq import contract
from scheduler.core.orders import AttemptOrder, Rank
from workers.attempt_files import AttemptFiles, Launching
from workers.prepared import PLAIN, Prepared
from workers.reminding import first_share

_INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "TMPDIR", "TZ", "USER")
_INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "TP_SOCKET_IFNAME")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def job_environment(
    launching: Launching,
    files: AttemptFiles,
    *,
    resume_from: str,
    prepared: Prepared = PLAIN,
    inherited: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """The whole environment of the job's first process.

    `python` is that of the job's runtime, else the one that the site itself runs on. A PATH in the job file comes
    after the runtime's.
    """
    launch = launching.order.launch
    site_bin = str(Path(sys.executable).parent)
    clean = {name: inherited[name] for name in _INHERITED if name in inherited}
    clean["PATH"] = os.pathsep.join((site_bin, inherited.get("PATH") or _PATH))
    clean["PYTHONUNBUFFERED"] = "1"  # so that its log can be followed
    clean |= _interface(launching.interface) | dict(launch.env)
    return (
        _with_runtime(clean, prepared)
        | _contract(launching, files, resume_from)
        | _gang(launching.order.rank)
    )


def _with_runtime(environment: dict[str, str], prepared: Prepared) -> dict[str, str]:
    """A runtime's own Python must not be told to look for its modules elsewhere."""
    if not prepared.path:
        return environment
    path = os.pathsep.join((*prepared.path, environment["PATH"]))
    marks = {"VIRTUAL_ENV": prepared.virtual_env} if prepared.virtual_env else {}
    return {n: v for n, v in environment.items() if n != "PYTHONHOME"} | {"PATH": path} | marks


def _interface(name: str) -> dict[str, str]:
    """The interface that a gang talks over, for libraries that would ask the host's name; a job may name another."""
    return dict.fromkeys(_INTERFACES, name) if name else {}


def _contract(launching: Launching, files: AttemptFiles, resume_from: str) -> dict[str, str]:
    order, launch = launching.order, launching.order.launch
    return {
        contract.ENV_JOB_ID: order.job_id,
        contract.ENV_ATTEMPT: str(order.number),
        contract.ENV_RESTART_COUNT: str(order.number - 1),
        contract.ENV_CHECKPOINT_DIR: launch.checkpoint_dir,
        contract.ENV_CHECKPOINT_INTERVAL_S: f"{launch.checkpoint_interval_s:g}",
        contract.ENV_CHECKPOINT_FIRST_S: f"{_first_s(order):g}",
        contract.ENV_CHECKPOINT_KEEP: str(launch.keep),
        contract.ENV_RESUME_FROM: resume_from,
        contract.ENV_CONTROL_DIR: str(files.control_dir),
        contract.ENV_STATUS_DIR: str(files.status_dir),
        contract.ENV_OUTPUT_DIR: launch.output_dir,
        contract.ENV_PAUSE_SIGNAL: "SIGTERM",
        contract.ENV_GRACE_S: f"{launch.grace_s:g}",
        contract.ENV_EXIT_PAUSED: str(contract.EXIT_PAUSED),
        "CUDA_VISIBLE_DEVICES": launching.visible_devices,
    }


def _first_s(order: AttemptOrder) -> float:
    """Until its first commit: another share of the interval for each attempt, where that is Barq's to choose."""
    share = first_share(order.attempt_id) if order.launch.checkpoint_auto else 1.0
    return share * order.launch.checkpoint_interval_s


def _gang(rank: Rank) -> dict[str, str]:
    """What the members of a gang need to find each other; one alone needs nothing.

    Each node starts one process, so these are also the ranks, unless that process is a launcher of more.
    """
    if rank.nodes == 1:
        return {}
    return {
        contract.ENV_MASTER_ADDR: rank.master_addr,
        contract.ENV_MASTER_PORT: str(rank.master_port),
        contract.ENV_RANK: str(rank.node_rank),
        contract.ENV_WORLD_SIZE: str(rank.nodes),
        contract.ENV_LOCAL_RANK: "0",
        **_launcher(rank),
    }


def _launcher(rank: Rank) -> dict[str, str]:
    """The same for a launcher on each node: `torchrun --nproc-per-node 4 train.py` needs no more than these."""
    return {
        "NNODES": str(rank.nodes),
        "NODE_RANK": str(rank.node_rank),
        "PET_NNODES": str(rank.nodes),
        "PET_NODE_RANK": str(rank.node_rank),
        "PET_MASTER_ADDR": rank.master_addr,
        "PET_MASTER_PORT": str(rank.master_port),
    }
