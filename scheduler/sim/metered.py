"""A simulated site whose own meter is trusted to correct the model, and of which its file knows less than is true."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from scheduler.core.power import GPU_MODELS, CapPoint, GpuModel
from scheduler.core.snapshot import SitePolicy
from scheduler.core.trim import TrimRule
from scheduler.sim.site import SimSite


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredSite(SimSite):
    """A site, and what is true of it. Who decides has the figures of `SimSite`, and the meter."""

    trim: TrimRule | None = None  #: how far its meter is trusted; None = as a site without one
    work: float | None = None  #: share of its cap that a busy GPU draws; None = as measured
    hall: float = 1.0  #: what the site draws, of what nodes and miners draw by the figures of the file

    @property
    def model(self) -> GpuModel:
        """By which GPUs draw: those who decide have the one of the file."""
        known = GPU_MODELS[self.gpu_model]
        return known if self.work is None else _drawing(known, self.work)

    def policy(self) -> SitePolicy:
        """With what the meter is trusted with."""
        return replace(SimSite.policy(self), trim=self.trim)


@cache
def _drawing(known: GpuModel, work: float) -> GpuModel:
    """The model of GPUs that draw this share of their caps."""
    points = tuple(CapPoint(cap_w=p.cap_w, speed=p.speed, draw_w=work * p.cap_w) for p in known.curve)
    return replace(known, curve=points)


def true_factor(site: SimSite) -> float:
    """What a site draws, of what its file's figures make of its devices' draws."""
    return site.hall if isinstance(site, MeteredSite) else 1.0
