"""What a person is told of a site in shadow mode, wherever they look."""

from __future__ import annotations

from typing import Final

SHADOW_LINE: Final = "SHADOW: nothing is acted; jobs, nodes and miners are those of a twin (docs/shadow.md)"
JOB_LINE: Final = "SHADOW: it is accepted, and only a twin of it runs; its command is never started"
