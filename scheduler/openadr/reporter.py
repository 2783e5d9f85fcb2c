"""Registers the site at a VTN and keeps its reports there, over a connection and a token of its own.

Reading the limit shares nothing with it: a VTN that takes no reports, or hangs over one, is read as before.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from scheduler.core.site_state import SiteState
from scheduler.errors import SignalError
from scheduler.openadr.asked import (
    MOST_REQUESTS,
    RESERVATIONS,
    Manner,
    Request,
    of_site,
    requests_of,
)
from scheduler.openadr.client import Busy, Conflict, Missing, Vtn
from scheduler.openadr.events import Event, id_of
from scheduler.openadr.grid import MOST_TOLD, Span, due
from scheduler.openadr.reports import Heading, intervals_of, report_of
from scheduler.openadr.schedule import Skew
from scheduler.openadr.times import ALWAYS, Untrue

_LEAST_WAIT_S: Final = 5.0  #: a VTN that is busy is left alone for so long at least


class ReportOptions(BaseModel):
    """Keys under `reports` of a source: what its VTN is told."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    resource: str = Field(default="site-meter", min_length=1, max_length=128)
    client_name: str | None = Field(default=None, min_length=1, max_length=100)  #: None = `ven_name`
    registers: bool = True  #: False = the utility enters the VEN and its resource itself
    scope: str = "read_targets read_ven_objects write_reports write_vens"
    payloads: tuple[
        str, ...
    ] = ()  #: told unasked, about the event that changed last; none = only what events ask
    interval_s: float = Field(
        default=900.0, ge=10, le=86_400
    )  #: of these, and of intervals that events leave to us
    renew_s: float = Field(
        default=60.0, ge=1, le=86_400
    )  #: what comes is told anew after this, if it changed
    look_every_s: float = Field(default=10.0, ge=1, le=3600)  #: how often it is seen whether a report is due
    shed_within_s: Literal[5, 30, 300] = 300  #: at what notice load is told to be available
    reservation: Literal["IMPORT_RESERVATION_CAPACITY", "IMPORT_CAPACITY_RESERVATION"] | None = None
    """What wanted capacity is called; None = as the event asks for it, and in `payloads` as OpenADR's list has it."""

    def manner(self, ven: str, targets: frozenset[str], unit: str) -> Manner:
        """How it is reported."""
        client = self.client_name or ven
        names = targets | {ven, self.resource, client}
        return Manner(client=client, names=names, unit=unit, own_s=self.interval_s)

    def complaint(self, manner: Manner) -> str | None:
        """What cannot be."""
        try:
            of_site(self.payloads, self.interval_s, "", manner)
        except Untrue as error:
            return f"reports: payloads: {error}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """A report as the VTN has it. `intervals` by their ids."""

    report_id: str
    number: int = -1
    told_s: float = 0.0
    text: str = ""
    intervals: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


Key = tuple[str, str]


class Reporter:
    """What the VTN asks for, and what it was told. One task at a time may `tell`."""

    def __init__(self, options: ReportOptions, manner: Manner, ven: str) -> None:
        self._options, self._manner, self._ven = options, manner, ven
        self._heading = Heading(
            client=manner.client, resource=options.resource, shed_within_s=float(options.shed_within_s)
        )
        self._requests: tuple[Request, ...] = ()
        self._sent: dict[Key, _Sent] = {}
        self._looked: set[str] = set()  #: events whose reports at the VTN are known
        self._registered = not options.registers
        self._wait_until_s = 0.0
        self._busy = ""

    def take(self, documents: Sequence[Any], events: Mapping[str, Event]) -> list[str]:
        """Take in what the VTN asks for by now. What of it cannot be told, in words."""
        refusals: list[str] = []
        asked: list[Request] = []
        for document in documents:
            event = events.get(id_of(document))
            if event is not None:
                asked += requests_of(document, event, self._manner, refusals)
        if len(asked) > MOST_REQUESTS:
            refusals.append(
                f"reportDescriptors: {len(asked)} reports are asked for; {MOST_REQUESTS} are told"
            )
        newest = max(events.values(), key=lambda e: (e.changed_at or ALWAYS, e.id), default=None)
        if newest is not None and self._options.payloads:
            asked += of_site(self._options.payloads, self._options.interval_s, newest.id, self._manner)
        self._requests = tuple(self._spelled(r) for r in asked[-MOST_REQUESTS:])
        return refusals

    async def tell(self, vtn: Vtn, state: SiteState, skew: Skew) -> None:
        """Bring the VTN's reports up to date. Raises `SignalError` with the first thing that went wrong."""
        if time.monotonic() < self._wait_until_s:
            raise SignalError(self._busy)
        try:
            await self._tell(vtn, state, state.at - max(skew.ahead, skew.behind))
        except Busy as busy:
            self._busy = str(busy)
            self._wait_until_s = time.monotonic() + max(busy.retry_s, _LEAST_WAIT_S)
            raise

    async def _tell(self, vtn: Vtn, state: SiteState, at: datetime) -> None:
        if not self._registered:
            await self._register(vtn)
            self._registered = True
        self._forget()
        failure: SignalError | None = None
        for request in self._requests:
            found = due(request.timing, request.grid, at)
            if found is None:
                continue
            try:
                await self._bring(vtn, request, *found, state)
            except Busy:
                raise
            except SignalError as error:  # one report that the VTN does not want keeps no other back
                failure = failure or error
        if failure is not None:
            raise failure

    async def _bring(
        self, vtn: Vtn, request: Request, number: int, spans: Sequence[Span], state: SiteState
    ) -> None:
        """Send one report, if the VTN does not have it like that."""
        key, now_s = (request.event_id, request.name), time.monotonic()
        known = self._sent.get(key)
        is_new = known is None or number > known.number
        if not is_new and not (request.is_live and known and now_s - known.told_s >= self._options.renew_s):
            return
        fresh = {i["id"]: i for i in intervals_of(request, spans, state, self._heading)}
        if not fresh:
            return
        if request.event_id not in self._looked:
            await self._look(vtn, request.event_id)
            known = self._sent.get(key)
        kept = {} if request.timing.ahead or known is None else known.intervals
        merged = dict(sorted({**fresh, **kept}.items())[-MOST_TOLD:])  # what was told of the past stays
        document = report_of(request, list(merged.values()), self._heading)
        text = json.dumps(document, sort_keys=True)
        if known is not None and known.text == text:
            return
        report_id = await self._write(vtn, document, known)
        self._sent[key] = _Sent(report_id=report_id, number=number, told_s=now_s, text=text, intervals=merged)

    async def _write(self, vtn: Vtn, document: Mapping[str, Any], known: _Sent | None) -> str:
        """A new report, or a new version of the one that is there; if that was deleted, a new one."""
        if known is not None:
            try:
                await vtn.replace("reports", known.report_id, document)
            except Missing:
                self._sent.pop((document["eventID"], document["reportName"]), None)
            else:
                return known.report_id
        try:
            return await vtn.create("reports", document)
        except Conflict:
            self._looked.discard(document["eventID"])  # it is looked for at the next try
            raise

    async def _look(self, vtn: Vtn, event_id: str) -> None:
        """Which reports of ours on an event the VTN has, as from before a restart: they are gone on with."""
        for told in await vtn.found("reports", {"clientName": self._heading.client, "eventID": event_id}):
            if (
                isinstance(told, dict)
                and told.get("eventID") == event_id
                and told.get("clientName") == self._heading.client
            ):
                name, report_id = told.get("reportName"), told.get("id")
                if isinstance(name, str) and isinstance(report_id, str) and report_id:
                    known = self._sent.get((event_id, name), _Sent(report_id=report_id))
                    self._sent[event_id, name] = replace(
                        known, report_id=report_id, intervals=_intervals(told) | dict(known.intervals)
                    )
        self._looked.add(event_id)

    def _forget(self) -> None:
        """What was told of events that the VTN shows no more."""
        events = {r.event_id for r in self._requests}
        self._sent = {key: sent for key, sent in self._sent.items() if key[0] in events}
        self._looked &= events

    def _spelled(self, request: Request) -> Request:
        """Wanted capacity goes by the name that the site file says."""
        spelled = self._options.reservation or (RESERVATIONS[0] if request.is_live else None)
        if spelled is None:
            return request
        payloads = (replace(p, kind=spelled) if p.kind in RESERVATIONS else p for p in request.payloads)
        return replace(request, payloads=tuple(dict.fromkeys(payloads)))

    # -- registration ----------------------------------------------------------------------------------------------

    async def _register(self, vtn: Vtn) -> None:
        """The VEN and its resource are there, by their names."""
        ven = {"objectType": "VEN_VEN_REQUEST", "venName": self._ven}
        ven_id = await _upsert(vtn, "vens", "venName", ven, {})
        resource = {
            "objectType": "VEN_RESOURCE_REQUEST",
            "resourceName": self._options.resource,
            "venID": ven_id,
        }
        await _upsert(vtn, "resources", "resourceName", resource, {"venID": ven_id})


