"""Sources of a domain below the site's meter: the lowest binds there, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from api.dashboard.words import headline
from barq.cli.output import Table
from barq.cli.power import _blocks
from scheduler.core.decide import Decision, decide, shed
from scheduler.core.domains import Domain
from scheduler.core.envelope import Envelope, Segment
from scheduler.core.feeding import limit_below
from scheduler.core.orders import NodePower
from scheduler.core.snapshot import Snapshot
from scheduler.core.steady import SteadyRule
from scheduler.documents import power_document, sample
from scheduler.domain_documents import limit_events, told_below
from scheduler.errors import SettingsError
from scheduler.records import Stored
from scheduler.settings import site_of
from scheduler.steadying import Steadying
from scheduler.view import View
from tests.builders import T0, SiteBuilder, site
from tests.unit.test_dashboard_words import NOW, power

FEEDER = Domain(name="feeder", limit_w=9000.0, firm_w=1200.0, groups=("a",))


def after(seconds: float) -> datetime:
    """So many seconds after the beginning."""
    return T0 + timedelta(seconds=seconds)


def told(limit_w: float, *steps: tuple[float, float], source: str = "dso", **fields: Any) -> Envelope:
    """What a source tells of the feeder: a limit now, and others in so many seconds."""
    segments = [
        Segment(starts_at=after(s), limit_w=w, provenance="notice 118") for s, w in ((0.0, limit_w), *steps)
    ]
    plain = Envelope(
        source=source,
        issued_at=T0,
        read_at=T0,
        reaction_s=30.0,
        segments=tuple(segments),
        stale_after_s=30.0,
        domain="feeder",
    )
    return replace(plain, **fields)


def fed(built: SiteBuilder, *envelopes: Envelope, domain: Domain = FEEDER) -> Snapshot:
    """The site with a feeder that these limit."""
    built.site = replace(built.site, domains=(domain,))
    return replace(built.snapshot(), below=envelopes)


def two_nodes() -> SiteBuilder:
    """Node a behind the feeder, node b not, and plenty of power for both."""
    return site(firm_w=20_000).node("a").node("b").limit_w(20_000)


# -- what counts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "envelopes, at_s, limit_w, source",
    [
        ([told(5000), told(4000, source="second")], 1, 4000, "second"),
        ([told(5000), told(4000, source="other", domain="yard")], 1, 5000, "dso"),
        ([told(9500)], 1, 9000, "site file"),
        ([told(5000, (60, 2000))], 61, 2000, "dso"),
        ([told(5000, valid_until=after(60))], 61, 9000, "site file"),
        ([told(5000, read_at=after(-31))], 0, 1200, "dso"),
        ([told(800, read_at=after(-31))], 0, 800, "dso"),
        ([told(5000, read_at=after(-31)), told(4000, source="second")], 0, 1200, "dso"),
    ],
)
def test_the_lowest_that_is_said_of_a_domain_counts_there(
    envelopes: list[Envelope], at_s: float, limit_w: float, source: str
) -> None:
    """The limit of the wires among them; of who is silent min(its last value, the firm level of the domain)."""
    now = after(at_s) if at_s > 30 else T0
    fresh = [replace(e, read_at=now) if e.read_at == T0 else e for e in envelopes]
    limit = limit_below(FEEDER, fresh, after(at_s), now=now)

    assert limit is not None
    assert (limit.limit_w, limit.source) == (limit_w, source)


def test_a_domain_of_which_nobody_says_anything_has_its_firm_level() -> None:
    """Where the wires have no limit; and without sources there is none at all."""
    silent, unlimited = told(5000, valid_until=T0), replace(FEEDER, limit_w=None)
    limit = limit_below(unlimited, [silent], after(1), now=T0)

    assert limit is not None
    assert (limit.limit_w, limit.source) == (1200, "firm")
    assert limit_below(unlimited, [], after(1), now=T0) is None


# -- what follows ----------------------------------------------------------------------------------------------------


def test_a_limit_of_a_feeder_caps_the_work_behind_it_at_once() -> None:
    """And none elsewhere: 1500 W leave 225 W for each of its GPUs."""
    reduction = shed(fed(two_nodes().running("j", "a").running("k", "b"), told(1500)))

    assert reduction is not None
    assert {gid: d.entitlement_w for gid, d in reduction.drafts.items() if gid == "a"} == {"a": 1500}
    assert [a.cap_w for a in reduction.attempts.values()] == [225.0]


def test_a_silent_source_has_its_domain_fall_to_its_firm_level() -> None:
    """The other node goes on as it was."""
    snapshot = fed(two_nodes().running("j", "a").running("k", "b"), told(9000, read_at=after(-31)))
    reduction = shed(snapshot)

    assert reduction is not None
    assert list(reduction.attempts) == ["j.1"]
    assert reduction.drafts["a"].entitlement_w <= 1200


def test_no_order_outlives_a_drop_of_a_feeder_that_is_known() -> None:
    """It lapses early enough for a guard on its own to have fallen by then."""
    built = two_nodes().running("j", "a")
    fall_s = built.site.fall_s

    assert decide(fed(built, told(9000, (10, 1500)))).lease_end == after(10 - fall_s)
    assert decide(fed(built, told(9000, (10, 8000)))).lease_end == after(built.site.lease_s)


def test_a_drop_of_a_feeder_applies_early_by_the_lead() -> None:
    """The loop wakes for it."""
    built = two_nodes().running("j", "a")
    lead_s = built.site.lead_s

    assert shed(fed(built, told(9000, (lead_s + 1, 1500)))) is None
    assert shed(fed(built, told(9000, (lead_s, 1500)))) is not None
    wake_at = decide(fed(built, told(9000, (lead_s + 1, 1500)))).wake_at
    assert wake_at is not None
    assert wake_at <= after(1)


def placed(decision: Decision) -> list[str]:
    """Where the job that waited went."""
    return [p.node_id for a in decision.attempts.values() if a.job_id == "k" for p in a.placements]


def test_firm_work_goes_where_the_firm_level_carries_it() -> None:
    """Node a is the fuller one and its feeder grants enough, but might have to fall to 1200 W."""
    built = two_nodes().running("j", "a", gpus=2).job("k", gpus=2, flex=0)

    assert placed(decide(fed(built, told(9000)))) == ["b"]
    assert placed(decide(fed(built, told(9000), domain=replace(FEEDER, firm_w=5000.0)))) == ["a"]


def test_firm_work_that_no_firm_level_carries_says_so() -> None:
    """With numbers."""
    built = site(firm_w=20_000).node("a").limit_w(20_000).job("k", gpus=4, flex=0)
    reason = decide(fed(built, told(9000))).reasons["k"]

    assert (reason.code, reason.numbers["firm_w"]) == ("PowerUnavailable", 1200.0)
    assert reason.remedy == "a higher firm_w of feeder, fewer GPUs, or nodes elsewhere"


def test_nothing_is_started_behind_a_feeder_that_is_about_to_fall() -> None:
    """It goes elsewhere, or waits and says who announced what."""
    soon = told(9000, (5, 1000))
    alone = site(firm_w=20_000).node("a").limit_w(20_000).job("k", gpus=4)
    reason = decide(fed(alone, soon)).reasons["k"]

    assert placed(decide(fed(two_nodes().running("j", "a", gpus=2).job("k", gpus=2), soon))) == ["b"]
    assert (reason.code, reason.expected_at) == ("WindowTooShort", after(5))
    assert reason.text.startswith("power in feeder lasts until 12:00:05 UTC, by dso; a start pays off after ")


def test_a_node_stays_in_standby_where_the_firm_level_does_not_carry_it_awake() -> None:
    """It rests at 820 W then, and at 20 W in standby."""
    for firm_w, woken in ((700.0, []), (5000.0, ["a"])):
        built = site(firm_w=20_000).node("a", standby_w=20.0).limit_w(20_000).job("k", gpus=4)
        built.groups["a"] = replace(built.groups["a"], power=NodePower.STANDBY)
        drafts = decide(fed(built, told(9000), domain=replace(FEEDER, firm_w=firm_w))).drafts

        assert [gid for gid, draft in drafts.items() if not draft.standby] == woken


# -- what is shown -----------------------------------------------------------------------------------------------------


def shown(*envelopes: Envelope) -> dict[str, Any]:
    """The document behind `barq power`."""
    snapshot = fed(two_nodes().running("j", "a"), *envelopes)
    decision = decide(snapshot)
    return power_document(snapshot, decision, sample(snapshot, decision, over_limit=False))


def test_each_domain_names_who_limits_it() -> None:
    """With the document, what comes next, and the firm level; the site's own limit is another matter."""
    document = shown(told(5000, (600, 2000)))
    domain = document["domains"][0]

    assert (domain["limit_w"], domain["limit_source"], domain["limit_provenance"]) == (
        5000,
        "dso",
        "notice 118",
    )
    assert (domain["firm_w"], domain["limit_stale"]) == (1200, False)
    assert domain["next_change"] == {"at": after(600).isoformat(), "limit_w": 2000}
    assert [s["domain"] for s in document["sources"]] == [None, "feeder"]
    assert (document["limit_w"], document["next_change"]) == (20_000, None)


