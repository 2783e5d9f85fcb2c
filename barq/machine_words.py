"""How lists speak of machines: each line names its machine once."""

from __future__ import annotations

import re


def without_name(trouble: str, machine: str) -> str:
    """A trouble without the machine's own id and address, for where these stand beside it."""
    return re.sub(rf"{re.escape(machine)}(?::\d+)?(?: at \S+)?: ", "", trouble, count=1)
