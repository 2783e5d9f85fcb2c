"""A controller over Redfish, the emulator of sushy-tools behind it, and everything that can be wrong with one."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from scheduler.connections.bmc_options import BmcOptions
from scheduler.connections.redfish import DENIED_PAUSE_S, LONGEST_PAUSE_S, Bmc
from scheduler.connections.redfish_documents import HostState
from scheduler.connections.redfish_host import RedfishHost
from scheduler.core.orders import NodePower
from scheduler.errors import HostError, HostRefused
from tests.one_sleeper import Bench
from tests.redfish_peer import PASSWORD, ROOT, SYSTEMS, Controller, controller

Opened = Callable[..., RedfishHost]


@pytest.fixture
def peer() -> Iterator[Controller]:
    """The controller of one machine."""
    with controller() as made:
        yield made


class Time:
    """Of the client."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s


@pytest.fixture
def time() -> Time:
    """As a test sets it."""
    return Time()


@pytest.fixture
async def opened(peer: Controller, time: Time, tmp_path: Path) -> AsyncIterator[Opened]:
    """The machine, with these options changed."""
    hosts: list[RedfishHost] = []

    def client(name: str, options: BmcOptions, *, base: Path) -> Bmc:
        return Bmc(name, options, base=base, monotonic_s=time.monotonic_s)

    def open_(**changes: Any) -> RedfishHost:
        options = BmcOptions.model_validate(peer.options(tmp_path, **changes))
        hosts.append(RedfishHost("gpu-1", options, base=tmp_path, bmc=client))
        return hosts[-1]

    yield open_
    for host in hosts:
        await host.close()


@pytest.mark.parametrize("shape", ["power", "metrics", "supplies"])
async def test_the_reading_is_found_wherever_it_is(peer: Controller, opened: Opened, shape: str) -> None:
    """In the newer schema, the older one, or the power supplies that are fitted; once found, it is asked there."""
    peer.shape = shape
    host = opened()
    assert await host.read_w() == 800.0
    peer.draw_w, before = 640.0, len(peer.asked)
    assert await host.read_w() == 640.0
    assert len(peer.asked) - before == (2 if shape == "supplies" else 1)


async def test_a_named_sensor_is_read_instead(peer: Controller, opened: Opened, tmp_path: Path) -> None:
    """Below the chassis; one that is not there is said to be missing."""
    chassis = await _chassis(opened())
    with pytest.raises(HostError, match=rf"{chassis}/Sensors/Total: there is no such document"):
        await opened(sensor="Total").read_w()


async def _chassis(host: RedfishHost) -> str:
    places = await host._find()
    document = await host._bmc.get(places.system)
    return str(document["Links"]["Chassis"][0]["@odata.id"])


async def test_a_chassis_without_power_says_so(peer: Controller, opened: Opened) -> None:
    """And one without a limit."""
    peer.shape = "none"
    host = opened()
    for ask in (host.read_w, host.limit_w):
        with pytest.raises(HostRefused, match="its chassis"):
            await ask()
    assert await host.state() is HostState.ON


async def test_a_reading_that_comes_only_once_the_machine_is_on_is_found(
    peer: Controller, opened: Opened
) -> None:
    """Some controllers show none, nor where it would be, of a machine that is off."""
    peer.shape = "none"
    host = opened()
    with pytest.raises(HostRefused, match="shows no power"):
        await host.read_w()
    peer.shape = "metrics"
    assert await host.read_w() == 800.0


async def test_of_several_machines_one_is_named(opened: Opened) -> None:
    """None is guessed."""
    with pytest.raises(HostRefused, match=f"system: not given, and it has {SYSTEMS[0]}, .*; name one"):
        await opened(system="").state()
    with pytest.raises(HostRefused, match="system: 'x'"):
        await opened(system="x").state()


async def test_one_session_serves_all_questions_and_is_ended(peer: Controller, opened: Opened) -> None:
    """Controllers have room for few. One that was ended behind our back is opened anew, once."""
    host = opened()
    await host.read_w()
    await host.state()
    assert (peer.logins, len(peer.tokens)) == (1, 1)
    peer.tokens.clear()
    assert await host.read_w() == 800.0
    assert peer.logins == 2
    await host.close()
    assert not peer.tokens


