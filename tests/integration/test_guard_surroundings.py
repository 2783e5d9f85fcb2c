"""A guard and real jobs that bring a folder, a runtime and inputs along, and leave outputs behind."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from barq.blobs import Blobs
from barq.client import Client
from scheduler.core.jobs import Phase, Runtime
from scheduler.core.orders import AttemptFacts, Observed
from tests.api_server import make_state, served
from tests.surroundings import PATIENCE_S, TOKEN, PreparingNode, keep, make_wheel, slow_site, write
from tests.waiting import wait_for
from workers.processes import is_alive

RUN_MAIN = ("python", "main.py")
#: A project whose modules are called like ours, and that looks which ones it gets.
NAMESAKES = {
    "main.py": "import json.decoder, sys\nimport api.routes, scheduler, workers.supervisor, barq.contract\n"
    "print(scheduler.WHO, api.routes.WHO, workers.supervisor.WHO, barq.contract.EXIT_PAUSED, sep='|')\n"
    "open('written', 'x').close()\n",
    "scheduler.py": "WHO = 'my scheduler'\n",
    "api/__init__.py": "",
    "api/routes.py": "WHO = 'my api'\n",
    "workers/__init__.py": "",
    "workers/supervisor.py": "WHO = 'my workers'\n",
    "workers/prepare.py": "raise SystemExit('the job prepared itself')\n",
    "json/__init__.py": "raise SystemExit('not the library')\n",
}
PRINTED = "my scheduler|my api|my workers|85\n"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[PreparingNode]:
    """A guarded node with a state directory."""
    node = PreparingNode(tmp_path / "state")
    try:
        node.start()
        yield node
    finally:
        node.close()


def ended(node: PreparingNode, attempt_id: str) -> AttemptFacts:
    """The facts of an attempt once it is over."""
    return node.await_observed(attempt_id, Observed.ENDED)


def test_a_job_with_modules_called_like_ours_runs_undisturbed(node: PreparingNode, tmp_path: Path) -> None:
    """It gets its own modules, sent or in place, even when it says where to look first; ours stay ours."""
    files = {name: text for name, text in NAMESAKES.items() if not name.startswith("json")}
    files["main.py"] = files["main.py"].replace("json.decoder, ", "")
    project = write(tmp_path / "project", files)
    sent = node.bringing(
        "sent-1.1", RUN_MAIN, package=keep(project, node.blobs).id, env=(("PYTHONPATH", "."),)
    )
    there = node.bringing(
        "there-1.1", RUN_MAIN, working_dir=str(project), env=(("PYTHONPATH", str(project)),)
    )
    node.order(sent, replace(there, gpu_ids=("g1",)))

    for attempt_id in ("sent-1.1", "there-1.1"):
        assert ended(node, attempt_id).exit_code == 0
        assert PRINTED in node.log(attempt_id.removesuffix(".1"))
    assert (project / "written").exists()


def test_even_a_job_that_shadows_the_standard_library_is_prepared(
    node: PreparingNode, tmp_path: Path
) -> None:
    """What prepares it never looks into its folder: the job meets its own mistake, and nobody else does."""
    package = keep(write(tmp_path / "project", NAMESAKES), node.blobs)
    node.order(node.bringing("a-1.1", RUN_MAIN, package=package.id, env=(("PYTHONPATH", "."),)))

    assert ended(node, "a-1.1").exit_code == 1
    assert "not the library" in node.log("a-1")


def test_each_attempt_has_a_copy_of_its_own(node: PreparingNode, tmp_path: Path) -> None:
    """Writable, with the modes that were sent, untouched by the attempt before, and gone with it."""
    project = write(
        tmp_path / "project", {"main.sh": "#!/bin/sh\nset -e\npwd\ntouch new\n: > data\n", "data": "x"}
    )
    (project / "main.sh").chmod(0o755)
    package = keep(project, node.blobs)
    for number in (1, 2):
        node.order(node.bringing(f"a-1.{number}", ("./main.sh",), package=package.id))
        assert ended(node, f"a-1.{number}").exit_code == 0, node.log("a-1")
        copy = node.files(f"a-1.{number}").work_dir
        assert str(copy) in node.log("a-1")
        wait_for(lambda copy=copy: not copy.exists(), timeout_s=PATIENCE_S, what="the copy is gone")  # type: ignore[misc]
    assert node.blobs.missing(package.blobs) == []


def test_a_node_that_joined_fetches_from_the_site(node: PreparingNode, tmp_path: Path) -> None:
    """Over HTTP with its token, each blob once; afterwards it needs the site no more."""
    (tmp_path / "head").mkdir()
    state = make_state(tmp_path / "head")
    project = write(
        tmp_path / "project", {"main.py": "import lib.a; print(lib.a.X)", "lib/a.py": "X = 'fetched'"}
    )
    with served(state) as url:
        token = (state / "token").read_text().strip()
        with Client(url, token) as client:
            package = client.upload(project)
        node.joins(url, token)
        node.order(node.bringing("a-1.1", RUN_MAIN, package=package))
        assert ended(node, "a-1.1").exit_code == 0, node.log("a-1")
    node.order(node.bringing("b-1.1", RUN_MAIN, package=package))
    assert ended(node, "b-1.1").exit_code == 0, node.log("b-1")
    assert "fetched" in node.log("a-1")
    assert "fetched" in node.log("b-1")


def test_a_preparation_is_suspended_resumed_paused_and_cancelled(node: PreparingNode, tmp_path: Path) -> None:
    """It stands still, goes on to the end, leaves in time, dies: like a job, and says what it is doing."""
    there = Blobs(tmp_path / "there")
    package = keep(write(tmp_path / "project", {"main.py": "print('ran')"}), there)
    with slow_site(there) as (url, gate):
        node.joins(url, TOKEN)
        job = node.bringing("a-1.1", RUN_MAIN, package=package.id)
        node.order(job)
        node.await_facts("a-1.1", lambda facts: "working_dir" in facts.doing, "prepares")
        node.order(replace(job, phase=Phase.SUSPEND))
        node.await_observed("a-1.1", Observed.SUSPENDED)
        gate.set()
        node.order(job)
        end = ended(node, "a-1.1")
        assert (end.exit_code, end.doing) == (0, "")
        assert node.log("a-1").endswith("ran\n")

        gate.clear()
        other = keep(write(tmp_path / "other", {"main.py": "print('ran too')"}), there)
        for phase, killed in ((Phase.SAVE_EXIT, False), (Phase.KILL, True)):
            job = node.bringing(f"b-1.{1 + killed}", RUN_MAIN, package=other.id)
            node.order(job)
            node.await_facts(job.attempt_id, lambda facts: "working_dir" in facts.doing, "prepares")
            preparer = node.main(job.attempt_id)
            node.order(replace(job, phase=phase))
            end = ended(node, job.attempt_id)
            assert (end.exit_code, end.signal, end.launch_error, end.killed) == (None, None, None, killed)
            assert not is_alive(preparer)
        assert "ran" not in node.log("b-1")


def test_a_package_that_is_gone_is_told(node: PreparingNode, tmp_path: Path) -> None:
    """With the site's own words, or with what the node lacks."""
    node.order(node.bringing("a-1.1", RUN_MAIN, package="a" * 64))
    assert "not on this node" in str(ended(node, "a-1.1").launch_error)

    with slow_site(Blobs(tmp_path / "nothing")) as (url, gate):
        gate.set()
        node.joins(url, TOKEN)
        node.order(node.bringing("b-1.1", RUN_MAIN, package="a" * 64))
        end = ended(node, "b-1.1")
    assert "it is gone" in str(end.launch_error)
    assert "it is gone" in node.log("b-1")


