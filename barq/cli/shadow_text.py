"""What a person is told of a site in shadow mode, wherever they look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from barq.cli.facts import ago
from barq.cli.output import say
from barq.units import format_power

if TYPE_CHECKING:
    from collections.abc import Sequence

    from barq.shadow_views import ShadowNow
    from barq.views import JobView, NodeView

SHADOW_LINE: Final = "SHADOW: nothing is acted; jobs, nodes and miners are those of a twin"
JOB_LINE: Final = "SHADOW: only a twin of it runs; its command is never started"


def notice(shown: Sequence[JobView] | Sequence[NodeView]) -> list[str]:
    """Return what is to stand above jobs or nodes that are not real."""
    return [SHADOW_LINE, ""] if any(one.get("shadow") for one in shown) else []


def job_notice(job: JobView) -> list[str]:
    """Return what is to be said of a job that never runs."""
    return [JOB_LINE] if job.get("shadow") else []


def say_shadow(jobs: Sequence[JobView]) -> None:
    """Tell who submitted jobs that they never run, also where only ids are wanted."""
    if any(job.get("shadow") for job in jobs):
        say(
            "SHADOW: accepted, and only a twin of it runs; the command is never started. It is taken to need its "
            "estimate, else most of its time limit; without either it runs until it is cancelled"
        )


def real_facts(now: ShadowNow | None) -> list[tuple[str, str]]:
    """Return what the real site draws: in shadow mode, what stands around it is the twin's."""
    if now is None:
        return []
    if now["real_w"] is None:
        return [("real draw", f"not known: {now['real_missing']}")]
    by = f" by {now['real_source']}" if now["real_source"] else ""
    return [("real draw", f"{format_power(now['real_w'])}, measured {ago(now['real_at'])}{by}")]
