"""Sites whose guards were told things before: orders are remembered, and nodes go to standby and come back."""

from __future__ import annotations

from dataclasses import replace

from scheduler.core.entitlement import rest_w
from scheduler.core.forecast import LimitRecord, noted
from scheduler.core.hashprice import ChainFigures
from scheduler.core.ledger import reported
from scheduler.core.orders import Draft, NodePower
from scheduler.core.proving import Margin
from scheduler.core.snapshot import Snapshot
from scheduler.core.stranded import NOTHING_KNOWN, Useful
from scheduler.core.trim import Trimmed, Why
from tests.builders import SiteBuilder, obey


class ToldSite(SiteBuilder):
    """Remembers what was ordered last, as the loop does. Nodes that can go to standby do as they are told."""

    record: LimitRecord | None = None
    unmetered_w: float = 0.0
    trim: Trimmed | None = None
    chain: ChainFigures | None = None
    proven: Margin | None = None
    useful: Useful = NOTHING_KNOWN

    def snapshot(self) -> Snapshot:
        """All of it, as now known, and what the limit was."""
        self.record = noted(self.record, self.envelopes, at=self.at, firm_w=self.site.firm_w)
        return replace(
            super().snapshot(),
            record=self.record,
            unmetered_w=self.unmetered_w,
            trim=self.trim,
            chain=self.chain,
            proven=self.proven,
            useful=self.useful,
        )

    def send(self, gid: str, draft: Draft) -> None:
        """An order goes out."""
        super().send(gid, draft)
        self.groups[gid] = replace(self.groups[gid], ordered=draft, ordered_at=self.at)

    def corrected(self, trim_w: float, *, unmetered_w: float = 0.0) -> ToldSite:
        """By its meter: what it teaches of the model's error, and what it sees beyond the books."""
        self.trim, self.unmetered_w = Trimmed(w=trim_w, why=Why.STEADY), unmetered_w
        return self

    def sleeping(self, *names: str) -> ToldSite:
        """Nodes that are in standby, by their own account."""
        for name in names:
            self._show(name, NodePower.STANDBY)
        return self

    def all_obey(self) -> ToldSite:
        """Every guard brings about what it was told; hosts take no time to go down and come up."""
        for gid, group in self.groups.items():
            obey(self, gid)
            if group.spec.standby is None or group.ordered is None:
                continue
            is_used = any(p.node_id == gid for a in self.attempts.values() for p in a.placements)
            wants = group.ordered.standby and not is_used
            self._show(gid, NodePower.STANDBY if wants else NodePower.ON)
        return self

    def _show(self, gid: str, power: NodePower) -> None:
        group = self.groups[gid]
        rests_w = rest_w(group.spec, power)
        account = replace(group.account, idle_w=rests_w)
        is_off = power is NodePower.STANDBY
        if is_off:
            account = reported(account, fence=account.sent, charged_w=rests_w, at=self.at)
        gpus = () if is_off else self.groups[gid].gpus
        self.groups[gid] = replace(group, power=power, account=account, gpus=gpus)

    def turns(self, rounds: int, seconds: float = 1.0) -> list[str]:
        """Rounds of deciding and obeying: which nodes were told to go down or to come up, and when."""
        found = []
        for number in range(rounds):
            decision = self.decided(obeyed=False)
            found += [
                f"{number}: {gid} {'down' if draft.standby else 'up'}"
                for gid, draft in sorted(decision.drafts.items())
                if draft.standby != (self.groups[gid].power is NodePower.STANDBY)
            ]
            self.passes(seconds)
            self.all_obey()
        return found

    def asleep(self) -> list[str]:
        """Nodes in standby."""
        return sorted(gid for gid, g in self.groups.items() if g.power is NodePower.STANDBY)


__all__ = ["ToldSite"]