def test_a_folder_that_is_not_there_is_told(node: PreparingNode) -> None:
    """A path on another machine is none here; the remedy is in the words."""
    node.order(node.bringing("a-1.1", RUN_MAIN, working_dir="/home/nobody/here"))

    error = str(ended(node, "a-1.1").launch_error)
    assert "working_dir = /home/nobody/here is no folder on this node" in error


def test_a_runtime_is_built_once(node: PreparingNode, tmp_path: Path) -> None:
    """From the requirements in the folder, isolated from the site's own Python; the next job finds it made."""
    main = (
        "import os, pebble, sys, barq.contract\nprint(pebble.WHO, sys.prefix == os.environ['VIRTUAL_ENV'])\n"
        "try:\n    import fastapi\nexcept ImportError: print('alone')\n"
    )
    lines = "--no-index\n--find-links wheels\npebble\n"
    project = write(tmp_path / "project", {"main.py": main, "requirements.txt": lines})
    make_wheel(project / "wheels", "pebble", "WHO = 'a pebble'\n")
    package, runtime = keep(project, node.blobs).id, Runtime(requirements="requirements.txt")
    for job_id in ("a-1", "b-1"):
        node.order(node.bringing(f"{job_id}.1", RUN_MAIN, package=package, runtime=runtime))
        end = node.await_facts(f"{job_id}.1", lambda facts: facts.observed is Observed.ENDED, "is over")
        assert end.exit_code == 0, (end, node.log(job_id))
        assert node.log(job_id).endswith("a pebble True\nalone\n")
    assert "building the runtime" in node.log("a-1")
    assert "building the runtime" not in node.log("b-1")


