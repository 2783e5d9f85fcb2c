"""When the whole snapshot is written down, and what is told once a second."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.core.decide import Policy, PowerAware, decide
from scheduler.core.flexibility import FlexOffer
from scheduler.core.orders import AttemptFacts, Observed
from scheduler.core.partners import Partner
from scheduler.core.reasons import Event, Reason
from scheduler.core.snapshot import MeterReading, Snapshot
from scheduler.core.trim import Trimmed, Why
from scheduler.journal import SNAPSHOT_S, Journal
from scheduler.partner_documents import PARTNERS
from scheduler.records import TRIM, TickRecord
from scheduler.sim.baselines.fcfs_kill import FcfsKill
from scheduler.watchman import Watchman
from tests.builders import T0, site
from tests.obedient_site import ObedientSite


def is_full(journal: Journal, snapshot: Snapshot) -> bool:
    """Whether the tick is written with its snapshot."""
    return journal.write(snapshot, decide(snapshot), {}, {}).snapshot_json is not None


def test_the_snapshot_is_written_once_a_minute_and_when_raises_become_possible() -> None:
    """Who plans a job is told from it: that nothing may be raised yet must not stand for longer than it holds."""
    watchman = Watchman()
    journal = Journal(epoch=1, watchman=watchman)
    quiet = site().node(gpus=4).limit_w(5000).snapshot()
    watchman.look(quiet)
    barred = replace(quiet, raises_allowed=False)

    def later(snapshot: Snapshot, seconds: float) -> Snapshot:
        return replace(snapshot, at=quiet.at + timedelta(seconds=seconds))

    assert is_full(journal, barred)
    assert not is_full(journal, later(barred, 1))
    assert is_full(journal, later(quiet, 2))
    assert not is_full(journal, later(quiet, 3))
    assert is_full(journal, later(quiet, 2 + SNAPSHOT_S))


def test_a_checkpoint_is_noted_once_and_remembered_as_long_as_it_is_told_of() -> None:
    """A site that saves for months needs no more memory for it than one that has just begun."""
    watchman = Watchman()
    journal = Journal(epoch=1, watchman=watchman)
    quiet = site().node("a", gpus=4).limit_w(5000).snapshot()
    watchman.look(quiet)

    def noted(step: int) -> list[int]:
        fact = AttemptFacts(
            attempt_id="j.1", observed=Observed.RUNNING, committed_step=step, committed_path=f"/c/{step}"
        )
        groups = {gid: replace(group, facts=(fact, fact)) for gid, group in quiet.groups.items()}
        now = replace(quiet, groups=groups)
        return [note.step for note in journal.write(now, decide(now), {}, {}).checkpoints]

    assert [noted(step) for step in (1, 1, 2, 2, 3)] == [[1], [], [2], [], [3]]
    assert len(journal._noted) == 1


def test_the_flex_offer_is_asked_for_once_a_second() -> None:
    """However often the site is told of in between, that of the last sample is told."""
    made: list[FlexOffer] = []

    def offer() -> FlexOffer:
        made.append(FlexOffer(at=T0, planned_w=1000.0 * (len(made) + 1)))
        return made[-1]

    watchman = Watchman()
    journal = Journal(epoch=1, watchman=watchman, offer=offer)
    quiet = site().node(gpus=4).limit_w(5000).snapshot()
    watchman.look(quiet)
    eventful = replace(decide(quiet), events=(Event(at=T0, kind="job.resumed", text="j goes on"),))

    def planned_w(seconds: float) -> float:
        later = replace(quiet, at=quiet.at + timedelta(seconds=seconds))
        told = json.loads(journal.write(later, eventful, {}, {}).current["power"])
        return float(told["flex"]["planned_w"])

    assert [planned_w(seconds) for seconds in (0.0, 0.2, 0.9, 1.0, 1.5)] == [1000, 1000, 1000, 2000, 2000]


@pytest.mark.parametrize("policy, is_told", [(PowerAware(), True), (FcfsKill(), False)])
async def test_the_loop_tells_what_its_policy_offers(
    policy: Policy, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of one that cannot say."""
    there = await ObedientSite(site().node("a").miners().limit_w(3000)).began()
    monkeypatch.setattr(there.loop, "policy", policy)
    ticks: list[TickRecord] = []
    record = there.store.record

    async def noted(tick: TickRecord) -> None:
        ticks.append(tick)
        await record(tick)

    monkeypatch.setattr(there.store, "record", noted)
    await there.orders_after(1.0)
    told = json.loads(ticks[-1].current["power"])

    assert (told["flex"] is not None) is is_told
    assert not is_told or told["flex"]["planned_w"] == told["planned_w"]


