"""Outlets opened from what group.json says: secrets, certificates, and PDUs that answer strangely."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scheduler.core.pdu_tables import TABLES
from scheduler.core.pdus import Feed, Outlets, Pdu, SecretPlace, SimulatedPdu, SnmpPdu
from tests.outlets.benches import WRONG, opened, patient, place, redfish_of, snmp_of
from tests.outlets.redfish_pdu import OUTLETS, PASSWORD, RedfishPdu, redfish_pdu
from tests.outlets.strip import Strip
from workers.outlet_opening import open_outlets
from workers.outlets.port import OutletError, OutletReading


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    patient(monkeypatch)


@pytest.fixture
def pdu() -> Iterator[RedfishPdu]:
    """A PDU over plain HTTP."""
    with redfish_pdu(Strip()) as made:
        yield made


async def test_each_machine_gets_its_outlet_and_all_of_a_pdu_share_a_line(
    pdu: RedfishPdu, tmp_path: Path
) -> None:
    """The first that is closed leaves the line to the others."""
    described = redfish_of(pdu.url, tmp_path)
    feeds = tuple(Feed(machine=f"10.1.0.{i}", pdu="pdu-a", outlet=str(i)) for i in (1, 2))
    outlets = open_outlets(Outlets(pdus=(described,), feeds=feeds))

    assert [o.address for o in outlets.values()] == [
        f"pdu-a (127.0.0.1:{pdu.port}) outlet {i}" for i in (1, 2)
    ]
    await outlets["10.1.0.1"].close()
    assert await outlets["10.1.0.2"].read() == OutletReading(is_on=True, draw_w=3002.0)
    await outlets["10.1.0.2"].close()


async def test_a_secret_that_is_changed_in_its_place_is_taken_once_it_is_needed(
    pdu: RedfishPdu, tmp_path: Path
) -> None:
    """The call that is turned away finds the new one for the next; nothing is opened anew without that."""
    async with opened(redfish_of(pdu.url, tmp_path, secret=WRONG), "3") as outlet:
        for _ in range(2):
            with pytest.raises(OutletError):
                await outlet.read()
        place(tmp_path, "password", PASSWORD)
        with pytest.raises(OutletError):
            await outlet.read()
        assert (await outlet.read()).is_on
        place(tmp_path, "password", "")
        assert (await outlet.read()).is_on


async def test_a_played_pdu_opens_too() -> None:
    """A site that is played has outlets as others have."""
    feed = Feed(machine="m", pdu="p", outlet="1")
    outlet = open_outlets(Outlets(pdus=(SimulatedPdu(name="p"),), feeds=(feed,)))["m"]
    await outlet.switch(is_on=False)
    assert not (await outlet.read()).is_on


async def said(pdu: Pdu) -> str:
    """What the first call to an outlet of it says."""
    async with opened(pdu, "3") as outlet:
        with pytest.raises(OutletError) as caught:
            await outlet.read()
    return str(caught.value)


async def test_a_secret_is_looked_for_until_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is missing is named by its place, stops no other PDU, and needs no restart."""
    with redfish_pdu(Strip()) as one, redfish_pdu(Strip()) as two:
        lacking = replace(
            redfish_of(one.url, tmp_path), name="pdu-b", password=SecretPlace(env="PDU_PASSWORD")
        )
        feeds = (Feed(machine="a", pdu="pdu-a", outlet="3"), Feed(machine="b", pdu="pdu-b", outlet="4"))
        outlets = open_outlets(Outlets(pdus=(redfish_of(two.url, tmp_path), lacking), feeds=feeds))

        assert (await outlets["a"].read()).is_on
        with pytest.raises(OutletError, match=r"outlet 4: password_env: PDU_PASSWORD is empty; set it where"):
            await outlets["b"].read()
        monkeypatch.setenv("PDU_PASSWORD", PASSWORD)
        assert (await outlets["b"].read()).is_on
        for outlet in outlets.values():
            await outlet.close()


async def test_a_secret_that_cannot_be_read_is_named_by_its_place(tmp_path: Path) -> None:
    """A file that is missing, or empty, or no text."""
    missing = replace(snmp_of(1, "apc", tmp_path), community=SecretPlace(file=str(tmp_path / "none")))
    assert "none: No such file or directory; put the community there" in await said(missing)
    empty = replace(missing, community=place(tmp_path, "empty", ""))
    assert "is empty; write it there" in await said(empty)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    binary = replace(missing, community=SecretPlace(file=str(tmp_path / "binary")))
    assert "is no text in UTF-8" in await said(binary)


