"""Whether an answer that lasts may go on: the token that it was begun with may be revoked meanwhile, or expire."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Final

from anyio.to_thread import run_sync

from scheduler.errors import StoreError
from scheduler.store.desk import Desk
from scheduler.store.refusals import TokenNotFound
from scheduler.store.tokens import is_valid
from scheduler.store.views import TokenView

LOOK_S: Final = 5.0
"""An answer goes on for so long, at the most, after its token was revoked."""

log = logging.getLogger(__name__)


class Welcome:
    """Of whoever asked with `token`. Ask it as often as you like."""

    def __init__(self, desk: Desk, token: TokenView, *, look_s: float = LOOK_S) -> None:
        self._desk, self._token, self._look_s = desk, token, look_s
        self._lasts = True
        self._looked_s = time.monotonic()

    async def lasts(self) -> bool:
        """Whether the token still opens the door. A store that does not answer now may answer later."""
        if self._lasts and time.monotonic() - self._looked_s >= self._look_s:
            self._lasts = await run_sync(self._look)
            self._looked_s = time.monotonic()
        return self._lasts

    def _look(self) -> bool:
        begun = self._token
        try:
            now = self._desk.token(begun.name)
        except TokenNotFound:
            return False
        except StoreError as error:
            log.warning("cannot tell whether the token %s still holds: %s", begun.name, error)
            return True
        is_same = (now.user, now.role, now.created_at) == (begun.user, begun.role, begun.created_at)
        return is_same and is_valid(now, datetime.now(UTC))