def test_what_pip_refuses_is_the_reason(node: PreparingNode, tmp_path: Path) -> None:
    """The last word of pip is in the facts, all of it in the log, and nothing half-built is left."""
    project = write(tmp_path / "project", {"r.txt": "--no-index\nno-such-thing==9\n"})
    package, runtime = keep(project, node.blobs).id, Runtime(requirements="r.txt")
    node.order(node.bringing("a-1.1", RUN_MAIN, package=package, runtime=runtime))

    error = str(ended(node, "a-1.1").launch_error)
    assert "pip refuses r.txt" in error
    assert "no-such-thing==9" in error
    assert [path.suffix for path in (node.state / "runtimes").iterdir()] == [".lock"]


def test_an_interpreter_of_the_node_is_python(node: PreparingNode) -> None:
    """Under that name, whatever it is called where it lies."""
    program = "import sys; print(sys.executable)"
    real = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    node.order(node.bringing("a-1.1", ("python", "-c", program), runtime=Runtime(python=str(real))))
    assert ended(node, "a-1.1").exit_code == 0, node.log("a-1")
    assert f"{real}\n" in node.log("a-1")

    node.order(node.bringing("b-1.1", ("python",), runtime=Runtime(python="/opt/none/python")))
    assert "/opt/none/python does not run on this node" in str(ended(node, "b-1.1").launch_error)


def test_inputs_are_there_and_outputs_are_copied(node: PreparingNode, tmp_path: Path) -> None:
    """A file and a folder on the way in, a file and a folder on the way out; credentials never in a URL."""
    source = write(tmp_path / "source", {"one": "1", "many/a": "2", "many/deep/b": "3"})
    target = tmp_path / "target"
    program = (
        "import os, pathlib as p\nout = p.Path(os.environ['BARQ_OUTPUT_DIR'], 'results')\nout.mkdir()\n"
        "texts = [p.Path(n).read_text() for n in ('data/one', 'all/a', 'all/deep/b')]\n"
        "out.joinpath('sum').write_text(''.join(texts))\n"
        "out.joinpath('leak').symlink_to('/etc/hostname')\n"
    )
    job = node.bringing(
        "a-1.1",
        ("python", "-c", program),
        inputs=(("all", f"file://{source}/many"), ("data/one", f"file://{source}/one")),
        outputs=(("results", f"file://{target}/run"), ("results/sum", f"file://{target}/flat/")),
    )
    node.order(job)

    assert (ended(node, "a-1.1").exit_code, ended(node, "a-1.1").outputs_error) == (0, None), node.log("a-1")
    copied = {str(path.relative_to(target)): path.read_text() for path in target.rglob("*") if path.is_file()}
    assert copied == {"run/sum": "123", "flat/sum": "123"}


def test_outputs_are_copied_at_a_pause(node: PreparingNode, tmp_path: Path) -> None:
    """After the commit is verified; the pause is what it is without them."""
    target = tmp_path / "target"
    job = node.counter("a-1.1")
    launch = replace(job.launch, outputs=((".", f"file://{target}"),))
    job = replace(job, launch=launch)
    Path(launch.output_dir).mkdir(parents=True)
    Path(launch.output_dir, "so-far").write_text("x")
    node.order(job)
    node.await_steps("a-1.1", 3)
    node.order(replace(job, phase=Phase.SAVE_EXIT))

    end = ended(node, "a-1.1")
    assert (end.exit_code, end.asked_to_exit, end.killed, end.outputs_error) == (85, True, False, None)
    assert end.committed_step == end.step
    assert (target / "so-far").read_text() == "x"


def test_outputs_that_cannot_be_copied_are_told_and_kept(node: PreparingNode, tmp_path: Path) -> None:
    """The job has succeeded all the same; a job that failed leaves none; a store that is not known is named."""
    (tmp_path / "file").write_text("")
    program = "import os; open(os.environ['BARQ_OUTPUT_DIR'] + '/model', 'w').write('x')"
    outputs = (("model", f"file://{tmp_path}/file/model"), ("other", f"file://{tmp_path}/other"))
    node.order(
        node.bringing("a-1.1", ("python", "-c", program), outputs=outputs),
        replace(
            node.bringing("b-1.1", ("python", "-c", program + "; raise SystemExit(3)"), outputs=outputs),
            gpu_ids=("g1",),
        ),
    )
    end = ended(node, "a-1.1")
    assert end.exit_code == 0
    assert "cannot copy" in str(end.outputs_error)
    assert "other was not written" in str(end.outputs_error)
    assert any("outputs stay in" in alarm for alarm in node.report().alarms)
    assert (node.directory.parent / "a-1" / "output" / "model").read_text() == "x"
    assert (ended(node, "b-1.1").exit_code, ended(node, "b-1.1").outputs_error) == (3, None)

    node.order(node.bringing("c-1.1", ("true",), inputs=(("a", "gs://bucket/a"),)))
    assert "gcsfs" in str(ended(node, "c-1.1").launch_error)
