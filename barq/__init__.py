"""What a researcher or operator types and imports.

`from barq import Client` and `from barq import AsyncClient` load what they need when they are asked for, so that
`import barq` stays light: a job that only wants to save its work pays for no HTTP client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["AsyncClient", "Client", "__version__"]
__version__ = "0.1.0"

_LAZY = {"Client": "barq.client", "AsyncClient": "barq.async_client"}

if TYPE_CHECKING:
    from barq.async_client import AsyncClient
    from barq.client import Client
else:  # hidden from type checkers, to whom any name would then seem to be there

    def __getattr__(name: str) -> object:
        """Load one of the clients when it is first asked for."""
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