async def test_without_sessions_name_and_password_go_along(peer: Controller, opened: Opened) -> None:
    """As the emulator alone wants it."""
    peer.has_sessions = False
    assert await opened().read_w() == 800.0
    assert peer.logins == 0


@pytest.mark.parametrize("has_sessions", [True, False])
async def test_a_wrong_password_is_tried_once(
    peer: Controller, opened: Opened, time: Time, tmp_path: Path, has_sessions: bool
) -> None:
    """Many controllers lock an account. The right one counts at once, and no error shows either."""
    peer.has_sessions = has_sessions
    host = opened()
    (tmp_path / "password").write_text("wrong:word", encoding="utf-8")
    for _ in range(3):
        with pytest.raises(HostRefused) as error:
            await host.read_w()
        assert "wrong:word" not in str(error.value)
    tries = [a for a in peer.asked if "Sessions" in a or a == f"GET {ROOT}/Systems"]
    assert len(tries) <= 1
    time.now_s += DENIED_PAUSE_S
    with pytest.raises(HostRefused):
        await host.read_w()
    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    assert await host.read_w() == 800.0


async def test_a_controller_that_fails_is_left_alone_for_a_while(
    peer: Controller, opened: Opened, time: Time
) -> None:
    """Longer each time, up to a bound; once it answers it is asked as before."""
    host = opened()
    await host.read_w()
    peer.status, asked_at = 503, []
    while time.now_s < 4 * LONGEST_PAUSE_S:
        before = len(peer.asked)
        with pytest.raises(HostError, match=r"gpu-1.* answered 503"):
            await host.read_w()
        if len(peer.asked) > before:
            asked_at.append(time.now_s)
        time.now_s += 0.25
    gaps = [b - a for a, b in pairwise(asked_at)]
    assert gaps == sorted(gaps)
    assert (gaps[0], gaps[-1]) == (0.25, LONGEST_PAUSE_S)
    peer.status = 200
    time.now_s += LONGEST_PAUSE_S
    assert await host.read_w() == 800.0


async def test_a_controller_that_hangs_has_its_time(peer: Controller, opened: Opened) -> None:
    """The whole answer, not one read of it."""
    peer.hangs = True
    with pytest.raises(HostError, match=r"no answer within 0\.1 s"):
        await opened(timeout_s=0.1).read_w()
    peer.release.set()