def test_a_source_of_a_domain_that_falls_silent_is_told_of_before() -> None:
    """With what will count there then."""
    falling = shown(told(5000, read_at=after(-12)))
    silent = shown(told(5000, read_at=after(-31)))

    assert falling["sentence"].endswith(
        " Source dso is silent for 12 s; in 18 s at most 1.2 kW count in feeder."
    )
    assert (silent["domains"][0]["limit_w"], silent["domains"][0]["limit_stale"]) == (1200, True)


def test_a_new_limit_of_a_domain_is_on_record_once() -> None:
    """By name, with what it was."""
    first, second = (fed(two_nodes(), told(w)) for w in (5000, 4000))
    before = told_below(first)

    assert limit_events(first, before) == []
    (event,) = limit_events(second, before)
    assert (event.kind, event.text) == (
        "domain.limit_changed",
        "feeder: dso allows 4.0 kW (was 5.0 kW): notice 118",
    )
    assert event.data["domain"] == "feeder"


# -- how it comes in ---------------------------------------------------------------------------------------------------


NOTHING_STORED = Stored(jobs=(), attempts=(), settled={}, open_orders={}, limits=(), last_cut_at=None, seq=0)


def a_view(bound: dict[str, str]) -> View:
    """A leader that knows of one source of the site and one of the feeder."""
    policy = replace(site(firm_w=20_000).site, domains=(FEEDER,))
    return View(policy, {}, epoch=1, at=T0, sources=["grid", "dso"], bound=bound)


