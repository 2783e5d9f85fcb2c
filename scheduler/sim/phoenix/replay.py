"""The whole replay: fit the power model, score it, run both events, and collect both columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scheduler.sim.outcome import RunOutcome
from scheduler.sim.phoenix.closed_loop import ClosedLoop
from scheduler.sim.phoenix.emerald import Emerald, MinutePower
from scheduler.sim.phoenix.event import (
    ONE_STEP,
    TWO_STEP,
    Event,
    PhoenixSite,
    Run,
    Stage,
    event_jobs,
    event_limit,
    flat_limit,
    phoenix_site,
)
from scheduler.sim.phoenix.figures import (
    JobSpeed,
    Keeping,
    Restarts,
    Shape,
    gpu_minutes_w,
    job_speeds,
    keeping,
    restarts,
    shape,
    site_minutes_w,
)
from scheduler.sim.phoenix.mix import CapCurve, MixJob, cap_curves, full_w, job_mix
from scheduler.sim.phoenix.power_model import (
    Command,
    Fit,
    Score,
    fair_caps_w,
    fitted,
    hour_before,
    implied_w,
    predicted_w,
    rebased,
    score,
)

_BISECTIONS = 6
_HELD_S = 300.0  #: after a ramp, to see where it has led to
_BEGIN_S = 600.0  #: for the jobs to start, with a window before the event that is worth a start
_BASELINE_S = 1800.0  #: before the first fall; a run's jobs have long started by then

#: Their days, in seconds since each file begins (14:40 and 14:00). The cuts are those of the whole cluster that was
#: asked for; the instants are the first minutes in which the files show an order at work: 16:10 and 19:33; 15:05, 17:50
#: and 20:07. SRP's hold begins at 16:30.
SRP_DAY = Event(
    name="srp",
    title=ONE_STEP.title,
    stages=(Stage(starts_s=90 * 60.0, cut=0.25, ramp_s=20 * 60.0),),
    release_s=293 * 60.0,
    window_s=400 * 60.0,
)
CAISO_DAY = Event(
    name="caiso",
    title=TWO_STEP.title,
    stages=(Stage(starts_s=65 * 60.0, cut=0.15), Stage(starts_s=230 * 60.0, cut=0.25)),
    release_s=367 * 60.0,
    window_s=445 * 60.0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The fitted model, its scores, and what the sweep alone says."""

    fit: Fit
    on_srp: Score  #: the day that it was fitted on
    on_caiso: Score  #: with nothing of that day but its command
    on_caiso_rebased: Score  #: from the first order on, with the level of the hour before
    on_caiso_with_saves: Score  #: and with that hour's saves repeated
    swept_w: float  #: all jobs without caps, by the sweep, before any fit
    implied_w: float  #: GPU watts that the published speeds imply
    held_w: float  #: GPU watts that were measured then
    fair_speeds: tuple[
        JobSpeed, ...
    ]  #: at the measured level, if every job gives way as far as its tier promises


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One event under Barq."""

    event: Event
    site: Shape  #: at the meter of the cluster
    gpus: Shape  #: of the GPUs alone
    keeping: Keeping
    speeds: tuple[JobSpeed, ...]
    restarts: Restarts
    wall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Both columns."""

    mix: tuple[MixJob, ...]
    curves: dict[str, CapCurve]
    site: PhoenixSite
    model: Model
    srp: Shape  #: theirs, GPUs alone
    caiso: Shape
    one_step: Replayed
    two_step: Replayed
    same_depth: Replayed  #: the first event, with a cut that takes the GPUs as deep as theirs went


MakeRun = Callable[[Sequence[MixJob]], Run]


def own_loop(mix: Sequence[MixJob]) -> Run:
    """Barq's core on the jobs' own curves."""
    return ClosedLoop(curves={job.name: job.curve for job in mix})


def replay(data: Emerald, *, make_run: MakeRun = own_loop) -> Replay:
    """Everything. `make_run` gives the simulator for a mix of jobs."""
    curves = cap_curves(data.sweep)
    mix = job_mix(data.performance, curves)
    model = _model(data, mix)
    site = phoenix_site(mix, gpu_share=model.fit.gpu_share)
    run = make_run(mix)
    srp = _measured(data.srp, SRP_DAY)
    return Replay(
        mix=mix,
        curves=curves,
        site=site,
        model=model,
        srp=srp,
        caiso=_measured(data.caiso, CAISO_DAY),
        one_step=replayed(ONE_STEP, mix, site, run),
        two_step=replayed(TWO_STEP, mix, site, run),
        same_depth=replayed(as_deep(ONE_STEP, srp.held_cuts[0], mix, site, run), mix, site, run),
    )


