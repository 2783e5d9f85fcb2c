"""The limit that a VTN publishes over OpenADR 3 (3.1, and 3.0 as far as it agrees): this site is a VEN that polls.

In the site file:

    signals:
      - type: openadr3
        name: utility
        vtn_url: https://vtn.example.org/openadr3/3.1.0
        client_id: barq-site-1                    # OAuth client credentials; leave it out if the VTN asks for none
        client_secret_file: secrets/openadr       # relative to the site's state directory; or:
        # client_secret_env: OPENADR_SECRET       # the name of a variable of the scheduler's environment
        subscription_w: 40000                     # what may be drawn where no event says otherwise
        programs: [surplus]                       # names; none = all that the VTN shows
        every_s: 10                               # how often the VTN is asked

`docs/openadr.md` says what each payload means and what happens on each fault; `configs/sites/openadr.yaml` has all
options. In short: IMPORT_CAPACITY_LIMIT is the limit; where no event gives one, subscription and granted reservations
hold; in doubt a drop comes early and a rise late. A VTN that cannot be reached leaves its last schedule standing until
`stale_after_s`; after that it counts no more than the firm level. An event that makes no sense is refused, told, and
its last good version stands.

With a block `reports` the site is registered at the VTN, and tells it what its events and `reports.payloads` ask for.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import httpx
from pydantic import Field

from scheduler.connections.http import is_safe
from scheduler.core.envelope import Envelope
from scheduler.core.site_state import SiteState
from scheduler.errors import SettingsError, SignalError
from scheduler.openadr.asked import Manner
from scheduler.openadr.client import Access, Busy, Vtn
from scheduler.openadr.events import Event, Refused, Rules, printable
from scheduler.openadr.reporter import Reporter, ReportOptions
from scheduler.openadr.schedule import Schedule, Skew, compile_schedule
from scheduler.signals import Options, read_options

SURE_S: Final = 1.0  #: a difference of clocks below this is noise of a header in whole seconds
STEP_S: Final = 5.0  #: differences count in steps of this, upward: else every reading moved the schedule
MOST_S: Final = 172_800.0  #: nothing is known further ahead
TOLD_S: Final = 5.0  #: a difference of more than this is told
Watts = Field(ge=0, le=1e10)

logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each request


class OpenAdrOptions(Options):
    """What the site file says."""

    vtn_url: str
    subscription_w: float = Watts
    client_id: str | None = Field(default=None, min_length=1)
    client_secret_file: Path | None = None
    client_secret_env: str | None = None
    token_url: str | None = None  #: None = as GET /auth/server says
    scope: str = "read_targets read_ven_objects"
    programs: tuple[str, ...] = ()
    targets: frozenset[str] = (
        frozenset()
    )  #: of events with targets, those with one of these; none = all shown
    ven_name: str = "barq"
    unit: Literal["W", "KW", "MW"] = "KW"  #: of capacities without a descriptor
    believable_w: float = Field(default=1e9, gt=0, le=1e10)  #: more than this is refused
    emergency_w: float | None = Field(default=None, ge=0, le=1e10)  #: the limit during `emergencies`
    emergencies: frozenset[str] = frozenset({"ALERT_GRID_EMERGENCY", "ALERT_BLACK_START"})
    count_available: bool = False  #: the contract says that what is offered may be drawn unasked
    every_s: float = Field(default=10.0, gt=0, le=3600)
    timeout_s: float = Field(default=3.0, gt=0, le=60)  #: for one whole reading
    stale_after_s: float = Field(default=60.0, gt=0, le=86_400)
    reaction_s: float | None = Field(default=None, gt=0)
    ca_file: Path | None = None  #: the authority that signed the VTN's certificate, if no public one did
    allow_http: bool = False  #: also beyond this machine
    reports: ReportOptions | None = None  #: None = the VTN is told nothing

    def complaint(self) -> str | None:
        """What does not go together. Says no value of an address: people put passwords there."""
        for field, url in (("vtn_url", self.vtn_url), ("token_url", self.token_url)):
            if url is not None and not is_safe(url, allow_http=self.allow_http):
                return f"{field} is not https without a user in it; http goes to this machine only, or with allow_http"
        secrets = [s for s in (self.client_secret_file, self.client_secret_env) if s is not None]
        if len(secrets) != (self.client_id is not None):
            return "client_id goes with either client_secret_file or client_secret_env; give both or neither"
        if self.stale_after_s < self.every_s + self.timeout_s:
            return f"stale_after_s = {self.stale_after_s:g} is shorter than every_s + timeout_s; raise it"
        return None if self.reports is None else self.reports.complaint(self.manner(self.reports))

    def manner(self, reports: ReportOptions) -> Manner:
        """How reports are made."""
        return reports.manner(self.ven_name, self.targets, self.unit)

    def rules(self) -> Rules:
        """How events are read."""
        return Rules(
            subscription_w=self.subscription_w,
            unit=self.unit,
            most_w=self.believable_w,
            emergency_w=self.emergency_w,
            emergencies=self.emergencies,
            count_available=self.count_available,
            targets=self.targets,
            ven=self.ven_name,
        )


class OpenAdr:
    """Asks the VTN every `every_s`, and hands on what it last said in between."""

    def __init__(self, name: str, options: OpenAdrOptions, *, base: Path, reaction_s: float) -> None:
        self.name = name
        self._options = options
        self._rules = options.rules()
        self._base = base
        self._reaction_s = options.reaction_s or reaction_s
        self._http: httpx.AsyncClient | None = None
        self._vtn: Vtn | None = None
        self._asked_at: datetime | None = None
        self._wait_s = 0.0
        self._failure: str | None = None
        self._envelope: Envelope | None = None
        self._events: Mapping[str, Event] = {}
        self._skew = Skew()
        self._refused: list[str] = []
        self._told: frozenset[str] = frozenset()
        reports = options.reports
        self.tell_every_s = None if reports is None else reports.look_every_s
        self._reporter = (
            None if reports is None else Reporter(reports, options.manner(reports), options.ven_name)
        )
        self._shown: tuple[Sequence[Any], Mapping[str, Event]] = ((), {})  #: all events, and those that count
        self._unreported: list[str] = []  #: what the VTN asks for and is not told
        self._told_http: httpx.AsyncClient | None = (
            None  #: what is told goes its own way, with a token of its own,
        )
        self._told_vtn: Vtn | None = None  #: so that it holds up no reading

    async def read(self, at: datetime) -> Envelope:
        """What the VTN last said, asked again if it is time. Raises `SignalError` while it cannot be asked."""
        if self._is_due(at):
            self._asked_at, self._wait_s = at, self._options.every_s
            await self._ask(at)
        if self._failure is not None or self._envelope is None:
            raise SignalError(f"{self.name}: {self._failure or 'the VTN has not answered yet'}")
        return self._envelope

    async def tell(self, state: SiteState) -> None:
        """Register the site, and bring the VTN's reports up to date. Raises `SignalError`."""
        if self._reporter is None or self._options.reports is None:
            return
        self._unreported = await asyncio.to_thread(self._reporter.take, *self._shown)
        if self._told_vtn is None:
            self._told_http, self._told_vtn = self._opened(self._options.reports.scope)
        await self._reporter.tell(self._told_vtn, state, self._skew)

    def refused(self) -> Sequence[str]:
        """Events and payloads that do not count, each told when it begins, and clocks that differ."""
        refused, self._refused = self._refused, []
        return refused

    async def close(self) -> None:
        """End the connections."""
        opened = (self._http, self._told_http)
        self._http = self._vtn = self._told_http = self._told_vtn = None
        for http in opened:
            if http is not None:
                await http.aclose()

    def _is_due(self, at: datetime) -> bool:
        """Also when the clock was set back."""
        return self._asked_at is None or not 0 <= (at - self._asked_at).total_seconds() < self._wait_s

    async def _ask(self, at: datetime) -> None:
        try:
            async with asyncio.timeout(self._options.timeout_s):
                schedule = await self._schedule(at)
        except TimeoutError:
            self._failure = f"the VTN gave no whole answer within {self._options.timeout_s:g} s"
        except Busy as busy:
            self._failure, self._wait_s = str(busy), max(busy.retry_s, self._options.every_s)
        except (SignalError, Refused) as error:
            self._failure = str(error)
        except RecursionError:
            self._failure = "the VTN's answer is nested without end"
        else:
            self._failure = None
            self._take(schedule, at)

    async def _schedule(self, at: datetime) -> Schedule:
        if self._vtn is None:
            self._http, self._vtn = self._opened(self._options.scope)
        vtn = self._vtn
        programs = _by_id(await vtn.programs())
        events = await self._chosen(vtn, programs)
        self._skew = skew_of(vtn.offset_s, self._skew)
        schedule = await asyncio.to_thread(
            compile_schedule,
            events,
            programs,
            self._rules,
            at,
            known=self._events,
            skew=self._skew,
        )
        self._shown = (events, schedule.events)
        return schedule

    async def _chosen(self, vtn: Vtn, programs: Mapping[str, Mapping[str, Any]]) -> list[Any]:
        """The events of the programs that the site file names."""
        if not self._options.programs:
            return await vtn.events()
        ids = {str(p["programName"]): i for i, p in programs.items()}
        missing = [name for name in self._options.programs if name not in ids]
        if missing:
            shown = ", ".join(printable(name) for name in list(ids)[:5]) or "none"
            raise SignalError(f"programs: the VTN shows no {missing[0]!r}, but: {shown}; correct the name")
        return [event for name in self._options.programs for event in await vtn.events(ids[name])]

    def _take(self, schedule: Schedule, at: datetime) -> None:
        self._events = schedule.events
        self._envelope = Envelope(
            source=self.name,
            issued_at=schedule.issued_at,
            read_at=at,
            reaction_s=self._reaction_s,
            segments=schedule.segments,
            stale_after_s=self._options.stale_after_s,
        )
        texts = [*schedule.refusals, *self._unreported, *self._clock_news()]
        self._refused += [text for text in dict.fromkeys(texts) if text not in self._told]
        self._told = frozenset(texts)

    def _clock_news(self) -> list[str]:
        said = ((self._skew.ahead, "ahead of"), (self._skew.behind, "behind"))
        return [
            f"the VTN's clock is up to {long.total_seconds():g} s {where} ours: drops come early and rises late by "
            "that much; synchronise both"
            for long, where in said
            if long.total_seconds() > TOLD_S
        ]

    def _opened(self, scope: str) -> tuple[httpx.AsyncClient, Vtn]:
        """A client, made when it is first needed. Raises `SignalError`."""
        options = self._options
        http = httpx.AsyncClient(
            verify=self._authorities(), timeout=options.timeout_s, trust_env=False, follow_redirects=False
        )
        access = Access(
            url=options.vtn_url,
            token_url=options.token_url,
            client_id=options.client_id,
            scope=scope,
            secret=self._secret,
            allow_http=options.allow_http,
        )
        return http, Vtn(access, http)

    def _authorities(self) -> ssl.SSLContext | bool:
        if self._options.ca_file is None:
            return True
        try:
            return ssl.create_default_context(cafile=self._base / self._options.ca_file)
        except OSError as error:
            raise SignalError(f"ca_file: {self._options.ca_file}: {error}; give a PEM file") from error

    def _secret(self) -> str:
        options = self._options
        if options.client_secret_env is not None:
            secret, where = os.environ.get(options.client_secret_env, ""), options.client_secret_env
        else:
            secret, where = self._from_file(options.client_secret_file or Path()), "client_secret_file"
        if not secret.strip():
            raise SignalError(f"{where} holds no secret; put the one that belongs to client_id there")
        return secret.strip()

    def _from_file(self, path: Path) -> str:
        try:
            return (self._base / path).read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise SignalError(f"client_secret_file: {path} cannot be read: {type(error).__name__}") from error


