"""The LANs of real miners that the site file names: who is there, what opens them, and the outlets that feed them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from barq.doctor.finding import Finding, fail, ok, unread, warn
from barq.doctor.place import Place
from barq.doctor.rights import OTHERS
from barq.machine_words import without_name
from barq.site.files import SiteFiles

if TYPE_CHECKING:
    from scheduler.core.lan import Place as LanPlace
    from scheduler.core.pdus import Outlets, SecretPlace
    from workers.fleet.config import LanConfig
    from workers.fleet.firmware import Found, Unusable

    Told = Found | Unusable | None

ASK_S: Final = 1.5  #: for all questions to the machines and outlets of the LANs
AT_ONCE: Final = 128
NAMED: Final = 3


def lans(place: Place) -> list[Finding]:
    """Whether the machines of each answer as what they are to be, and what opens them is there and private."""
    from scheduler.errors import SettingsError
    from workers.group_config import ConfigError

    try:
        configs, elsewhere = _configs(place)
    except SettingsError:
        return [unread("lan")]
    except (ConfigError, OSError) as error:
        first = str(error).splitlines()[0]
        return [warn("lan", first, "the site would not start", "correct the site file")]
    told = [_left_to(name, machine) for name, machine in elsewhere.items()]
    if not configs:
        return told or [ok("lan", "no real miners are guarded from here")]
    return [*told, *asyncio.run(_look(configs, place))]


def _configs(place: Place) -> tuple[Mapping[str, LanConfig], Mapping[str, str]]:
    """What the guards of this machine would be told, by group; and the machines that guard other groups.

    Raises SettingsError, ConfigError, OSError.
    """
    from scheduler.settings import load_site
    from scheduler.wire import dumps
    from workers.fleet.config import LanConfig
    from workers.wire import decode

    if not place.site_file.exists():
        return _joined(place), {}
    miners = load_site(place.site_file).miners
    told = {m.name: m.lan_config(place.state.absolute()) for m in miners if m.guard_on is None}
    configs = {name: decode(LanConfig, dumps(lan)) for name, lan in told.items() if lan is not None}
    return configs, {m.name: m.guard_on for m in miners if m.guard_on is not None}


def _joined(place: Place) -> Mapping[str, LanConfig]:
    """What the guards of a machine that joined a site elsewhere were told."""
    from workers.group_config import load

    files = SiteFiles(place.state)
    configs = {gid: load(files.groups / gid / "group.json").lan for gid in files.group_ids()}
    return {gid: lan for gid, lan in configs.items() if lan is not None}


def _left_to(name: str, machine: str) -> Finding:
    return ok(f"lan-{name}", f"guarded on {machine} (guard_on): run `barq doctor` there")


async def _look(configs: Mapping[str, LanConfig], place: Place) -> list[Finding]:
    found = await asyncio.gather(*(_look_at(name, config, place) for name, config in configs.items()))
    return [finding for findings in found for finding in findings]


async def _look_at(name: str, config: LanConfig, place: Place) -> list[Finding]:
    machines, outlets = await asyncio.gather(_machines(name, config), _outlets(name, config.outlets))
    return [_secrets(name, config, place), machines, *outlets]


# -- who is there ------------------------------------------------------------------------------------------------------


async def _machines(name: str, config: LanConfig) -> Finding:
    """Whether as many as the site file promises can be used."""
    from workers.fleet.firmware import Found, Unusable

    told = await _recognised(config)
    found = [t for t in told.values() if isinstance(t, Found)]
    bad = _by_reason({where: t.why for where, t in told.items() if isinstance(t, Unusable)})
    silent = [where for where, t in told.items() if t is None]
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(Counter(str(f.firmware) for f in found).items()))
    text = f"{len(found)} of {config.count} machines can be used{f' ({kinds})' if kinds else ''}"
    readable = [f.miner.address for f in found if not f.identity.capabilities.pause]
    if readable:
        text = f"{text}; {len(readable)} of them can only be read: {_some(readable)}"
    if bad:
        text = f"{text}; not usable: {_some(bad)}"
    check, means = f"lan-{name}", "who is not found, and who cannot be told anything, counts at its nameplate"
    if len(found) < config.count:
        if silent:
            text = f"{text}; nobody answers at {_some(silent, ', ')}"
        remedy = "see that they are on and reachable from here, and that addresses, count and credentials are right"
        return warn(check, text, means, remedy)
    return ok(check, text)


def _by_reason(whys: Mapping[str, str]) -> list[str]:
    """Each reason once, with the machines that it holds for."""
    machines: dict[str, list[str]] = {}
    for where, why in whys.items():
        machines.setdefault(without_name(why, where), []).append(where)
    return [f"{_some(named, ', ')}: {why}" for why, named in machines.items()]


async def _recognised(config: LanConfig) -> dict[str, Told]:
    """What answers at each address, as far as it does in time."""
    from scheduler.core.lan import places
    from workers.fleet.firmware import Found, recognise

    wanted = [*places(config.addresses)]
    gate, told = asyncio.Semaphore(AT_ONCE), dict[str, "Told"].fromkeys(place.name for place in wanted)

    async def ask(place: LanPlace) -> None:
        async with gate:
            told[place.name] = await recognise(place, config)

    tasks = [asyncio.create_task(ask(place)) for place in wanted]
    _, late = await asyncio.wait(tasks, timeout=ASK_S)
    for task in late:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for one in told.values():
        if isinstance(one, Found):
            await one.miner.close()
    return told


# -- what opens them ---------------------------------------------------------------------------------------------------


def _secrets(name: str, config: LanConfig, place: Place) -> Finding:
    """Whether each secret is where the site file says, and nobody else's to read."""
    check = f"lan-{name}-secrets"
    files = [Path(s.password_file) for s in config.credentials.values() if s.password_file]
    variables = [s.password_env for s in config.credentials.values() if s.password_env]
    for secret in _of_pdus(config.outlets):
        files += [Path(secret.file)] if secret.file else []
        variables += [secret.env] if secret.env else []
    missing = [why for file in files if (why := _unread(file))]
    missing += [f"{v} is not set" for v in variables if not place.environ.get(v)]
    if missing:
        return fail(
            check,
            _some(missing),
            "what it opens is not told anything, and counts at its nameplate",
            f"write it there; relative files are below {place.state}; variables are those of `barq up`, or of "
            "`barq miners join`",
        )
    public = [str(file) for file in files if file.stat().st_mode & OTHERS]
    if public:
        means = "whoever read it may tell the machines and outlets anything"
        return warn(check, f"can be read by others: {_some(public)}", means, f"chmod 600 {' '.join(public)}")
    return ok(check, f"{len(files) + len(variables)} are there" if files or variables else "none are named")


