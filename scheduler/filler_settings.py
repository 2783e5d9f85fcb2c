"""What a site file says of fillers: programs that mine on GPUs of nodes while nobody else has them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from scheduler.core.fillers import StatedFiller, range_of
from scheduler.core.orders import FillerKind, GpuSlot, GroupSpec
from scheduler.equipment import Name, Watts
from scheduler.sharing import PartnerSettings
from scheduler.strict import Strict

Word = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
Pattern = Annotated[str, Field(pattern=r"^[a-z0-9*?][a-z0-9*?-]{0,31}$")]
_PORTS = 65_535


class FillerApiSettings(Strict):
    """Where XMRig's HTTP API is served for the first GPU of a node; the next ones have the next ports."""

    port: Annotated[int, Field(ge=1024, le=_PORTS)]
    token_file: Path | None = None
    token_env: str | None = None

    @model_validator(mode="after")
    def _has_one_token(self) -> Self:
        if self.token_file is not None and self.token_env is not None:
            raise ValueError(
                "api: give token_file or token_env: the one that holds the token; or none without one"
            )
        return self

    def token(self) -> dict[str, str | None]:
        """As a guard is told. A relative file is below the state directory of the guard's machine."""
        file = self.token_file
        return {"password_file": None if file is None else str(file), "password_env": self.token_env}


class FillerSettings(Strict):
    """One program, and on which nodes it may have the idle GPUs."""

    name: Name
    nodes: Annotated[tuple[Pattern, ...], Field(min_length=1)]  #: their ids; * and ? stand for any
    command: Annotated[tuple[Word, ...], Field(min_length=1)]
    partner: Name | None = None  #: whose it is; None = the site's own
    gpus: tuple[Word, ...] = ()  #: ids of those that it may have; none = all of a node
    least_w: Watts = 0.0  #: a cap below which a GPU is not worth it
    most_w: Annotated[float, Field(gt=0, le=1e10, allow_inf_nan=False)] | None = (
        None  #: the highest cap that it gets
    )
    api: FillerApiSettings | None = None

    @model_validator(mode="after")
    def _can_run(self) -> Self:
        if self.most_w is not None and self.most_w < self.least_w:
            raise ValueError(
                f"most_w = {self.most_w:g} W is below least_w = {self.least_w:g} W: no cap fits; correct one of them"
            )
        if self.api is not None and not any("{port}" in word for word in self.command):
            raise ValueError(
                "api.port: each GPU has a program with a port of its own; write {port} where the command takes it, "
                "such as --http-port={port}"
            )
        return self

    def is_of(self, group_id: str) -> bool:
        """Whether it may run on that node."""
        return any(fnmatchcase(group_id, pattern) for pattern in self.nodes)

    def kind(self) -> FillerKind:
        """As the core knows it."""
        return FillerKind(
            name=self.name,
            partner=self.partner or "",
            gpu_ids=self.gpus,
            least_cap_w=self.least_w,
            most_cap_w=self.most_w,
            told=sha256(json.dumps(self.config(), sort_keys=True).encode()).hexdigest()[:16],
        )

    def config(self) -> dict[str, Any]:
        """What a guard is told of how it is run."""
        api = self.api
        return {
            "command": self.command,
            "api_port": None if api is None else api.port,
            "token": {} if api is None else api.token(),
        }


def filler_of(fillers: Sequence[FillerSettings], group_id: str) -> FillerSettings | None:
    """The one of a node: the first that names it; None = it has none."""
    return next((filler for filler in fillers if filler.is_of(group_id)), None)


def stated(fillers: Sequence[FillerSettings]) -> StatedFiller:
    """What the site file says now of the filler of any node."""

    @cache
    def kind(group_id: str) -> FillerKind | None:
        filler = filler_of(fillers, group_id)
        return None if filler is None else filler.kind()

    return kind


def told_to_joiner(fillers: Sequence[FillerSettings], group_id: str) -> dict[str, Any] | None:
    """What a node that joins is told of its filler: what of it goes into its spec, and how it is run."""
    filler = filler_of(fillers, group_id)
    return None if filler is None else {"kind": asdict(filler.kind()), "run": filler.config()}


def run_of(fillers: Sequence[FillerSettings], spec: GroupSpec) -> dict[str, Any] | None:
    """How the filler of a node is run, as its guard is told; None = it has none, as miners have not."""
    filler = None if spec.filler is None else filler_of(fillers, spec.group_id)
    return None if filler is None else filler.config()


def with_filler(spec: GroupSpec, fillers: Sequence[FillerSettings]) -> GroupSpec:
    """A node with what the site file says now, whatever it was found with."""
    kind = stated(fillers)(spec.group_id)
    return spec if spec.filler == kind else replace(spec, filler=kind)


def check_fillers(
    fillers: Sequence[FillerSettings], partners: Sequence[PartnerSettings], specs: Iterable[GroupSpec]
) -> None:
    """That each has an owner, each partner something that mines, and each filler a GPU. Raises ValueError."""
    names, owners = {p.name for p in partners}, {filler.partner for filler in fillers}
    if unknown := next(
        (f.partner for f in fillers if f.partner is not None and f.partner not in names), None
    ):
        raise ValueError(
            f"fillers.partner: {unknown!r} is no partner of this site; name one of partners, or leave it out"
        )
    if lonely := next((p.name for p in partners if not p.groups and p.name not in owners), None):
        raise ValueError(f"partners.groups: partner {lonely!r} has neither miners nor a filler; give groups")
    if twice := next((name for name, n in Counter(f.name for f in fillers).items() if n > 1), None):
        raise ValueError(f"fillers.name: two are called {twice!r}; give each a name of its own")
    for spec in specs:
        _check_node(spec, filler_of(fillers, spec.group_id) if spec.filler is not None else None)


def _check_node(spec: GroupSpec, filler: FillerSettings | None) -> None:
    """Raises ValueError if its GPUs cannot be capped so, or do not have that many ports."""
    if filler is None or not spec.gpus:
        return
    if filler.api is not None and filler.api.port + len(spec.gpus) - 1 > _PORTS:
        raise ValueError(
            f"fillers.api.port = {filler.api.port}: leaves no port for each GPU of {spec.group_id}; lower it"
        )
    here = [slot.gpu_id for slot in spec.gpus]
    if spec.simulated and (absent := next((gpu for gpu in filler.gpus if gpu not in here), None)) is not None:
        raise ValueError(
            f"fillers.{filler.name}.gpus = {absent!r}: {spec.group_id} has no such GPU, it has {', '.join(here)}; "
            f"correct it, or name {spec.group_id} in a filler of its own"
        )
    if not any(range_of(filler.kind(), slot.power) for slot in spec.gpus if _is_meant(slot, filler)):
        raise ValueError(
            f"fillers.{filler.name}: gpus, least_w and most_w leave it no GPU of {spec.group_id}; correct them"
        )


def _is_meant(slot: GpuSlot, filler: FillerSettings) -> bool:
    return not filler.gpus or slot.gpu_id in filler.gpus
