"""Their figures that the four files do not hold.

Colangelo et al., "Turning AI Data Centers into Grid-Interactive Assets: Results from a Field Demonstration in Phoenix,
Arizona", arXiv 2507.00909 (2025), and the sheets `Fig345_data.xlsx` of github.com/ai-emerald/emerald-ai-demo-may-2025.
The sheets are of a third day (APS), on which jobs were resized by saving, stopping and starting again. Figures that can
be computed from the files (depth, transients, rebound, speeds) are computed, not written down.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Shares are of the baseline's GPU power."""

    cluster_cut: float  #: of the whole cluster's power, the headline
    held_s: float
    restart_training_s: tuple[float, float]  #: below 45 % of its own power per resize, from .. to
    restart_inference_s: tuple[float, float]
    deepest_cut: float  #: APS day, while several jobs were resized at once
    settled_cut: float  #: where it settled after that
    rmse_w: float  #: projection of their simulator, held from step to step, against the measured minutes of the APS day
    rmse_share: float


PUBLISHED = Published(
    cluster_cut=0.25,
    held_s=3 * 3600.0,
    restart_training_s=(8 * 60.0, 14 * 60.0),
    restart_inference_s=(2 * 60.0, 4 * 60.0),
    deepest_cut=0.56,
    settled_cut=0.37,
    rmse_w=3400.0,
    rmse_share=0.038,
)
