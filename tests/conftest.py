"""How Hypothesis behaves in this suite."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("here", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)  # the same cases each time
settings.load_profile("ci" if os.environ.get("CI") else "here")