def skew_of(offset_s: tuple[float, float], before: Skew) -> Skew:
    """What the clocks may differ by, if they do for sure: in whole steps, upward.

    What was found `before` stands while it is enough and hardly too much, so that noise changes nothing.
    """
    least_s, most_s = offset_s
    if least_s > (0.0 if before.ahead else SURE_S):
        return Skew(ahead=_steps(most_s, before.ahead))
    if most_s < (0.0 if before.behind else -SURE_S):
        return Skew(behind=_steps(-least_s, before.behind))
    return Skew()


def _steps(seconds: float, before: timedelta) -> timedelta:
    enough = timedelta(seconds=min(math.ceil(seconds / STEP_S) * STEP_S, MOST_S))
    return before if enough <= before <= enough + timedelta(seconds=STEP_S) else enough


def _by_id(programs: Sequence[Any]) -> dict[str, Mapping[str, Any]]:
    return {
        p["id"]: p for p in programs if isinstance(p, dict) and _is_name(p.get("id"), p.get("programName"))
    }


def _is_name(*values: object) -> bool:
    return all(isinstance(v, str) and v.isprintable() for v in values)


def open_source(name: str, options: Mapping[str, Any], *, base: Path, reaction_s: float) -> OpenAdr:
    """The source that the site file describes. Raises `SettingsError`. Relative paths start at `base`."""
    checked = read_options(OpenAdrOptions, name, options)
    if complaint := checked.complaint():
        raise SettingsError(f"signals: {name}: {complaint}")
    return OpenAdr(name, checked, base=base, reaction_s=reaction_s)