@pytest.mark.parametrize(
    "body, complaint",
    [
        (b"", "no JSON"),
        (b"<html>", "no JSON"),
        (b"[]", "no object"),
        (b'{"Systems": {"@odata.id": "//evil.example/redfish/v1"}}', "leads to"),
        (b'{"Systems": {"@odata.id": "/redfish/v1/../admin"}}', "leads to"),
        (
            b'{"Links": {"Sessions": {"@odata.id": "https://evil.example/redfish/v1"}}}',
            "leads to|it has none",
        ),
        (b'{"Members": [7]}', "it has none|no list"),
        (b'{"a": NaN}', "NaN"),
        (b" " * 1_100_000, "more than 1000000 bytes"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    peer: Controller, opened: Opened, body: bytes, complaint: str
) -> None:
    """It names the node; nothing is sent elsewhere."""
    peer.body = body
    with pytest.raises(HostRefused, match=rf"gpu-1.*({complaint})"):
        await opened(username_file=None, password_file=None).read_w()
    with pytest.raises(HostRefused, match="gpu-1"):
        await opened().read_w()


@pytest.mark.parametrize("draw_w", [None, "800", True, [800], float("nan"), -1])
async def test_a_reading_that_cannot_be_is_refused(peer: Controller, opened: Opened, draw_w: Any) -> None:
    """And the way to it is not forgotten."""
    peer.draw_w = draw_w
    host = opened()
    with pytest.raises(HostRefused):
        await host.read_w()
    peer.draw_w = 810
    assert await host.read_w() == 810.0


async def test_a_limit_beyond_what_the_machine_allows_is_not_sent(peer: Controller, opened: Opened) -> None:
    """It says so itself."""
    peer.shape = "metrics"
    host = opened()
    with pytest.raises(HostRefused, match="AllowableMin, 200 W"):
        await host.set_limit_w(100.0)
    with pytest.raises(HostRefused, match="AllowableMax, 3000 W"):
        await host.set_limit_w(3001.0)
    assert not [a for a in peer.asked if a.startswith("PATCH")]


@pytest.mark.parametrize("shape", ["power", "metrics"])
async def test_a_limit_is_set_although_the_document_changes(
    peer: Controller, opened: Opened, shape: str
) -> None:
    """It is got anew for each try; not for ever."""
    peer.shape, peer.changes = shape, 2
    host = opened()
    await host.set_limit_w(600.0)
    assert await host.limit_w() == 600.0
    peer.changes = 3
    with pytest.raises(HostRefused, match="changed meanwhile"):
        await host.set_limit_w(None)


async def test_it_is_switched_only_as_it_says_it_can_be(peer: Controller, opened: Opened) -> None:
    """A machine that cannot be shut down gently is not cut instead: that is another's decision."""
    peer.allowed = ("ForceOff", "ForceOn")
    host = opened()
    with pytest.raises(HostRefused, match="by ForceOff, ForceOn, and not by GracefulShutdown"):
        await host.turn_off()
    await host.turn_off(force=True)
    await host.turn_on()
    assert peer.resets == ["ForceOff", "ForceOn"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Each signed by itself, with its key: of this machine, and of another name."""
    made = {}
    for name, subject in (("here", "IP:127.0.0.1"), ("elsewhere", "DNS:bmc.example")):
        folder = tmp_path_factory.mktemp(name)
        pem, key = folder / "cert.pem", folder / "key.pem"
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        make += ["-nodes", "-days", "1", "-subj", "/CN=bmc", "-addext", f"subjectAltName={subject}"]
        subprocess.run([*make, "-keyout", key, "-out", pem], check=True, capture_output=True)
        made[name] = (pem, key)
    return made


@pytest.mark.parametrize(
    "shown, option, given, is_trusted",
    [
        ("here", "ca_file", "here", True),
        ("here", "ca_file", "elsewhere", False),
        ("here", "pinned_file", "here", True),
        ("elsewhere", "ca_file", "elsewhere", False),  # vouched for, but for another name
        ("elsewhere", "pinned_file", "elsewhere", True),
        ("elsewhere", "pinned_file", "here", False),
    ],
)
async def test_only_a_controller_that_is_vouched_for_is_told_who_we_are(
    certificates: dict[str, tuple[Path, Path]],
    tmp_path: Path,
    shown: str,
    option: str,
    given: str,
    is_trusted: bool,
) -> None:
    """By its authority and its name, or by its very certificate."""
    with controller(certificate=certificates[shown]) as peer:
        options = BmcOptions.model_validate(peer.options(tmp_path, **{option: certificates[given][0]}))
        host = RedfishHost("gpu-1", options, base=tmp_path)
        if is_trusted:
            assert await host.read_w() == 800.0
        else:
            with pytest.raises(HostError, match="not vouched for: check ca_file or pinned_file"):
                await host.read_w()
            assert peer.asked == []
        await host.close()


async def test_a_certificate_that_is_not_there_is_named(opened: Opened) -> None:
    """Nothing is asked then."""
    with pytest.raises(HostRefused, match=r"nowhere\.pem: No such file"):
        await opened(url="https://127.0.0.1:1", ca_file="nowhere.pem").read_w()


async def test_a_machine_sleeps_and_is_woken_by_its_controller(
    opened: Opened, tmp_path: Path, peer: Controller
) -> None:
    """From the order for standby to the emulator's power, and back to a guard that speaks for itself."""
    bench = Bench(tmp_path, opened())
    bench.wants(standby=True)
    for _ in range(60):
        await bench.passes(1, speaks=peer.is_on)
    assert (peer.resets, peer.is_on, bench.power) == (["GracefulShutdown"], False, NodePower.STANDBY)
    bench.wants(standby=False)
    await bench.passes(3, speaks=False)
    assert (peer.resets[1:], peer.is_on, bench.power) == (["On"], True, NodePower.BOOTING)
    bench.guards.boot += 1
    await bench.passes(3, speaks=True)
    assert bench.power is NodePower.ON
