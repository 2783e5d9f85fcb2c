"""When Python looks for garbage: between decisions, never within one.

A decision of a large site makes objects by the hundred thousand, none of them garbage, and each look through them
costs as much as a part of the decision.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """No look for garbage within this."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def sweep() -> None:
    """Look through all there is once, and leave what lives out of later looks."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
