"""What the site's meter teaches from reading to reading: draw beyond the books, the model's error, margin enough."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from scheduler.core.metering import SETTLE_S, Excess, excess_w, remembered, shown, standing_w
from scheduler.core.proving import Margin, Proof, margin_of, proved, under
from scheduler.core.seasoned import Since, running_since, seasoned_share
from scheduler.core.snapshot import Group, MeterReading, Quality, SitePolicy
from scheduler.core.trim import Trim, Trimmed, learned, resumed, trimmed


class Lessons:
    """The newest reading, and what was learned from all before."""

    def __init__(self, site: SitePolicy, at: datetime) -> None:
        self._site = site
        self.reading: MeterReading | None = None
        self.trim = Trim(at=at)
        self.proof = Proof(at=at, margin=site.margin)
        self._excess: tuple[Excess, ...] = ()
        self._since: Since = {}

    def resume(self, known: Trimmed | None, at: datetime) -> None:
        """Go on from what an earlier leader learned of the model's error."""
        self.trim = resumed(known, at)

    def take(self, reading: MeterReading, groups: Collection[Group], limit_w: float) -> bool:
        """Hold a reading against the books as they are now. False: one of the same instant says nothing new."""
        before, self.reading = self.reading, reading
        if before is not None and reading.measured_at == before.measured_at:
            return False
        site = self._site
        newest = (reading.measured_at, excess_w(groups, site, reading))
        self._excess = remembered(self._excess, newest, site)
        if (rule := site.trim) is not None:
            beside = shown(groups, site, rule, reading)
            if rule.counts_undrawn:
                self._since = running_since(self._since, groups, reading.measured_at)
                seasoned = seasoned_share(self._since, groups, reading.measured_at)
                beside = replace(beside, seasoned=seasoned)
            window_s = site.fall_s + SETTLE_S
            self.trim = learned(self.trim, beside, rule, window_s=window_s)
            self.proof = proved(
                self.proof,
                beside,
                rule,
                margin=site.margin,
                correction_w=self.trim.used_w,
                limit_w=limit_w,
                window_s=window_s,
            )
        return True

    @property
    def unmetered_w(self) -> float:
        """What the meter sees beyond all that could be drawn by the books, for longer than a fall takes."""
        return standing_w(self._excess, self._site)

    def trimmed(self, at: datetime, limit_w: float) -> Trimmed | None:
        """What it taught of the model's error, under the limit that is in force."""
        rule = self._site.trim
        return None if rule is None else trimmed(self.trim, rule, at=at, limit_w=limit_w)

    def proven(self, at: datetime, limit_w: float, trim: Trimmed | None) -> Margin | None:
        """What it shows to be margin enough, beside what the trim gives back."""
        rule = self._site.trim
        if rule is None or trim is None or rule.accuracy is None:
            return None
        return margin_of(
            under(self.proof, rule, margin=self._site.margin, limit_w=limit_w),
            rule,
            margin=self._site.margin,
            at=at,
            corrected=trim.w / limit_w if limit_w > 0 else 0.0,
            is_good=self.reading is not None and self.reading.quality is Quality.GOOD,
        )
