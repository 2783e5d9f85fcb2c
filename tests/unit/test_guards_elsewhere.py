"""Miners whose guard is on another machine: they count at all that they can draw whenever there may be none."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from barq.cli import up
from barq.errors import Refused
from scheduler.core.decide import decide, shed
from scheduler.core.ledger import OpenOrder, exposure_w
from scheduler.core.orders import Elsewhere, FallbackStep, Fence, GroupKind, GroupSpec, GuardReport
from scheduler.core.reasons import Code
from scheduler.core.snapshot import SitePolicy
from scheduler.equipment import Miners
from scheduler.group_files import group_config
from scheduler.records import Intents, Member, Stored
from scheduler.settings import Site, load_site
from scheduler.sharing import ShadowSettings
from scheduler.view import View
from tests.builders import T0, site
from tests.reports import quiet_report
from workers.group_config import load

REST_W, MORE_W, MOST_W = 50.0, 6750.0, 6800.0
HUT = "192.0.2.8"
HALL = GroupSpec(
    group_id="hall",
    kind=GroupKind.MINERS,
    base_w=REST_W,
    miners_max_w=MORE_W,
    elsewhere=Elsewhere(machine="hut-1", told="a1"),
)
THERE = replace(HALL, address=HUT)
LEASE_S = SitePolicy(name="t", firm_w=1.0).lease_s


def viewed(*members: Member) -> View:
    """A leader that just began on a site with that group alone."""
    view = View(site(firm_w=9000).site, {"hall": HALL}, epoch=1, at=T0)
    view.take_intents(Intents(seq=1, members=members))
    return view


def a_report(spec: GroupSpec = THERE, **changes: Any) -> GuardReport:
    """What its guard says, with nothing ordered."""
    return replace(quiet_report(spec, draw_w=REST_W), **changes)


def hear(view: View, report: GuardReport, after_s: float = 0.0) -> None:
    """The report comes in so many seconds into the story."""
    report = replace(report, boottime_s=report.boottime_s + after_s)
    view.take_report(report, at=T0 + timedelta(seconds=after_s), heard_s=after_s)


def counted_w(view: View, after_s: float) -> float:
    """What the books hold it to be able to draw, so many seconds into the story."""
    at = T0 + timedelta(seconds=after_s)
    view.give_up_silent(at)
    return exposure_w(view.groups["hall"].account, at, fall_s=view.site.fall_s)


def test_a_group_that_nobody_took_on_counts_whole_for_ever() -> None:
    """Other groups that were never heard of count at rest once no order can stand; these machines may be at work."""
    view = viewed()

    assert [counted_w(view, s) for s in (0.0, 10.0, 100.0, 10_000.0)] == [MOST_W] * 4
    assert view.groups["hall"].unguarded
    assert view.alarms["hall"] == (
        "nobody guards hall: `barq miners join` on hut-1 does; its machines count at all that they can draw",
    )
    drafted = decide(view.snapshot(T0 + timedelta(seconds=100)))
    assert not drafted.drafts, "nothing is ordered of whom nobody hears"


def test_its_guard_is_believed_once_it_joined() -> None:
    """It rests, and may be given what is left."""
    view = viewed(Member(spec=THERE))
    counted_w(view, 60.0)
    hear(view, a_report(), 61.0)

    assert counted_w(view, 62.0) == REST_W
    group = view.groups["hall"]
    assert (group.unguarded, group.spec.miners_max_w, group.draw_w) == (False, MORE_W, REST_W)
    assert view.alarms["hall"] == ()


def test_a_guard_that_falls_silent_is_not_trusted_to_have_put_them_to_sleep() -> None:
    """Its machine may have lost power, which they need not: from the end of its lease on all of it counts."""
    view = viewed(Member(spec=THERE))
    hear(view, a_report())
    order = OpenOrder(
        fence=Fence(epoch=1, seq=1),
        entitlement_w=3000.0,
        fallback=(FallbackStep(after_s=0.0, limit_w=REST_W),),
        expires_at=T0 + timedelta(seconds=LEASE_S),
    )
    view.opened("hall", order)

    assert counted_w(view, LEASE_S - 1) == 3000.0
    assert counted_w(view, LEASE_S) == MOST_W
    assert counted_w(view, 10_000.0) == MOST_W
    assert view.groups["hall"].account.open == ()
    assert "the guard of hall on hut-1 (192.0.2.8) is not heard any more" in view.alarms["hall"][0]

    hear(view, a_report(accepted=order.fence, fallback=order.fallback), 10_001.0)
    assert counted_w(view, 10_001.0) == REST_W
    assert view.next_fence("hall") == Fence(epoch=1, seq=2), "no number is given twice"


def test_a_restarted_scheduler_counts_it_until_it_hears() -> None:
    """What an earlier one ordered may stand for a lease; then it is as silent as if it had never been there."""
    view = View(site(firm_w=9000).site, {"hall": HALL}, epoch=2, at=T0)
    order = OpenOrder(
        fence=Fence(epoch=1, seq=1),
        entitlement_w=3000.0,
        fallback=(FallbackStep(after_s=0.0, limit_w=REST_W),),
        expires_at=T0,
    )
    stored = Stored(
        jobs=(), attempts=(), settled={}, open_orders={"hall": (order,)}, limits=(), last_cut_at=None, seq=0
    )
    view.restore(replace(stored, members=(Member(spec=THERE),)))

    assert counted_w(view, 1.0) == 3000.0
    assert counted_w(view, LEASE_S) == MOST_W
    assert "was not heard yet" in view.alarms["hall"][0]


@pytest.mark.parametrize(
    "members, spec, told",
    [
        ((), THERE, "has a guard at 192.0.2.8 that did not join"),
        (
            (Member(spec=THERE),),
            replace(THERE, address="192.0.2.9"),
            "has a guard at 192.0.2.9, and 192.0.2.8 took it on: two guards fight",
        ),
        (
            (Member(spec=THERE),),
            replace(THERE, elsewhere=Elsewhere(machine="hut-1", told="b2")),
            "is guarded by what another site file says",
        ),
        ((Member(spec=THERE),), replace(THERE, elsewhere=None), "is guarded by what another site file says"),
    ],
    ids=["never joined", "another machine", "another site file", "a guard of the head"],
)
def test_whoever_else_speaks_for_it_is_not_its_guard(
    members: tuple[Member, ...], spec: GroupSpec, told: str
) -> None:
    """All of it counts, none of it is given any watts, and what it is told is to sleep."""
    view = viewed(*members)
    hear(view, a_report(spec))

    assert view.groups["hall"].unguarded
    assert counted_w(view, 1.0) == MOST_W
    assert told in view.alarms["hall"][0]
    view.lead(1, T0 - timedelta(hours=1))
    built = site(firm_w=9000).limit_w(20_000)
    snapshot = replace(view.snapshot(T0), envelopes=built.snapshot().envelopes)
    assert decide(snapshot).drafts["hall"].miners_target_w == 0.0


def test_one_that_left_is_nobody_s_again() -> None:
    """Until then its guard goes on."""
    view = viewed(Member(spec=THERE))
    hear(view, a_report())
    view.take_intents(Intents(seq=2, members=(Member(spec=THERE, leaving=True),)))
    assert (counted_w(view, 1.0), view.groups["hall"].cordoned) == (REST_W, True)

    view.take_intents(Intents(seq=3, members=()))
    assert "hall" in view.groups
    assert counted_w(view, LEASE_S) == MOST_W
    assert "nobody guards hall" in view.alarms["hall"][0]


def test_a_job_that_waits_for_their_watts_is_told_so() -> None:
    """By name and number, and that a guard would help."""
    built = site(firm_w=20_000).node("a").job("j", gpus=4, min_cap_w=195.0).limit_w(8000)
    view = View(built.site, {"hall": HALL}, epoch=1, at=T0)
    view.give_up_silent(T0 + timedelta(seconds=LEASE_S))
    snapshot = built.snapshot()
    decision = decide(replace(snapshot, groups={**snapshot.groups, **view.groups}))

    [reason] = [r for gid, r in decision.reasons.items() if gid == "j"]
    assert reason.code == Code.POWER_UNAVAILABLE
    assert reason.text.endswith("6.80 kW count for miners that nobody guards: hall")
    assert reason.remedy.startswith("a guard for hall (see `barq nodes`), ")


def test_work_gives_way_to_machines_that_may_be_at_work() -> None:
    """What nobody holds comes first out of the limit: 6.8 kW may be drawn, so a node under 8.5 kW is cut."""
    built = site(firm_w=20_000, overhead=1.0).node("a").running("j", on="a").limit_w(8500)
    view = View(built.site, {"hall": HALL}, epoch=1, at=T0)
    view.take_intents(Intents(seq=1, members=(Member(spec=THERE),)))
    hear(view, a_report())
    cut = []
    for after_s in (0.0, LEASE_S):
        view.give_up_silent(T0 + timedelta(seconds=after_s))
        snapshot = built.snapshot()
        reduction = shed(replace(snapshot, groups={**snapshot.groups, **view.groups}))
        cut.append(reduction is not None and "a" in reduction.drafts)

    assert cut == [False, True]


# -- the site file -----------------------------------------------------------------------------------------------------

MINERS: dict[str, Any] = {
    "name": "hall",
    "guard_on": "hut-1",
    "simulated": False,
    "max_w": 3400,
    "lan": {
        "addresses": ["10.20.0.7"],
        "credentials": {"braiins": {"user": "root", "password_file": "secrets/braiins"}},
    },
    "outlets": {
        "pdus": [{"name": "a", "type": "redfish", "url": "https://10.0.0.9", "ca_file": "ca.pem"}],
        "feeds": {"10.20.0.7": "a/7"},
    },
}


def described(tmp_path: Path, **changes: Any) -> Site:
    """A site file with that group."""
    document = {
        "name": "t",
        "power": {"firm_w": 3000},
        "nodes": [{"gpus": 1, "simulated": True}],
        "miners": [MINERS | changes],
    }
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return load_site(tmp_path / "site.yaml")


def test_the_head_starts_no_guard_of_a_group_elsewhere(tmp_path: Path) -> None:
    """It counts it, and knows by what that guard has to be told; a site in shadow mode plays it itself."""
    described(tmp_path).write_groups(tmp_path)
    assert [p.parent.name for p in tmp_path.glob("groups/*/group.json")] == ["node-1"]
    first, other = (described(tmp_path, max_w=w).groups()["hall"].elsewhere for w in (3400, 3500))
    assert first is not None
    assert other is not None
    assert (first.machine, other.machine) == ("hut-1", "hut-1")
    assert first.told != other.told
    [said] = described(tmp_path, rest_w=20.0).guarded_on("hut-1")  # which is so anyway
    assert (said.digest(), Miners.model_validate(said.told())) == (first.told, said)
    assert described(tmp_path, guard_on=None).groups()["hall"].elsewhere is None
    shadow = described(tmp_path).model_copy(update={"mode": ShadowSettings(type="shadow")})
    assert shadow.groups()["hall"].elsewhere is None


def test_secrets_of_a_group_elsewhere_are_below_the_state_directory_there(tmp_path: Path) -> None:
    """Only their places travel, as the site file has them; so with certificates of PDUs."""
    [miners] = described(tmp_path).guarded_on("hut-1")
    there = tmp_path / "there"
    config = group_config(described(tmp_path).groups()["hall"], {}, there, miners)
    text = str(config["lan"])
    assert f"{there}/secrets/braiins" in text
    assert f"{there}/ca.pem" in text


def test_a_site_does_not_start_beside_a_guard_that_is_still_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the site file takes the group back, or gives it to another machine; where it changes it, it says so."""
    joined = [replace(described(tmp_path).groups()["hall"], address=HUT)]
    for changes in ({"guard_on": None}, {"guard_on": "hut-2"}, {"name": "other"}):
        with pytest.raises(Refused, match=r"hall is guarded on hut-1 \(192\.0\.2\.8\)"):
            up._check_members(described(tmp_path, **changes), {}, joined)
    up._check_members(described(tmp_path), {}, joined)
    assert capsys.readouterr().err == ""
    up._check_members(described(tmp_path, max_w=3500), {}, joined)
    assert "on hut-1, `barq down` and `barq miners join`" in capsys.readouterr().err


