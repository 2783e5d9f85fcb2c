"""The machines of miner groups as they are now: guards' inventories beside what was reported last, and wishes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from api.wire.miners import MachineView, MachineWishView, MinerTotals
from scheduler.core.hashprice import ChainFigures
from scheduler.core.inventory import Condition, MachineDetail
from scheduler.core.partners import NO_POOL, PoolTerms
from scheduler.core.revenue import Earning, earning_of_machine
from scheduler.records import KeptInventory
from scheduler.store.machine_desk import MachinesNow
from scheduler.store.machine_wishes import MachineWish
from scheduler.store.machines import read_inventory
from scheduler.store.refusals import InvalidField

Watts = tuple[float, float]
"""What a miner was told and what it draws, above its rest."""
_GROUPS_KEPT: Final = 64  #: whose inventory is read once for many requests
_DIGITS = re.compile(r"(\d+)", re.ASCII)

read = lru_cache(maxsize=_GROUPS_KEPT)(read_inventory)
"""An inventory is asked for by each request, and is another one every few seconds at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One machine as it stands."""

    kept: KeptInventory
    detail: MachineDetail
    watts: Watts | None  #: as reported last; None = as its inventory says
    wish: MachineWish | None

    @property
    def key(self) -> tuple[str, ...]:
        """By which it is listed: its group, then its name, numbers by size."""
        return _key(self.kept.inventory.group_id, self.detail.miner_id)

    @property
    def target_w(self) -> float:
        """What it was told to draw at most, W at its plug."""
        return self.detail.target_w if self.watts is None else self.watts[0] + self.detail.rest_w

    @property
    def draw_w(self) -> float:
        """What it draws, W at its plug."""
        return self.detail.draw_w if self.watts is None else self.watts[1] + self.detail.rest_w


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """What is known of what mining brings: figures of the chain, and where each partner hashes."""

    figures: ChainFigures | None
    pools: Mapping[str, PoolTerms]
    at: datetime

    def by(self, one: Standing) -> Earning:
        """What a MWh brings this machine, by the efficiency that it had of late."""
        pool = self.pools.get(one.kept.partner, NO_POOL)
        return earning_of_machine(one.detail, self.figures, self.at, pool=pool)


def standing(now: MachinesNow) -> list[Standing]:
    """All machines, by group and name."""
    nodes, wishes = now.nodes.text if now.nodes else "[]", {w.miner_id: w for w in now.wishes}
    watts, lone = _watts(nodes), _unguarded(nodes)
    found = [
        Standing(
            kept=kept,
            detail=_left_alone(detail) if kept.inventory.group_id in lone else detail,
            watts=watts.get(kept.inventory.group_id, {}).get(detail.miner_id),
            wish=wishes.get(detail.miner_id),
        )
        for kept in filter(None, map(read, now.inventories))
        for detail in kept.inventory.machines
    ]
    return sorted(found, key=lambda one: one.key)


def page_of(found: Sequence[Standing], *, limit: int, after: str | None) -> tuple[list[Standing], str | None]:
    """Some of them, and where the next page begins. Raises `InvalidField`."""
    left = list(found)
    if after is not None:
        group_id, slash, miner_id = after.partition("/")
        if not slash:
            raise InvalidField("after", after, "give the `next` of the page before")
        left = [one for one in found if one.key > _key(group_id, miner_id)]
    last = left[limit - 1] if len(left) > limit else None
    return left[:limit], None if last is None else f"{last.kept.inventory.group_id}/{last.detail.miner_id}"


def totals_of(found: Iterable[Standing]) -> MinerTotals:
    """All of them together."""
    every = list(found)
    return MinerTotals(
        miners=len(every),
        conditions=dict(sorted(Counter(one.detail.condition.value for one in every).items())),
        nameplate_w=sum(one.detail.nameplate_w for one in every),
        target_w=sum(one.target_w for one in every),
        draw_w=sum(one.draw_w for one in every),
        in_doubt_w=sum(one.detail.in_doubt_w for one in every),
        troubled=sum(bool(one.detail.trouble) for one in every),
    )


def shown(one: Standing, mined: Mined) -> MachineView:
    """A machine as it is shown."""
    detail, told, earns = one.detail, one.detail.identity, mined.by(one)
    return MachineView(
        id=detail.miner_id,
        group=one.kept.inventory.group_id,
        partner=one.kept.partner,
        address=detail.address,
        condition=detail.condition.value,
        wish=None if one.wish is None else wish_view(one.wish),
        abilities=[ability.value for ability in detail.abilities],
        make=told.make,
        model=told.model,
        firmware=told.firmware,
        firmware_version=told.firmware_version,
        serial=told.serial,
        mac=told.mac,
        nameplate_w=detail.nameplate_w,
        rest_w=detail.rest_w,
        target_w=one.target_w,
        draw_w=one.draw_w,
        metered=detail.is_metered,
        in_doubt_w=detail.in_doubt_w,
        hashrate_th=detail.hashrate_th,
        joule_per_th=detail.joule_per_th,
        micro_per_mwh=earns.micro_per_mwh,
        why_no_revenue=earns.why,
        temperature_c=detail.temperature_c,
        uptime_s=detail.uptime_s,
        cycles_today=detail.cycles_today,
        trouble=detail.trouble,
        seen_at=_seen_at(one),
    )


def wish_view(wish: MachineWish) -> MachineWishView:
    """A wish as it is shown."""
    return MachineWishView(
        wish=wish.wish.value, by=wish.by, reason=wish.reason, at=wish.at, over_at=wish.over_at
    )


def _seen_at(one: Standing) -> datetime | None:
    seen_s = one.detail.seen_boottime_s
    if seen_s is None:
        return None
    return one.kept.at - timedelta(seconds=max(0.0, one.kept.inventory.boottime_s - seen_s))


@lru_cache(maxsize=1)  # it changes once a second
def _watts(nodes: str) -> Mapping[str, Mapping[str, Watts]]:
    """What each miner was told and draws by the newest report, by group."""
    return {node["id"]: dict(_of_group(node)) for node in json.loads(nodes) if node.get("miners")}


@lru_cache(maxsize=1)
def _unguarded(nodes: str) -> frozenset[str]:
    """The groups that nobody guards now."""
    return frozenset(node["id"] for node in json.loads(nodes) if node.get("unguarded"))


def _left_alone(detail: MachineDetail) -> MachineDetail:
    """A machine that nobody guards: what it last did says nothing of what it does."""
    return replace(detail, condition=Condition.LOST, trouble="nobody guards it")


def _of_group(node: Mapping[str, Any]) -> Iterator[tuple[str, Watts]]:
    for miner in node["miners"]:
        yield miner["id"], (miner["target_w"], miner["draw_w"])


def _key(group_id: str, miner_id: str) -> tuple[str, ...]:
    """Numbers in a name by their size: acme-2 before acme-10."""
    parts = _DIGITS.split(miner_id)
    return (group_id, *(part.zfill(20) if part.isdigit() else part for part in parts), miner_id)
