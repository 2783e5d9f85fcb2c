"""A real Slurm on this machine for a benchmark: a controller, several `slurmd` on one host, in a directory of its own.

Debian's packages are enough, and nothing of them has to run already:

    apt-get install --no-install-recommends slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge

Ports, key, sockets, state and logs are the benchmark's own, so that a Slurm that serves somebody is not touched. The
configuration follows Slurm's guide for high throughput (doc/html/high_throughput.shtml) where it helps with a burst of
jobs on an idle cluster: no accounting, FIFO, many munge threads, several ports, all pending jobs looked at in each
pass. What the guide gives away for it, such as a delay before jobs are looked at, is left out. A cluster `as_shipped`
looks at jobs as Slurm does by default: at batch jobs every 3 s, and at 100 at a time.
"""

from __future__ import annotations

import getpass
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.job_watch import wait_for
from benchmarks.orphans import ending_all_below

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "sinfo", "squeue")
REMEDY = "apt-get install --no-install-recommends slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge"
CONTROLLER_PORTS = 4
#: Below those that the kernel gives to whoever connects, above those that services are known by.
PORTS = range(12000, 30000)
MUNGE_THREADS = 10
SETTLE_S = 2.0
TICK_S = (
    1.0  #: what was submitted waits for the controller's next tick, so the benchmark begins anywhere in one
)
SETTINGS = """\
ClusterName=bench
SlurmctldHost=localhost
AuthType=auth/munge
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
PriorityType=priority/basic
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
MaxJobCount=100000
MaxArraySize=100001
MessageTimeout=60
SlurmctldDebug=error
SlurmdDebug=error
"""
TUNED = """\
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=1,default_queue_depth=10000,partition_job_depth=10000
"""


class NoSlurm(Exception):
    """Slurm is not installed, or did not start; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """So many nodes with room for so many jobs each, one CPU a job: as many as we say, whatever the machine has."""

    nodes: int
    cpus: int
    as_shipped: bool = False  #: whether it looks at jobs when Slurm does by default, and not at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A Slurm that is up."""

    directory: Path
    programs: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """For its programs."""
        return {"PATH": os.environ["PATH"], "SLURM_CONF": str(self.directory / "slurm.conf")}

    def ask(self, program: str, *arguments: str) -> str:
        """What one of its commands prints. Raises CalledProcessError; what it complains of goes to our stderr."""
        command = [self.programs[program], *arguments]
        return subprocess.run(
            command, env=self.environment, cwd=self.directory, stdout=subprocess.PIPE, text=True, check=True
        ).stdout

    def states(self) -> list[str]:
        """Of each job that it knows."""
        return self.ask("squeue", "--noheader", "--array", "--format=%T").split()


def configuration(shape: Shape, directory: Path, ports: Sequence[int], user: str) -> str:
    """The text of slurm.conf. `ports` are consecutive: those of the controller first, then one for each node."""
    nodes = "".join(
        f"NodeName=node{n} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs={shape.cpus}\n"
        for n, port in enumerate(ports[CONTROLLER_PORTS:])
    )
    return (
        f"{SETTINGS}{'' if shape.as_shipped else TUNED}AuthInfo=socket={directory}/munge.socket\n"
        f"SlurmUser={user}\nSlurmdUser={user}\n"
        f"SlurmctldPort={ports[0]}-{ports[CONTROLLER_PORTS - 1]}\n"
        f"StateSaveLocation={directory}/controller\nSlurmdSpoolDir={directory}/%n\n"
        f"SlurmctldPidFile={directory}/slurmctld.pid\nSlurmdPidFile={directory}/%n.pid\n"
        f"SlurmctldLogFile={directory}/slurmctld.log\nSlurmdLogFile={directory}/%n.log\n"
        f"{nodes}PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
    )


def installed() -> dict[str, str]:
    """Where Slurm's programs are. Raises `NoSlurm`."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    found = {name: shutil.which(name, path=path) for name in PROGRAMS}
    if missing := [name for name, place in found.items() if place is None]:
        raise NoSlurm(f"not installed: {', '.join(missing)}; {REMEDY}")
    return {name: place for name, place in found.items() if place is not None}


def free_ports(count: int) -> list[int]:
    """Consecutive ports of which none is taken at this moment."""
    while True:
        first = random.choice(PORTS[:-count])
        if all(_is_free(port) for port in range(first, first + count)):
            return list(range(first, first + count))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


@contextmanager
def running_cluster(shape: Shape) -> Iterator[Cluster]:
    """A Slurm with every node idle; nothing is left of it or of its jobs afterwards. Raises `NoSlurm`, `TooSlow`."""
    programs = installed()
    directory = Path(tempfile.mkdtemp(prefix="slurm-bench-"))
    cluster = Cluster(directory=directory, programs=programs)
    try:
        with ending_all_below():
            _prepare(cluster, shape)
            _start(cluster, shape)
            yield cluster
    finally:
        shutil.rmtree(directory)


def _prepare(cluster: Cluster, shape: Shape) -> None:
    directory = cluster.directory
    directory.chmod(0o755)  # munge's socket must be in reach of everybody
    for name in ("controller", *_names(shape)):
        (directory / name).mkdir()
    key = directory / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(1024))
    text = configuration(shape, directory, free_ports(CONTROLLER_PORTS + shape.nodes), getpass.getuser())
    (directory / "slurm.conf").write_text(text, encoding="utf-8")


def _start(cluster: Cluster, shape: Shape) -> None:
    socket_path = cluster.directory / "munge.socket"
    munge = [
        f"--{n}={cluster.directory}/munge.{n.partition('-')[0]}"
        for n in ("key-file", "pid-file", "seed-file")
    ]
    munge += [f"--socket={socket_path}", f"--num-threads={MUNGE_THREADS}"]
    daemons = [_daemon(cluster, "munged", "--foreground", *munge)]
    _wait_until(socket_path.exists, cluster, daemons, "munged's socket")
    daemons.append(_daemon(cluster, "slurmctld", "-D"))
    daemons += [_daemon(cluster, "slurmd", "-D", "-N", name) for name in _names(shape)]
    _wait_until(lambda: _all_idle(cluster, shape), cluster, daemons, f"{shape.nodes} idle nodes")
    time.sleep(SETTLE_S + random.uniform(0, TICK_S))


def _names(shape: Shape) -> list[str]:
    return [f"node{n}" for n in range(shape.nodes)]


def _daemon(cluster: Cluster, program: str, *arguments: str) -> subprocess.Popen[bytes]:
    with (cluster.directory / "daemons.log").open("ab") as log:
        return subprocess.Popen(
            [cluster.programs[program], *arguments],
            env=cluster.environment,
            cwd=cluster.directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _wait_until(
    is_there: Callable[[], bool], cluster: Cluster, daemons: Sequence[subprocess.Popen[bytes]], what: str
) -> None:
    """Raises `NoSlurm`, with its last words, if one of the daemons has ended; `TooSlow`."""

    def there() -> float | None:
        for daemon in daemons:
            if (code := daemon.poll()) is not None:
                said = (cluster.directory / "daemons.log").read_text(encoding="utf-8", errors="replace")
                raise NoSlurm(f"{daemon.args!r} ended with {code}:\n{said[-2000:]}")
        return 1.0 if is_there() else None

    wait_for(there, what)


def _all_idle(cluster: Cluster, shape: Shape) -> bool:
    asked = subprocess.run(
        [cluster.programs["sinfo"], "--noheader", "--Node", "--format=%T"],
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=False,  # the controller may not listen yet
    )
    return asked.stdout.split() == ["idle"] * shape.nodes
