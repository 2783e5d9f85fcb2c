"""A knock on the scheduler's door after something was written for it to read."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

log = logging.getLogger(__name__)


class Waker:
    """Sends one datagram to the scheduler's socket. Losing it costs one period of the loop, never correctness."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def wake(self, *, at_once: bool = False) -> None:
        """Have the next tick soon: when a burst of requests is over, or `at_once`.

        Never raises: what was written stands, and the loop comes by within a second.
        """
        try:
            self._knock(b"now" if at_once else b"wake")
        except BlockingIOError:
            return  # the door is being knocked on so often that it is open already
        except (FileNotFoundError, ConnectionRefusedError):
            log.info("nobody listens at %s; the scheduler will look by itself", self._path)
        except OSError as error:
            log.warning("%s: the scheduler cannot be woken: %s", self._path, error)

    def _knock(self, word: bytes) -> None:
        """Name the socket through its open directory: its full path may be too long for the kernel."""
        directory = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as knuckle:
                knuckle.settimeout(0)
                knuckle.sendto(word, f"/proc/self/fd/{directory}/{self._path.name}")
        finally:
            os.close(directory)