def test_a_source_that_is_bound_to_a_domain_limits_nothing_else() -> None:
    """From the start, when it has not said anything yet; and it instructs nobody."""
    view = a_view({"dso": "feeder"})
    before = view.snapshot(T0)
    segment = Segment(starts_at=T0, limit_w=5000.0, giver_id="118")
    view.hear(told(5000, domain=None, segments=(segment,)), T0)
    snapshot = view.snapshot(T0)

    assert [e.source for e in before.below] == [e.source for e in snapshot.below] == ["dso"]
    assert [e.source for e in snapshot.envelopes] == ["grid"]
    assert snapshot.below[0].domain == "feeder"
    assert view.dispatch.standing == ()


def test_what_an_earlier_leader_was_told_counts_where_the_source_is_bound_now() -> None:
    """The site file may have changed meanwhile."""
    for bound, below in (({"dso": "feeder"}, ["dso"]), ({}, [])):
        view = a_view(bound)
        view.restore(replace(NOTHING_STORED, told=(told(5000, domain=None if bound else "feeder"),)))
        assert [e.source for e in view.snapshot(T0).below] == below


def test_rises_of_a_source_of_a_domain_climb_from_its_firm_level() -> None:
    """After a silence, not from the site's."""
    steadying = Steadying(
        {"dso": SteadyRule(rise_w_per_s=1.0)}, lambda _: None, firm_w=20_000.0, firms_w={"dso": 1200.0}
    )
    silent = told(5000, read_at=after(-31))
    counts = steadying.taken(told(8000), T0, known=silent)

    assert counts.segments[0].limit_w == pytest.approx(1200.0, abs=10.0)


