"""The Python of a job: an environment with its requirements, built once per content, or an interpreter of the node.

RUNTIMES/<key>/         the environment
RUNTIMES/<key>.done     it is complete; without this it is built anew
RUNTIMES/<key>.lock     held by whoever builds it, while others wait
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from barq import contract
from scheduler.core.jobs import Runtime

_FACTS = "import sys; print(sys.version); print(sys.executable); print(sys.implementation.cache_tag)"
_INCLUDE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]*(\S+)")
_EDITABLE = re.compile(r"^\s*(?:-e|--editable)\b")
#: What depends on files beside the requirements: paths, local wheels, folders of them.
_LOCAL = re.compile(r"^\s*(?:\.|/|file:|-f\b|--find-links\b)|@\s*(?:file:|\.)", re.MULTILINE)
_MAX_INCLUDES = 50


class CannotBuild(Exception):
    """The runtime cannot be had; the message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the job's environment gets."""

    path: tuple[str, ...] = ()  #: in front of its PATH
    virtual_env: str = ""


Tell = Callable[[str], None]


def make_runtime(
    runtime: Runtime, *, working_dir: Path, package: str, runtimes: Path, shims: Path, tell: Tell
) -> Found:
    """The runtime, made if nobody made it before. Raises CannotBuild, OSError."""
    if runtime.requirements:
        return _environment(runtime, working_dir=working_dir, package=package, runtimes=runtimes, tell=tell)
    return _interpreter(Path(runtime.python), shims) if runtime.python else Found()


def _interpreter(python: Path, shims: Path) -> Found:
    """The interpreter under the name `python`, then its folder: so its other programs are found too."""
    _facts(str(python))
    shims.mkdir(parents=True, exist_ok=True)
    for name in ("python", "python3"):
        shim = shims / name
        shim.write_text(f'#!/bin/sh\nexec "{python}" "$@"\n', encoding="utf-8")
        shim.chmod(0o755)
    root = python.parent.parent
    is_environment = (root / "pyvenv.cfg").exists()
    return Found(path=(str(shims), str(python.parent)), virtual_env=str(root) if is_environment else "")


def _environment(runtime: Runtime, *, working_dir: Path, package: str, runtimes: Path, tell: Tell) -> Found:
    python = runtime.python or sys.executable
    texts = list(_requirements(working_dir, working_dir / runtime.requirements))
    place = package or str(working_dir)
    key = _key(runtime, python, texts, place)
    folder, done = runtimes / key, runtimes / f"{key}.done"
    runtimes.mkdir(parents=True, exist_ok=True)
    with _locked(
        runtimes / f"{key}.lock", lambda: tell("waiting for another job that builds the same runtime")
    ):
        if not done.exists():
            tell(f"building the runtime of {runtime.requirements} (once for all jobs that want the same)")
            _build(folder, python, runtime, working_dir)
            done.touch()
        os.utime(done)
    return Found(path=(str(folder / "bin"),), virtual_env=str(folder))


def _build(folder: Path, python: str, runtime: Runtime, working_dir: Path) -> None:
    """In place, for an environment cannot be moved: its programs name their interpreter by its full path."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        _run(
            (python, "-m", "venv", str(folder)),
            working_dir,
            "an environment cannot be made; is python3-venv there?",
        )
        packages = next(iter(sorted(folder.glob("lib/python*/site-packages"))))
        if runtime.inherit:
            site = sysconfig.get_path("purelib")
            (packages / "barq-inherit.pth").write_text(
                f"import site; site.addsitedir({site!r})\n", encoding="utf-8"
            )
        wanted = ("-r", str(working_dir / runtime.requirements))
        pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--no-input", "--progress-bar", "off")
        _run(
            (*pip, "--disable-pip-version-check", *wanted), working_dir, f"pip refuses {runtime.requirements}"
        )
        if not (
            packages / "barq"
        ).exists():  # so that the job can speak with its supervisor, and nothing else of ours
            (packages / "barq").symlink_to(_own_package())
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _run(command: tuple[str, ...], working_dir: Path, complaint: str) -> None:
    """Run it with its output in the log. Raises CannotBuild with its last word of an error."""
    last = ""
    with subprocess.Popen(
        command,
        cwd=working_dir,
        env=_clean(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)  # noqa: T201 - this is the job's log
            last = line.strip() if line.startswith("ERROR") or not last.startswith("ERROR") else last
    if process.returncode:
        raise CannotBuild(f"{complaint} (exit {process.returncode}): {last[:300]}")


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    """Nothing that would make another Python look for its modules among ours."""
    return {name: value for name, value in environment.items() if not name.startswith("PYTHON")}


def _key(runtime: Runtime, python: str, texts: list[str], place: str) -> str:
    """The same key, the same environment. Requirements that name files nearby are the working directory's own."""
    is_local = any(_LOCAL.search(text) for text in texts)
    facts = {
        "python": _facts(python),
        "requirements": texts,
        "place": place if is_local else "",
        "inherit": sysconfig.get_path("purelib") if runtime.inherit else "",
        "barq": str(_own_package()),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _facts(python: str) -> str:
    """Which Python it is. Raises CannotBuild if it is none."""
    try:
        answer = subprocess.run(
            (python, "-I", "-c", _FACTS),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env=_clean(os.environ),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotBuild(f"runtime.python = {python} does not run on this node: {error}") from error
    return answer.stdout


def _requirements(working_dir: Path, path: Path, seen: tuple[Path, ...] = ()) -> Iterator[str]:
    """The text of a requirements file, and of those that it includes. Raises CannotBuild."""
    name = os.path.relpath(path, working_dir)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise CannotBuild(
            f"runtime.requirements: {name} cannot be read in the working directory ({why})"
        ) from error
    if len(seen) > _MAX_INCLUDES or path in seen:
        raise CannotBuild(f"{name} includes itself; remove that line")
    yield text
    for line in text.splitlines():
        if _EDITABLE.match(line):
            raise CannotBuild(
                f"{name}: {line.strip()!r} would point into a copy that goes away; write the path alone"
            )
        if found := _INCLUDE.match(line):
            yield from _requirements(working_dir, path.parent / found[1], (*seen, path))


@contextmanager
def _locked(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock, waiting for it as long as it takes; the kernel lets go of it when this process ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _own_package() -> Path:
    return Path(contract.__file__).resolve().parent
