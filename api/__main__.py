"""The API's process: `python -m api --state DIR [--host ADDRESS] [--port N]`.

Writes where it listens to `DIR/run/api.json`. Without a port it takes the one it had before, if it is free, so that
clients find a restarted API where it was. Ends on SIGTERM after the answers in progress.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Final

from api.app import create_app
from api.rehearsal import rehearse
from api.server import bind, leave, on_stop, publish, serve
from scheduler.errors import BarqError
from scheduler.garbage import sweep

log = logging.getLogger("api")


SWITCH_S: Final = 0.0005
"""The event loop, which every answer needs several times, waits so long for a thread that computes (usually 5 ms)."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop. Returns the exit code: 0 stopped, 1 cannot serve."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    sys.setswitchinterval(SWITCH_S)
    on_stop(leave)
    try:
        app = create_app(options.state)
        listener = bind(options.host, options.port, options.state)
        publish(listener, options.state)
    except (BarqError, OSError) as error:
        log.critical("cannot serve: %s", error)
        return 1
    rehearse(app)
    sweep()  # what stays for good is never looked through while somebody waits for an answer
    serve(app, listener)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m api", description="Serve the API of a Barq site.")
    parser.add_argument("--state", type=Path, required=True, help="the site's state directory")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine only)"
    )
    parser.add_argument(
        "--port", type=int, default=0, help="port to listen on (default: the last one, else any)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
