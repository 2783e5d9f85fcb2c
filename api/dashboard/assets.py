"""What pages are made of: our templates and static files, and Bokeh's script out of its installed package."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.dashboard.words import INSTRUCTION_WORDS, JOB_WORDS, kw
from api.wire.site import NodeView
from barq.units import format_duration, format_energy, format_power
from scheduler.core.power import GPU_MODELS

HERE: Final = Path(__file__).parent
STATIC_DIR: Final = HERE / "static"
BOKEH_SCRIPT: Final = "server/static/js/bokeh.min.js"
YEAR_S: Final = 31_536_000


def make_templates() -> Environment:
    """Everything that is put into a template is escaped, and a name that is not there is an error."""
    templates = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(
        kw=kw,
        power=format_power,
        energy=format_energy,
        duration=format_duration,
        utc=utc,
        whole=whole,
    )
    templates.globals.update(
        job_words=JOB_WORDS,
        instruction_words=INSTRUCTION_WORDS,
        full_w=full_w,
        share=share,
        bokeh_version=bokeh_version(),
    )
    return templates


def full_w(node: NodeView) -> float:
    """What a full bar stands for: the most that a device of this node is known to draw or may draw, W."""
    known = [GPU_MODELS[gpu.model].tdp_w for gpu in node.gpus if gpu.model in GPU_MODELS]
    caps = [gpu.cap_w or 0.0 for gpu in node.gpus] + [miner.target_w for miner in node.miners]
    draws = [gpu.draw_w for gpu in node.gpus] + [miner.draw_w for miner in node.miners]
    return max([1.0, *known, *caps, *draws])


def share(part_w: float, whole_w: float) -> str:
    """How much of the whole a part is, as SVG takes it."""
    return f"{100.0 * min(max(part_w, 0.0) / whole_w, 1.0):.1f}%" if whole_w > 0 else "0%"


def utc(at: datetime) -> str:
    """A time for who has no script, in UTC; the page's script writes it in the reader's zone."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def whole(number: float) -> str:
    """A whole number in groups of three."""
    return f"{number:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


@cache
def bokeh_version() -> str:
    """Part of the script's address, so that browsers may keep it."""
    return metadata.version("bokeh")


@cache
def bokeh_script() -> bytes:
    """Bokeh's script, gzipped: a fourth of its size. Raises OSError if the package is not whole."""
    found = find_spec("bokeh")
    if found is None or found.origin is None:
        raise FileNotFoundError("the package bokeh is not installed; install barq[site]")
    return gzip.compress((Path(found.origin).parent / BOKEH_SCRIPT).read_bytes(), compresslevel=6)
