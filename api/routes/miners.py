"""The machines of miner groups, one by one: what each does, whose it is, and what people want of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api import guarding, joining, machines
from api.context import Asking, Here, Person, is_job_id
from api.openapi import errors
from api.routes.nodes import known_nodes
from api.wire.members import JoinedGuard, JoinGuard
from api.wire.miners import (
    CannotView,
    HistoryQuery,
    IdentityChangeView,
    MachineHistory,
    MachineRecord,
    MachinesWished,
    MachinesWishing,
    MachineWishing,
    MinerQuery,
    Miners,
    PoolView,
)
from barq.roles import Role
from scheduler.core.identities import KnownMachine, Trait, sentence
from scheduler.core.inventory import Condition, Wish
from scheduler.store.machines import LoggedChange
from scheduler.store.refusals import InvalidField, MachineNotFound

router = APIRouter(tags=["miners"])


async def _miner_id(miner_id: str) -> str:
    """An id that a database can look for. Raises `MachineNotFound` for what cannot be one."""
    if not is_job_id(miner_id):
        raise MachineNotFound(miner_id)
    return miner_id


MinerId = Annotated[str, Depends(_miner_id)]


@router.get("/miners")
def list_miners(query: Annotated[MinerQuery, Query()], here: Here) -> Miners:
    """List miners by group and name, in pages, with the totals of all that match. None before guards told of any."""
    if query.condition is not None and query.condition not in set(Condition):
        raise InvalidField("condition", query.condition, f"use one of {', '.join(Condition)}")
    now = here.desk.machines.now()
    wanted = [
        one
        for one in machines.standing(now)
        if query.group in (None, one.kept.inventory.group_id)
        and query.partner in (None, one.kept.partner)
        and query.condition in (None, one.detail.condition.value)
    ]
    page, following = machines.page_of(wanted, limit=query.limit, after=query.after)
    mined = _mined(here)
    return Miners(
        miners=[machines.shown(one, mined) for one in page],
        totals=machines.totals_of(wanted),
        shadow=here.settings.is_shadow,
        notices=guarding.notices(now.nodes.text if now.nodes else "[]", query.group),
        next=following,
    )


@router.post("/miners:join", responses=errors(409))
def join_guard(request: JoinGuard, here: Here, person: Person) -> JoinedGuard:
    """Have a machine take on the groups whose guard the site file leaves to it, new or coming back.

    409 if there are none, if one has a guard already, or if the site is not up for it.
    """
    joining.check_acts(here.settings)
    site = joining.site_of(here.settings)
    groups = guarding.assigned(request, site)
    answer = joining.answer(here.settings, site) | {"groups": guarding.told(groups)}
    specs = guarding.specs_of(groups, request)
    check = guarding.checks(specs, site, known_nodes(here.desk), again=request.again)
    here.desk.join(*specs, by=person, check=check)
    here.waker.wake()
    if not request.again:
        answer["token"] = joining.renew_token(here.desk, guarding.token_of(request.name), by=person)
    return JoinedGuard.model_validate(answer)


@router.post("/miners:wish", responses=errors(404, 409))
def wish_of_miners(body: MachinesWishing, here: Here, person: Person) -> MachinesWished:
    """Say what you want of several miners: of all or of none; or of all of a group that can do it.

    409 if one of those that were named cannot do it.
    """
    wish, desk = Wish(body.wish), here.desk.machines
    if body.group is not None:
        made = desk.wish_of_group(body.group, wish, by=person, reason=body.reason)
    else:
        made = desk.wish(body.miners or [], wish, by=person, reason=body.reason)
    here.waker.wake()
    cannot = [CannotView(id=miner_id, reason=why) for miner_id, why in made.cannot.items()]
    return MachinesWished(miners=list(made.ids), cannot=cannot)


@router.get("/miners/{miner_id}", responses=errors(404))
def show_miner(miner_id: MinerId, here: Here, asking: Asking) -> MachineRecord:
    """Show one miner with its record, also one that is no more. Its pools are shown to operators."""
    known = here.desk.machines.get(miner_id)
    return _record(known, here, may_see_pools=asking.caller.role.includes(Role.OPERATOR))


@router.get("/miners/{miner_id}/history", responses=errors(404))
def show_miner_history(
    miner_id: MinerId, query: Annotated[HistoryQuery, Query()], here: Here, asking: Asking
) -> MachineHistory:
    """Show what changed of who a miner is and whose, newest first, and what people wanted of it."""
    desk, sees_all = here.desk.machines, asking.caller.role.includes(Role.OPERATOR)
    page = desk.changes(miner_id, limit=query.limit, after=query.after)
    return MachineHistory(
        changes=[_change(one, may_see_pools=sees_all) for one in page.changes],
        wishes=[machines.wish_view(wish) for wish in desk.wishes(miner_id)],
        next=page.next,
    )


@router.post("/miners/{miner_id}/wish", responses=errors(404, 409))
def wish_of_miner(miner_id: MinerId, body: MachineWishing, here: Here, person: Person) -> MachineRecord:
    """Say what you want of one miner; the same again is no change. 409 if it cannot do it."""
    desk = here.desk.machines
    desk.wish([miner_id], Wish(body.wish), by=person, reason=body.reason)
    here.waker.wake()
    return _record(desk.get(miner_id), here, may_see_pools=True)


def _record(known: KnownMachine, here: Here, *, may_see_pools: bool) -> MachineRecord:
    everywhere = machines.standing(here.desk.machines.now())
    now = next((one for one in everywhere if one.detail.miner_id == known.miner_id), None)
    pools = (now and now.detail.identity.pools) or known.identity.pools
    return MachineRecord(
        id=known.miner_id,
        group=known.group_id,
        partner=known.partner,
        now=None if now is None else machines.shown(now, _mined(here)),
        pools=[PoolView(url=p.url, user=p.user, active=p.is_active) for p in pools]
        if may_see_pools
        else None,
        first_seen_at=known.first_seen_at,
        last_seen_at=known.last_seen_at,
        vanished_at=known.vanished_at,
    )


def _mined(here: Here) -> machines.Mined:
    kept = here.desk.figures()
    figures = None if kept is None else kept.figures
    return machines.Mined(figures=figures, pools=here.settings.pools, at=datetime.now(UTC))


def _change(one: LoggedChange, *, may_see_pools: bool) -> IdentityChangeView:
    change = one.change
    is_hidden = change.what is Trait.POOLS and not may_see_pools
    return IdentityChangeView(
        at=change.at,
        what=change.what.value,
        group=change.group_id,
        partner=change.partner,
        before=None if is_hidden else change.before,
        after=None if is_hidden else change.after,
        event=one.seq,
        sentence=sentence(change),
    )
