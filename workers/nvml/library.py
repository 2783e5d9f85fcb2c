"""The library itself: loaded when it is first asked for, its errors turned into ours."""

from __future__ import annotations

import importlib
from typing import Any, TypeVar

from workers.nvml.errors import KINDS, GpuError, GpuUnsupported, NoNvml

T = TypeVar("T")


class Nvml:
    """One open connection to the driver."""

    def __init__(self) -> None:
        """Load the library and connect. Raises NoNvml."""
        self._pynvml = _load()
        self._errors = {
            getattr(self._pynvml, n): kind for n, kind in KINDS.items() if hasattr(self._pynvml, n)
        }
        self.ask("nvmlInit")

    def ask(self, function: str, *arguments: Any) -> Any:  # noqa: ANN401 - each function answers its own kind
        """What a function of the library answers. Raises GpuError, of the kind that the table says."""
        call = getattr(self._pynvml, function, None)
        if call is None:
            raise GpuUnsupported(f"{function}: this pynvml does not know it; pip install -U nvidia-ml-py")
        try:
            return call(*arguments)
        except self._pynvml.NVMLError as error:
            raise self.error(error.value, function) from error

    def error(self, code: int, asked: str) -> GpuError:
        """The exception that means NVML's error `code`."""
        kind = self._errors.get(code, GpuError)
        return kind(f"{asked}: {self._pynvml.NVMLError(code)} (NVML error {code})")

    def value(self, name: str) -> Any:  # noqa: ANN401 - ctypes of the library
        """A constant of the library by its own name. Raises AttributeError."""
        return getattr(self._pynvml, name)

    def field(self, handle: object, name: str, scope: str) -> int:
        """One field value, an unsigned number. Raises GpuError."""
        wanted = (self.value(name), self.value(scope))
        (found,) = self.ask("nvmlDeviceGetFieldValues", handle, [wanted])
        if found.nvmlReturn != self.value("NVML_SUCCESS"):
            raise self.error(found.nvmlReturn, name)
        return int(found.value.uiVal)

    def driver(self) -> str:
        """The driver's version."""
        return str(self.ask("nvmlSystemGetDriverVersion"))

    def handles(self) -> list[Any]:
        """Every GPU of the machine, in NVML's order; a GpuError for one that does not answer. Raises GpuError."""
        return [self._handle(i) for i in range(self.ask("nvmlDeviceGetCount"))]

    def _handle(self, index: int) -> Any:  # noqa: ANN401 - a pointer of the library
        try:
            return self.ask("nvmlDeviceGetHandleByIndex", index)
        except GpuError as error:
            return error

    def close(self) -> None:
        """Let go of the driver. Raises GpuError."""
        self.ask("nvmlShutdown")


def _load() -> Any:  # noqa: ANN401 - a module without types
    try:
        return importlib.import_module("pynvml")
    except ImportError as error:
        raise NoNvml("the package nvidia-ml-py is not installed; pip install 'barq[site]'") from error