def test_a_floor_that_is_missed_is_on_record_once_and_grants_are_told_each_second() -> None:
    """From the second in which mining is left less; and that it is reached again."""
    north = Partner(partner_id="north", groups=("miners",), floor_w=2000)
    built = site(partners=(north,)).node(gpus=4).miners().limit_w(5000).settles()
    watchman = Watchman()
    journal = Journal(epoch=1, watchman=watchman)
    told = []
    for limit_w in (5000, 1500, 1500, 5000):
        snapshot = built.passes(1.0).limit_w(limit_w).snapshot()
        record = journal.write(snapshot, decide(snapshot), {}, {})
        watchman.recorded(record)
        told.append([event.kind for event in record.events if event.kind.startswith("partner.")])
        assert [p["name"] for p in json.loads(record.current[PARTNERS])["partners"]] == ["north"]

    assert told == [[], ["partner.floor_missed"], [], ["partner.floor_kept"]]


def test_a_floor_that_is_missed_while_the_store_is_down_is_told_with_its_own_times() -> None:
    """Nothing of it is told twice, forgotten, or dated when the store came back."""
    north = Partner(partner_id="north", groups=("miners",), floor_w=2000)
    built = site(partners=(north,)).node(gpus=4).miners().limit_w(5000).settles()
    watchman, told = Watchman(), []
    journal = Journal(epoch=1, watchman=watchman)
    for limit_w, is_up in (
        (5000, True),
        (1500, False),
        (1500, False),
        (1500, True),
        (5000, False),
        (5000, True),
    ):
        snapshot = built.passes(1.0).limit_w(limit_w).snapshot()
        record = journal.write(snapshot, decide(snapshot), {}, {})
        if is_up:
            watchman.recorded(record)
            told += [(e.kind, e.at) for e in record.events if e.kind.startswith("partner.")]
        else:
            journal = Journal(epoch=1, watchman=watchman)

    missed_at = T0 + timedelta(seconds=2)
    kept_at = T0 + timedelta(seconds=5)
    assert told == [("partner.floor_missed", missed_at), ("partner.floor_kept", kept_at)]


def test_what_the_model_leaves_out_is_written_when_it_changed() -> None:
    """For the next leader, who begins with it. A credit is none of its business."""
    watchman = Watchman()
    journal = Journal(epoch=1, watchman=watchman)
    quiet = site().node(gpus=4).limit_w(5000).snapshot()
    written = []
    for after_s, trim_w in enumerate((0.0, -50.0, 70.0, 70.0, -9.0)):
        at, trim = quiet.at + timedelta(seconds=after_s), Trimmed(w=trim_w, why=Why.STEADY)
        now = replace(quiet, at=at, trim=trim)
        written.append(TRIM in journal.write(now, decide(now), {}, {}).current)

    assert written == [False, False, True, False, True]


def test_why_a_job_failed_stays_with_it() -> None:
    """Nobody has to look for it among events; later ticks, which know the job no more, leave it as it is."""
    built = site().node("a", gpus=4).limit_w(5000).running("j", "a")
    built.job("k", dependencies=("j",))
    built.facts("j.1", "a", observed=Observed.ENDED, exit_code=None, signal=11)
    journal = Journal(epoch=1, watchman=Watchman())

    told: dict[str, Reason | None] = {}
    for _ in range(3):
        snapshot = built.snapshot()
        decision = decide(snapshot)
        told |= journal.write(snapshot, decision, {}, {}).reasons
        built.apply(decision)
        built.passes(1)

    assert {j: (r.code, r.text) for j, r in told.items() if r} == {
        "j": ("AppError", "signal 11 (SIGSEGV)"),
        "k": ("Dependency", "j, which it depends on, did not succeed"),
    }
    assert None not in told.values()


def test_a_second_that_nobody_read_is_not_on_record() -> None:
    """A chart has a gap there, and books count it for no energy, rather than for a draw of 0 W."""
    built = site().node("a").limit_w(5000)
    journal = Journal(epoch=1, watchman=Watchman())
    seen = []
    for seconds, meter in ((0, None), (2, MeterReading(draw_w=900.0, measured_at=T0))):
        built.meter = meter
        snapshot = replace(built.snapshot(), at=T0 + timedelta(seconds=seconds))
        seen.append(journal.write(snapshot, decide(snapshot), {}, {}).sample)
    assert [sample and sample.draw_w for sample in seen] == [None, 900.0]
