"""The outlets of a group of miners, made from what group.json says of their PDUs. Secrets are read here and kept here.

A PDU is opened when one of its outlets is first used. What is wrong with it (a secret that is not there, a certificate)
is then an OutletError of that outlet, at each call until it is mended: it stops no other.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, assert_never
from urllib.parse import urlsplit

from scheduler.core.pdus import Feed, Outlets, Pdu, RedfishPdu, SecretPlace, SimulatedPdu, SnmpPdu
from workers.outlets.port import Outlet, OutletError, OutletReading
from workers.outlets.redfish import RedfishAccess, RedfishLine, RedfishOutlet
from workers.outlets.simulated import SimulatedOutlet
from workers.outlets.snmp import SnmpAccess, SnmpLine, SnmpOutlet

Opener = Callable[[Feed], Outlet]
_HTTPS_PORT: Final = 443
_HTTP_PORT: Final = 80
_LEAST_KEY: Final = 8  #: RFC 3414, section 11.2


def open_outlets(outlets: Outlets) -> dict[str, Outlet]:
    """The outlet of each machine that has one, by the name that the site file gives the machine.

    All are used in one event loop. The outlets of a PDU share one line to it; close each.
    """
    pdus: Mapping[str, Pdu] = {pdu.name: pdu for pdu in outlets.pdus}
    openers = {name: _Opener(pdu) for name, pdu in pdus.items()}
    return {feed.machine: _Unopened(feed, pdus[feed.pdu], openers[feed.pdu]) for feed in outlets.feeds}


class _Opener:
    """Makes the outlets of one PDU, once what it takes can be read. Raises OutletError."""

    def __init__(self, pdu: Pdu) -> None:
        self._pdu = pdu
        self._made: Opener | None = None
        self._secrets: tuple[str, ...] = ()
        self.age = 0  #: grows with each new set of secrets

    def __call__(self, feed: Feed) -> Outlet:
        if self._made is None:
            secrets = _secrets(self._pdu)
            self._made, self._secrets = _opened(self._pdu), secrets
        return self._made(feed)

    def look(self) -> None:
        """Whoever was turned away asks this: perhaps its secrets were changed in their places."""
        try:
            is_same = self._made is None or _secrets(self._pdu) == self._secrets
        except OutletError:
            return  # they are being written: what is open stays so
        if not is_same:
            self._made = None
            self.age += 1


class _Unopened:
    """An outlet, opened at its first call, and anew once a call failed and the secrets are others."""

    def __init__(self, feed: Feed, pdu: Pdu, opener: _Opener) -> None:
        self._address = _address(feed, pdu)
        self._feed, self._opener = feed, opener
        self._outlet: Outlet | None = None
        self._age = 0
        self._is_closed = False

    @property
    def address(self) -> str:
        """PDU and outlet, as errors and the record name them."""
        return self._address

    async def read(self) -> OutletReading:
        """Its state and draw now."""
        outlet = await self._opened()
        try:
            return await outlet.read()
        except OutletError:
            self._opener.look()
            raise

    async def switch(self, *, is_on: bool) -> None:
        """Turn it on or off."""
        outlet = await self._opened()
        try:
            await outlet.switch(is_on=is_on)
        except OutletError:
            self._opener.look()
            raise

    async def close(self) -> None:
        """Let go of it for good."""
        self._is_closed = True
        if self._outlet is not None:
            await self._outlet.close()

    async def _opened(self) -> Outlet:
        if self._outlet is not None and self._age != self._opener.age:
            old, self._outlet = self._outlet, None
            await old.close()
        if self._outlet is None:
            if self._is_closed:
                raise OutletError(f"{self._address}: is closed; open it anew")
            try:
                self._outlet, self._age = self._opener(self._feed), self._opener.age
            except OutletError as error:
                raise OutletError(f"{self._address}: {error}") from error
        return self._outlet


def _opened(pdu: Pdu) -> Opener:
    match pdu:
        case SnmpPdu():
            snmp = SnmpLine(_snmp_access(pdu))
            return lambda feed: SnmpOutlet(snmp, feed.outlet, pdu.table, address=_address(feed, pdu))
        case RedfishPdu():
            redfish = RedfishLine(_redfish_access(pdu))
            return lambda feed: RedfishOutlet(redfish, feed.outlet, address=_address(feed, pdu))
        case SimulatedPdu():
            return lambda feed: SimulatedOutlet(_address(feed, pdu))
        case _:
            assert_never(pdu)


def _address(feed: Feed, pdu: Pdu) -> str:
    match pdu:
        case SnmpPdu(host=host):
            where = host
        case RedfishPdu(url=url):
            where = urlsplit(url).netloc
        case SimulatedPdu():
            where = "simulated"
        case _:
            assert_never(pdu)
    return f"{feed.pdu} ({where}) outlet {feed.outlet}"


def _snmp_access(pdu: SnmpPdu) -> SnmpAccess:
    access = SnmpAccess(
        host=pdu.host,
        port=pdu.port,
        community=_secret("community", pdu.community),
        user=pdu.user,
        auth_protocol=pdu.auth_protocol,
        auth_key=_secret("auth_key", pdu.auth_key),
        priv_protocol=pdu.priv_protocol,
        priv_key=_secret("priv_key", pdu.priv_key),
    )
    for what, key in (("auth_key", access.auth_key), ("priv_key", access.priv_key)):
        if not access.community and len(key) < _LEAST_KEY:
            raise OutletError(
                f"{pdu.name}: {what} has {len(key)} characters; SNMP version 3 asks for {_LEAST_KEY}"
            )
    return access


def _redfish_access(pdu: RedfishPdu) -> RedfishAccess:
    parts = urlsplit(pdu.url)
    is_tls = parts.scheme == "https"
    return RedfishAccess(
        host=parts.hostname or "",
        port=parts.port or (_HTTPS_PORT if is_tls else _HTTP_PORT),
        rack_pdu=pdu.rack_pdu,
        user=_secret("username", pdu.username),
        password=_secret("password", pdu.password),
        tls=_tls(pdu) if is_tls else None,
    )


def _tls(pdu: RedfishPdu) -> ssl.SSLContext:
    file = pdu.pinned_file or pdu.ca_file or None
    try:
        context = ssl.create_default_context(cafile=file)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise OutletError(f"{file}: {why}; put a certificate in PEM there") from error
    if pdu.pinned_file:  # that very certificate, so its name adds nothing
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _secrets(pdu: Pdu) -> tuple[str, ...]:
    """All that opens it, as it is in its places now."""
    named = ("community", "auth_key", "priv_key", "username", "password")
    places = {what: getattr(pdu, what, None) for what in named}
    return tuple(_secret(what, place) for what, place in places.items())


def _secret(what: str, place: SecretPlace | None) -> str:
    """A secret without its line end; "" where none is named."""
    if place is None:
        return ""
    if place.env:
        found, where, remedy = (
            os.environ.get(place.env, ""),
            f"{what}_env: {place.env}",
            "set it where the guard runs",
        )
    else:
        found, where, remedy = _text(what, place.file), f"{what}_file: {place.file}", "write it there"
    if not found:
        raise OutletError(f"{where} is empty; {remedy}")
    return found


def _text(what: str, file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "is no text in UTF-8"
        raise OutletError(f"{what}_file: {file}: {why}; put the {what} there") from error
