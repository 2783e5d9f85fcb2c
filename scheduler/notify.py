"""Tells webhooks what became of jobs: from the durable outbox, at least once, beside the loop and never in its way.

A call is signed (`Barq-Signature: t=SECONDS,v1=HMAC-SHA256 of "SECONDS." and the body`), follows no redirect, goes
through no proxy, and is tried again with growing pauses for a day. It goes to an address that was looked at before:
never to link-local ones (where clouds keep their credentials), to private ones and over plain HTTP only if the site
file says `notify: {allow_private: true}`.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import socket
from datetime import datetime, timedelta
from typing import Final

import httpx

from scheduler.errors import StoreError
from scheduler.ports import Clock, Outbox
from scheduler.records import Delivery, Told

AT_ONCE: Final = 4
LOOK_EVERY_S: Final = 1.0
CALL_TIMEOUT_S: Final = 10.0  #: for everything: name, connection, answer
FIRST_RETRY_S: Final = 5.0
LAST_RETRY_S: Final = 3600.0
TRIED_FOR: Final = timedelta(hours=24)
READ_BYTES: Final = 4096  #: of an answer; nobody reads more
_GONE: Final = 410
_MOST_ERROR: Final = 200

log = logging.getLogger(__name__)
logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs whole URLs, and those may hold tokens

_ONE_CALL_EACH: Final = httpx.Limits(max_keepalive_connections=0)
"""A connection is verified for one name, and others may be at the same address."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_OF_A_SITE: Final = ipaddress.IPv6Network("64:ff9b:1::/48")
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")  #: as IPv4 was once written; :: and ::1 are their own
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Forbidden(Exception):
    """The webhook is at an address that this site never calls."""


class Notifier:
    """Empties the outbox, a few calls at a time."""

    def __init__(self, outbox: Outbox, clock: Clock, *, allow_private: bool = False) -> None:
        self._outbox = outbox
        self._clock = clock
        self._allow_private = allow_private
        self._calls: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until cancelled. What was under way then is told again later, under the same id."""
        try:
            async with httpx.AsyncClient(
                follow_redirects=False, trust_env=False, timeout=CALL_TIMEOUT_S, limits=_ONE_CALL_EACH
            ) as client:
                while True:
                    await self._start_due(client)
                    await self._rest()
        finally:
            for call in self._calls.values():
                call.cancel()
            await asyncio.gather(*self._calls.values(), return_exceptions=True)
            self._outbox.close()

    async def _start_due(self, client: httpx.AsyncClient) -> None:
        free = AT_ONCE - len(self._calls)
        if free <= 0:
            return
        try:
            due = await self._outbox.due(self._clock.now(), most=free, without=tuple(self._calls))
        except StoreError as error:
            log.warning("the outbox of webhooks cannot be read: %s", error)
            return
        for delivery in due:
            self._calls[delivery.id] = asyncio.create_task(self._tell(client, delivery))

    async def _rest(self) -> None:
        """Until a call is over, or a second."""
        if not self._calls:
            await self._clock.sleep_s(LOOK_EVERY_S)
            return
        await asyncio.wait(self._calls.values(), timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
        self._calls = {i: call for i, call in self._calls.items() if not call.done()}

    async def _tell(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        told = await self._try(client, delivery)
        if told.error:
            log.warning("%s: webhook (%s) not told: %s", delivery.job_id, delivery.event, told.error)
        try:
            await self._outbox.settle(delivery.id, told)
        except StoreError as error:
            log.warning("%s: what became of a webhook cannot be written: %s", delivery.job_id, error)

    async def _try(self, client: httpx.AsyncClient, delivery: Delivery) -> Told:
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                status = await self._call(client, delivery)
        except Forbidden as error:
            return Told(at=self._clock.now(), is_delivered=False, error=str(error))
        except TimeoutError:
            return self._failed(delivery, None, f"no answer within {CALL_TIMEOUT_S:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            return self._failed(delivery, None, f"{type(error).__name__}: {error}"[:_MOST_ERROR])
        if 200 <= status < 300:  # noqa: PLR2004 - HTTP's success
            return Told(at=self._clock.now(), is_delivered=True, status=status)
        return self._failed(delivery, status, f"it answered {status}")

    def _failed(self, delivery: Delivery, status: int | None, error: str) -> Told:
        at = self._clock.now()
        next_at = None if status == _GONE else retry_at(delivery, at)
        return Told(at=at, is_delivered=False, status=status, error=error, next_at=next_at)

    async def _call(self, client: httpx.AsyncClient, delivery: Delivery) -> int:
        url = httpx.URL(delivery.url)
        if url.scheme != "https" and not self._allow_private:
            raise Forbidden("http is not allowed here; use https")
        address = await self._address(url)
        body = delivery.body.encode()
        request = client.build_request(
            "POST",
            url.copy_with(
                host=str(address)
            ),  # the very address that was looked at, whatever the name says next
            content=body,
            headers=headers(delivery, body, at=self._clock.now()) | {"Host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": url.host},
        )
        answer = await client.send(request, stream=True)
        try:
            await _read_some(answer)
            return answer.status_code
        finally:
            await answer.aclose()

    async def _address(self, url: httpx.URL) -> Address:
        """Where the URL's host is. Every address that its name has must be allowed. Raises `Forbidden`, OSError."""
        port = url.port or (443 if url.scheme == "https" else 80)
        found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        for address in addresses:
            if not is_allowed(address, allow_private=self._allow_private):
                raise Forbidden(f"{address} is not an address that this site may call (notify.allow_private)")
        return addresses[0]


def is_allowed(address: Address, *, allow_private: bool) -> bool:
    """Whether a webhook may be at `address`."""
    inner = _inside(address) if isinstance(address, ipaddress.IPv6Address) else None
    if inner is not None:
        return is_allowed(inner, allow_private=allow_private)
    if isinstance(address, ipaddress.IPv6Address) and (address.is_site_local or address in _NAT64_OF_A_SITE):
        return allow_private
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    return address.is_global or (allow_private and (address.is_private or address.is_loopback))


def _inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address to which a router would hand on what is sent to this one, None where it is one of its own."""
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def retry_at(delivery: Delivery, at: datetime) -> datetime | None:
    """When a call that failed is tried again: later each time, until a day after the event. None = never."""
    pause_s = min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(delivery.tries, 20))
    next_at = at + timedelta(seconds=pause_s)
    return next_at if next_at <= delivery.created_at + TRIED_FOR else None


def headers(delivery: Delivery, body: bytes, *, at: datetime) -> dict[str, str]:
    """What goes with a call: which event, which delivery, and the proof of who sent it and when."""
    told_s = str(int(at.timestamp()))
    digest = hmac.new(delivery.secret.encode(), told_s.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "User-Agent": "barq-webhook",
        "Barq-Event": delivery.event,
        "Barq-Delivery": delivery.id,
        "Barq-Signature": f"t={told_s},v1={digest}",
    }


async def _read_some(answer: httpx.Response) -> None:
    """As much as a short answer has, so that its sender is not cut off."""
    read = 0
    async for piece in answer.aiter_raw(READ_BYTES):
        read += len(piece)
        if read >= READ_BYTES:
            return