async def test_a_key_that_is_too_short_is_refused(tmp_path: Path) -> None:
    """SNMP version 3 asks for eight characters, and agents refuse less without a word."""
    short = replace(snmp_of(1, "snmp3", tmp_path), priv_key=place(tmp_path, "short", "seven77"))
    assert "priv_key has 7 characters; SNMP version 3 asks for 8" in await said(short)


@pytest.mark.parametrize(
    "status, body, words",
    [
        (200, b"{", "broken JSON"),
        (200, b"[]", "no object"),
        (200, b'{"Name": "a miner"}', "is this a Redfish outlet"),
        (
            503,
            b'{"error": {"@Message.ExtendedInfo": [{"Message": "busy"}]}}',
            "said 503 to GET .*: busy; look at",
        ),
        (500, b"<html>", "said 500 to GET .*<html>"),
    ],
)
async def test_an_answer_that_is_none_is_said(
    pdu: RedfishPdu, tmp_path: Path, status: int, body: bytes, words: str
) -> None:
    """Whatever comes back, the error names PDU and outlet and what was said."""
    pdu.status, pdu.body = status, body
    async with opened(redfish_of(pdu.url, tmp_path), "3") as outlet:
        with pytest.raises(OutletError, match=rf"pdu-a .* outlet 3: .*{words}"):
            await outlet.read()


@pytest.mark.parametrize(
    "actions, words",
    [
        ({}, "only measures"),
        ({"#Outlet.PowerControl": {"target": "https://elsewhere/redfish/v1/x"}}, "no path of its own"),
        (
            {
                "#Outlet.PowerControl": {
                    "target": f"{OUTLETS}/3/x",
                    "PowerState@Redfish.AllowableValues": ["PowerCycle"],
                }
            },
            "takes .*PowerCycle.* and not Off",
        ),
    ],
)
async def test_an_outlet_that_cannot_be_switched_says_why(
    pdu: RedfishPdu, tmp_path: Path, actions: object, words: str
) -> None:
    """Nothing is posted anywhere."""
    pdu.body = json.dumps({"PowerState": "On", "Actions": actions}).encode()
    async with opened(redfish_of(pdu.url, tmp_path), "3") as outlet:
        with pytest.raises(OutletError, match=words):
            await outlet.switch(is_on=False)
    assert all(asked.startswith("GET") for asked in pdu.asked)


async def test_a_target_that_moved_is_looked_up_again(pdu: RedfishPdu, tmp_path: Path) -> None:
    """After a new firmware the first try fails, and the next finds it."""
    async with opened(redfish_of(pdu.url, tmp_path), "3") as outlet:
        await outlet.switch(is_on=False)
        pdu.target = f"{OUTLETS}/{{}}/Actions/Outlet.PowerControl"
        with pytest.raises(OutletError, match="404"):
            await outlet.switch(is_on=True)
        await outlet.switch(is_on=True)
    assert pdu.strip.told == [("3", False), ("3", True)]


async def test_only_the_pinned_certificate_counts(tmp_path: Path) -> None:
    """A PDU that signs its own is known by that very certificate, whatever name is in it, and by no other."""
    mine, other = certificate(tmp_path, "pdu"), certificate(tmp_path, "other")
    with redfish_pdu(Strip(), certificate=mine) as pdu:
        async with opened(redfish_of(pdu.url, tmp_path, pinned_file=str(mine[0])), "3") as outlet:
            assert (await outlet.read()).is_on
        async with opened(redfish_of(pdu.url, tmp_path, pinned_file=str(other[0])), "3") as outlet:
            with pytest.raises(
                OutletError, match="certificate is not vouched for; check ca_file or pinned_file"
            ):
                await outlet.read()
    lost = redfish_of(pdu.url, tmp_path, pinned_file=str(tmp_path / "none.pem"))
    assert "none.pem: No such file or directory; put a certificate in PEM there" in await said(lost)


async def test_a_pdu_that_is_not_there_is_said(tmp_path: Path) -> None:
    """A refused connection, and a name that nobody knows."""
    with redfish_pdu(Strip()) as pdu:
        url = pdu.url
    async with opened(redfish_of(url, tmp_path), "3") as outlet:
        with pytest.raises(
            OutletError, match=r"cannot be asked .*check its address, and that Redfish is on there"
        ):
            await outlet.read()
    unknown = SnmpPdu(
        name="pdu-a", host="pdu.invalid", table=TABLES["apc"], community=place(tmp_path, "c", "community")
    )
    async with opened(unknown, "3") as outlet:
        with pytest.raises(OutletError, match=r"cannot be asked .*check host"):
            await outlet.read()


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """One that signs itself, and its key."""
    paths = (folder / f"{name}.pem", folder / f"{name}.key")
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make += ["-subj", f"/CN={name}", "-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run(make, check=True, capture_output=True)
    return paths
