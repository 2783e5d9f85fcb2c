"""A connection to an MQTT broker that listens to topics, and is made again whenever it is lost.

MQTT 3.1.1; it listens at QoS 1. It asks the broker again and again, so that one that died without a word is noticed:
`contact_at` is the last time at which the broker did answer.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiomqtt
from pydantic import BaseModel, ConfigDict, Field

from scheduler.connections.credentials import check_one_place, read_secret
from scheduler.errors import SettingsError, SignalError

log = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 5.0  #: between tries; each pause is twice the one before
STEADY_S: Final = 30.0  #: a connection that lasted this long was a good one: the pauses begin anew
KEEPALIVE_S: Final = 5
ANSWER_S: Final = 5.0  #: for which an answer of the broker is awaited
UP_S = 2.0  #: for which what is published waits for the link, as at the start
QOS: Final = 1
_REFUSED: Final = 128  #: codes from here on refuse a subscription


class BrokerOptions(BaseModel):
    """Where the broker is, and who the site is to it: keys of a source that listens there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(min_length=1)
    port: int | None = Field(default=None, ge=1, le=65_535)  #: None = 8883 with TLS, 1883 without
    tls: bool = True
    ca_file: Path | None = None  #: who vouches for the broker; None = whom the machine trusts
    certificate_file: Path | None = None  #: of the site, for a broker that asks for one
    key_file: Path | None = None  #: of that certificate; None = in the same file
    username_file: Path | None = None
    username_env: str | None = None
    password_file: Path | None = None
    password_env: str | None = None
    client_id: str | None = Field(default=None, min_length=1, max_length=128)
    """None = the broker makes one up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A message as it came; `retained` = the broker had kept it, nobody sent it now."""

    topic: str
    payload: bytes
    retained: bool


