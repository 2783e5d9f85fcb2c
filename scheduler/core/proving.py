"""The proven margin: how much of the limit stays free while the site's own meter shows that less is enough.

The margin of the site file covers what nobody knows: how far the meter is off, how far the model is, and what a draw
overshoots its orders by. A site whose meter is read well, agrees with the reports, and shows for long that the draw
stays within what the corrected books allow, needs no more free than

    accuracy + the highest of (measured - allowed) / allowed lately

where `accuracy` is what the meter may be off by, and `allowed` is what all orders allow in the model as the trim
corrects it (`scheduler.core.trim`). What is ordered stays within the limit by the site file's own figures, whatever was
proven: what the trim gives back counts as a part of the margin.

Work draws less than its caps, so that the second is mostly below zero. How far that counts is up to `least`, of which
the margin is never less. With `accuracy` and what the trim leaves (`BAND`) it does not: then no surge breaks the limit,
not even one in which all work draws all that it may, while the model errs as the meter does. With less it is what the
meter sees that is kept from the limit by `accuracy`; such a surge, if it was never seen before, is over it until the
meter shows it. So there what work leaves undrawn counts

    under a limit (within `NEAR`) under which it was seen for `LONG_S` of the last day: under a lower one caps are
        lower, and less is left below them. Under any other limit it does not count, from the very fall on;
    as the least that was left under this limit or a higher one, or with a draw of all that was allowed under any;
    for the part of the work that has run for long (`scheduler.core.seasoned`): newcomers may draw all that they may.

Slow down, at once up. It shrinks only after `PROVE_S` of proof, with the time constant of the trim, and by work that
comes near to the limit: an idle hall proves nothing of a full one. A draw higher than was seen raises it with that very
reading, also with one that proves nothing because a group is silent; as far as single readings tremble (`TREMBLE`),
once it is the mean of a fall and a second. A reading that is not good or not of now brings the whole margin back, for
as long as that lasts and slowly less after it. With a disagreement with the reports that stands through a fall and a
second, and under a new leader, the proof is lost as well.

No rebound: for a while after the limit rose, no less stays free than before it fell (`scheduler.core.rebound`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import fmean

from scheduler.core.rebound import HAIR, Stood, is_settling, stood
from scheduler.core.trim import BAND, Shown, TrimRule, Why

PROVE_S = 600.0  #: of proof before less than the whole margin is enough
MEMORY_S = 3600.0  #: what was seen counts for so long, where no surge breaks the limit,
BOLD_S = 86_400.0  #: or else: what comes once a day is over it once,
PIECE_S = 300.0  #: in pieces of this length
LONG_S = 3600.0  #: of proof before what work leaves undrawn counts,
NEAR = 0.025  #: under limits that differ by no more than this share,
_SHORT_S = 60.0  #: and where one stood for less than this, it proves nothing
LOADED = 0.9  #: share of the limit that orders allow at least, or a reading proves nothing
TREMBLE = 0.005  #: share by which a single reading may be above the draw and be no news
STEP = 0.001  #: the margin rises to a multiple of this: trembling readings are not followed one by one

Reading = tuple[datetime, float, float]
"""When, W measured, W that orders allowed."""


class Proving(StrEnum):
    """Why the margin stands where it does."""

    NEW = "the meter has not shown for long enough how the draw follows the orders"
    PROVEN = "the meter shows that no more is needed"
    SHRINKING = "on its way to what the meter shows to be enough"
    NEEDED = "the meter shows that all of it is needed"
    UNSEEN = "what work leaves undrawn was not seen for long under this limit"
    RISEN = "the limit rose lately: the draw is to come back no higher than it was"
    IDLE = "little of the limit is in use, which proves nothing"
    NOT_GOOD = "the reading is not a good one of the meter"
    DISAGREES = "meter and reports disagree"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What was seen in a stretch of time."""

    since_at: datetime
    covered_s: float  #: by readings that prove something
    peak: float  #: the highest draw above what was allowed, as a share of that
    limit_w: float = 0.0  #: under which that was seen; the highest of several


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the meter has shown so far."""

    at: datetime  #: of the newest reading
    margin: float  #: share of the limit that has to stay free
    why: Proving = Proving.NEW
    pieces: tuple[Piece, ...] = ()  #: oldest first
    lately: tuple[Reading, ...] = ()  #: through the last two falls
    stood: Stood = field(default_factory=Stood)  #: what stayed free before the limit changed
    disagrees_since_at: datetime | None = None  #: meter and reports, None = they agree
    seasoned: float = 1.0  #: as of the newest reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """The margin that a decision is made with."""

    share: float
    why: Proving
    peak: float | None = None  #: as in `Piece`, the highest that counts; None = nothing was shown yet


def proved(
    proof: Proof,
    shown: Shown,
    rule: TrimRule,
    *,
    margin: float,
    correction_w: float,
    limit_w: float,
    window_s: float,
) -> Proof:
    """What is known after one more reading. `margin` is the site file's, `window_s` a fall and the meter's lag."""
    gap_s = (shown.at - proof.at).total_seconds()
    since_at = (proof.disagrees_since_at or shown.at) if shown.doubt is Why.DISAGREES else None
    before = _stood(proof, shown.at, rule, margin=margin, correction_w=correction_w, limit_w=limit_w)
    if shown.doubt is Why.NOT_GOOD:
        seen = tuple(
            replace(p, covered_s=0.0) for p in proof.pieces
        )  # it proves nothing, and is not forgotten
        return Proof(at=shown.at, margin=margin, why=Proving.NOT_GOOD, pieces=seen, stood=before)
    if since_at is not None and (shown.at - since_at).total_seconds() >= window_s:
        why = Proving.DISAGREES
        return Proof(at=shown.at, margin=margin, why=why, stood=before, disagrees_since_at=since_at)
    past = proof if gap_s <= rule.fresh_s else replace(proof, margin=margin, lately=())
    horizon = shown.at - timedelta(seconds=window_s)
    newest = (shown.at, shown.measured_w, shown.allowed_w + correction_w)
    kept = (r for r in past.lately if r[0] > horizon - timedelta(seconds=window_s))
    lately = (*kept, newest)
    most_w = max(
        w for _, _, w in lately
    )  # the oldest reading of the mean may show what was allowed a fall before it
    over = _drawn_w([w for at, w, _ in lately if at > horizon]) / most_w - 1.0 if most_w > 0 else 0.0
    pieces = tuple(p for p in past.pieces if (shown.at - p.since_at).total_seconds() <= _memory_s(rule))
    is_idle = most_w < LOADED * limit_w
    if not is_idle:  # what is in doubt proves nothing, and yet may show that more is needed
        covered_s = 0.0 if shown.doubt is not None else min(gap_s, rule.fresh_s)
        pieces = _noted(pieces, Piece(since_at=shown.at, covered_s=covered_s, peak=over, limit_w=limit_w))
    known = replace(
        past,
        at=shown.at,
        pieces=pieces,
        lately=lately,
        stood=before,
        disagrees_since_at=since_at,
        seasoned=shown.seasoned,
    )
    is_idle = is_idle or shown.doubt is not None
    return _moved(known, rule, margin=margin, limit_w=limit_w, gap_s=gap_s, is_idle=is_idle)


def under(proof: Proof, rule: TrimRule, *, margin: float, limit_w: float) -> Proof:
    """What is known once this limit is in force: where it fell, what was shown under a higher one may not count."""
    if not rule.counts_undrawn or limit_w >= (1.0 - NEAR) * proof.stood.limit_w:
        return proof
    needed = _needed(proof, rule, margin=margin, limit_w=limit_w)
    if needed is None or needed <= proof.margin:
        return proof  # of too little nothing follows, and all of the margin stands
    return replace(proof, margin=needed, why=_why(proof, rule, limit_w))


def margin_of(
    proof: Proof, rule: TrimRule, *, margin: float, at: datetime, corrected: float, is_good: bool
) -> Margin:
    """The margin at `at`, where the trim takes the share `corrected` of the limit off; below 0 it gives it back.

    Never less than that, or more would be ordered than the site file's figures allow.
    """
    peak = max((p.peak for p in proof.pieces), default=None)
    if not is_good or (at - proof.at).total_seconds() > rule.fresh_s:
        return Margin(share=margin, why=Proving.NOT_GOOD, peak=peak)
    share = _with_credit(proof.margin, margin, corrected)
    if share < margin and is_settling(proof.stood, at):
        usual = -math.inf if proof.stood.usual is None else proof.stood.usual - corrected
        most = margin + max(0.0, -corrected)  # what was given back since then waits as well
        return Margin(share=min(most, max(share, usual) + HAIR), why=Proving.RISEN, peak=peak)
    return Margin(share=share, why=proof.why, peak=peak)


def _drawn_w(measured_w: Sequence[float]) -> float:
    """What is drawn: the mean through a fall and a second, for single readings tremble; more where one is far above."""
    return max(fmean(measured_w), (1.0 - TREMBLE) * measured_w[-1])


def _with_credit(share: float, margin: float, corrected: float) -> float:
    return max(share, min(margin, -corrected))


def _stood(
    proof: Proof, at: datetime, rule: TrimRule, *, margin: float, correction_w: float, limit_w: float
) -> Stood:
    """What had to stay free until this reading, as the site file's figures have it."""
    gap_s = (at - proof.at).total_seconds()
    corrected = correction_w / limit_w if limit_w > 0 else 0.0
    share = _with_credit(proof.margin, margin, corrected) if gap_s <= rule.fresh_s else margin
    return stood(proof.stood, at, free=share + corrected, covered_s=gap_s, limit_w=limit_w)