def _of_pdus(outlets: Outlets) -> Iterable[SecretPlace]:
    names = ("community", "auth_key", "priv_key", "username", "password")
    for pdu in outlets.pdus:
        yield from (s for n in names if (s := getattr(pdu, n, None)) is not None)


def _unread(file: Path) -> str:
    """Why a file holds no secret; "" if it does."""
    try:
        return "" if file.read_text(encoding="utf-8").strip() else f"{file} is empty"
    except OSError as error:
        return f"{file}: {error.strerror}"
    except UnicodeDecodeError:
        return f"{file} is no text in UTF-8"


# -- what feeds them ---------------------------------------------------------------------------------------------------


async def _outlets(name: str, outlets: Outlets) -> list[Finding]:
    """Whether each outlet that feeds a machine answers; none is switched."""
    from workers.outlet_opening import open_outlets
    from workers.outlets.port import OutletError

    if not outlets.feeds:
        return []
    opened, wrong = open_outlets(outlets), dict[str, str]()

    async def ask(machine: str) -> None:
        try:
            async with asyncio.timeout(ASK_S):
                reading = await opened[machine].read()
        except (OutletError, TimeoutError) as error:
            wrong[machine] = str(error) or f"{opened[machine].address}: no answer within {ASK_S:g} s"
        else:
            if not reading.is_on:
                wrong[machine] = f"{opened[machine].address}, of {machine}, is off"

    await asyncio.gather(*map(ask, opened))
    for outlet in opened.values():
        await outlet.close()
    return [_of_outlets(name, len(opened), [*wrong.values()])]


def _of_outlets(name: str, count: int, wrong: list[str]) -> Finding:
    check = f"lan-{name}-outlets"
    if wrong:
        means = "a machine that does not obey cannot be switched off there, and counts at its nameplate"
        return warn(check, f"{len(wrong)} of {count}: {_some(wrong)}", means, "see docs/outlets.md")
    return ok(check, f"{count} answer, and are on")


def _some(words: Iterable[str], between: str = "; ") -> str:
    named = [*words]
    more = [f"and {len(named) - NAMED} more"] if len(named) > NAMED else []
    return between.join([*named[:NAMED], *more])
