"""What projects use: counted from decision to decision, told once a minute, kept from leader to leader."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from scheduler.core.power import A100_SXM
from scheduler.core.projects import FairShare, Project, Usage, Used
from scheduler.journal import Journal
from scheduler.records import Stored
from scheduler.view import View
from scheduler.watchman import Watchman
from tests.builders import T0, SiteBuilder, site

FOREVER = FairShare(half_life_s=1e12)  #: nothing decays
NAMED = (Project(name="a"), Project(name="b"))


def a_site(**policy: Any) -> SiteBuilder:
    """A node with ample power."""
    policy = {"projects": NAMED, "fair_share": FOREVER} | policy
    return site(firm_w=90_000.0, **policy).node("n", gpus=4).limit_w(90_000.0)


def led(built: SiteBuilder, used: Used | None = None) -> View:
    """A leader that begins on what runs there."""
    view = View(built.site, {gid: g.spec for gid, g in built.groups.items()}, epoch=1, at=built.at)
    view.groups = dict(built.groups)
    view.restore(
        Stored(
            jobs=tuple(built.jobs.values()),
            attempts=tuple(built.attempts.values()),
            settled={},
            open_orders={},
            limits=(),
            last_cut_at=None,
            seq=0,
            used=used,
        )
    )
    return view


def told(view: View) -> dict[str, Usage]:
    """What the next decision is told."""
    used = view.snapshot(T0).used
    assert used is not None
    return dict(used.projects)


def decided(built: SiteBuilder, view: View, *, after_s: float) -> None:
    """One more decision, so much later."""
    built.passes(after_s)
    view.apply(built.decided(), built.at)


def test_gpu_hours_and_energy_are_counted() -> None:
    """By the GPUs held and the watts that they may draw, to the project that holds them or to the others."""
    built = a_site().running("j", "n", gpus=2, project="a").running("k", "n", gpus=1, project="nobody")
    view = led(built)
    decided(built, view, after_s=3600.0)
    kwh = A100_SXM.charge_w(400.0) / 1000.0

    assert told(view)["a"].gpu_h == pytest.approx(2.0)
    assert told(view)["a"].kwh == pytest.approx(2 * kwh)
    assert told(view)["others"].gpu_h == pytest.approx(1.0)
    assert "b" not in told(view)


def test_what_begins_and_ends_is_counted_while_it_lasts() -> None:
    """From the decision that starts it to the one that finds it ended."""
    built = a_site()
    view = led(built)
    decided(built, view, after_s=60.0)
    built.job("j", gpus=4, project="b")
    decided(built, view, after_s=60.0)
    built.jobs["j"] = replace(built.jobs["j"], desired=built.jobs["j"].desired.CANCEL)
    for _ in range(4):
        decided(built, view, after_s=1800.0)

    assert not built.attempts
    assert 4 * 0.5 <= told(view)["b"].gpu_h <= 4 * 1.0


def test_decisions_are_told_once_a_minute() -> None:
    """Or turns would change with every tick."""
    built = a_site().running("j", "n", gpus=2, project="a")
    view = led(built)
    first = view.usage.used
    for _ in range(59):
        decided(built, view, after_s=1.0)
    assert view.usage.used is first
    decided(built, view, after_s=1.0)

    assert view.usage.used is not first
    assert told(view)["a"].gpu_h == pytest.approx(2 / 60)


def test_a_new_leader_goes_on_from_what_is_kept() -> None:
    """Decayed since; a project that the site file does not name any more is one of the others now."""
    built = a_site(fair_share=FairShare(half_life_s=3600.0))
    kept = Used(
        at=built.at - timedelta(hours=1),
        projects={"a": Usage(gpu_h=8.0, kwh=4.0), "gone": Usage(gpu_h=2.0), "others": Usage(gpu_h=4.0)},
    )

    found = {name: (usage.gpu_h, usage.kwh) for name, usage in told(led(built, kept)).items()}
    assert found == {"a": pytest.approx((4.0, 2.0)), "others": pytest.approx((3.0, 0.0))}


def test_it_is_written_down_where_it_is_new() -> None:
    """And not with every tick."""
    built = a_site().running("j", "n", gpus=2, project="a")
    view, journal = led(built), Journal(epoch=1, watchman=Watchman())
    written = []
    for _ in range(3):
        snapshot = replace(built.snapshot(), used=view.usage.used)
        written.append(journal.write(snapshot, built.decided(), {}, {}).used)

    assert written == [view.usage.used, None, None]


def test_a_site_without_projects_keeps_no_accounts() -> None:
    """Nothing is told, and nothing is written."""
    built = a_site(projects=()).running("j", "n", gpus=2, project="a")
    view = led(built)
    decided(built, view, after_s=3600.0)

    assert view.snapshot(T0).used is None