def test_a_guard_takes_what_it_is_told(tmp_path: Path) -> None:
    """The file that is left for it is one that it reads."""
    from scheduler.group_files import write_group

    site_there = described(tmp_path)
    [miners] = site_there.guarded_on("hut-1")
    spec = replace(site_there.groups()["hall"], address=HUT)
    write_group(
        tmp_path / "g", "hall", group_config(spec, site_there.guard_config(tmp_path), tmp_path, miners)
    )
    config = load(tmp_path / "g" / "hall" / "group.json")
    assert config.spec == spec
    assert config.lan is not None


def test_a_machine_that_takes_them_on_again_is_heard() -> None:
    """Though its guard ran in the same boot before another machine had them for a while."""
    view = viewed(Member(spec=THERE))
    unguarded = []

    def heard(report: GuardReport, after_s: float) -> None:
        hear(view, report, after_s)
        unguarded.append(view.groups["hall"].unguarded)

    heard(a_report(), 0.0)
    other = replace(HALL, address="192.0.2.9")
    for seq, members in enumerate(((), (Member(spec=other),)), 2):
        view.take_intents(Intents(seq=seq, members=members))
    heard(a_report(other, boot_id="boot-2"), 100.0)
    for seq, members in enumerate(((), (Member(spec=THERE),)), 4):
        view.take_intents(Intents(seq=seq, members=members))
    heard(a_report(other, boot_id="boot-2"), 150.0)  # the last word of the one that leaves comes late
    heard(a_report(), 200.0)

    assert unguarded == [False, False, True, False]
    assert counted_w(view, 201.0) == REST_W
