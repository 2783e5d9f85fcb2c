"""Whether figures of the chain can be true, by themselves and after those that are known. Pure.

Rules of the protocol: the difficulty is set anew every 2016 blocks and changes by a factor of 4 at most, up or down;
heights rise, by a block in ten minutes on the mean since January 2009.
"""

from __future__ import annotations

from datetime import UTC, datetime

from scheduler.core.hashprice import SATOSHI, ChainFigures

RETARGET_BLOCKS = 2016
MOST_FACTOR = 4  #: of the difficulty, from one retarget to the next
MOST_PRICE_FACTOR = 10  #: of the price of bitcoin, between figures of which the first are not stale
MOST_BTC_MICRO = 10**12 * 1_000_000
MOST_DIFFICULTY = 10**18
MOST_FEES_SAT = 50 * SATOSHI  #: what a block ever held is less
SKEW_S = 60.0  #: how far figures may seem to come from the future: clocks differ
_GENESIS_AT = datetime(2009, 1, 3, tzinfo=UTC)
_BLOCK_S = 600.0
_HEIGHTS = (0.8, 1.25)  #: of what ten minutes a block come to
_MOST_RETARGETS = 30  #: a factor of 4^30 is no bound any more


def absurd(told: ChainFigures, at: datetime) -> str | None:
    """Why these cannot be true at `at`, whatever is known; None = they can. Names field, value and remedy."""
    return _too_much(told) or _ahead(told, at) or _out_of_step(told)


def implausible(told: ChainFigures, known: ChainFigures | None) -> str | None:
    """Why these cannot follow those that are known; None = they can. Names field, values and remedy."""
    if known is None:
        return None
    if told.as_of_at < known.as_of_at:
        return (
            f"as_of_at = {_time(told.as_of_at)}: those known are of {_time(known.as_of_at)} ({known.source}), and "
            "the series only goes forward; give newer ones"
        )
    if told.height < known.height:
        return (
            f"height = {told.height}: the chain was at {known.height} already ({known.source}, "
            f"{_time(known.as_of_at)}), and heights do not go backwards; correct the height"
        )
    return _jump_of_difficulty(told, known) or _jump_of_price(told, known)


def _too_much(told: ChainFigures) -> str | None:
    bounds = (
        ("btc_micro", MOST_BTC_MICRO, "give the price of one bitcoin in the site's currency"),
        ("difficulty", MOST_DIFFICULTY, "give the difficulty as a node of bitcoin does, no hash rate"),
        ("fees_sat", MOST_FEES_SAT, "give the mean fees of one block, in BTC or satoshi as it is said"),
    )
    for name, most, remedy in bounds:
        if getattr(told, name) > most:
            return f"{name} = {getattr(told, name)} is above the {most} that are believed; {remedy}"
    return None


def _ahead(told: ChainFigures, at: datetime) -> str | None:
    if told.age_s(at) >= -SKEW_S:
        return None
    return f"as_of_at = {_time(told.as_of_at)} is {-told.age_s(at):.0f} s ahead of the clock here; check both clocks"


def _out_of_step(told: ChainFigures) -> str | None:
    """A height that no chain can have by then: a digit too many, or another chain's."""
    expected = (told.as_of_at - _GENESIS_AT).total_seconds() / _BLOCK_S
    least, most = (round(expected * part) for part in _HEIGHTS)
    if least <= told.height <= most:
        return None
    return (
        f"height = {told.height}: by {told.as_of_at:%Y-%m-%d} bitcoin's chain has {least} to {most} blocks; "
        "correct the height, or as_of_at"
    )


def _jump_of_difficulty(told: ChainFigures, known: ChainFigures) -> str | None:
    """Sources lag by a few blocks, so that one retarget is allowed even where the heights show none."""
    retargets = told.height // RETARGET_BLOCKS - known.height // RETARGET_BLOCKS
    factor = MOST_FACTOR ** min(max(1, retargets), _MOST_RETARGETS)
    if known.difficulty <= told.difficulty * factor and told.difficulty <= known.difficulty * factor:
        return None
    return (
        f"difficulty = {told.difficulty}: it was {known.difficulty} at height {known.height}, and changes by a factor "
        f"of {MOST_FACTOR} at most in each {RETARGET_BLOCKS} blocks; correct difficulty or height"
    )


def _jump_of_price(told: ChainFigures, known: ChainFigures) -> str | None:
    factor = MOST_PRICE_FACTOR
    is_near = told.btc_micro <= known.btc_micro * factor and known.btc_micro <= told.btc_micro * factor
    if is_near or known.is_stale(told.as_of_at):
        return None
    return (
        f"btc_micro = {told.btc_micro} ({told.btc_micro / 1e6:,.2f}): a bitcoin was at {known.btc_micro / 1e6:,.2f} "
        f"({known.source}, {_time(known.as_of_at)}), and a change by more than a factor of {factor} is not believed; "
        "check the price and its currency"
    )


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
