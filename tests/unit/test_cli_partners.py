"""What `barq partners` prints."""

from __future__ import annotations

from typing import Any

import httpx

from barq.cli.output import Table, fitted, plain_lines
from barq.cli.partners import _blocks
from tests.busy_site import barq, busy_site
from tests.stub_site import StubSite, problem

NORTH: dict[str, Any] = {
    "name": "north",
    "groups": ["miners-north"],
    "weight": 3,
    "tier": 2,
    "floor_w": 3500.0,
    "cap_w": None,
    "granted_w": 24_060.0,
    "until_at": "2026-03-01T12:00:15Z",
    "then_w": 0.0,
    "acknowledged": False,
    "rest_w": 200.0,
    "draw_w": 23_980.0,
    "due_w": 24_100.0,
    "wants_w": 28_000.0,
    "owed_wh": 412.5,
    "machines": 8,
    "machines_on": 7,
    "why": [{"code": "NotHeardOf", "text": "n-lan is not heard of", "remedy": "see to its guard"}],
}
HOUSE = NORTH | {
    "name": "house",
    "until_at": None,
    "granted_w": 0.0,
    "due_w": None,
    "owed_wh": None,
    "why": [],
}


MONTH: dict[str, Any] = {
    "since_at": "2026-03-01T00:00:00Z",
    "until_at": "2026-03-01T11:45:00Z",
    "metered_ws": 3_600_000_000,
    "granted_ws": 3_960_000_000,
    "curtailed_ws": 360_000_000,
    "curtailed_s": 5400.0,
    "charge_micro": 52_500_000,
    "credit_micro": 500_000,
    "share": 0.74,
    "due_share": 0.75,
    "unpriced": 1,
    "notices": 2,
    "notices_missed": 1,
}


def shared_site(*partners: dict[str, Any], **facts: Any) -> StubSite:
    """A site with these partners."""
    return busy_site().on(
        "GET", "/partners", {"at": "2026-03-01T12:00:00Z", "partners": list(partners), **facts}
    )


def test_partners_are_a_table() -> None:
    """What each may draw and for how long, what it is due and owed, and the weightiest reason."""
    change = {"at": "2026-03-01T12:20:00Z", "limit_w": 20_000.0}
    site = shared_site(NORTH, HOUSE, division="mining takes the rest", next_change=change, shadow=True)

    assert barq(site, "partners").stdout.splitlines() == [
        "PARTNER  WEIGHT  TIER  MAY DRAW      FOR  DRAWS      DUE  COULD TAKE    OWED   ON  WHY NO MORE",
        "north         3     2   24.1 kW     15 s  24 kW  24.1 kW       28 kW  412 Wh  7/8  n-lan is not heard of",
        "house         3     2       0 W  no time  24 kW        -       28 kW       -  7/8  -",
        "Mining takes the rest.",
        "The site's limit is 20 kW from 2026-03-01 12:20 (in 20 min) on.",
        "SHADOW: this is the twin's, nothing is acted.",
    ]


def test_one_partner_is_told_in_full() -> None:
    """Contract, grant, draw, and each reason with what would change it."""
    site = busy_site().on("GET", "/partners/north", NORTH)

    assert barq(site, "partners", "show", "north").stdout.splitlines() == [
        "partner     north",
        "miners      miners-north",
        "contract    weight 3, tier 2, floor 3.5 kW, cap -",
        "may draw    24.1 kW for 15 s, not acknowledged yet",
        "then        0 W if nothing more is said",
        "draws       24 kW, 7 of 8 machines on",
        "asleep      200 W more, whatever runs",
        "due         24.1 kW",
        "could take  28 kW",
        "owed        412 Wh",
        "NotHeardOf: n-lan is not heard of; see to its guard.",
    ]


