"""What one rank puts into a commit and takes out again: the job's own state, and the random generators.

A state is anything with `state_dict()` and `load_state_dict()`, saved by torch where torch is in use and
pickled where it is not, or anything with `save(path)` and `load(path)` that writes and reads that one file.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class Stateful(Protocol):
    """A model, an optimizer, a trainer: its state is a dictionary."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that must survive."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> object:
        """Become what `state_dict` was taken from."""


@runtime_checkable
class Savable(Protocol):
    """An object that writes and reads one file by itself."""

    def save(self, path: Path) -> object:
        """Write everything that must survive into the file `path`."""

    def load(self, path: Path) -> object:
        """Become what was saved in the file `path`."""


class Parts:
    """Several stateful parts, each under its name, as one state."""

    def __init__(self, parts: Mapping[str, Stateful]) -> None:
        self._parts = dict(parts)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of each part under its name."""
        return {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Give each part its state back. Raises KeyError if a part is missing from what was saved."""
        for name, part in self._parts.items():
            part.load_state_dict(state_dict[name])


def write_shard(directory: Path, rank: int, state: Stateful | Savable) -> None:
    """Write the state and the random generators of `rank` into `directory`, and flush them to disk.

    What rank 0 writes is flushed by itself as it seals the commit: once, while it hashes it.
    """
    own = directory / f"rank-{rank}.state"
    generators = directory / f"rank-{rank}.random.json"
    if isinstance(state, Stateful):
        _dump(state.state_dict(), own)
    else:
        state.save(own)
    generators.write_text(json.dumps(random_states()), encoding="utf-8")
    for path in (own, generators) if rank else ():
        _flush(path)


def read_shard(directory: Path, rank: int, state: Stateful | Savable) -> None:
    """Give `state` and the random generators of this process back what `rank` wrote into `directory`."""
    read_state(directory, rank, state)
    restore_random_states(json.loads((directory / f"rank-{rank}.random.json").read_text(encoding="utf-8")))


def read_state(directory: Path, rank: int, state: Stateful | Savable) -> None:
    """Give `state` alone back what `rank` wrote into `directory`."""
    own = directory / f"rank-{rank}.state"
    if isinstance(state, Stateful):
        state.load_state_dict(_undump(own))
    else:
        state.load(own)


def random_states() -> dict[str, Any]:
    """Return the state of each global random generator whose module is imported here, fit for JSON."""
    states: dict[str, Any] = {}
    if random := sys.modules.get("random"):
        states["random"] = random.getstate()
    if numpy := sys.modules.get("numpy"):
        legacy = numpy.random.get_state(legacy=False)
        states["numpy"] = legacy | {"state": legacy["state"] | {"key": legacy["state"]["key"].tolist()}}
    if torch := sys.modules.get("torch"):
        states["torch"] = bytes(torch.get_rng_state().tolist()).hex()
        if torch.cuda.is_initialized():
            states["cuda"] = [bytes(state.tolist()).hex() for state in torch.cuda.get_rng_state_all()]
    return states


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Put each global random generator back to what `random_states` returned."""
    if "random" in states:
        version, internal, gauss = states["random"]
        importlib.import_module("random").setstate((version, tuple(internal), gauss))
    if "numpy" in states:
        importlib.import_module("numpy").random.set_state(_numpy_state(states["numpy"]))
    if "torch" in states:
        import torch

        torch.set_rng_state(_torch_state(states["torch"]))
        if "cuda" in states:
            here = states["cuda"][: torch.cuda.device_count()]
            torch.cuda.set_rng_state_all([_torch_state(state) for state in here])


def _numpy_state(state: Mapping[str, Any]) -> dict[str, Any]:
    numpy = importlib.import_module("numpy")
    key = numpy.array(state["state"]["key"], dtype=numpy.uint32)
    return {**state, "state": {**state["state"], "key": key}}


def _torch_state(text: str) -> Tensor:
    import torch

    return torch.tensor(list(bytes.fromhex(text)), dtype=torch.uint8)


def _dump(state: dict[str, Any], path: Path) -> None:
    """Save by torch if the job uses it, else pickle; `_is_torch_file` tells the two apart."""
    if torch := sys.modules.get("torch"):
        _save_by_torch(torch, state, path)
    else:
        import pickle

        path.write_bytes(pickle.dumps(state, protocol=pickle.HIGHEST_PROTOCOL))


def _save_by_torch(torch: ModuleType, state: dict[str, Any], path: Path) -> None:
    """Raises OSError where the disk refuses, of which torch says no more than that its archive came out wrong."""
    try:
        torch.save(state, path)
    except RuntimeError as error:
        if "inline_container.cc" not in str(error):
            raise
        raise OSError(f"{path}: {str(error).partition(chr(10))[0]}") from error


def _undump(path: Path) -> dict[str, Any]:
    """Load what this job itself saved and the manifest vouches for; a state may hold any kind of object."""
    state: dict[str, Any]
    if _is_torch_file(path):
        import torch

        state = torch.load(path, map_location="cpu", weights_only=False)
    else:
        import pickle

        state = pickle.loads(path.read_bytes())  # noqa: S301 - the job's own, and verified
    return state


def _is_torch_file(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"  # torch writes a zip archive


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
