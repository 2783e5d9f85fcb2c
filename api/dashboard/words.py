"""What the site's state is called: a word, a sign and a sentence for it, never a colour alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from api.wire.site import MinerView, PowerView, SourceView
from barq.units import format_duration

SILENT_AFTER: Final = timedelta(seconds=10)
"""A scheduler that told nothing for this long is not at work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The site in one sentence. `until_at` and `since_at` are told after it, in the reader's own zone."""

    state: str  #: how it is shown: good, low, act, bad, stop, blind
    sign: str
    word: str
    lead: str  #: what matters; read aloud when it changes
    text: str = ""
    until_at: datetime | None = None
    since_at: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWord:
    """A state of a job or an instruction: how it is shown, a sign and a word."""

    shown: str
    sign: str
    word: str


JOB_WORDS: Final[Mapping[str, JobWord]] = {
    "RUNNING": JobWord(shown="good", sign="▶", word="running"),
    "STARTING": JobWord(shown="act", sign="▷", word="starting"),
    "SUSPENDED": JobWord(shown="low", sign="❚❚", word="suspended"),
    "PREEMPTING": JobWord(shown="low", sign="▽", word="saving"),
    "PAUSED": JobWord(shown="low", sign="❚❚", word="paused"),
    "PENDING": JobWord(shown="quiet", sign="○", word="pending"),
    "HELD": JobWord(shown="quiet", sign="■", word="held"),
    "CANCELLING": JobWord(shown="quiet", sign="×", word="cancelling"),
    "CANCELLED": JobWord(shown="quiet", sign="×", word="cancelled"),
    "SUCCEEDED": JobWord(shown="quiet", sign="✓", word="succeeded"),
    "FAILED": JobWord(shown="bad", sign="✕", word="failed"),
}


INSTRUCTION_WORDS: Final[Mapping[str, JobWord]] = {
    "received": JobWord(shown="act", sign="○", word="received"),
    "accepted": JobWord(shown="act", sign="▷", word="accepted"),
    "complied": JobWord(shown="good", sign="●", word="kept"),
    "breached": JobWord(shown="bad", sign="▲", word="not kept"),
}
"""What holds, or will hold."""


def kw(power_w: float) -> str:
    """Kilowatts with one decimal, as all power in the headline."""
    return f"{max(0.0, power_w) / 1000:.1f}"


def headline(power: PowerView | None, now: datetime) -> Headline:
    """The first that is so: nothing known, stopped, silent, over the limit, a source lost, falling, low, good."""
    if power is None:
        lead = "The scheduler has not looked at the site yet"
        return Headline(state="blind", sign="…", word="Starting", lead=lead)
    stop: Any = getattr(power, "estop", None)
    if stop:
        return _stopped(stop, power)
    if now - power.at > SILENT_AFTER:
        return Headline(
            state="bad",
            sign="✕",
            word="Scheduler silent",
            lead="The scheduler has told nothing",
            since_at=power.at,
            note="All that is shown here is as old. The guards keep the site safe by themselves.",
        )
    return _at_work(power)


def _stopped(stop: Any, power: PowerView) -> Headline:  # noqa: ANN401 - a model or a document
    told = stop if isinstance(stop, Mapping) else stop.model_dump()
    since = told.get("at")
    return Headline(
        state="stop",
        sign="■",
        word="Emergency stop",
        lead=f"Stopped by {told.get('by') or 'an operator'}",
        text=f": {told.get('reason') or 'no reason given'}",
        since_at=datetime.fromisoformat(since) if isinstance(since, str) else since,
        note=f"Everything is at its fallback and draws {kw(power.draw_w)} kW. It stays so until a person releases it.",
    )


def _at_work(power: PowerView) -> Headline:
    limit, note = kw(power.limit_w), _why(power)
    uses, until_at = f": {uses_text(power)}", power.next_change.at if power.next_change else None
    if power.over_limit:
        lead = f"{kw(power.draw_w - power.limit_w)} kW over the limit of {limit} kW"
        return Headline(state="bad", sign="▲", word="Over the limit", lead=lead, text=uses, note=note)
    if power.limit_stale:
        lead = f"Firm {limit} kW while {power.limit_source} is silent"
        return Headline(
            state="low", sign="?", word="Source silent", lead=lead, text=uses, note=_silent(power)
        )
    if power.draw_w > power.limit_w:
        lead, text = f"Falling to {limit} kW", f" from {kw(power.draw_w)}{uses}"
        return Headline(state="act", sign="▼", word="Shedding", lead=lead, text=text, note=note)
    is_low = power.limit_w <= power.firm_w
    return Headline(
        state="low" if is_low else "good",
        sign="◆" if is_low else "●",
        word="At the firm level" if is_low else "Normal",
        lead=f"No surplus, {limit} kW" if is_low else f"Surplus {limit} kW",
        text=uses,
        until_at=until_at,
        note=note,
    )


def uses_text(power: PowerView) -> str:
    """Who draws what, in kW; the site's own share only where there is one."""
    if power.draw_measured_at is None:
        return "what is drawn is not known yet"
    site = f", site {kw(power.rest_w)}" if power.rest_w else ""
    return f"AI {kw(power.ai_w)}, mining {kw(power.miners_w)}{site}, unused {kw(power.unused_w)}"


def machines_text(miners: Sequence[MinerView]) -> str:
    """How many run, are trimmed and sleep; nothing where miners take any watt."""
    counts = Counter(miner.state for miner in miners)
    words = ("running", "trimmed", "asleep")
    return ", ".join(f"{counts[word]} {word}" for word in words if counts[word])


def _why(power: PowerView) -> str:
    parts = [f"limit by {power.limit_source}"]
    if power.limit_provenance:
        parts.append(power.limit_provenance)
    parts.append(f"firm level {kw(power.firm_w)} kW")
    if power.flex and (
        could := [f"{kw(s.down_w)} kW in {format_duration(s.within_s)}" for s in power.flex.steps]
    ):
        parts.append(f"could go: {', '.join(could)}")
    parts += [_soon_silent(s) for s in power.sources if _is_falling_silent(s)]
    parts += [
        f"{d.name}: {d.limit_source} is silent, {kw(d.limit_w)} kW counts"
        for d in power.domains
        if d.limit_stale
    ]
    if not power.raises_allowed:
        parts.append("nothing is raised until all guards follow and the records can be written")
    return " · ".join(parts)


def _is_falling_silent(source: SourceView) -> bool:
    """Whether a good part of the time that it may be silent has passed."""
    return (
        source.stale_in_s is not None and source.age_s is not None and source.age_s * 2 >= source.stale_in_s
    )


def _soon_silent(source: SourceView) -> str:
    left_s = f"in {source.stale_in_s:.0f} s"
    level = f"the firm level of {source.domain}" if source.domain else "the firm level"
    return f"{source.name} is silent for {source.age_s:.0f} s, {left_s} at most {level} counts"


def _silent(power: PowerView) -> str:
    stale = [
        f"{s.name} last read {s.age_s:.0f} s ago" for s in power.sources if s.stale and s.age_s is not None
    ]
    return " · ".join(stale) or _why(power)
