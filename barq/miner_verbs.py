"""What `barq.Client` asks and tells of the machines of miner groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from barq import mining_calls
from barq.calls import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from barq.calls import Call
    from barq.machine_views import MachineHistory, MachineRecord, MachinesWished, MinerPage
    from barq.views import JoinedGuardView

T = TypeVar("T")


class MinerVerbs:
    """The verbs; whoever has them says how a call is made."""

    def _do(self, call: Call[T]) -> T:
        raise NotImplementedError

    def miners(
        self,
        *,
        group: str | None = None,
        partner: str | None = None,
        condition: str | None = None,
        limit: int = PAGE_SIZE,
        after: str | None = None,
    ) -> MinerPage:
        """Return a page of miners, with totals of all that match; `after` is the `next` of the page before."""
        call = mining_calls.miners(
            group=group, partner=partner, condition=condition, limit=limit, after=after
        )
        return self._do(call)

    def join_guard(self, name: str, address: str, *, again: bool = False) -> JoinedGuardView:
        """Have a machine take on the guards of miners that the site file leaves to it. Raises Refused.

        `again` = it did before, and starts again.
        """
        return self._do(mining_calls.join_guard(name, address, again=again))

    def miner(self, miner_id: str) -> MachineRecord:
        """Return one miner with its record, also one that is no more. Raises NotFound."""
        return self._do(mining_calls.miner(miner_id))

    def miner_history(
        self, miner_id: str, *, limit: int = PAGE_SIZE, after: str | None = None
    ) -> MachineHistory:
        """Return what changed of who a miner is and whose, newest first, and what people wanted of it."""
        return self._do(mining_calls.miner_history(miner_id, limit=limit, after=after))

    def pause_miners(
        self, miners: Sequence[str] | None = None, *, group: str | None = None, reason: str
    ) -> MachinesWished:
        """Have these miners asleep until `resume_miners`; or all of a group that can. Raises NotFound, Refused."""
        return self._wish("paused", miners, group, reason)

    def protect_miners(
        self, miners: Sequence[str] | None = None, *, group: str | None = None, reason: str
    ) -> MachinesWished:
        """Have these miners be the last of their fleet to sleep; or all of a group. Raises NotFound, Refused."""
        return self._wish("protected", miners, group, reason)

    def resume_miners(
        self, miners: Sequence[str] | None = None, *, group: str | None = None, reason: str
    ) -> MachinesWished:
        """Have these miners do as their fleet again; or all of a group. Raises NotFound."""
        return self._wish("inherit", miners, group, reason)

    def _wish(
        self, wish: str, miners: Sequence[str] | None, group: str | None, reason: str
    ) -> MachinesWished:
        return self._do(mining_calls.wish_of_miners(wish, miners=miners, group=group, reason=reason))
