"""The site file: one YAML document that describes a site. Unknown keys and nonsense are refused by name.

Every field has a unit in its name; `configs/sites/` holds commented examples.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from scheduler.complaints import complaints
from scheduler.connections.bmc_options import BmcSettings
from scheduler.contract_settings import PriceSeriesSettings, check_series
from scheduler.core.contracts import Terms
from scheduler.core.domains import Domain, check_domains
from scheduler.core.entitlement import idle_w
from scheduler.core.modes import Revenue
from scheduler.core.orders import GroupKind, GroupSpec
from scheduler.core.partners import Partner
from scheduler.core.power import GPU_MODELS, site_w
from scheduler.core.snapshot import SitePolicy
from scheduler.equipment import (
    MAX_LEVELS,
    DomainSettings,
    MeterSettings,
    Miners,
    Name,
    Nodes,
    SumOfReports,
    WatchedMeter,
    check_meters,
    miners_spec,
    node_spec,
)
from scheduler.errors import SettingsError
from scheduler.feeders import check_bound
from scheduler.filler_settings import FillerSettings, check_fillers, run_of, with_filler
from scheduler.forecast_settings import ForecastSettings
from scheduler.grid_settings import Power, Timing
from scheduler.group_files import group_config, write_group
from scheduler.lan_settings import check_apart
from scheduler.measured import MeasuredKey, Told, as_measured, told
from scheduler.plain_yaml import read_yaml
from scheduler.revenue_settings import MiningRevenue
from scheduler.sharing import (
    AiFirstSettings,
    FairShareSettings,
    ModeSettings,
    PartnerSettings,
    Projects,
    ShadowSettings,
    partners_of,
    ranked_with_house,
    shared,
)
from scheduler.signal_settings import SignalSettings
from scheduler.strict import Strict
from scheduler.wire import WireError, loads

SIMULATION = "simulation"  #: the key of what only `barq simulate` reads


class Notify(Strict):
    """Where webhooks of jobs may be."""

    allow_private: bool = False  #: on this network and this machine too, and over plain HTTP


class Storage(Strict):
    """Where jobs keep checkpoints, outputs and logs."""

    jobs_dir: Annotated[str, Field(pattern=r"^/[^\x00]*$")] | None = None
    """Absolute; on several machines, a file system that all of them mount there. None = in the state directory."""


class Site(Strict):
    """A whole site."""

    name: Name
    power: Power
    timing: Timing = Timing()
    topology: Annotated[tuple[Name, ...], Field(max_length=MAX_LEVELS)] = ()  #: levels, the outermost first
    nodes: tuple[Nodes, ...]
    miners: tuple[Miners, ...] = ()
    fillers: tuple[FillerSettings, ...] = ()  #: of nodes, those that join as well
    partners: tuple[PartnerSettings, ...] = ()
    revenue: MiningRevenue = MiningRevenue()
    price_series: tuple[PriceSeriesSettings, ...] = ()  #: that contracts of partners name
    domains: tuple[DomainSettings, ...] = ()
    mode: ModeSettings = AiFirstSettings()
    projects: Projects = ()
    fair_share: FairShareSettings = FairShareSettings()
    signals: tuple[SignalSettings, ...] = ()
    meter: MeterSettings = SumOfReports()
    meters_behind: tuple[WatchedMeter, ...] = ()  #: which count while those before them cannot be read
    bmcs: tuple[BmcSettings, ...] = ()  #: of the nodes
    forecast: ForecastSettings = ForecastSettings()
    listen: IPv4Address | None = None  #: for Ray and the API; None = this machine only
    storage: Storage = Storage()
    notify: Notify = Notify()
    measured: MeasuredKey | None = None  #: what `barq commission` wrote, beside this file
    job_nice: Annotated[int, Field(ge=0, le=19)] = (
        5  #: simulated GPUs are CPUs: jobs leave the site itself some air
    )
    upload_limit_bytes: Annotated[int, Field(ge=1, le=10**13)] = 500_000_000  #: of one working directory

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        self._check_models()
        self._check_names()
        self._check_topology()
        self._check_pace()
        self._check_firm()
        self._check_mode()
        check_fillers(self.fillers, self.partners, self.groups().values())
        check_apart({m.name: m.lan for m in self.miners})
        check_series(self.contracts().values(), self.price_series)
        check_meters(self.meter, self.meters_behind, self.bmcs)
        check_domains(self.power_domains(), {gid: idle_w(s) for gid, s in self.groups().items()})
        check_bound(self.power_domains(), self.signals)
        return self

    @property
    def is_shadow(self) -> bool:
        """Whether nothing is acted: no guard runs, and what is decided is done by a twin of the site."""
        return isinstance(self.mode, ShadowSettings)

    def database(self, state: Path) -> Path:
        """Its store. That of a shadow is another one: nothing of it becomes real, and nothing real becomes its own."""
        return state / ("shadow.db" if self.is_shadow else "barq.db")

    def specs_dir(self, state: Path) -> Path:
        """Below which it is kept what groups have. Guards look into `groups`: for a shadow there is nothing there."""
        return state / ("shadow" if self.is_shadow else "groups")

    def power_domains(self) -> tuple[Domain, ...]:
        """What is limited below the site's meter."""
        return tuple(d.domain() for d in self.domains)

    def voluntary_sources(self) -> tuple[str, ...]:
        """The sources of which an operator may refuse what they tell."""
        return tuple(s.name or s.type for s in self.signals if not s.binding)

    def bound_sources(self) -> dict[str, str]:
        """The domain of each source that limits one, not the site."""
        return {s.name or s.type: s.domain for s in self.signals if s.domain is not None}

    def firm_of_bound_w(self) -> dict[str, float]:
        """What counts of each of these at most while it is silent, W."""
        firm_w = {d.name: d.firm_w or 0.0 for d in self.domains}
        return {name: firm_w[domain] for name, domain in self.bound_sources().items()}

    def mining_partners(self) -> tuple[Partner, ...]:
        """Who owns miners. What none of them owns is the site's own."""
        is_ranked = isinstance(self.mode.mode(), Revenue)
        return ranked_with_house(
            partners_of(self.partners, [m.name for m in self.miners]),
            [m.name for m in self.miners],
            self.revenue.house if is_ranked else None,
        )

    @property
    def reckons_revenue(self) -> bool:
        """Whether anybody tells here what hashing brings, or anything follows from it."""
        return self.revenue != MiningRevenue() or any(p.follows for p in self.mining_partners())

    def contracts(self) -> dict[str, Terms]:
        """What its partners are settled by."""
        return {p.name: p.terms() for p in self.partners}

    def idle_base_w(
        self, found: Mapping[str, GroupSpec] = MappingProxyType({}), joined: Iterable[GroupSpec] = ()
    ) -> float:
        """Site watts with nothing on any group, those that joined from elsewhere included."""
        specs = ({s.group_id: s for s in joined} | self.groups(found)).values()  # one may be in both
        nodes_w = sum(idle_w(s) for s in specs if s.kind is GroupKind.NODE)
        miners_w = sum(idle_w(s) for s in specs if s.kind is GroupKind.MINERS)
        power = self.power
        return site_w(it_w=nodes_w, miners_w=miners_w, overhead=power.overhead, auxiliary_w=power.auxiliary_w)

    def policy(self) -> SitePolicy:
        """What decisions need of it."""
        power, timing = self.power.model_dump(), self.timing.model_dump()
        return SitePolicy(
            name=self.name,
            **power,
            **timing,
            partners=self.mining_partners(),
            house_pool=self.revenue.house_pool(),
            domains=self.power_domains(),
            topology=self.topology,
            trim=self.meter.trim(self.power.margin),
            **self.sharing(),
        )

    def sharing(self) -> dict[str, Any]:
        """How AI and mining share, and how projects do: as `SitePolicy` names it."""
        return shared(self.mode, self.projects, self.fair_share)

    def groups(self, found: Mapping[str, GroupSpec] = MappingProxyType({})) -> dict[str, GroupSpec]:
        """All device groups, by id; `found` is what real nodes have, nothing until they were looked at."""
        known = [(n, gid, found.get(gid)) for n in self.nodes for gid in n.ids()]
        nodes = [
            node_spec(n, gid) if spec is None else replace(spec, topology=n.place_of(gid))
            for n, gid, spec in known
        ]
        nodes = [with_filler(s, () if self.is_shadow else self.fillers) for s in nodes]
        miners = [miners_spec(m) for m in self.miners]
        if self.is_shadow:  # its twin plays all guards
            miners = [replace(s, elsewhere=None) for s in miners]
        return {s.group_id: s for s in [*nodes, *miners]}

    def guarded_on(self, machine: str) -> tuple[Miners, ...]:
        """The groups of miners whose guard runs on a machine that joins, by its name."""
        return tuple(m for m in self.miners if m.guard_on == machine)

    def told(self) -> Told:
        """The figures that `barq commission` measures, as this file has them, and of what devices."""
        timing, power = self.timing, self.power
        said = told(self.nodes, self.miners, name=self.name, overhead=power.overhead)
        return replace(said, fall_s=timing.fall_s, restart_s=timing.restart_s)

    def jobs_dir(self, state: Path) -> Path:
        """Below which every job has its directory."""
        return Path(self.storage.jobs_dir or state / "jobs")

    def real_nodes(self) -> dict[str, float]:
        """The nodes whose GPUs have to be found, by id, with the base of each, W."""
        return {gid: n.base_w for n in self.nodes if not n.simulated for gid in n.ids()}

    def found_before(self, state: Path) -> dict[str, GroupSpec]:
        """What the guards of real nodes were last told that these have. Raises SettingsError."""
        paths = {gid: self.specs_dir(state) / gid / "group.json" for gid in self.real_nodes()}
        return {gid: _read_spec(path) for gid, path in paths.items() if path.exists()}

    def check(self, found: Mapping[str, GroupSpec]) -> None:
        """Whether the site can keep its promise with what was found. Raises SettingsError."""
        if complaint := self._firm_complaint(found):
            raise SettingsError(complaint)

    def write_groups(
        self,
        state: Path,
        found: Mapping[str, GroupSpec] = MappingProxyType({}),
        *,
        address: str = "127.0.0.1",
    ) -> None:
        """Leave each guard of this machine its configuration: `<id>/group.json`, `specs_dir` says below what."""
        miners, guard = {m.name: m for m in self.miners}, self.guard_config(state)
        for group_id, spec in self.groups(found).items():
            if spec.elsewhere is None:
                own = group_config(
                    replace(spec, address=address),
                    guard,
                    state,
                    miners.get(group_id),
                    run_of(self.fillers, spec),
                )
                write_group(self.specs_dir(state), group_id, own)

    def guard_config(self, state: Path) -> dict[str, object]:
        """What every guard of the site is told alike, on whatever machine it is."""
        return {
            "save_after_s": self.timing.save_after_s,
            "orphan_s": self.timing.lease_s + self.timing.fall_s,
            "job_nice": self.job_nice,
            "jobs_dir": str(self.jobs_dir(state)),
        }

    def _check_models(self) -> None:
        for n in self.nodes:
            if n.gpu_model is not None and n.gpu_model not in GPU_MODELS:
                raise ValueError(
                    f"nodes.gpu_model: {n.gpu_model!r} is not known; use one of {sorted(GPU_MODELS)}"
                )

    def _check_names(self) -> None:
        """Groups and sources are known by name: of two alike, one would silently take the other's place."""
        if len(self.real_nodes()) > 1:
            raise ValueError(
                "nodes.simulated: false is said twice, and there is one machine here; remove one of them"
            )
        groups = [gid for n in self.nodes for gid in n.ids()]
        groups += [m.name for m in self.miners]
        if twice := _twice(groups):
            raise ValueError(
                f"nodes and miners: two groups are called {twice!r}; give them other prefixes or names"
            )
        if twice := _twice([s.name or s.type for s in self.signals]):
            raise ValueError(f"signals.name: two sources are called {twice!r}; give each a name of its own")

    def _check_topology(self) -> None:
        if twice := _twice(list(self.topology)):
            raise ValueError(f"topology: {twice!r} is named twice; each level has a name of its own")
        unknown = (level for n in self.nodes for level in n.topology if level not in self.topology)
        if (level := next(unknown, None)) is not None:
            known = f"use one of {', '.join(self.topology)}" if self.topology else f"add topology: [{level}]"
            raise ValueError(f"nodes.topology: {level!r} is no level of this site; {known}, or remove it")

    def _check_mode(self) -> None:
        """Partners have miners of this site, and what is ranked by revenue has prices."""
        partners = self.mining_partners()
        if not isinstance(self.mode.mode(), Revenue):
            return
        owned = {g for p in partners for g in p.groups}
        if rest := sorted({m.name for m in self.miners} - owned):
            raise ValueError(
                f"mode.type: revenue ranks all mining by its price, and nobody owns {', '.join(rest)}; list it among "
                "the groups of a partner, or give revenue.house"
            )
        if unpriced := next((p.partner_id for p in partners if p.price is None and p.follows is None), None):
            raise ValueError(
                f"mode.type: revenue ranks all mining by its price, and partner {unpriced!r} has none; give it a "
                "price_per_mwh, or price: {type: hashprice}"
            )

    def _check_pace(self) -> None:
        timing, reaction_s = self.timing, self.power.reaction_s
        if timing.lease_s + timing.fall_s > reaction_s:
            raise ValueError(
                f"timing.lease_s + timing.fall_s = {timing.lease_s + timing.fall_s:g} s exceed power.reaction_s = "
                f"{reaction_s:g} s: guards on their own would fall too late; shorten the lease"
            )
        if timing.lost_after_s < timing.lease_s + timing.save_after_s + 30.0:
            raise ValueError(
                f"timing.lost_after_s = {timing.lost_after_s:g} s is shorter than a silent guard needs to end its jobs "
                f"(lease + save_after + 30 s grace = {timing.lease_s + timing.save_after_s + 30.0:g} s); raise it"
            )

    def _check_firm(self) -> None:
        if complaint := self._firm_complaint():
            raise ValueError(complaint)

    def _firm_complaint(self, found: Mapping[str, GroupSpec] = MappingProxyType({})) -> str | None:
        """A site whose idle base exceeds the firm level cannot keep its promise on loss of signal."""
        base_w = self.idle_base_w(found)
        if base_w <= self.power.firm_w:
            return None
        return (
            f"power.firm_w = {self.power.firm_w:g} W is below the idle base of the site, {base_w:.0f} W: it "
            "could not be kept on loss of signal; raise the firm level or take nodes out"
        )


def _twice(names: list[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _read_spec(path: Path) -> GroupSpec:
    try:
        return loads(GroupSpec, json.dumps(json.loads(path.read_bytes())["spec"]))
    except (OSError, ValueError, LookupError, TypeError, WireError) as error:
        raise SettingsError(
            f"{path}: does not say what the node has: {error}; `barq down`, then `barq up`"
        ) from error


def load_site(path: Path) -> Site:
    """Read a site file. Raises `SettingsError` that names file, field, value and remedy."""
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise SettingsError(
            f"{path}: a site file is a mapping with at least name, power and nodes; see configs/sites/"
        )
    said = {key: value for key, value in document.items() if key != SIMULATION}
    site = site_of(said, path)
    if site.measured is None:
        return site
    return site_of(as_measured(said, path.parent, site.measured, site.told()), path)


def site_of(document: dict[str, Any], path: Path) -> Site:
    """The site that a file's mapping describes. Raises `SettingsError` as `load_site`."""
    try:
        return Site.model_validate(document)
    except ValidationError as error:
        raise SettingsError(complaints(path, error)) from error
