"""What hashing brings: from the chain's own figures and a price of bitcoin to money per hash and per MWh.

    expected bitcoin per hash = (subsidy + fees of a block) / (difficulty * 2^32)
    hashprice [money / PH/s / day] = 86,400 * 10^15 * that * price of a bitcoin
    revenue [money / MWh] = hashprice * 1000 / (24 * J/TH)      less the pool's fee

The first is the mean of the geometric distribution that mining is (each hash wins with 1 / (difficulty * 2^32)); the
subsidy is 50 BTC, halved every 210,000 blocks, in whole satoshi as the protocol rounds it. Money is in whole
micro-units of the site's currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

SATOSHI = 100_000_000  #: of one bitcoin
HALVING_BLOCKS = 210_000
_HASHES_PER_DIFFICULTY = 2**32
_PH_DAY = 86_400 * 10**15  #: hashes of a PH/s in a day
_PPM = 1_000_000
_SKEW_S = 60.0  #: how far figures may seem to come from the future: clocks differ


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFigures:
    """What revenue is reckoned from, on whose word and since when. Raises ValueError that names field and remedy."""

    btc_micro: int  #: price of one bitcoin, micro-units
    difficulty: int
    height: int  #: of the chain: decides the subsidy
    fees_sat: int  #: of a block, mean of late
    source: str  #: document, address or person
    as_of_at: datetime
    stale_after_s: float = 86_400.0

    def __post_init__(self) -> None:
        if complaint := self._complaint():
            raise ValueError(complaint)

    @property
    def subsidy_sat(self) -> int:
        """New coins of a block at this height."""
        return subsidy_sat(self.height)

    @property
    def hashprice_micro(self) -> int:
        """What a PH/s brings in a day before the pool's fee, micro-units, rounded down."""
        block_sat = self.subsidy_sat + self.fees_sat
        return _PH_DAY * block_sat * self.btc_micro // (self.difficulty * _HASHES_PER_DIFFICULTY * SATOSHI)

    def age_s(self, at: datetime) -> float:
        """How old these are, s."""
        return (at - self.as_of_at).total_seconds()

    def is_stale(self, at: datetime) -> bool:
        """Whether nothing may be ranked or settled by these at `at`: too old, or dated over a minute ahead."""
        return not -_SKEW_S <= self.age_s(at) <= self.stale_after_s

    def _complaint(self) -> str | None:
        for name, least in (("btc_micro", 1), ("difficulty", 1), ("height", 0), ("fees_sat", 0)):
            if getattr(self, name) < least:
                return f"{name} = {getattr(self, name)}: give {least} or more"
        if self.as_of_at.tzinfo is None:
            return f"as_of_at = {self.as_of_at.isoformat()} has no time zone; write it in UTC, with a Z"
        if not self.stale_after_s > 0:
            return f"stale_after_s = {self.stale_after_s:g}: they would never be fresh; give more than 0"
        return None


def subsidy_sat(height: int) -> int:
    """New coins of a block at `height`, satoshi."""
    return (50 * SATOSHI) >> min(63, height // HALVING_BLOCKS)


def revenue_micro_per_mwh(hashprice_micro: int, joule_per_th: float, *, pool_fee_ppm: int = 0) -> int:
    """What a MWh brings to a machine of this efficiency, micro-units, rounded down. Raises ValueError."""
    if not joule_per_th > 0:
        raise ValueError(f"joule_per_th = {joule_per_th:g}: is not known; give the J/TH that were measured")
    kept = hashprice_micro * (_PPM - pool_fee_ppm) // _PPM
    return int(kept * 1000 / (24 * joule_per_th))