class Link:
    """Listens from `start` to `close`, and calls back on the event loop.

    `on_begin(resumed)` comes first in each connection; `resumed` = the broker has kept what came in between.
    `on_message` comes for each message, `on_trouble` when the link is lost or cannot be had. `lasting` asks the
    broker to keep what comes while the link is down.
    """

    def __init__(  # noqa: PLR0913 - callbacks, two ways to listen, a clock
        self,
        name: str,
        options: BrokerOptions,
        *,
        base: Path,
        topics: Sequence[str],
        probe_s: float,
        on_message: Callable[[Arrived], None],
        on_begin: Callable[[bool], None],
        on_trouble: Callable[[], None],
        lasting: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        _check(name, options)
        self.address = f"{'mqtts' if options.tls else 'mqtt'}://{options.host}:{_port(options)}"
        #: why nothing is heard; None = it listens
        self.trouble: str | None = f"{self.address}: not connected yet"
        self.contact_at: datetime | None = None
        self._options, self._base, self._now = options, base, now
        self._topics, self._probe_s, self._lasting = topics, probe_s, lasting
        self._on_message, self._on_begin, self._on_trouble = on_message, on_begin, on_trouble
        self._task: asyncio.Task[None] | None = None
        self._client: _Client | None = None  #: while it listens
        self._up = asyncio.Event()  #: as long as there is one

    def start(self) -> bool:
        """Begin, and True; or see that it goes on: raises what ended it, if that was a fault of ours."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
            return True
        if self._task.done():
            self._task.result()
        return False

    async def close(self) -> None:
        """End it. What the broker is slow to answer is waited for only so long."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause_s, clock = FIRST_PAUSE_S, asyncio.get_running_loop().time
        while True:
            began_s = clock()
            try:
                await self._session()
            except (aiomqtt.MqttError, SignalError, OSError, ValueError) as error:  # the last: an odd host
                self.trouble = f"{self.address}: {_remedied(str(error))}"
                self._on_trouble()
            if clock() - began_s >= STEADY_S:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _session(self) -> None:
        """From the connection to its loss, which raises."""
        client = _Client(**await asyncio.to_thread(self._arguments))
        await client.enter()
        try:
            for topic in self._topics:
                await self._subscribe(client, topic)
            self.trouble, self._client = None, client
            self._up.set()
            self._on_begin(client.resumed)
            await self._listen(client)
        finally:
            self._client = None
            self._up.clear()
            await client.leave()

    async def publish(self, topic: str, payload: bytes, *, qos: int) -> None:
        """Return once the broker has it. Raises `SignalError`, also where the link stays down: nothing is kept.

        It waits for nothing but the link and the broker's word on this message; what is heard meanwhile is heard.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._up.wait(), timeout=UP_S)
        client = self._client
        if client is None:
            raise SignalError(self.trouble or f"{self.address}: not connected")
        try:
            await client.publish(topic, payload, qos=qos)
        except (aiomqtt.MqttError, ValueError) as error:
            raise SignalError(f"{self.address}: {topic}: {_remedied(str(error))}") from error

    def _arguments(self) -> dict[str, Any]:
        """For the client, with the credentials as they are now. Reads files."""
        options = self._options
        username = read_secret(
            "username", file=options.username_file, env=options.username_env, base=self._base
        )
        password = read_secret(
            "password", file=options.password_file, env=options.password_env, base=self._base
        )
        return {
            "hostname": options.host,
            "port": _port(options),
            "username": username,
            "password": password,
            "identifier": options.client_id,
            "clean_session": not self._lasting,
            "tls_context": _tls_context(options, self._base) if options.tls else None,
            "keepalive": KEEPALIVE_S,
            "timeout": ANSWER_S,
        }

    async def _listen(self, client: _Client) -> None:
        tasks = [asyncio.ensure_future(self._hear(client)), asyncio.ensure_future(self._ask(client))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _hear(self, client: _Client) -> None:
        async for message in client.messages:
            self._on_message(
                Arrived(topic=str(message.topic), payload=bytes(message.payload), retained=message.retain)
            )

    async def _ask(self, client: _Client) -> None:
        """Subscribe to the last topic again: the broker has to answer, and to send again what it keeps there."""
        while True:
            await asyncio.sleep(self._probe_s)
            await self._subscribe(client, self._topics[-1])

    async def _subscribe(self, client: _Client, topic: str) -> None:
        asked_at = self._now()
        (granted,) = await client.subscribe(topic, qos=QOS)
        code = granted if isinstance(granted, int) else granted.value
        if code >= _REFUSED:
            raise SignalError(f"the broker lets nobody of this name read {topic!r}; have it allowed there")
        self.contact_at = asked_at


class _Client(aiomqtt.Client):
    """The client of the library, which also says whether its session was kept, and leaves nothing open."""

    resumed = False

    def _on_connect(self, client: Any, userdata: Any, flags: Any, *rest: Any) -> None:  # noqa: ANN401 - paho's
        self.resumed = flags.session_present
        super()._on_connect(client, userdata, flags, *rest)

    def _on_disconnect(self, *told: Any) -> None:  # noqa: ANN401 - paho's
        if (
            not self._connected.done()
        ):  # as with a certificate that the broker does not like: it never answers
            self._connected.set_exception(
                aiomqtt.MqttError("the broker ended the connection without an answer")
            )
        super()._on_disconnect(*told)

    async def enter(self) -> None:
        """Connect. When cancelled, what a thread has begun is seen to its end, so that no socket is left over."""
        entering = asyncio.ensure_future(self.__aenter__())
        try:
            await asyncio.shield(entering)
        except asyncio.CancelledError:
            await asyncio.wait([entering], timeout=2 * ANSWER_S)
            if not entering.done() or entering.exception() is None:
                await self.leave()
            raise
        except aiomqtt.MqttError:
            self._client.disconnect()  # it would go on waiting for the broker's word
            raise

    async def leave(self) -> None:
        """Say goodbye, as far as there is somebody."""
        with suppress(aiomqtt.MqttError):
            await self.__aexit__(None, None, None)


class _ClosedOnFailure(ssl.SSLSocket):
    """A socket that a failed handshake does not leave open."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as in ssl
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def _tls_context(options: BrokerOptions, base: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer, the broker's certificate checked for its name. Raises `SignalError` with the file."""
    try:
        ca_file = None if options.ca_file is None else base / options.ca_file
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise SignalError(
            f"ca_file: {options.ca_file}: {_what(error)}; put the CA's certificate there"
        ) from error
    context.sslsocket_class = _ClosedOnFailure
    if options.certificate_file is not None:
        key_file = None if options.key_file is None else base / options.key_file
        try:
            context.load_cert_chain(base / options.certificate_file, key_file, password=_no_passphrase)
        except OSError as error:
            files = f"{options.certificate_file}, {options.key_file or 'its key in the same file'}"
            raise SignalError(
                f"certificate_file: {files}: {_what(error)}; put both there, the key without a passphrase"
            ) from error
    return context


def _no_passphrase() -> str:
    """Asked for a key with a passphrase: without this, OpenSSL would ask at the terminal."""
    return ""


def _what(error: OSError) -> str:
    return error.strerror or str(error)


def _remedied(why: str) -> str:
    lowered = why.lower()
    if "not authorized" in lowered or "bad user name" in lowered:
        return f"{why}; check what username_file, password_file (or _env) and certificate_file hold"
    if "certificate" in lowered and "verify" in lowered:
        return f"{why}; check ca_file, and that host is the name in the broker's certificate"
    if "without an answer" in lowered:
        return f"{why}; check certificate_file, which it may want, and tls"
    return why if ";" in why else f"{why}; it is tried again"


def _port(options: BrokerOptions) -> int:
    return options.port or (8883 if options.tls else 1883)


def _check(name: str, options: BrokerOptions) -> None:
    """Raises `SettingsError` where keys do not go together."""
    check_one_place(name, "username", file=options.username_file, env=options.username_env)
    check_one_place(name, "password", file=options.password_file, env=options.password_env)
    has_username = (options.username_file or options.username_env) is not None
    if (options.password_file or options.password_env) is not None and not has_username:
        raise SettingsError(
            f"signals: {name}: a password goes with a username; give username_file or username_env"
        )
    of_tls = (options.ca_file, options.certificate_file, options.key_file)
    if not options.tls and any(file is not None for file in of_tls):
        raise SettingsError(
            f"signals: {name}: certificates are for TLS, and tls is false; remove one of them"
        )
    if options.key_file is not None and options.certificate_file is None:
        raise SettingsError(f"signals: {name}: key_file goes with a certificate; give certificate_file too")