async def _upsert(
    vtn: Vtn, what: str, field_name: str, document: Mapping[str, str], query: Mapping[str, str]
) -> str:
    """The id of the object of that name, made if it is not there. Who comes first with the name does no harm."""
    name = document[field_name]
    found = await _named(vtn, what, field_name, name, query)
    if found is not None:
        return found
    try:
        return await vtn.create(what, document)
    except Conflict:
        found = await _named(vtn, what, field_name, name, query)
        if found is None:
            raise
        return found


async def _named(vtn: Vtn, what: str, field_name: str, name: str, query: Mapping[str, str]) -> str | None:
    for found in await vtn.found(what, {**query, field_name: name}):
        if isinstance(found, dict) and found.get(field_name) == name and isinstance(found.get("id"), str):
            return str(found["id"])
    return None


def _intervals(report: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """What a report that is at the VTN tells, as far as it has the shape of ours."""
    resources = report.get("resources")
    first = resources[0] if isinstance(resources, list) and resources else None
    told = first.get("intervals") if isinstance(first, dict) else None
    if not isinstance(told, list):
        return {}
    return {
        i["id"]: i
        for i in told[-MOST_TOLD:]
        if isinstance(i, dict) and isinstance(i.get("id"), int) and isinstance(i.get("payloads"), list)
    }
