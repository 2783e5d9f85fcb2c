"""An SNMP agent that answers what nobody asked: each answer is refused with what it said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto import api

from scheduler.core.pdu_tables import TABLES
from tests.outlets.benches import opened, patient, snmp_of
from tests.outlets.snmp_agent import snmp_agent
from tests.outlets.strip import Strip
from workers.outlets import snmp as snmp_driver
from workers.outlets.port import OutletError, OutletReading

V2C = api.PROTOCOL_MODULES[api.SNMP_VERSION_2C]
Answer = list[tuple[Any, Any]]


class Liar(asyncio.DatagramProtocol):
    """Answers each request with what `twist` makes of a good answer."""

    def __init__(self, twist: Callable[[Answer], Answer]) -> None:
        self.twist = twist
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        request, _ = decoder.decode(data, asn1Spec=V2C.Message())
        response = V2C.apiMessage.get_response(request)
        asked = V2C.apiPDU.get_varbinds(V2C.apiMessage.get_pdu(request))
        good = [(oid, V2C.Integer(2)) for oid, _ in asked]
        V2C.apiPDU.set_varbinds(V2C.apiMessage.get_pdu(response), self.twist(good))
        self.transport.sendto(encoder.encode(response), address)


@asynccontextmanager
async def liar(twist: Callable[[Answer], Answer]) -> AsyncIterator[int]:
    """The port of one."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Liar(twist), local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()
        await asyncio.sleep(0)  # it closes in the next round of the loop


@pytest.mark.parametrize(
    "twist, words",
    [
        (lambda good: good[:1], "which was not asked"),
        (
            lambda good: [(V2C.ObjectIdentifier("1.3.6.1.9"), v) for _, v in good],
            r"answers for 1\.3\.6\.1\.9",
        ),
        (lambda good: [], "answers for nothing"),
        (lambda good: [(oid, V2C.OctetString("on")) for oid, _ in good], "no number; correct its OIDs"),
        (lambda good: [(oid, V2C.Null("")) for oid, _ in good], "no number; correct its OIDs"),
        (lambda good: [good[0], (good[1][0], V2C.Counter64(2**40))], "which no outlet draws"),
    ],
    ids=["fewer", "others", "none", "text", "null", "huge"],
)
async def test_what_was_not_asked_is_refused(
    twist: Callable[[Answer], Answer], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names PDU and outlet, and what was said."""
    patient(monkeypatch)
    async with liar(twist) as port, opened(snmp_of(port, "apc", tmp_path), "3") as outlet:
        with pytest.raises(OutletError, match=rf"pdu-a \(127\.0\.0\.1\) outlet 3: .*{words}"):
            await outlet.read()


async def test_what_was_asked_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same agent, honest."""
    patient(monkeypatch)
    async with liar(lambda good: good) as port, opened(snmp_of(port, "apc", tmp_path), "3") as outlet:
        assert await outlet.read() == OutletReading(is_on=True, draw_w=2.0)


@pytest.mark.parametrize("kind", ["apc", "snmp3"])
async def test_a_pdu_that_was_started_anew_is_met_as_a_stranger(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By version 3 its clock and its keys are others than before: the next call succeeds all the same."""
    patient(monkeypatch)
    monkeypatch.setattr(snmp_driver, "_RESEND_S", 1.0)
    strip = Strip()
    async with snmp_agent(TABLES["apc"], strip) as agent:
        port = agent.port
        line = opened(snmp_of(port, kind, tmp_path), "3")
        outlet = await line.__aenter__()
        assert (await outlet.read()).is_on
    async with snmp_agent(TABLES["apc"], strip, port=port):
        await outlet.switch(is_on=False)
        assert not (await outlet.read()).is_on
    await line.__aexit__(None, None, None)
