"""Limits that are posted to the site: the bytes of a body into the API's own reading, and the inbox on the disk.

Not in virtual time is the age of a signature: the route asks the machine's clock. Its check of the bytes runs.
"""

from __future__ import annotations

import hashlib
import json
from math import inf

from pydantic import ValidationError

from api.strict_body import complaint
from api.wire.signals import PushedLimit
from barq.webhook import sign, verify
from scheduler.ports import LimitSource
from scheduler.signals.http_push import LOOK_S, Inbox, Refused, open_source, read_push_options
from tests.giving.giver import REACTION_S, Scene, at_of, iso
from tests.giving.over_mqtt import Message, Sender
from tests.giving.plan import Doc

SECRET = "pushed-in-virtual-time"  # noqa: S105 - of a site that is simulated


class Pushed(Sender):
    """`http_push`. While the line is cut nobody reaches the API."""

    name = "http_push"
    stale_after_s = 60.0

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        (scene.base / "push-secret").write_text(SECRET, encoding="utf-8")
        self._options = {
            "secret_file": "push-secret",
            "max_w": 1e6,
            "stale_after_s": self.stale_after_s,
        }
        self._inbox = Inbox(self.name, read_push_options(self.name, self._options), base=scene.base)

    def open(self) -> LimitSource:
        return open_source(self.name, self._options, base=self.scene.base, reaction_s=REACTION_S)

    def payload(self, doc: Doc, stamp_us: int, first_w: float) -> bytes:
        steps = [{"starts_at": iso(at_us), "limit_w": limit_w} for at_us, limit_w in doc[1:]]
        said = {"delivery": f"d{self.messages}", "at": iso(stamp_us), "limit_w": first_w, "steps": steps}
        return json.dumps(said).encode()

    def arrive(self, message: Message) -> None:
        if self.is_cut:
            return
        if message.doc is not None:
            self.truth.say(message.doc, stamp_us=message.stamp_us, heard_us=self.now_us)
        self._post(message.payload, sign(SECRET, message.payload))
        self.scene.news(self.name, LOOK_S)

    def _post(self, body: bytes, signature: str) -> None:
        at = at_of(self.now_us)
        if not verify(self._inbox.secret(), signature, body, tolerance_s=inf):
            raise AssertionError("the signature is right")
        problem = complaint(body)
        if problem is not None:
            self._inbox.note(problem.detail)
            return
        try:
            push = PushedLimit.model_validate_json(body).push()
            self._inbox.take(push, hashlib.sha256(body).hexdigest(), signed_at=at, at=at)
        except ValidationError as error:
            self._inbox.note(str(error.errors(include_url=False)[0]["msg"]))
        except Refused as error:
            self._inbox.note(str(error))
