"""The site's contract with the grid, and its pace, as the site file says."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from scheduler.equipment import Ramp, Watts
from scheduler.signal_settings import Seconds
from scheduler.strict import Strict


class Power(Strict):
    """The site's contract with the grid."""

    firm_w: Watts
    overhead: Annotated[float, Field(ge=1.0, le=3.0)] = 1.25
    auxiliary_w: Watts = 0.0
    margin: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.03
    reaction_s: Seconds = 30.0
    reclaim_stranded: bool = (
        True  #: work that draws little is capped at a little more, and others get the rest
    )
    mining_ramp_up_w_per_s: Ramp | None = None  #: of all miners together; None = as fast as they can
    mining_ramp_down_w_per_s: Ramp | None = None  #: of reductions that no limit demands


class Timing(Strict):
    """The site's pace; `SitePolicy` says what each means."""

    lease_s: Seconds = 15.0
    fall_s: Seconds = 3.0
    clock_uncertainty_s: Annotated[float, Field(ge=0, le=60)] = 0.5
    save_after_s: Seconds = 5.0
    suspend_max_s: Seconds = 60.0
    raise_delay_s: Annotated[float, Field(ge=0, le=86400)] = 10.0
    restart_s: Annotated[float, Field(ge=0, le=86400)] = 20.0
    unreachable_after_s: Seconds = 5.0
    lost_after_s: Seconds = 60.0
    patience_s: Seconds = 300.0
    little_service_gpu_h: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 16.0
    little_service_preempts: bool = False
    priority_preempts: bool = True
    starts_at_once: Annotated[int, Field(ge=1, le=100_000)] | None = None
    saves_at_once: Annotated[int, Field(ge=1, le=100_000)] | None = None
