"""What `barq.Client` asks and tells of the site's power: its limits, instructions, events and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from barq import calls, mining_calls
from barq.calls import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from barq.calls import Call
    from barq.dispatch_views import InstructionPage, InstructionView
    from barq.event_views import PowerEventDetail, PowerEventPage
    from barq.partner_views import PartnersView, PartnerView
    from barq.reporting.settlement_views import AdjustmentView, BalancesView, StatementView
    from barq.reporting.views import ComplianceView, CorrectionView
    from barq.revenue_views import FiguresPage, FiguresView, HashpriceView
    from barq.shadow_views import ShadowDays
    from barq.site_views import LimitView, PowerView, StopView

T = TypeVar("T")


class PowerVerbs:
    """The verbs; whoever has them says how a call is made."""

    def _do(self, call: Call[T]) -> T:
        raise NotImplementedError

    def power(self) -> PowerView:
        """Return the site's power now: limit, draw, who uses it, what changes next."""
        return self._do(calls.power())

    def power_events(
        self,
        *,
        since: str | None = None,
        until: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> PowerEventPage:
        """Return a page of falls of the limit, newest first. Times are ISO 8601 with their zone."""
        return self._do(calls.power_events(since=since, until=until, limit=limit, after=after))

    def power_event(self, event_id: str) -> PowerEventDetail:
        """Return one fall of the limit, with what would have been drawn without it. Raises NotFound."""
        return self._do(calls.power_event(event_id))

    def partners(self) -> PartnersView:
        """Return what each mining partner may draw, until when, and why it is no more."""
        return self._do(mining_calls.partners())

    def partner(self, name: str) -> PartnerView:
        """Return what one mining partner may draw. Raises NotFound."""
        return self._do(mining_calls.partner(name))

    def limits(self) -> list[LimitView]:
        """Return the manual limits that stand."""
        return self._do(calls.limits())

    def limit(self, limit_w: float, *, reason: str, for_s: float | None = None) -> LimitView:
        """Limit the site to `limit_w`, until released or for `for_s` seconds."""
        return self._do(calls.limit(limit_w, reason=reason, for_s=for_s))

    def release_limits(self, *, reason: str | None = None, limit_id: str | None = None) -> list[LimitView]:
        """Release the manual limit `limit_id`, or all that stand; return them. Raises NotFound."""
        return self._do(calls.release_limits(reason=reason, limit_id=limit_id))

    def estop(self, *, reason: str, stop_id: str | None = None) -> StopView:
        """Stop the site: everything to its fallback at once, until a person releases it."""
        return self._do(calls.estop(reason=reason, stop_id=stop_id))

    def release_estop(self, *, reason: str) -> list[StopView]:
        """Release every emergency stop that stands; return them."""
        return self._do(calls.release_estop(reason=reason))

    def hashprice(self, *, machines: bool = False) -> HashpriceView:
        """Return what mining brings: hashprice, by the MWh, per partner and fleet, with provenance and age."""
        return self._do(mining_calls.hashprice(machines=machines))

    def tell_figures(
        self,
        *,
        btc_micro: int,
        difficulty: int,
        height: int,
        fees_sat: int,
        source: str,
        as_of_at: str | None = None,
        corrects: bool = False,
    ) -> FiguresView:
        """Tell price of bitcoin, difficulty, height and fees of a block. Raises InvalidInput for what cannot be."""
        call = mining_calls.tell_figures(
            btc_micro=btc_micro,
            difficulty=difficulty,
            height=height,
            fees_sat=fees_sat,
            source=source,
            as_of_at=as_of_at,
            corrects=corrects,
        )
        return self._do(call)

    def figures_told(
        self,
        *,
        since: str | None = None,
        until: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> FiguresPage:
        """Return a page of the figures that were taken in, what was told last first."""
        return self._do(mining_calls.figures_told(since=since, until=until, limit=limit, after=after))

    def instructions(
        self,
        *,
        state: str | None = None,
        source: str | None = None,
        limit: int = PAGE_SIZE,
        after: str | None = None,
    ) -> InstructionPage:
        """Return a page of dispatch instructions, active ones first; `after` is the `next` of the page before."""
        return self._do(calls.instructions(state=state, source=source, limit=limit, after=after))

    def instruction(self, instruction_id: str) -> InstructionView:
        """Return one dispatch instruction with its evidence."""
        return self._do(calls.instruction(instruction_id))

    def acknowledge(self, instruction_id: str, *, note: str | None = None) -> InstructionView:
        """Say that a dispatch instruction was seen. Raises Refused if it is over."""
        return self._do(calls.acknowledge(instruction_id, note=note))

    def refuse(self, instruction_id: str, *, reason: str) -> InstructionView:
        """Refuse a dispatch instruction, for the record; one that binds holds all the same. Raises Refused."""
        return self._do(calls.refuse(instruction_id, reason=reason))

    def compliance_report(self, month: str, *, tz: str = "UTC") -> ComplianceView:
        """Return a month such as "2026-10" of the calendar in `tz`: energy by class, with the evidence."""
        return self._do(calls.compliance_report(month, tz=tz))

    def correct_quarter(
        self,
        quarter_at: str,
        *,
        firm_wh: float = 0.0,
        granted_wh: float = 0.0,
        breach_wh: float = 0.0,
        reason: str,
    ) -> CorrectionView:
        """Add to the energy of the quarter that begins at `quarter_at`; below 0 takes away. It stays listed."""
        call = calls.correct_quarter(
            quarter_at, firm_wh=firm_wh, granted_wh=granted_wh, breach_wh=breach_wh, reason=reason
        )
        return self._do(call)

    def settlement(self, partner: str, month: str) -> StatementView:
        """Return what was settled with a mining partner in a month such as "2026-10", UTC."""
        return self._do(mining_calls.settlement(partner, month))

    def balances(self, month: str) -> BalancesView:
        """Return where the energy at the site's meter went, by the quarter of an hour."""
        return self._do(mining_calls.balances(month))

    def adjust_settlement(
        self,
        partner: str,
        starts_at: str,
        *,
        metered_ws: int = 0,
        curtailed_ws: Mapping[str, int] | None = None,
        charge_micro: int | None = None,
        credit_micro: int | None = None,
        reason: str,
    ) -> AdjustmentView:
        """Add to the interval that begins at `starts_at`; money that is left out is reckoned by its rates."""
        call = mining_calls.adjust_settlement(
            partner,
            starts_at,
            metered_ws=metered_ws,
            curtailed_ws=curtailed_ws,
            charge_micro=charge_micro,
            credit_micro=credit_micro,
            reason=reason,
        )
        return self._do(call)

    def shadow_days(self, *, day: str | None = None, limit: int = 31) -> ShadowDays:
        """Return days of shadow mode, the newest first: the real site by its own meter beside its twin."""
        return self._do(calls.shadow_days(day=day, limit=limit))
