"""What `barq commission` knows of a site before it looks at it: its file, and the nodes that joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from barq.errors import InvalidInput, NotFound, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from barq.commissioning.facts import NodeFacts, SiteFacts
    from barq.site.files import SiteFiles
    from scheduler.core.orders import GroupSpec
    from scheduler.settings import Site


def read_facts(state: Path) -> tuple[SiteFacts, Mapping[str, Any]]:
    """What the file of the site in `state` says, and of what devices. Raises NotFound, InvalidInput, Refused."""
    from barq.cli.local_site import in_one_line
    from barq.site.files import SiteFiles
    from scheduler.errors import SettingsError
    from scheduler.settings import load_site

    files = SiteFiles(state)
    if not files.site_file.exists():
        raise NotFound(
            f"there is no site in {state}",
            remedy="run it on the machine where `barq up` ran, with its --state or BARQ_STATE",
        )
    try:
        site = load_site(files.site_file)
        found = site.found_before(state)
    except SettingsError as error:
        raise InvalidInput(in_one_line(str(error))) from error
    if site.is_shadow:
        raise Refused("mode: shadow: nothing is acted on, so nothing can be measured", remedy="go live first")
    if site.fillers:
        raise Refused(
            "fillers: they would mine on the very GPUs that are measured",
            remedy="take fillers out of the site file, start the site anew, and put them back afterwards",
        )
    joined = _members(files, site.name)
    return facts_of(site, found, joined), site.told().devices.model_dump(mode="json")


def facts_of(site: Site, found: Mapping[str, GroupSpec], joined: Sequence[GroupSpec]) -> SiteFacts:
    """The site as its file and its members have it. Raises InvalidInput."""
    from barq.commissioning.facts import MinerFacts, SiteFacts

    groups = site.groups(found)
    kinds = {gid: n.prefix for n in site.nodes for gid in n.ids()}
    specs = [*groups.values(), *joined]
    power, timing = site.power, site.timing
    miners = {
        m.name: MinerFacts(
            group_id=m.name,
            max_w=m.count * (m.max_w - m.rest_w),
            rest_w=m.count * m.rest_w,
            min_on_s=m.machines.min_on_s if m.machines else 0.0,
            min_off_s=m.machines.min_off_s if m.machines else 0.0,
        )
        for m in site.miners
    }
    return SiteFacts(
        name=site.name,
        idle_base_w=site.idle_base_w(found, joined),
        overhead=power.overhead,
        auxiliary_w=power.auxiliary_w,
        margin=power.margin,
        fall_s=timing.fall_s,
        restart_s=timing.restart_s,
        suspend_max_s=timing.suspend_max_s,
        raise_delay_s=timing.raise_delay_s,
        nodes={s.group_id: _node(s, kinds.get(s.group_id, s.group_id)) for s in specs if s.gpus},
        miners=miners,
    )


def _node(spec: GroupSpec, kind: str) -> NodeFacts:
    from barq.commissioning.facts import NodeFacts
    from scheduler.core.floors import tier_floor_w

    model = spec.gpus[0].power
    return NodeFacts(
        node_id=spec.group_id,
        kind=kind,
        simulated=spec.simulated,
        base_w=spec.base_w,
        gpus=len(spec.gpus),
        gpu_model=model.name,
        tdp_w=model.tdp_w,
        idle_w=model.idle_w,
        held_w=model.held_w(),
        floor_w=tier_floor_w(model, 4),
    )


def _members(files: SiteFiles, name: str) -> list[GroupSpec]:
    """The nodes that joined from other machines."""
    from scheduler.store.database import open_database
    from scheduler.store.desk import Desk

    engine = open_database(files.database)
    try:
        return [member.spec for member in Desk(engine, site=name).members()]
    finally:
        engine.dispose()