def _memory_s(rule: TrimRule) -> float:
    return BOLD_S if rule.counts_undrawn else MEMORY_S


def _noted(pieces: tuple[Piece, ...], seen: Piece) -> tuple[Piece, ...]:
    """With one more reading; what was seen under limits that did not stand proves nothing of any."""
    newest = pieces[-1] if pieces else None
    age_s = (seen.since_at - newest.since_at).total_seconds() if newest is not None else PIECE_S
    if newest is None or age_s >= PIECE_S:
        return (*pieces, seen)
    covered_s = newest.covered_s + seen.covered_s
    if not _is_near(newest.limit_w, seen.limit_w):
        if age_s >= _SHORT_S:
            return (*pieces, seen)
        covered_s = 0.0
    grown = replace(
        newest,
        covered_s=covered_s,
        peak=max(newest.peak, seen.peak),
        limit_w=max(newest.limit_w, seen.limit_w),
    )
    return (*pieces[:-1], grown)


def _is_near(known_w: float, limit_w: float) -> bool:
    return abs(known_w - limit_w) <= NEAR * limit_w


def _needed(proof: Proof, rule: TrimRule, *, margin: float, limit_w: float) -> float | None:
    """The share that has to stay free under this limit, in steps; None = too little was shown to say so."""
    pieces, accuracy, least = proof.pieces, rule.accuracy, rule.least
    if accuracy is None or sum(p.covered_s for p in pieces) < PROVE_S:
        return None
    peak = max(p.peak for p in pieces)
    if rule.counts_undrawn:
        if not _is_seen(proof, limit_w):
            least = accuracy + BAND
        else:
            from_w = (1.0 - NEAR) * limit_w
            peak = max(p.peak for p in pieces if p.limit_w >= from_w or p.peak >= 0.0)
            peak *= proof.seasoned if peak < 0.0 else 1.0
    return min(margin, max(least, math.ceil((accuracy + peak) / STEP) * STEP))


