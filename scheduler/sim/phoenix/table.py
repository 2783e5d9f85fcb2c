"""Both columns side by side, as text and as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from scheduler.sim.phoenix.figures import JobSpeed, Shape, by_tier, mean_speed
from scheduler.sim.phoenix.published import PUBLISHED
from scheduler.sim.phoenix.replay import CAISO_DAY, SRP_DAY, Replay, Replayed

Row = tuple[str, str, str]

_NOT_KNOWN = "-"


def rows(replay: Replay) -> list[Row]:
    """What, theirs, ours: the power model first, then each event."""
    return [
        ("what", "theirs", "Barq's"),
        *_model_rows(replay),
        *_event_rows(replay.one_step, replay.srp, _their_speeds(replay), replay),
        *_event_rows(replay.same_depth, replay.srp, _their_speeds(replay), replay),
        *_event_rows(replay.two_step, replay.caiso, {}, replay),
    ]


def text(lines: Sequence[Row]) -> str:
    """The rows as an aligned table."""
    widths = [max(len(line[i]) for line in lines) for i in range(3)]
    made = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    made.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in made)


def as_json(replay: Replay) -> dict[str, Any]:
    """The same as plain values: watts, seconds and shares."""
    model = asdict(replay.model)
    for name in ("on_srp", "on_caiso", "on_caiso_rebased", "on_caiso_with_saves"):
        model[name]["rmse_share"] = getattr(replay.model, name).rmse_share
    return {
        "published": asdict(PUBLISHED),
        "jobs": [
            {"job": j.name, "gpus": j.gpus, "tier": j.tier, "speed": j.speed, "workload": j.curve.name}
            for j in replay.mix
        ],
        "curves": {
            name: {
                "gpus": c.gpus,
                "left_out_w": list(c.left_out_w),
                "points": [asdict(p) for p in c.model.curve],
            }
            for name, c in replay.curves.items()
        },
        "site": asdict(replay.site),
        "power_model": model,
        "events": {
            "srp": {"theirs": asdict(replay.srp), "barq": _plain(replay.one_step, replay)},
            "srp_same_depth": {"theirs": asdict(replay.srp), "barq": _plain(replay.same_depth, replay)},
            "caiso": {"theirs": asdict(replay.caiso), "barq": _plain(replay.two_step, replay)},
        },
    }


def _plain(event: Replayed, replay: Replay) -> dict[str, Any]:
    speeds_by_tier = by_tier(event.speeds, _gpus(replay))
    return asdict(event) | {
        "speed_by_tier": {str(tier): x for tier, x in speeds_by_tier.items()},
        "mean_speed": mean_speed(event.speeds, _gpus(replay)),
    }


def _model_rows(replay: Replay) -> list[Row]:
    model, gpus = replay.model, _gpus(replay)
    return [
        ("POWER MODEL", "", ""),
        (
            "RMSE of the prediction, share of the baseline",
            f"{_percent(PUBLISHED.rmse_share)} (APS day)",
            f"{_percent(model.on_caiso.rmse_share)} (CAISO day, fitted on SRP's)",
        ),
        ("  scaled by the hour before the event", _NOT_KNOWN, _percent(model.on_caiso_rebased.rmse_share)),
        ("  and with its saves repeated", _NOT_KNOWN, _percent(model.on_caiso_with_saves.rmse_share)),
        ("RMSE on the day it was fitted on", _NOT_KNOWN, _percent(model.on_srp.rmse_share)),
        (
            "GPUs at full power: measured, by the sweep alone",
            _kw(model.on_srp.baseline_w),
            _kw(model.swept_w),
        ),
        ("GPUs in the event: measured, by the published speeds", _kw(model.held_w), _kw(model.implied_w)),
        (
            "mean speed: published, by fair caps at the measured power",
            f"{mean_speed(_published_speeds(replay), gpus):.2f}",
            f"{mean_speed(model.fair_speeds, gpus):.2f}",
        ),
    ]


def _event_rows(
    ours: Replayed, theirs: Shape, their_speeds: Mapping[str, float], replay: Replay
) -> list[Row]:
    their_cuts = [s.cut for s in (CAISO_DAY if theirs is replay.caiso else SRP_DAY).stages]
    return [
        ("", "", ""),
        (f"{ours.event.title.upper()}", "", ""),
        ("asked of the cluster", _percents(their_cuts), _percents([s.cut for s in ours.event.stages])),
        ("depth held, GPUs", _percents(theirs.held_cuts), _percents(ours.gpus.held_cuts)),
        ("depth held, cluster", _NOT_KNOWN, _percents(ours.site.held_cuts)),
        ("limit left unused while held", _NOT_KNOWN, _percents(ours.keeping.under_limit)),
        (
            "within 5 % of the first level after",
            _minutes(theirs.settled_after_s),
            _minutes(ours.gpus.settled_after_s),
        ),
        ("time to comply (longest over the limit)", _NOT_KNOWN, f"{ours.keeping.comply_s:.0f} s"),
        ("deepest minute, GPUs", _percent(theirs.deepest_cut), _percent(ours.gpus.deepest_cut)),
        (
            "overshoot below the settled level, points",
            _points(theirs.overshoot),
            _points(ours.gpus.overshoot),
        ),
        ("  on the day with resizes", _points(PUBLISHED.deepest_cut - PUBLISHED.settled_cut), _NOT_KNOWN),
        ("restart dead time", _their_restarts(), _our_restarts(ours)),
        ("rebound, highest minute after", _percent(theirs.rebound), _percent(ours.gpus.rebound)),
        *_speed_rows(ours.speeds, their_speeds, replay),
    ]


def _speed_rows(ours: Sequence[JobSpeed], theirs: Mapping[str, float], replay: Replay) -> list[Row]:
    gpus = _gpus(replay)
    known = [JobSpeed(job=s.job, tier=s.tier, speed=theirs[s.job]) for s in ours if s.job in theirs]
    their_tiers = by_tier(known, gpus)
    lines = [
        (
            "speed, mean over all GPUs",
            f"{mean_speed(known, gpus):.2f}" if known else _NOT_KNOWN,
            f"{mean_speed(ours, gpus):.2f}",
        )
    ]
    for tier, speed in by_tier(ours, gpus).items():
        their = f"{their_tiers[tier]:.2f}" if tier in their_tiers else _NOT_KNOWN
        lines.append((f"speed of flex {tier}, mean over GPUs", their, f"{speed:.2f}"))
        jobs = [s for s in ours if s.tier == tier]
        lines += [
            (
                f"  {s.job.rpartition('-')[0] or s.job}, {gpus[s.job]} GPUs",
                f"{theirs[s.job]:.2f}" if s.job in theirs else _NOT_KNOWN,
                f"{s.speed:.2f}",
            )
            for s in jobs
        ]
    return lines


def _their_speeds(replay: Replay) -> dict[str, float]:
    return {j.name: j.speed for j in replay.mix}


def _published_speeds(replay: Replay) -> list[JobSpeed]:
    return [JobSpeed(job=j.name, tier=j.tier, speed=j.speed) for j in replay.mix]


def _gpus(replay: Replay) -> dict[str, int]:
    return {j.name: j.gpus for j in replay.mix}


def _their_restarts() -> str:
    (low_s, high_s), (least_s, most_s) = PUBLISHED.restart_training_s, PUBLISHED.restart_inference_s
    return f"{low_s / 60:.0f}-{high_s / 60:.0f} min training, {least_s / 60:.0f}-{most_s / 60:.0f} inference (APS day)"


def _our_restarts(ours: Replayed) -> str:
    found = ours.restarts
    if found.dead_s is None:
        return "none: nothing was paused"
    return f"{found.dead_s / 60:.1f} min, {found.pauses} pauses"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _percents(shares: Sequence[float]) -> str:
    return ", ".join(_percent(share) for share in shares)


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


def _kw(power_w: float) -> str:
    return f"{power_w / 1000:.1f} kW"


def _minutes(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds / 60:.0f} min"
