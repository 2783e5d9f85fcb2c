"""Bearer tokens: shown once, kept as a hash, gone when revoked or expired."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from scheduler.store.database import reading
from scheduler.store.desk import Desk
from scheduler.store.refusals import InvalidField, TokenNameTaken
from scheduler.store.tokens import NewToken
from tests.stores import KINDS, SITE, T0, after, database


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database of each kind."""
    with database(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def desk(engine: Engine) -> Desk:
    """The desk, at noon."""
    return Desk(engine, site=SITE, now=lambda: T0)


def test_a_token_opens_the_door_for_its_owner(desk: Desk) -> None:
    """The clear text leads to name and role."""
    clear = desk.create_token("asma", "operator")
    view = desk.find_token(clear)
    assert clear.startswith("barq_")
    assert view is not None
    assert (view.name, view.role, view.created_at, view.expires_at) == ("asma", "operator", T0, None)


def test_only_the_hash_is_kept(desk: Desk, engine: Engine) -> None:
    """Who reads the database cannot use what is in it."""
    clear = desk.create_token("asma", "operator")
    with reading(engine) as session:
        [row] = session.execute(text("SELECT * FROM tokens")).all()
    assert hashlib.sha256(clear.encode()).hexdigest() in row
    assert not any(clear in str(cell) for cell in row)


def test_tokens_differ(desk: Desk) -> None:
    """No two are alike, and one does not open for another."""
    one, two = desk.create_token("one", "user"), desk.create_token("two", "user")
    assert one != two
    assert [v.name for v in desk.tokens()] == ["one", "two"]
    found = desk.find_token(two)
    assert found is not None
    assert found.name == "two"


@pytest.mark.parametrize("wrong", ["", "barq_", "x", "barq_" + "A" * 43])
def test_anything_else_stays_outside(desk: Desk, wrong: str) -> None:
    """A text that is no token, and the hash of one."""
    clear = desk.create_token("asma", "operator")
    assert desk.find_token(wrong) is None
    assert desk.find_token(clear + " ") is None
    assert desk.find_token(hashlib.sha256(clear.encode()).hexdigest()) is None


def test_a_revoked_token_is_gone(desk: Desk) -> None:
    """At once, and its name is free again."""
    clear = desk.create_token("asma", "operator")
    assert desk.revoke_token("asma") is True
    assert desk.revoke_token("asma") is False
    assert desk.find_token(clear) is None
    assert desk.create_token("asma", "user") != clear


def test_a_token_expires(engine: Engine) -> None:
    """From its last instant on it opens nothing."""
    clock = [T0]
    desk = Desk(engine, site=SITE, now=lambda: clock[0])
    clear = desk.create_token("guest", "user", expires_at=after(60))
    clock[0] = after(59)
    assert desk.find_token(clear) is not None
    clock[0] = after(60)
    assert desk.find_token(clear) is None


def test_names_are_given_once_and_not_empty(desk: Desk) -> None:
    """A token is revoked by its name, so it needs one of its own."""
    desk.create_token("asma", "operator")
    with pytest.raises(TokenNameTaken, match="there is a token named 'asma'; revoke it first"):
        desk.create_token("asma", "user")
    with pytest.raises(InvalidField, match="name: ' ' makes no sense"):
        desk.create_token(" ", "user")


def test_a_token_is_called_after_its_user_unless_it_is_named(desk: Desk) -> None:
    """Several of one person are told apart by a number, or by what they are for."""
    names = [desk.make_token(NewToken(user="ada", role="researcher"))[0].name for _ in range(3)]
    laptop, text = desk.make_token(NewToken(user="ada", role="researcher", name="laptop"))

    assert [*names, laptop.name] == ["ada", "ada-2", "ada-3", "laptop"]
    assert desk.find_token(text) == laptop == desk.token("laptop")
    assert {view.user for view in desk.tokens()} == {"ada"}


@pytest.mark.parametrize("name", ["", " ada", "a/b", "a\nb", "é", "x" * 64])
def test_a_user_is_named_so_that_all_can_show_it(desk: Desk, name: str) -> None:
    """In a path, on one line, in every alphabet."""
    with pytest.raises(InvalidField, match=r"user: .* use 1 to 63 letters"):
        desk.make_token(NewToken(user=name, role="viewer"))


def test_a_token_that_opens_nothing_is_still_known(engine: Engine) -> None:
    """So that whoever has it can be told what became of it, also when its name was given again."""
    clock = [T0]
    desk = Desk(engine, site=SITE, now=lambda: clock[0])
    expired = desk.create_token("guest", "viewer", expires_at=after(60))
    revoked = desk.create_token("ada", "researcher")
    clock[0] = after(120)

    assert desk.revoke_token("ada", by="root")
    assert desk.create_token("ada", "viewer") != revoked

    was = desk.look_up_token(revoked)
    assert was is not None
    assert (was.user, was.role, was.revoked_at) == ("ada", "researcher", after(120))
    ended = desk.look_up_token(expired)
    assert ended is not None
    assert ended.expires_at == after(60)
    assert [desk.find_token(text) for text in (revoked, expired)] == [None, None]


def test_the_log_tells_who_made_and_revoked_a_token(desk: Desk) -> None:
    """In the chain, without the token; what the site made for itself is not worth a line."""
    desk.create_token("site", "admin")
    _, text = desk.make_token(NewToken(user="ada", role="viewer", expires_at=after(60), by="root"))
    desk.revoke_token("ada", by="root")

    made, revoked = desk.events()
    assert (made.kind, made.data["by"]) == ("token.made", "root")
    assert made.text == "root made the token ada for ada: viewer until 2026-01-10 12:01 UTC"
    assert (revoked.kind, revoked.text) == ("token.revoked", "root revoked the token ada of ada: viewer")
    assert text not in str((made, revoked))
    assert desk.verify_events() is None