def _is_seen(proof: Proof, limit_w: float) -> bool:
    """Whether what work leaves undrawn under this limit was seen for long."""
    return sum(p.covered_s for p in proof.pieces if _is_near(p.limit_w, limit_w)) >= LONG_S


def _why(proof: Proof, rule: TrimRule, limit_w: float) -> Proving:
    is_seen = not rule.counts_undrawn or _is_seen(proof, limit_w)
    return Proving.PROVEN if is_seen else Proving.UNSEEN


def _moved(
    proof: Proof, rule: TrimRule, *, margin: float, limit_w: float, gap_s: float, is_idle: bool
) -> Proof:
    """The margin goes up at once to what is needed, and slowly down to it."""
    needed = _needed(proof, rule, margin=margin, limit_w=limit_w)
    if needed is None:
        return replace(proof, margin=margin, why=Proving.NEW)
    proven = _why(proof, rule, limit_w)
    if needed >= proof.margin:
        return replace(proof, margin=needed, why=Proving.NEEDED if needed >= margin else proven)
    if is_idle:
        return replace(proof, why=Proving.IDLE)
    gap = proof.margin - needed
    left = proof.margin + gap * math.expm1(-min(gap_s, rule.fresh_s) / rule.give_s)
    is_there = left - needed < STEP / 2
    return replace(proof, margin=needed if is_there else left, why=proven if is_there else Proving.SHRINKING)
