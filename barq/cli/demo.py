"""`barq demo`: a whole site, real jobs, and a day of surplus power in a few minutes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

import barq
from barq.client import Client
from barq.errors import InvalidInput

DAY_S = 150.0
START_S = 18.0  #: the day begins this long after the command, when the site is up
PATIENCE_S = 45.0  #: for jobs that are not done when the day is over
CONFIGS = Path(barq.__file__).resolve().parent.parent / "configs"

Power = Annotated[
    Path | None, typer.Option("--power", help="Replay this CSV (also .gz) instead of the built-in day.")
]
Column = Annotated[
    str | None, typer.Option("--column", help="The column of --power that scales the site's limit.")
]
TimeColumn = Annotated[
    str | None, typer.Option("--time-column", help="The column of --power that holds the time.")
]
Start = Annotated[
    str | None, typer.Option("--start", help="Where in --power the day begins, e.g. 2024-10-07.")
]
Invert = Annotated[
    bool, typer.Option("--invert", help="A high value means little power: a price, a residual load.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as one JSON value.")]
Keep = Annotated[bool, typer.Option("--keep", help="Keep the state directory (records, logs, checkpoints).")]


def demo(
    power: Power = None,
    column: Column = None,
    time_column: TimeColumn = None,
    start: Start = None,
    *,
    invert: Invert = False,
    json_: Json = False,
    keep: Keep = False,
) -> None:
    """Run real jobs through a day of surplus power, and sum it up. Fails if a step or the limit was broken."""
    from barq.cli.demo_summary import judge, show_summary
    from barq.cli.demo_table import watch_day

    site = _site(power, column, time_column, start, invert=invert)
    began_at = datetime.now(UTC) + timedelta(seconds=START_S)
    site["signals"][0]["began_at"] = began_at.isoformat()
    with _state(keep=keep) as state, _running(site, state) as client:
        ids = _submit(client, state)
        day = watch_day(client, ids, began_at=began_at, seconds=DAY_S, patience_s=PATIENCE_S)
        verdict = judge(client, ids, state, day, seconds_per_day=DAY_S)
    show_summary(verdict, as_json=json_)
    raise typer.Exit(0 if verdict.kept else 1)


def _site(
    power: Path | None, column: str | None, time_column: str | None, start: str | None, *, invert: bool
) -> dict[str, Any]:
    """The demo's site, with the day that was asked for."""
    site: dict[str, Any] = yaml.safe_load((CONFIGS / "sites" / "demo.yaml").read_text(encoding="utf-8"))
    if power is None:
        return site
    if column is None:
        raise InvalidInput(
            "--power needs --column",
            field="column",
            value=None,
            remedy="name the column that scales the limit",
        )
    if not power.is_file():
        raise InvalidInput(
            "no such file", field="power", value=str(power), remedy="give the path of a CSV file"
        )
    built_in = site["signals"][0]
    site["signals"][0] = {
        key: value
        for key, value in {
            "type": "replay",
            "name": "grid",
            "path": str(power.resolve()),
            "column": column,
            "time_column": time_column,
            "start": start,
            "invert": invert,
            "speed": 86_400.0 / DAY_S,
            "hours": 24.0,
            "max_w": built_in["max_w"],
            "min_w": built_in["min_w"],
        }.items()
        if value is not None
    }
    return site


@contextmanager
def _state(*, keep: bool) -> Iterator[Path]:
    """A state directory of the demo's own, removed at the end unless it is to be kept."""
    state = Path(tempfile.mkdtemp(prefix="barq-demo-"))
    try:
        yield state
    finally:
        if keep:
            typer.echo(f"kept: {state}", err=True)
        else:
            shutil.rmtree(state, ignore_errors=True)


@contextmanager
def _running(site: dict[str, Any], state: Path) -> Iterator[Client]:
    """The site, up; and down again whatever happens."""
    from barq.cli.down import stop_site
    from barq.cli.up import start_site

    site_file = state / "demo-site.yaml"
    site_file.write_text(yaml.safe_dump(site), encoding="utf-8")
    try:
        start_site(site_file, state)
        with Client.from_environment({"BARQ_STATE": str(state)}) as client:
            yield client
    finally:
        stop_site(state)


def _submit(client: Client, state: Path) -> list[str]:
    """The demo's jobs: two transformers, a classifier, what it then classifies, and one firm job."""
    classifier = client.submit(_job("image_classifier", "classifier", gpus=4, flex=3, steps=600, priority=5))
    model = state / "jobs" / classifier["id"] / "output" / "model.pt"
    jobs = [
        classifier,
        client.submit(_job("char_transformer", "transformer", gpus=4, flex=4, steps=750, priority=10)),
        client.submit(_job("char_transformer", "transformer-2", gpus=2, flex=4, steps=800, seed=1)),
        client.submit(
            _job("image_classifier", "firm-classifier", gpus=1, flex=0, steps=1500, seed=2, priority=20)
        ),
        client.submit(
            _job("classify_batch", "batch-inference", gpus=2, flex=4, steps=300, model=model)
            | {"dependencies": [f"afterok:{classifier['id']}"]}
        ),
    ]
    return [job["id"] for job in jobs]


def _job(
    example: str, name: str, *, gpus: int, flex: int, priority: int = 0, **options: object
) -> dict[str, Any]:
    """One of the example jobs, sized for the demo."""
    folder = CONFIGS / "jobs" / "examples"
    request: dict[str, Any] = yaml.safe_load((folder / f"{example}.yaml").read_text(encoding="utf-8"))
    words = [f"--{key}={value}" for key, value in options.items()]
    return request | {
        "name": name,
        "entrypoint": ["python", f"{example}.py", *words],
        "working_dir": str(folder),
        "resources": {"gpus": gpus},
        "flex": flex,
        "priority": priority,
        "checkpoint": {"interval": "10s", "keep": 2},
    }
