"""Site files that share: partners, modes and ramps are taken over to the letter, and nonsense is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from scheduler.core.machines import MachineKind
from scheduler.core.modes import AiFirst, Mode, Revenue, Shares, Threshold
from scheduler.core.partners import Partner, Price
from scheduler.core.snapshot import SitePolicy
from scheduler.errors import SettingsError
from scheduler.settings import Site, load_site
from scheduler.wire import dumps, loads

NODES = {"count": 1, "gpus": 2, "base_w": 600, "simulated": True}
NORTH = {"name": "north", "count": 2, "max_w": 1000, "simulated": True}
SOUTH = NORTH | {"name": "south"}


def loaded(directory: Path, **document: Any) -> Site:
    """A site of one node and two groups of miners, and what a test adds."""
    plain = {"name": "s", "power": {"firm_w": 3000}, "nodes": [NODES], "miners": [NORTH, SOUTH]}
    path = directory / "site.yaml"
    path.write_text(yaml.safe_dump(plain | document), encoding="utf-8")
    return load_site(path)


def refusal(directory: Path, **document: Any) -> str:
    """What is said about a file that is refused."""
    with pytest.raises(SettingsError, match=r"site\.yaml") as refused:
        loaded(directory, **document)
    return str(refused.value)


def test_a_site_that_says_nothing_shares_nothing(tmp_path: Path) -> None:
    """All miners are its own, AI comes first, and miners follow as fast as they can."""
    site = loaded(tmp_path)

    policy = site.policy()

    assert (policy.partners, policy.mode) == ((), AiFirst())
    assert (policy.mining_ramp_up_w_per_s, policy.mining_ramp_down_w_per_s) == (None, None)


def test_partners_are_taken_over_to_the_letter(tmp_path: Path) -> None:
    """Money to the micro-unit; decisions get just that, through a recorded snapshot too."""
    partner = {"name": "p", "groups": ["south"], "weight": 3, "floor_w": 500, "cap_w": 900, "tier": 2,
               "price_per_mwh": 52.123456, "credit_per_mwh": 5}  # fmt: skip

    site = loaded(tmp_path, partners=[partner])
    assert loads(SitePolicy, dumps(site.policy())) == site.policy()
    assert site.policy().partners == (
        Partner(
            partner_id="p",
            groups=("south",),
            weight=3,
            floor_w=500,
            cap_w=900,
            tier=2,
            price=Price(micro_per_mwh=52_123_456, source="contract"),
            credit_micro_per_mwh=5_000_000,
        ),
    )


@pytest.mark.parametrize(
    "said, mode",
    [
        ({"type": "ai-first"}, AiFirst()),
        ({"type": "shares", "mining": 0.25}, Shares(mining=0.25)),
        ({"type": "threshold", "from_w": 5000}, Threshold(from_w=5000)),
        ({"type": "threshold", "from_w": 5000, "reserve_w": 100}, Threshold(from_w=5000, reserve_w=100)),
    ],
)
def test_modes_are_known_by_name(tmp_path: Path, said: dict[str, Any], mode: Mode) -> None:
    """Each with what it needs, and each comes back from a recorded snapshot as itself."""
    policy = loaded(tmp_path, mode=said).policy()

    assert policy.mode == mode
    assert loads(SitePolicy, dumps(policy)) == policy


def test_revenue_needs_a_price_of_everybody(tmp_path: Path) -> None:
    """What is mined for nobody cannot be ranked; a price may be dated, and then it ages."""
    revenue = {"type": "revenue", "ai_per_gpu_h": 0.9}
    both = {"name": "p", "groups": ["north", "south"]}
    dated = both | {
        "price_per_mwh": 50,
        "price_as_of_at": "2026-01-10T12:00:00Z",
        "price_stale_after_s": 3600,
    }

    assert "nobody owns north, south" in refusal(tmp_path, mode=revenue)
    assert "partner 'p' has none; give it a price_per_mwh" in refusal(tmp_path, mode=revenue, partners=[both])
    policy = loaded(tmp_path, mode=revenue, partners=[dated]).policy()
    assert policy.mode == Revenue(gpu_h_micro=900_000)
    price = policy.partners[0].price
    assert price is not None
    assert price.is_stale(datetime(2026, 1, 10, 13, 0, 1, tzinfo=UTC))
    assert loads(SitePolicy, dumps(policy)) == policy


def test_ramps_of_mining_are_taken_over(tmp_path: Path) -> None:
    """In W per second, of all miners together."""
    power = {"firm_w": 3000, "mining_ramp_up_w_per_s": 100, "mining_ramp_down_w_per_s": 250.5}
    policy = loaded(tmp_path, power=power).policy()

    assert (policy.mining_ramp_up_w_per_s, policy.mining_ramp_down_w_per_s) == (100.0, 250.5)


@pytest.mark.parametrize(
    "document, words",
    [
        ({"partners": [{"name": "p"}]}, "partners.groups: partner 'p' has neither miners nor a filler"),
        ({"partners": [{"name": "p", "groups": []}]}, "partners.groups: partner 'p' has neither"),
        ({"partners": [{"name": "p", "groups": ["x"]}]}, "groups: 'x' is no miner group of this site"),
        ({"partners": [{"name": "p", "groups": ["north"], "wieght": 2}]}, "partners.0.wieght"),
        ({"partners": [{"name": "p", "groups": ["north"], "weight": 0}]}, "partners.0.weight"),
        ({"partners": [{"name": "p", "groups": ["north"], "tier": 5}]}, "partners.0.tier"),
        ({"partners": [{"name": "p", "groups": ["north"], "price_per_mwh": 0.0000001}]}, "price_per_mwh"),
        (
            {"partners": [{"name": "p", "groups": ["north"], "floor_w": 2, "cap_w": 1}]},
            "cap_w = 1 W is below",
        ),
        (
            {"partners": [{"name": "p", "groups": ["north"]}, {"name": "q", "groups": ["north"]}]},
            "'north' is listed twice",
        ),
        ({"mode": "revenue"}, "mode.revenue.ai_per_gpu_h: is missing"),
        ({"mode": {"type": "greed"}}, "it is one of ai-first, shares, revenue, threshold"),
        ({"mode": {"type": "shares"}}, "mode.shares.mining: is missing"),
        ({"mode": {"type": "shares", "mining": 30}}, "mode.shares.mining"),
        ({"mode": {"type": "ai-first", "mining": 0.3}}, "mode.ai-first.mining"),
        ({"partners": [{"name": "house", "groups": ["north"]}]}, "'house' is the site itself"),
        ({"mode": {"type": "revenue"}}, "mode.revenue.ai_per_gpu_h: is missing"),
        ({"mode": {"type": "threshold", "from_w": -1}}, "mode.threshold.from_w"),
        ({"domains": [{"name": "a", "parent": "b"}]}, "domain 'a': parent = 'b' is not known"),
        ({"domains": [{"name": "a", "limit": 3000}]}, "domains.0.limit: is not known"),
        (
            {"domains": [{"name": "a", "limit_w": 1, "groups": ["nor*"]}]},
            "draw 40 W at rest; raise the limit",
        ),
        ({"power": {"firm_w": 3000, "mining_ramp_up_w_per_s": 0}}, "power.mining_ramp_up_w_per_s"),
        (
            {"partners": [{"name": "p", "groups": ["north"], "price_as_of_at": "2026-01-10T12:00:00Z"}]},
            "is the date of no price",
        ),
        (
            {"partners": [{"name": "p", "groups": ["north"], "price_as_of_at": "2026-01-10T12:00:00"}]},
            "partners.0.price_as_of_at",
        ),
    ],
    ids=range(23),
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, document: dict[str, Any], words: str) -> None:
    """With the field or the name, and what to do."""
    assert words in refusal(tmp_path, **document)


def test_machines_that_run_whole_are_told_to_the_guard_above_their_rest(tmp_path: Path) -> None:
    """What is said of them counts at the plug, what the core knows counts above rest; times have defaults."""
    whole = NORTH | {"max_w": 3500, "rest_w": 25, "machines": {"least_w": 2200, "joule_per_th": 17.5}}
    groups = loaded(tmp_path, miners=[whole, SOUTH]).groups()

    assert groups["north"].machine == MachineKind(
        max_w=3475, least_w=2175, joule_per_th=17.5, min_on_s=600.0, min_off_s=300.0
    )
    assert groups["south"].machine is None


@pytest.mark.parametrize("least_w", [10, 25, 3501])
def test_a_trim_that_no_machine_can_do_is_refused(tmp_path: Path, least_w: int) -> None:
    """Below its rest, or above its nameplate."""
    whole = NORTH | {"max_w": 3500, "rest_w": 25, "machines": {"least_w": least_w}}

    said = refusal(tmp_path, miners=[whole, SOUTH])
    assert f"miners.0: machines.least_w = {least_w}: max_w = 3500 W and rest_w = 25 W; give more" in said
