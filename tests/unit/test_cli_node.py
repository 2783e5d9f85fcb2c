"""`barq node`: tickets, what is refused before anybody is asked, and secrets that stay secret."""

from __future__ import annotations

import json
import stat
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import pytest
import yaml
from typer.testing import CliRunner

from api.joining import spec_of
from api.wire.members import Join
from barq.cli import app, members
from barq.errors import BarqError, InvalidInput, Refused
from barq.site.files import SiteFiles, write_json
from barq.site.membership import Membership, read_membership, write_membership
from barq.site.ticket import PREFIX, Ticket, is_ticket
from scheduler.core.orders import FillerKind
from scheduler.core.power import PowerLimits
from scheduler.store.database import migrate, open_database
from scheduler.store.desk import Desk
from workers.group_config import load
from workers.nvml.machine import LocalGpu, Machine

TICKET = Ticket(url="http://127.0.0.2:7480", token="barq_x")  # noqa: S106 - of no site
GPUS = ("--simulated", "--gpus", "2", "--base-w", "400")
GUARD = {"save_after_s": 5.0, "orphan_s": 18.0, "job_nice": 5, "jobs_dir": "/shared/jobs"}


class Site:
    """The site that a machine talks to, as far as joining goes."""

    refuses: BarqError | None = None

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.answer: dict[str, Any] = {
            "site": "t",
            "ray_address": "127.0.0.2:7481",
            "ray_token": "s3cret",
            "guard": GUARD,
        }

    def __call__(self, url: str, token: str) -> Site:
        self.asked.append(("client", (url, token)))
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def join_node(self, node: Any) -> Any:
        self.asked.append(("join", node))
        if self.refuses is not None:
            raise self.refuses
        return self.answer

    def let_node_leave(self, name: str) -> None:
        self.asked.append(("leave", name))
        if self.refuses is not None:
            raise self.refuses

    def forget_node(self, name: str) -> None:
        self.asked.append(("forget", name))

    def nodes(self) -> list[Any]:
        return [{"id": "hall-1", "reachable": True, "gpus": []}]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    """It answers, and no keeper is started."""
    made = Site()
    monkeypatch.setattr(members, "Client", made)
    monkeypatch.setattr(members, "_start", lambda files, membership, *, is_new: None)
    return made


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory that does not exist yet."""
    return tmp_path / "state"


def barq(state: Path, *arguments: str, **more: Any) -> Any:
    """One command of `barq node`."""
    return CliRunner(env={"BARQ_STATE": str(state)}).invoke(app, ["node", *arguments], **more)


def test_a_ticket_is_one_word_and_reads_back() -> None:
    """Cut short it is refused, and never shown."""
    text = TICKET.text()

    assert is_ticket(text)
    assert " " not in text
    assert Ticket.read(f"  {text}\n") == TICKET
    for wrong in (text[:-9], PREFIX, PREFIX + "e30"):
        with pytest.raises(InvalidInput, match="makes no sense") as refused:
            Ticket.read(wrong)
        assert text[:-9] not in str(refused.value)


def test_joining_leaves_all_that_a_guard_and_ray_need(site: Site, state: Path) -> None:
    """Secrets for this user only; the guard's settings are the site's."""
    done = barq(state, "join", TICKET.text(), "--name", "hall-1", "--address", "127.0.0.3", *GPUS, "--json")

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"node": "hall-1", "site": "t", "api_url": TICKET.url}
    assert "plain HTTP" in done.stderr
    files = SiteFiles(state)
    for path, content in ((files.ray_token, "s3cret"), (files.token, "barq_x")):
        assert path.read_text().strip() == content
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = load(files.groups / "hall-1" / "group.json")
    assert (config.orphan_s, config.jobs_dir, config.own_jobs_dir) == (
        18.0,
        "/shared/jobs",
        str(state / "jobs"),
    )
    assert (config.spec.address, config.spec.base_w, len(config.spec.gpus)) == ("127.0.0.3", 400.0, 2)
    membership = read_membership(files)
    assert membership is not None
    assert (membership.node, membership.host, membership.ray_address) == (
        "hall-1",
        "127.0.0.3",
        "127.0.0.2:7481",
    )


def test_a_node_has_the_filler_that_the_site_names_for_it(site: Site, state: Path) -> None:
    """In its spec what it may make of a GPU, beside it how it is run."""
    kind = {"name": "rig", "partner": "north", "gpu_ids": [], "least_cap_w": 0.0, "most_cap_w": 300.0}
    run = {"command": ["mine"], "api_port": 18_088, "token": {"password_file": "t", "password_env": None}}
    site.answer["filler"] = {"kind": kind, "run": run}
    done = barq(state, "join", TICKET.text(), "--name", "hall-1", "--address", "127.0.0.3", *GPUS)

    assert done.exit_code == 0, done.output
    config = load(SiteFiles(state).groups / "hall-1" / "group.json")
    assert config.spec.filler == FillerKind(name="rig", partner="north", most_cap_w=300.0)
    assert config.filler is not None
    assert (config.filler.command, config.filler.token.password_file) == (("mine",), "t")


def test_a_machine_says_where_it_is(site: Site, state: Path) -> None:
    """To the site and to its own guard, which reports it; one that does not tells nothing of it."""
    words = ("join", TICKET.text(), "--name", "hall-1", "--address", "127.0.0.3", *GPUS)

    assert barq(state, *words, "--topology", "block=b1", "--topology", "rack=R4").exit_code == 0
    (described,) = [node for kind, node in site.asked if kind == "join"]
    assert described["topology"] == {"block": "b1", "rack": "R4"}
    assert spec_of(Join.model_validate(described)).topology == (("block", "b1"), ("rack", "R4"))
    config = load(SiteFiles(state).groups / "hall-1" / "group.json")
    assert config.spec.topology == (("block", "b1"), ("rack", "R4"))

    assert barq(state, *words).exit_code == 0
    assert "topology" not in site.asked[-1][1]
    assert barq(state, *words, "--topology", "rack").exit_code == 2


def test_a_refusal_of_the_site_leaves_nothing(site: Site, state: Path) -> None:
    """Its numbers are shown, exit code 4."""
    site.refuses = Refused("hall-1 rests at 569 W with overhead", remedy="raise power.firm_w")

    done = barq(state, "join", TICKET.text(), "--name", "hall-1", *GPUS)

    assert done.exit_code == 4
    assert "569 W" in done.stderr
    assert not SiteFiles(state).membership.exists()
    assert not SiteFiles(state).ray_token.exists()


@pytest.mark.parametrize(
    "arguments, told",
    [
        ((TICKET.text(),), "--base-w WATTS"),
        ((TICKET.text(), "--simulated", "--base-w", "400"), "a node without GPUs"),
        ((TICKET.text(), "--simulated", "--gpus", "2"), "--base-w WATTS"),
        (("http://127.0.0.2:7480", *GPUS), "a token is needed"),
        (("http://127.0.0.2:7480", "--token-file", "/nowhere", *GPUS), "cannot be read"),
        ((TICKET.text(), "--address", "192.0.2.200", *GPUS), "is no address of this machine"),
        ((), "has not joined a site yet"),
    ],
    ids=range(7),
)
def test_what_cannot_be_is_refused_before_the_site_is_asked(
    site: Site, state: Path, arguments: tuple[str, ...], told: str
) -> None:
    """With a remedy, exit code 2."""
    done = barq(state, "join", *arguments)

    assert done.exit_code == 2, done.output
    assert told in done.stderr
    assert not [what for what, _ in site.asked if what == "join"]


def test_a_ticket_may_come_by_stdin_or_as_address_and_file(site: Site, state: Path, tmp_path: Path) -> None:
    """So that it is in no list of processes."""
    (tmp_path / "token").write_text("barq_y\n")

    assert barq(state, "join", "-", *GPUS, input=TICKET.text() + "\n").exit_code == 0
    by_file = ("127.0.0.2", "--token-file", str(tmp_path / "token"))
    assert barq(state, "join", *by_file, *GPUS).exit_code == 0

    assert [facts for what, facts in site.asked if what == "client"] == [
        (TICKET.url, "barq_x"),
        ("http://127.0.0.2:7480", "barq_y"),
    ]


def test_a_machine_is_head_or_member_not_both(site: Site, state: Path) -> None:
    """The state directory of a site is not made that of a member."""
    files = SiteFiles(state)
    files.create()
    files.site_file.write_text("name: t")

    done = barq(state, "join", TICKET.text(), *GPUS)

    assert done.exit_code == 4
    assert "--state" in done.stderr


def test_leaving_tells_the_site_and_takes_the_secrets_away(site: Site, state: Path) -> None:
    """First no new work, then the end, then it counts no more."""
    barq(state, "join", TICKET.text(), "--name", "hall-1", *GPUS)

    done = barq(state, "leave", "--grace", "1s")

    assert done.exit_code == 0, done.output
    assert [what for what, _ in site.asked if what in ("leave", "forget")] == ["leave", "forget"]
    files = SiteFiles(state)
    assert not any(p.exists() for p in (files.membership, files.token, files.ray_token))
    assert files.group_ids() == []
    assert barq(state, "leave").exit_code == 3


def test_leaving_works_though_the_site_does_not_answer(site: Site, state: Path) -> None:
    """Then somebody has to tell it, and is told how."""
    barq(state, "join", TICKET.text(), "--name", "hall-1", *GPUS)
    site.refuses = BarqError("no site answers")

    done = barq(state, "leave", "--grace", "1s")

    assert done.exit_code == 0, done.output
    assert "barq node forget hall-1" in done.stderr
    assert not SiteFiles(state).membership.exists()


def test_an_invitation_is_a_ticket_that_ends(state: Path) -> None:
    """Its token is known to the site; a site for this machine alone invites nobody."""
    files = SiteFiles(state)
    files.create()
    nodes = [{"count": 1, "gpus": 1, "simulated": True}]
    files.site_file.write_text(yaml.safe_dump({"name": "t", "power": {"firm_w": 3000}, "nodes": nodes}))
    engine = open_database(files.database)
    migrate(engine)
    write_json(files.address, {"api_url": "http://127.0.0.1:1", "ray_address": "127.0.0.1:2"})
    assert "--listen" in barq(state, "invite").stderr
    write_json(files.address, {"api_url": "http://127.0.0.2:7480", "ray_address": "127.0.0.2:7481"})

    done = barq(state, "invite", "--for", "1h", "-q")

    ticket = Ticket.read(done.stdout)
    token = Desk(engine, site="t").find_token(ticket.token)
    engine.dispose()
    assert ticket.url == "http://127.0.0.2:7480"
    assert token is not None
    assert token.expires_at is not None


def test_where_no_head_is_nobody_can_be_invited(state: Path) -> None:
    """Exit code 5: there is no site here."""
    assert barq(state, "invite").exit_code == 5
    files = SiteFiles(state)
    files.create()
    write_json(files.address, {"api_url": "http://127.0.0.2:1", "ray_address": "127.0.0.2:2"})
    write_membership(files, Membership(site="t", node="n", api_url="u", ray_address="r", host="h"))
    assert barq(state, "invite").exit_code == 5


def test_a_machine_joins_with_the_gpus_that_it_has(
    site: Site, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The site is told what they say of their own power, and the guard here the same."""
    limits = PowerLimits(min_w=200.0, max_w=700.0, idle_w=70.0)
    gpu = LocalGpu(
        index=0,
        uuid="GPU-1",
        name="NVIDIA H100",
        model="h100",
        limits=limits,
        default_w=700.0,
        enforced_w=700.0,
        draw_source="instant",
        persists=True,
        processes=0,
    )
    monkeypatch.setattr("workers.nvml.machine.local_gpus", lambda **_: Machine(driver="1", gpus=(gpu,)))

    done = barq(state, "join", TICKET.text(), "--name", "hall-1", "--base-w", "900")

    assert done.exit_code == 0, done.output
    (told,) = [facts for what, facts in site.asked if what == "join"]
    wire = Join.model_validate(told)
    assert not told["simulated"]
    assert told["gpus"] == [{"gpu_id": "GPU-1", "model": "h100", "limits": asdict(limits)}]
    assert load(SiteFiles(state).groups / "hall-1" / "group.json").spec == spec_of(wire)


def test_a_machine_without_a_usable_gpu_is_told_what_to_do(
    site: Site, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be simulated."""
    monkeypatch.setattr("workers.nvml.machine.local_gpus", lambda **_: Machine(problem="there is no driver"))

    done = barq(state, "join", TICKET.text(), "--base-w", "900")

    assert done.exit_code == 2, done.output
    assert "--simulated --gpus N" in done.stderr
