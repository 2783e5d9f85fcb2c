"""An event of DSX Flex as it travels: CloudEvents 1.0.2 in structured JSON, its data signed, with its own trace."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from scheduler.connections.signed import signed
from scheduler.dsx.powerstate import stamp

VERSION: Final = "1.0.2"  #: as DSX Flex has it; CloudEvents itself says 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who the agent is. `key_file` None = data is sent plain."""

    agent: str
    key_file: Path | None

    def topic(self, what: str) -> str:
        """Where it publishes."""
        return f"grid/v1/dsx-flex-agent/{self.agent}/{what}"

    def event(
        self, kind: str, subject: str, data: Mapping[str, Any], at: datetime, *, about: str | None = None
    ) -> bytes:
        """The whole message; `about` = what it belongs to. May block: reads the key. Raises `SignalError`."""
        event: dict[str, Any] = {
            "specversion": VERSION,
            "id": str(uuid.uuid4()),
            "source": f"//grid/v1/dsx-flex-agent/{self.agent}",
            "type": kind,
            "time": stamp(at),
            "subject": subject,
            "traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01",
        }
        if about is not None:
            event["correlationid"] = about
        if self.key_file is None:
            event |= {"datacontenttype": "application/json", "data": dict(data)}
        else:
            text = signed(json.dumps(data).encode(), self.key_file)
            event |= {"datacontenttype": "application/jose", "data": text}
        return json.dumps(event).encode()