def test_month_and_day_so_far_are_a_table_of_their_own() -> None:
    """What was drawn, granted and curtailed, what it comes to, and the share beside the weight."""
    hidden = MONTH | {"charge_micro": None, "credit_micro": None, "share": None}
    lines = barq(shared_site(NORTH | {"month": MONTH, "today": hidden}), "partners").stdout.splitlines()

    assert lines[3:6] == [
        "PARTNER  SETTLED  DRAWN  GRANTED  CURTAILED         FOR  CHARGE  CREDIT  SHARE  BY WEIGHT",
        "north    month    1 MWh  1.1 MWh    100 kWh  1 h 30 min   52.50    0.50  74.0%      75.0%",
        "north    today    1 MWh  1.1 MWh    100 kWh  1 h 30 min       -       -      -      75.0%",
    ]


def test_one_partner_is_told_what_is_left_of_its_month() -> None:
    """Hours by contract, those used, and what follows when they are spent."""
    told = NORTH | {"month": MONTH, "today": None, "max_curtailed_s": 7200}
    lines = barq(busy_site().on("GET", "/partners/north", told), "partners", "show", "north").stdout

    assert "1 MWh drawn of 1.1 MWh granted, 74.0% of all; 75.0% by weight" in lines
    assert "charge 52.50, credit 0.50; 1 intervals without a price" in lines
    assert "1 of 2 curtailments had too little notice" in lines
    assert "1.5 of 2 h this month; 0.5 h left" in lines
    spent = barq(
        busy_site().on("GET", "/partners/north", told | {"hours_spent": True}), "partners", "show", "north"
    )
    assert "none left: it is shed last of its tier until the month is over" in spent.stdout


def test_a_partner_with_fillers_is_told_of_them_by_name() -> None:
    """Each once, with the nodes on which it may run."""
    fillers = [{"name": "rig", "node": f"node-{n}"} for n in (2, 1)] + [{"name": "own", "node": "hall-1"}]
    site = busy_site().on("GET", "/partners/north", NORTH | {"groups": [], "fillers": fillers})
    lines = barq(site, "partners", "show", "north").stdout.splitlines()

    assert lines[1:3] == ["miners      -", "fillers     own on hall-1; rig on node-1, node-2"]


def test_json_and_quiet_are_for_scripts() -> None:
    """The answer as it came, or names alone."""
    assert barq(shared_site(NORTH, HOUSE), "partners", "-q").stdout.split() == ["north", "house"]
    assert '"until_at": "2026-03-01T12:00:15Z"' in barq(shared_site(NORTH), "partners", "--json").stdout


def test_no_miners_is_talk() -> None:
    """An empty list leaves stdout empty."""
    result = barq(shared_site(), "partners")

    assert (result.stdout, result.stderr) == ("", "the site has no miners\n")


def test_a_site_that_nobody_looked_at_yet_is_not_without_miners() -> None:
    """Before the first decision nothing is known of them."""
    result = barq(shared_site(at=None), "partners")

    assert result.stderr == "the scheduler has not looked at the site yet\n"


def test_a_partner_that_is_none_is_not_found() -> None:
    """With the names that there are."""
    gone: httpx.Response = problem(
        404, "not_found", "there is no mining partner 'west'", remedy="use one of: north"
    )
    result = barq(busy_site().on("GET", "/partners/west", gone), "partners", "show", "west")

    assert result.exit_code == 3
    assert "use one of: north" in result.stderr


def test_its_tables_fit_a_narrow_terminal() -> None:
    """What is left out is what says least; who, what it may draw, and why it is no more are always there."""
    tables = [b for b in _blocks({"partners": [NORTH | {"month": MONTH}]}) if isinstance(b, Table)]  # type: ignore[list-item]
    now, settled = (fitted(table, 80)[0] for table in tables)

    assert max(len(line) for line in plain_lines(settled)) <= 80
    assert now.headers[-1] == "WHY NO MORE"
    assert {"PARTNER", "MAY DRAW", "DRAWS", "DUE"} <= set(now.headers)
    assert len(plain_lines(now)[0]) <= 80
