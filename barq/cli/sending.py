"""Working directories on their way to the site, and a bar on the terminal that shows how far they are."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from barq.cli.output import Format

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from barq.client import Client
    from barq.request import JobRequest
    from barq.uploading import Progress


def packed(site: Client, requests: Sequence[JobRequest], form: Format) -> list[dict[str, Any]]:
    """The jobs as the site takes them; each folder that is to be sent is sent once."""
    from barq.uploading import as_package, folder_to_send

    packages: dict[str, str] = {}
    jobs = [request.model_dump(mode="json", exclude_unset=True) for request in requests]
    for index, job in enumerate(jobs):
        folder = folder_to_send(job)
        if folder is None:
            continue
        if folder not in packages:
            with _bar(folder, is_shown=form is Format.TABLE and sys.stderr.isatty()) as progress:
                packages[folder] = site.upload(folder, progress=progress)
        jobs[index] = as_package(job, packages[folder])
    return jobs


@contextmanager
def _bar(folder: str, *, is_shown: bool) -> Iterator[Progress | None]:
    """A bar for each stage; it leaves nothing behind."""
    if not is_shown:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress as Bars, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks = {stage: bars.add_task(f"{stage} {folder}", visible=False) for stage in ("hashing", "sending")}

        def progress(stage: str, done: int, total: int) -> None:
            bars.update(tasks[stage], completed=done, total=total, visible=total > 0)

        yield progress
