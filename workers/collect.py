"""Copies a job's outputs to where its file says, when it has succeeded or is paused.

Started as `python -P -m workers.collect ATTEMPT_DIR`. What cannot be copied stays in the output folder, and is tried
again at the next pause or end.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from workers.attempt_files import AttemptFiles, Launching
from workers.prepare import adopt_environment
from workers.prepared import Collected, leave_collected, tell
from workers.transfers import CannotTransfer, put


def collect(files: AttemptFiles, launching: Launching) -> Collected:
    """Copy each; one that fails does not stop the others."""
    launch = launching.order.launch
    complaints = []
    for path, url in launch.outputs:
        tell(files, f"copying {path} to {url}")
        try:
            put(Path(launch.output_dir) / path, url)
        except (CannotTransfer, OSError) as error:
            complaints.append(str(error))
            tell(files, str(error))
    return Collected(error="; ".join(complaints) or None)


def main(arguments: Sequence[str]) -> int:
    """Collect the outputs of the attempt in the directory that is named."""
    files = AttemptFiles(Path(arguments[0]))
    launching = files.read_launching()
    if launching is None:
        return 2
    adopt_environment(launching)
    collected = collect(files, launching)
    leave_collected(files, collected)
    return 0 if collected.error is None else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
