"""How Hypothesis and signals behave in this suite."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

settings.register_profile("here", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)  # the same cases each time
settings.register_profile("worlds", deadline=None, print_blob=True, max_examples=10_000)  # as `make worlds`
settings.load_profile("ci" if os.environ.get("CI") else "here")

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # as under `make test &`: children would never see a Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
