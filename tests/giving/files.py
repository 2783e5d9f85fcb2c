"""Files that somebody puts in the site's folder: a schedule, prices, and a day that is played."""

from __future__ import annotations

import os
from typing import ClassVar

from scheduler.ports import LimitSource
from scheduler.signals import price, replay, schedule_file
from tests.giving.giver import NONSENSE, REACTION_S, Fetched, Scene, at_of, iso, spoilt
from tests.giving.over_http import on_off, prices_of
from tests.giving.plan import Doc, Plan, Step, Trouble


class FileGiver(Fetched):
    """Puts a file in its place by renaming; sometimes copies it there slowly, or takes it away."""

    file: ClassVar[str]
    troubles: ClassVar[tuple[Trouble, ...]] = (
        Trouble.SILENT,
        Trouble.GARBAGE,
        Trouble.TORN,
        Trouble.NAN,
        Trouble.NEGATIVE,
        Trouble.ABSURD,
    )

    def put(self) -> None:
        path = self.scene.base / self.file
        if self.trouble is Trouble.SILENT:
            path.unlink(missing_ok=True)
            return
        text = self.text(self.doc).encode()
        if self.trouble is Trouble.GARBAGE:
            text = spoilt(None, self.trouble, self.chance)
        elif self.trouble is Trouble.TORN:
            text = text[: self.chance.randrange(len(text) - 1)]
        new = path.with_suffix(".new")
        new.write_bytes(text)
        at_s = at_of(self.now_us).timestamp()
        os.utime(new, (at_s, at_s))
        new.replace(path)

    def text(self, doc: Doc) -> str:
        """The file."""
        raise NotImplementedError

    def spoilt_w(self, limit_w: float) -> float:
        """The number that is spoilt in trouble."""
        return NONSENSE.get(self.trouble, limit_w) if self.trouble else limit_w


class Scheduled(FileGiver):
    """`schedule_file`: kW, told ahead."""

    name = "schedule_file"
    file = "schedule.csv"

    def open(self) -> LimitSource:
        options = {"path": self.file, "unit": "kW", "last_row_s": 3600, "stale_after_s": self.stale_after_s}
        return schedule_file.open_source(self.name, options, base=self.scene.base, reaction_s=REACTION_S)

    def text(self, doc: Doc) -> str:
        rows = [f"{iso(at_us)},{limit_w / 1e3},notice 118" for at_us, limit_w in doc[1:]]
        first_us, first_w = doc[0]
        return "\n".join(
            ["time,limit,provenance", f"{iso(first_us)},{self.spoilt_w(first_w) / 1e3},notice 117", *rows, ""]
        )


class PricedFile(FileGiver):
    """`price` from a file."""

    name = "price-file"
    file = "prices.csv"
    troubles = (Trouble.SILENT, Trouble.GARBAGE, Trouble.TORN, Trouble.NAN)

    def open(self) -> LimitSource:
        scene = self.scene
        options = {
            "path": self.file,
            "below": 30,
            "hysteresis": 15,
            "on_w": scene.top_w,
            "off_w": scene.firm_w,
            "last_row_s": 3600,
            "stale_after_s": self.stale_after_s,
        }
        return price.open_source(self.name, options, base=scene.base, reaction_s=REACTION_S)

    def text(self, doc: Doc) -> str:
        rows = [f"{iso(at_us)},{cost}" for at_us, cost in prices_of(doc, self.scene.top_w)]
        if self.trouble is Trouble.NAN:
            rows[0] = f"{rows[0].partition(',')[0]},nan"
        return "\n".join(["time,price", *rows, ""])

    def meant(self, doc: Doc) -> Doc:
        return on_off(doc, self.scene)


class Replayed(Fetched):
    """`replay`: a file that is read at each start; all of it is told a minute ahead."""

    name = "replay"
    grid_s = 10.0
    troubles = ()

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rows = ["time,limit"]
        limit_w, steps = 0.0, list(self.plan.steps)
        for at_us in range(0, scene.end_us + 3_600_000_000, 10_000_000):
            while steps and steps[0].at_us <= at_us:
                limit_w = steps.pop(0).limit_w
            rows.append(f"{iso(at_us)},{limit_w}")
        (scene.base / "day.csv").write_text("\n".join([*rows, ""]), encoding="utf-8")

    def _plan(self) -> Plan:
        drawn = super()._plan()
        steps = tuple(Step(at_us=s.at_us, limit_w=s.limit_w, is_surprise=s.at_us == 0) for s in drawn.steps)
        return Plan(steps=steps, ahead_s=60.0)

    def begin(self) -> None:
        self.every(10.0, self._publish)

    def open(self) -> LimitSource:
        options = {
            "path": "day.csv",
            "column": "limit",
            "max_w": self.scene.top_w,
            "peak": "max",
            "notice_s": 60,
            "began_at": iso(0),
        }
        return replay.open_source(self.name, options, base=self.scene.base, reaction_s=REACTION_S)