SITE = {
    "name": "s",
    "power": {"firm_w": 20_000},
    "nodes": [{"prefix": "a", "count": 1, "gpus": 4, "base_w": 600, "simulated": True}],
    "domains": [{"name": "feeder", "limit_w": 9000, "firm_w": 1200, "groups": ["a-*"]}],
}


@pytest.mark.parametrize(
    "changes, complaint",
    [
        (
            {"signals": [{"type": "constant", "domain": "yard"}]},
            "signals: constant: domain = 'yard' is not known",
        ),
        (
            {"domains": [{"name": "feeder", "groups": ["a-*"]}]},
            "domain 'feeder': source dso limits it, and nothing says what it may draw while that is silent; give",
        ),
        (
            {"signals": []},
            "domain 'feeder': firm_w = 1200 W is its level while its sources are silent, and it has",
        ),
        (
            {"signals": [{"type": "constant", "name": "dso", "domain": "feeder", "binding": False}]},
            "signals: dso: binding = false is for limits of the site",
        ),
        (
            {"signals": [{"type": "openadr3", "name": "dso", "domain": "feeder", "reports": {}}]},
            "signals: dso: reports tells of the whole site, and this source limits feeder",
        ),
        (
            {"domains": [{"name": "feeder", "firm_w": 800, "groups": ["a-*"]}]},
            "domain 'feeder': firm_w = 800 W allows 800 W, and its groups draw 820 W at rest; raise the firm level",
        ),
        (
            {"domains": [{"name": "feeder", "limit_w": 1000, "firm_w": 1200, "groups": ["a-*"]}]},
            "domain 'feeder': firm_w = 1200 W: give more than 0, and at most its limit_w of 1000 W",
        ),
    ],
)
def test_a_binding_that_makes_no_sense_is_refused(
    changes: dict[str, Any], complaint: str, tmp_path: Any
) -> None:
    """With the remedy."""
    signals = [{"type": "constant", "name": "dso", "limit_w": 5000, "domain": "feeder"}]
    path = tmp_path / "site.yaml"
    assert site_of(SITE | {"signals": signals}, path).bound_sources() == {"dso": "feeder"}
    with pytest.raises(SettingsError) as refused:
        site_of(SITE | {"signals": signals} | changes, path)
    assert complaint in str(refused.value)


# -- on the page and in the terminal -----------------------------------------------------------------------------------


def test_the_page_says_where_a_source_of_a_domain_is_silent() -> None:
    """And what counts there, before and after."""
    document = {
        silent_s: power(**{k: v for k, v in shown(told(5000, read_at=after(-silent_s))).items() if k != "at"})
        for silent_s in (12, 31)
    }
    before, then = (headline(document[s], NOW).note for s in (12, 31))

    assert "dso is silent for 12 s, in 18 s at most the firm level of feeder counts" in before
    assert "feeder: dso is silent, 1.2 kW counts" in then


def test_the_terminal_names_who_limits_a_domain() -> None:
    """With what is known to come, and whose source is which."""
    now: Any = shown(told(5000, (600, 2000)))
    blocks = _blocks(now | {"limits": [], "over_limit_s": 0.0})
    rows = [row for block in blocks if isinstance(block, Table) for row in block.rows]

    assert any(row[0] == "dso (feeder)" for row in rows)
    assert any(row[0] == "feeder" and str(row[-1]).startswith("dso; 2") for row in rows)
