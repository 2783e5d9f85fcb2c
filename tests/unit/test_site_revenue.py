"""What a site file says of revenue is taken over to the letter, and nonsense is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scheduler.core.hashprice import ChainFigures
from scheduler.core.partners import HashpriceShare, Partner, PoolScheme, PoolTerms
from scheduler.errors import SettingsError
from scheduler.settings import Site, site_of

PATH = Path("site.yaml")
MODE = {"type": "revenue", "ai_per_gpu_h": 0.9}
FIGURES = {"btc": 91000, "difficulty": "152e12", "height": 925_000, "as_of_at": "2026-11-20T12:00:00Z"}


def site(**said: Any) -> Site:
    """One node, two fleets."""
    fleet = {"count": 2, "max_w": 1000, "simulated": True}
    nodes = [{"count": 1, "gpus": 2, "base_w": 600, "simulated": True}]
    miners = [{"name": "north", **fleet}, {"name": "ours", **fleet}]
    plain = {"name": "s", "power": {"firm_w": 3000}, "nodes": nodes, "miners": miners}
    return site_of(plain | said, PATH)


def test_a_site_that_says_nothing_reckons_nothing() -> None:
    """And decides as ever."""
    assert not site().reckons_revenue
    assert site().policy().partners == ()


def test_the_figures_of_the_file_are_dated() -> None:
    """Fees may be left out; a number may be written like 152e12."""
    said = site(revenue={"stale_after_s": 3600, "figures": FIGURES})

    assert said.reckons_revenue
    assert said.revenue.told() == ChainFigures(
        btc_micro=91_000_000_000,
        difficulty=152_000_000_000_000,
        height=925_000,
        fees_sat=0,
        source="site file",
        as_of_at=datetime(2026, 11, 20, 12, tzinfo=UTC),
        stale_after_s=3600.0,
    )


def test_a_price_may_follow_hashprice_and_so_does_the_sites_own() -> None:
    """Under revenue each fleet has an owner that is ranked."""
    north = {"name": "n", "groups": ["north"], "price": {"type": "hashprice", "share": 0.4},
             "pool_fee": 0.02, "pool_scheme": "pplns", "contract": {"price": {"type": "none"}}}  # fmt: skip
    said = site(mode=MODE, partners=[north], revenue={"house": {"pool_fee": 0.01}})

    assert said.policy().partners == (
        Partner(
            partner_id="n",
            groups=("north",),
            follows=HashpriceShare(share_ppm=400_000),
            pool=PoolTerms(fee_ppm=20_000, scheme=PoolScheme.PPLNS),
        ),
        Partner(
            partner_id="house", groups=("ours",), follows=HashpriceShare(), pool=PoolTerms(fee_ppm=10_000)
        ),
    )
    assert said.policy().house_pool == PoolTerms(fee_ppm=10_000)


def test_who_is_ranked_by_hashprice_says_what_it_is_charged_by() -> None:
    """Else it would be charged nothing, silently."""
    north = {"name": "n", "groups": ["north"], "price": {"type": "hashprice", "share": 0.4}}
    with pytest.raises(SettingsError, match=r"contract.price: is missing"):
        site(mode=MODE, partners=[north], revenue={"house": {}})


def test_where_mining_is_not_ranked_the_sites_own_is_no_partner() -> None:
    """Its pool is on the record all the same."""
    said = site(revenue={"house": {"pool_fee": 0.01}})

    assert said.policy().partners == ()
    assert said.policy().house_pool == PoolTerms(fee_ppm=10_000)


FILE = {"type": "file", "name": "desk", "path": "f.json"}
URL = {"type": "url", "name": "node", "url": "https://x.example"}


@pytest.mark.parametrize(
    "said, words",
    [
        ({"revenue": {"figures": FIGURES | {"btc": 0}}}, r"revenue\.figures\.btc"),
        ({"revenue": {"figures": FIGURES | {"as_of_at": "2026-11-20T12:00:00"}}}, "timezone"),
        ({"revenue": {"figures": FIGURES | {"difficulty": "NaN"}}}, "difficulty"),
        ({"revenue": {"sources": [FILE, FILE]}}, "two sources are called 'desk'"),
        ({"revenue": {"sources": [FILE | {"name": "operator"}]}}, "use another name"),
        ({"revenue": {"sources": [URL | {"url": "http://x.example"}]}}, r"revenue\.sources: node: url is not https"),
        ({"revenue": {"sources": [URL | {"token_file": "a", "token_env": "B"}]}}, "both given"),
        ({"revenue": {"sources": [URL | {"feild": 1}]}}, "remove the key or correct"),
        ({"revenue": {"house": {"pool_fee": 2}}}, "pool_fee"),
        ({"mode": MODE}, r"nobody owns north, ours; .*revenue\.house"),
        ({"mode": MODE, "partners": [{"name": "n", "groups": ["north", "ours"]}]}, "price: {type: hashprice}"),
        ({"partners": [{"name": "n", "groups": ["north"], "price_per_mwh": 5, "price": {"type": "hashprice"}}]},
         "keep one of them"),
        ({"partners": [{"name": "n", "groups": ["north"], "price": {"type": "hashprice", "share": 0}}]}, "share"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_by_name(said: dict[str, Any], words: str) -> None:
    """When the file is read."""
    with pytest.raises(SettingsError, match=words):
        site(**said)