def commands(event: Event) -> tuple[Command, ...]:
    """An event as the power model takes it."""
    cuts = [Command(minute=round(s.starts_s / 60), cut=s.cut) for s in event.stages]
    return (*cuts, Command(minute=round(event.release_s / 60), cut=0.0))


def _measured(day: MinutePower, event: Event) -> Shape:
    return shape(day.draws_w, event, baseline_w=day.mean_w(0, round(event.starts_s / 60)))


def _model(data: Emerald, mix: Sequence[MixJob]) -> Model:
    srp, caiso = commands(SRP_DAY), commands(CAISO_DAY)
    fit = fitted(data.srp, srp, mix)
    ahead = predicted_w(fit, caiso, mix, len(data.caiso.draws_w))
    hour, first = hour_before(data.caiso, caiso), caiso[0].minute
    level = 1.0 - srp[0].cut / fit.gpu_share
    caps_w = fair_caps_w(mix, level)
    return Model(
        fit=fit,
        on_srp=score(data.srp, srp, predicted_w(fit, srp, mix, len(data.srp.draws_w))),
        on_caiso=score(data.caiso, caiso, ahead),
        on_caiso_rebased=score(data.caiso, caiso, rebased(ahead, hour, saves=False), first=first),
        on_caiso_with_saves=score(data.caiso, caiso, rebased(ahead, hour, saves=True), first=first),
        swept_w=full_w(mix),
        implied_w=implied_w(mix, fit),
        held_w=level * fit.calibration * full_w(mix),
        fair_speeds=tuple(
            JobSpeed(job=j.name, tier=j.tier, speed=j.curve.speed(caps_w[j.name])) for j in mix
        ),
    )


def replayed(event: Event, mix: Sequence[MixJob], site: PhoenixSite, run: Run) -> Replayed:
    """Run one event: without it for the baseline, then to the end of the ramp, to the release, and to the end."""
    jobs = event_jobs(mix)
    first_s, release_s = event.stages[0].holds_s, event.release_s
    calm = _calm(event, mix, site, run)
    baseline_w = _last_mean(site_minutes_w(calm))
    limit = event_limit(event, site, baseline_w=baseline_w)
    ramped, released = (run(jobs, limit, site, window_s=s) for s in (first_s, release_s))
    whole = run(jobs, limit, site, window_s=event.window_s)
    gpu_baseline_w = _last_mean(gpu_minutes_w(calm, site))
    return Replayed(
        event=event,
        site=shape(site_minutes_w(whole), event, baseline_w=baseline_w),
        gpus=shape(gpu_minutes_w(whole, site), event, baseline_w=gpu_baseline_w),
        keeping=keeping(whole, event),
        speeds=job_speeds(ramped, released),
        restarts=restarts(whole),
        wall_s=sum(o.wall_s for o in (calm, ramped, released, whole)),
    )


def as_deep(event: Event, gpu_cut: float, mix: Sequence[MixJob], site: PhoenixSite, run: Run) -> Event:
    """The event with its one cut changed so that the GPUs are held at `gpu_cut`, as nearly as caps allow."""
    (stage,), jobs = event.stages, event_jobs(mix)
    brief = replace(stage, ramp_s=60.0)
    calm = _calm(event, mix, site, run)
    baseline_w, gpus_w = (_last_mean(w) for w in (site_minutes_w(calm), gpu_minutes_w(calm, site)))
    low, high = 0.0, stage.cut * 2
    for _ in range(_BISECTIONS):
        tried = replace(event, stages=(replace(brief, cut=(low + high) / 2),))
        limit = event_limit(tried, site, baseline_w=baseline_w)
        held = run(jobs, limit, site, window_s=brief.holds_s + _HELD_S)
        if 1.0 - gpu_minutes_w(held, site)[-1] / gpus_w < gpu_cut:
            low = tried.stages[0].cut
        else:
            high = tried.stages[0].cut
    return replace(event, title="as deep as theirs", stages=(replace(stage, cut=high),))


def _calm(event: Event, mix: Sequence[MixJob], site: PhoenixSite, run: Run) -> RunOutcome:
    """The same hours without the event. Raises ValueError where they are too few for a baseline."""
    least_s = _BEGIN_S + _BASELINE_S
    if event.starts_s < least_s:
        raise ValueError(
            f"{event.name}: it begins after {event.starts_s:g} s; let it begin after {least_s:g} s or later, so that "
            "there is a baseline"
        )
    return run(event_jobs(mix), flat_limit(site), site, window_s=event.starts_s)


def _last_mean(minutes_w: Sequence[float]) -> float:
    last = minutes_w[-round(_BASELINE_S / 60) :]
    return sum(last) / len(last)
