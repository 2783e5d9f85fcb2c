"""`barq miners`: what is printed of machines, and what is asked of the site."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.wire.miners import CHANGE, MINER, POOL, TOTALS, WISH
from tests.busy_site import NODE, barq, busy_site
from tests.stub_site import StubSite, problem

RECORD: dict[str, Any] = {
    "id": "acme-7",
    "group": "acme",
    "partner": "acme-ltd",
    "now": MINER,
    "pools": [POOL],
    "first_seen_at": "2026-01-02T08:00:00Z",
    "last_seen_at": "2026-03-01T14:00:01Z",
    "vanished_at": None,
}
HISTORY = {"changes": [CHANGE], "wishes": [WISH], "next": None}


def page(*miners: dict[str, Any], following: str | None = None, shadow: bool = False) -> dict[str, Any]:
    """A page of the list."""
    return {"miners": list(miners), "totals": TOTALS, "shadow": shadow, "next": following}


def there(**fields: Any) -> StubSite:
    """A site with one miner."""
    site = busy_site().on("GET", "/miners", page(MINER | fields))
    site.on("GET", "/miners/acme-7", RECORD)
    site.on("GET", "/miners/acme-7/history", HISTORY)
    return site.on("POST", "/miners:wish", {"miners": ["acme-7"], "cannot": []})


def test_miners_are_a_table_with_its_sum() -> None:
    """Whose each is, what it does and draws; filters travel to the site."""
    site = there(trouble="10.0.8.7: its session is held by somebody else", in_doubt_w=3200.0)
    lines = barq(site, "miners", "--group", "acme", "--condition", "asleep").stdout.splitlines()

    assert lines[0].split() == [
        "ID",
        "PARTNER",
        "MODEL",
        "STATE",
        "WISH",
        "TOLD",
        "DRAW",
        "J/TH",
        "PER",
        "MWH",
        "TROUBLE",
    ]
    words = ("acme-7", "acme-ltd", "Antminer S19j Pro", "asleep", "paused")
    for word in (*words, "25 W", "26 W", "30.8", "51.30", "3.2 kW in doubt; 10.0.8.7: its session"):
        assert word in lines[1]
    assert lines[-1] == "1 miner: 1 asleep; 26 W of 3.25 kW drawn; 25 W told"
    assert dict(site.requests[0].url.params) == {"group": "acme", "condition": "asleep", "limit": "200"}


def test_an_empty_list_is_no_proof_that_there_are_none() -> None:
    """Before the scheduler looked at the site, or a guard told of its machines."""
    untold = barq(busy_site().on("GET", "/miners", page()), "miners")
    assert untold.stderr == "miners: no guard has told of its machines yet\n"
    new = busy_site().on("GET", "/miners", page()).on("GET", "/nodes", {"nodes": []})
    new.on("GET", "/power", problem(503, "not_ready", "the scheduler has not looked at the site yet"))
    for words in (("miners",), ("miners", "--partner", "north"), ("nodes",)):
        told = barq(new, *words)
        assert (told.exit_code, told.stderr) == (
            0,
            "the site is still starting: its scheduler has not looked at it yet; ask again in a moment\n",
        )


def test_a_list_says_that_it_is_empty_cut_or_of_a_twin() -> None:
    """The first two on stderr: they are no data."""
    site = busy_site().on("GET", "/miners", page(), page(MINER, following="acme/acme-7", shadow=True))
    site.on("GET", "/nodes", {"nodes": [NODE]})
    empty, cut = barq(site, "miners"), barq(site, "miners", "--limit", "1")
    assert (empty.stdout, empty.stderr) == ("", "no miners\n")
    typo = barq(busy_site().on("GET", "/miners", page()), "miners", "--partner", "nroth")
    assert typo.stderr == "no miners match; `barq miners` lists all\n"
    assert cut.stderr == "there are more than 1; --limit shows more\n"
    assert cut.stdout.startswith("SHADOW: nothing is acted")


def test_one_is_shown_with_its_record() -> None:
    """Its pools where the site tells them; as JSON it is what the site said."""
    shown = barq(there(), "miners", "show", "acme-7").stdout
    assert shown.startswith("acme-7, of acme-ltd in group acme\n")
    for word in (
        "paused by ada",
        "its fan howls",
        "to sleep",
        "30.8 J/TH",
        "51.30 per MWh",
        "SN-0007",
        POOL["url"],
    ):
        assert word in shown
    assert json.loads(barq(there(), "miners", "show", "acme-7", "--json").stdout) == RECORD
    gone = RECORD | {"now": None, "pools": None, "vanished_at": "2026-03-01T13:00:00Z"}
    vanished = barq(busy_site().on("GET", "/miners/acme-7", gone), "miners", "show", "acme-7").stdout
    assert "vanished" in vanished


def test_what_nobody_can_reckon_is_said() -> None:
    """With the reason, as the site has it."""
    why = "the figures of desk are 30.0 h old, and trusted for 24.0 h"
    record = RECORD | {"now": MINER | {"micro_per_mwh": None, "why_no_revenue": why}}
    shown = barq(busy_site().on("GET", "/miners/acme-7", record), "miners", "show", "acme-7").stdout
    assert f"not known: {why}" in shown


def test_history_is_told_with_what_people_wanted() -> None:
    """Each change with its line in the log."""
    pools = CHANGE | {"what": "pools", "sentence": "acme-7 has other pools", "after": '[{"url": "p"}]'}
    site = busy_site().on("GET", "/miners/acme-7/history", HISTORY | {"changes": [CHANGE, pools]})
    told = barq(site, "miners", "history", "acme-7").stdout
    for word in ("firmware", "4711", "its firmware is Braiins OS 25.07", '[{"url": "p"}]', "its fan howls"):
        assert word in told


@pytest.mark.parametrize(
    "verb,wish,said", [("pause", "paused", "paused"), ("protect", "protected", "protected")]
)
def test_wishes_are_sent_with_their_reason(verb: str, wish: str, said: str) -> None:
    """Of those that are named."""
    site = there()
    done = barq(site, "miners", verb, "acme-7", "--reason", "heat")
    assert done.stdout == f"{said}: acme-7\n"
    assert site.asked()[-1][1] == {"wish": wish, "reason": "heat", "miners": ["acme-7"]}
    assert barq(site, "miners", verb, "acme-7").exit_code == 2


def test_a_whole_group_leaves_out_who_cannot() -> None:
    """On stderr, each with why."""
    answer = {"miners": ["acme-1", "acme-2"], "cannot": [{"id": "acme-3", "reason": "it is locked"}]}
    site = busy_site().on("POST", "/miners:wish", answer)
    done = barq(site, "miners", "resume", "--group", "acme", "--reason", "mended")
    assert (done.stdout, done.stderr) == (
        "as their fleet: 2 miners of acme\n",
        "left out: acme-3: it is locked\n",
    )
    assert site.asked()[-1][1] == {"wish": "inherit", "reason": "mended", "group": "acme"}


@pytest.mark.parametrize("which", [(), ("acme-7", "--group", "acme")])
def test_ids_or_a_group_are_named(which: tuple[str, ...]) -> None:
    """Neither and both are refused before the site is asked."""
    site = there()
    done = barq(site, "miners", "pause", *which, "--reason", "heat")
    assert done.exit_code == 2
    assert "name either miners or a group" in done.stderr
    assert site.requests == []
