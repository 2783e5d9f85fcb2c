"""What guards say, for tests that hear them."""

from __future__ import annotations

from scheduler.core.orders import NO_FENCE, GpuReading, GroupSpec, GuardReport


def quiet_report(spec: GroupSpec, *, draw_w: float) -> GuardReport:
    """A guard in its fallback, with nothing ordered and nothing on its devices, a thousand seconds after its boot."""
    return GuardReport(
        spec=spec,
        boot_id="boot-1",
        boottime_s=1000.0,
        version=1,
        accepted=NO_FENCE,
        expires_boottime_s=0.0,
        entitlement_w=0.0,
        fallback=(),
        in_fallback=True,
        draw_w=draw_w,
        gpus=tuple(GpuReading(gpu_id=g.gpu_id, draw_w=55.0, cap_w=100.0, processes=0) for g in spec.gpus),
    )
