"""What goes wrong with a GPU, and the one table from NVML's errors to ours.

GpuError                     asking or telling a GPU failed (an OSError, as the port says)
├── NoNvml                   no library or no driver here: there is nobody to ask
├── GpuLost                  it fell off the bus, must be reset, or is not there any more
├── GpuSilent                no answer now; the next question may have one
├── GpuForbidden             only root may (also a PermissionError)
├── GpuUnsupported           this GPU, or this driver, knows no such thing
└── GpuRefused               it took the question for senseless, or the state for wrong
"""

from __future__ import annotations

from typing import Final


class GpuError(OSError):
    """Root of what a GPU answers instead of an answer."""


class NoNvml(GpuError):
    """There is no NVIDIA driver here, or no library to talk to it."""


class GpuLost(GpuError):
    """The GPU is gone until a person or the driver brings it back."""


class GpuSilent(GpuError):
    """It did not answer this time."""


class GpuForbidden(GpuError, PermissionError):
    """Setting this needs root (CAP_SYS_ADMIN)."""


class GpuUnsupported(GpuError):
    """It has no such sensor or setting."""


class GpuRefused(GpuError):
    """It did not accept the value, or is in no state to."""


#: By NVML's own names; a number that is not here is a plain `GpuError`.
KINDS: Final[dict[str, type[GpuError]]] = {
    "NVML_ERROR_UNINITIALIZED": NoNvml,
    "NVML_ERROR_INVALID_ARGUMENT": GpuRefused,
    "NVML_ERROR_NOT_SUPPORTED": GpuUnsupported,
    "NVML_ERROR_NO_PERMISSION": GpuForbidden,
    "NVML_ERROR_ALREADY_INITIALIZED": GpuRefused,
    "NVML_ERROR_NOT_FOUND": GpuLost,
    "NVML_ERROR_INSUFFICIENT_SIZE": GpuSilent,  # processes came between two calls
    "NVML_ERROR_INSUFFICIENT_POWER": GpuLost,  # its power cables are not in
    "NVML_ERROR_DRIVER_NOT_LOADED": NoNvml,
    "NVML_ERROR_TIMEOUT": GpuSilent,
    "NVML_ERROR_IRQ_ISSUE": GpuLost,
    "NVML_ERROR_LIBRARY_NOT_FOUND": NoNvml,
    "NVML_ERROR_FUNCTION_NOT_FOUND": GpuUnsupported,  # the driver is older than the question
    "NVML_ERROR_CORRUPTED_INFOROM": GpuRefused,
    "NVML_ERROR_GPU_IS_LOST": GpuLost,
    "NVML_ERROR_RESET_REQUIRED": GpuLost,
    "NVML_ERROR_OPERATING_SYSTEM": GpuForbidden,  # a container or a security module is in the way
    "NVML_ERROR_LIB_RM_VERSION_MISMATCH": NoNvml,  # the driver was upgraded and the machine not yet restarted
    "NVML_ERROR_IN_USE": GpuSilent,
    "NVML_ERROR_MEMORY": GpuSilent,
    "NVML_ERROR_NO_DATA": GpuUnsupported,
    "NVML_ERROR_VGPU_ECC_NOT_SUPPORTED": GpuUnsupported,
    "NVML_ERROR_INSUFFICIENT_RESOURCES": GpuSilent,
    "NVML_ERROR_FREQ_NOT_SUPPORTED": GpuRefused,
    "NVML_ERROR_ARGUMENT_VERSION_MISMATCH": GpuUnsupported,
    "NVML_ERROR_DEPRECATED": GpuUnsupported,
    "NVML_ERROR_NOT_READY": GpuSilent,
    "NVML_ERROR_GPU_NOT_FOUND": GpuLost,
    "NVML_ERROR_INVALID_STATE": GpuRefused,
    "NVML_ERROR_RESET_TYPE_NOT_SUPPORTED": GpuUnsupported,
    "NVML_ERROR_UNKNOWN": GpuSilent,
}
