"""The outlets of a group of miners, made from what group.json says of their PDUs. Secrets are read here and kept here.

Raises OutletError where a secret or a certificate cannot be read, or a protocol has no such name; nothing is asked yet.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import assert_never
from urllib.parse import urlsplit

from scheduler.core.pdus import Feed, Outlets, Pdu, RedfishPdu, SecretPlace, SimulatedPdu, SnmpPdu
from workers.outlets.port import Outlet, OutletError
from workers.outlets.redfish import RedfishAccess, RedfishLine, RedfishOutlet
from workers.outlets.simulated import SimulatedOutlet
from workers.outlets.snmp import SnmpAccess, SnmpLine, SnmpOutlet

Opener = Callable[[Feed], Outlet]
_HTTPS_PORT = 443
_HTTP_PORT = 80
_LEAST_KEY = 8  #: RFC 3414, section 11.2


def open_outlets(outlets: Outlets) -> dict[str, Outlet]:
    """The outlet of each machine that has one, by the name that the site file gives the machine.

    Call it in the event loop that will use them. All outlets of a PDU share one line to it; close each.
    """
    openers: Mapping[str, Opener] = {pdu.name: _opener(pdu) for pdu in outlets.pdus}
    return {feed.machine: openers[feed.pdu](feed) for feed in outlets.feeds}


def _opener(pdu: Pdu) -> Opener:
    match pdu:
        case SnmpPdu():
            snmp = SnmpLine(_snmp_access(pdu))
            return lambda feed: SnmpOutlet(snmp, feed.outlet, pdu.table, address=_address(feed, pdu.host))
        case RedfishPdu():
            redfish = RedfishLine(_redfish_access(pdu))
            host = urlsplit(pdu.url).netloc
            return lambda feed: RedfishOutlet(redfish, feed.outlet, address=_address(feed, host))
        case SimulatedPdu():
            return lambda feed: SimulatedOutlet(_address(feed, "simulated"))
        case _:
            assert_never(pdu)


def _address(feed: Feed, host: str) -> str:
    return f"{feed.pdu} ({host}) outlet {feed.outlet}"


def _snmp_access(pdu: SnmpPdu) -> SnmpAccess:
    access = SnmpAccess(
        host=pdu.host,
        port=pdu.port,
        community=_secret(pdu.name, "community", pdu.community),
        user=pdu.user,
        auth_protocol=pdu.auth_protocol,
        auth_key=_secret(pdu.name, "auth_key", pdu.auth_key),
        priv_protocol=pdu.priv_protocol,
        priv_key=_secret(pdu.name, "priv_key", pdu.priv_key),
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
        user=_secret(pdu.name, "username", pdu.username),
        password=_secret(pdu.name, "password", pdu.password),
        tls=_tls(pdu) if is_tls else None,
    )


def _tls(pdu: RedfishPdu) -> ssl.SSLContext:
    file = pdu.pinned_file or pdu.ca_file or None
    try:
        context = ssl.create_default_context(cafile=file)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise OutletError(f"{pdu.name}: {file}: {why}; put a certificate in PEM there") from error
    if pdu.pinned_file:  # that very certificate, so its name adds nothing
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _secret(pdu: str, what: str, place: SecretPlace | None) -> str:
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
        found, where, remedy = _text(pdu, what, place.file), f"{what}_file: {place.file}", "write it there"
    if not found:
        raise OutletError(f"{pdu}: {where} is empty; {remedy}")
    return found


def _text(pdu: str, what: str, file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "is no text in UTF-8"
        raise OutletError(f"{pdu}: {what}_file: {file}: {why}; put the {what} there") from error
