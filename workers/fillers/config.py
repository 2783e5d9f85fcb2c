"""What group.json says of a node's filler, beside what its spec says."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

from workers.fleet.config import Secret
from workers.miners.gpu_miner import Filler, HttpApi
from workers.miners.port import Refused

log = logging.getLogger("barq.fillers")

TERM_S = 1.0  #: after SIGTERM, until SIGKILL: it has nothing to save, and others wait for its watts


@dataclass(frozen=True, slots=True, kw_only=True)
class FillerConfig:
    """What is run on each GPU of its own.

    In the command, {gpu} is the GPU's id, {node} the node's, and {port} where its API is to be.
    """

    command: tuple[str, ...]
    api_port: int | None = None  #: of the first GPU, the next ones follow; None = it has no API
    token: Secret = field(default_factory=Secret)
    term_s: float = TERM_S
    stuck_s: float = (
        10.0  #: a GPU that is not seen to be free so long after its program was ended is given to nobody
    )

    def program(self, group_id: str, gpu_id: str, index: int, directory: Path) -> Filler:
        """The program for one GPU of a node. Without a token that can be read, its API tells nothing."""
        port = None if self.api_port is None else self.api_port + index
        means = {"gpu": gpu_id, "node": group_id, "port": "" if port is None else str(port)}
        state = directory.parent.parent  # relative files are below the state directory, wherever that is
        file = self.token.password_file
        secret = replace(self.token, password_file=None if file is None else str(state / file))
        return Filler(
            name=f"{group_id}:{gpu_id}",
            mark=f"{group_id}:{gpu_id}@{directory}",
            command=tuple(filled_in(word, means) for word in self.command),
            gpu_ids=(gpu_id,),
            log_path=directory / f"filler-{index}.log",
            api=None if port is None else HttpApi(port=port, token=_read(secret)),
            term_s=self.term_s,
        )


def _read(secret: Secret) -> str:
    try:
        return secret.read().password
    except Refused as error:
        log.warning("the API of fillers is asked without a token: %s", error)
        return ""


def filled_in(word: str, means: dict[str, str]) -> str:
    """A word of the command with what it means on this GPU; other braces stay."""
    for name, value in means.items():
        word = word.replace("{" + name + "}", value)
    return word
