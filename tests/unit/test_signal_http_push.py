"""Which pushed limits count, in which order, and what of them a restarted process knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from barq.webhook import sign, signed_at_s, verify
from scheduler.core.envelope import Segment
from scheduler.errors import SettingsError, SignalError
from scheduler.signals.http_push import Inbox, Push, PushOptions, Refused, Taken, open_source, succeed

T0 = datetime(2026, 6, 1, tzinfo=UTC)
OPTIONS = PushOptions(secret_env="PUSH_SECRET", max_w=1e6)  # noqa: S106


def after(seconds: float) -> datetime:
    """So many seconds after the first push."""
    return T0 + timedelta(seconds=seconds)


def push(delivery: str = "d1", *, at_s: float = 0.0, limit_w: float = 9000.0, **more: Any) -> Push:
    """What the giver decided then."""
    return Push(delivery=delivery, at=after(at_s), limit_w=limit_w, **more)


def followed(known: Taken | None, then: Push, *, signed_s: float, at_s: float | None = None) -> Taken:
    """What is known after a push that was signed and came then; its body is what it says."""
    came = after(signed_s if at_s is None else at_s)
    return succeed(known, then, repr(then), signed_at=after(signed_s), at=came)


def test_a_later_push_takes_the_place_of_the_one_before() -> None:
    """Higher or lower, from the time at which it was decided."""
    known = followed(followed(None, push(), signed_s=1), push("d2", at_s=5, limit_w=1), signed_s=6)

    assert (known.push.delivery, known.since_at, known.heard_at) == ("d2", after(5), after(6))


@pytest.mark.parametrize(
    "then,why",
    [
        (push("d0", at_s=-1), "is not after"),
        (push("d2", at_s=0), "is not after"),
        (push("d1", at_s=0, limit_w=1), "is not after"),
        (push("d1", at_s=2), "was taken with another body"),
    ],
)
def test_what_comes_out_of_order_is_refused(then: Push, why: str) -> None:
    """Late, twice with one time, or as another delivery than it is."""
    with pytest.raises(Refused, match=why) as caught:
        followed(followed(None, push(), signed_s=1), then, signed_s=3)
    assert caught.value.is_late


def test_a_late_push_is_as_old_as_its_signature() -> None:
    """It ages from there."""
    assert followed(None, push(), signed_s=1, at_s=50).heard_at == after(1)


def test_a_giver_whose_clock_is_ahead_is_not_heard_in_the_future() -> None:
    """But when its word came."""
    known = followed(None, push(at_s=20), signed_s=20, at_s=0)
    assert (known.since_at, known.heard_at) == (T0, T0)


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(-5, 20), st.integers(0, 20), st.integers(0, 20)), max_size=12
    )
)
def test_whatever_is_pushed_what_counts_never_goes_back(pushed: list[tuple[int, int, int, int]]) -> None:
    """Neither to an older decision nor to an older word of the giver; copies of what was sent change nothing."""
    known: Taken | None = None
    for delivery, at_s, signed_s, came_s in pushed:
        before = known
        try:
            known = followed(known, push(f"d{delivery}", at_s=at_s), signed_s=signed_s, at_s=came_s)
        except Refused:
            continue
        copy = followed(known, known.push, signed_s=signed_s, at_s=came_s + 100)
        assert copy.heard_at <= known.signed_at
        if before is not None:
            assert known.push.at >= before.push.at
            assert known.push.at > before.push.at or known.signed_at >= before.signed_at
        assert known.since_at <= known.push.at


def test_what_is_kept_is_known_after_a_restart(tmp_path: Path) -> None:
    """The limit with its steps, and what was refused."""
    first = Inbox("feeder", OPTIONS, base=tmp_path)
    step = Segment(starts_at=after(60), limit_w=5.0, provenance="pushed: delivery d1")
    record = first.take(push(steps=(step,), valid_until=after(90)), "digest", signed_at=T0, at=T0)
    first.note("no")
    again = Inbox("feeder", OPTIONS, base=tmp_path).read()

    assert again.taken == record.taken is not None
    assert (again.refused, again.refused_count) == (("no",), 1)


@pytest.mark.parametrize("text", ["", "{", '{"taken": 7}', "\udcff"])
async def test_a_file_that_makes_no_sense_is_an_error_with_a_remedy(text: str, tmp_path: Path) -> None:
    """No limit is made up from it."""
    (tmp_path / "signals").mkdir()
    (tmp_path / "signals" / "feeder.json").write_bytes(text.encode(errors="surrogateescape"))
    source = open_source("feeder", {"secret_env": "PUSH_SECRET"}, base=tmp_path, reaction_s=30.0)

    with pytest.raises(SignalError, match="move the file away"):
        await source.read(T0)


async def test_before_the_first_push_there_is_nothing(tmp_path: Path) -> None:
    """And it is said where one has to go."""
    source = open_source("feeder", {"secret_env": "PUSH_SECRET"}, base=tmp_path, reaction_s=30.0)
    with pytest.raises(SignalError, match="have it posted to /api/v1/signals/feeder"):
        await source.read(T0)


@pytest.mark.parametrize(
    "name,options,why",
    [
        ("../feeder", {"secret_env": "A"}, "part of an address and of a file"),
        ("", {"secret_env": "A"}, "part of an address and of a file"),
        ("feeder", {}, "secret_file is missing"),
        ("feeder", {"secret_env": "A", "secret_file": "b"}, "keep the one that holds it"),
    ],
)
def test_options_that_cannot_be_are_refused(name: str, options: dict[str, Any], why: str) -> None:
    """When the site file is read."""
    with pytest.raises(SettingsError, match=why):
        open_source(name, options, base=Path(), reaction_s=30.0)


@pytest.mark.parametrize("secret", ["short", "x" * 201])
def test_a_secret_has_a_decent_length(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not repeated."""
    monkeypatch.setenv("PUSH_SECRET", secret)
    with pytest.raises(SignalError, match="16 to 200 characters") as caught:
        Inbox("feeder", OPTIONS, base=Path()).secret()
    assert secret not in str(caught.value)


def test_what_is_signed_can_be_verified() -> None:
    """By the same scheme as webhooks, both ways."""
    signature = sign("0123456789abcdef", b"{}", now_s=1000.7)

    assert verify("0123456789abcdef", signature, b"{}", now_s=1001)
    assert signed_at_s(signature) == 1000
    assert signed_at_s("t=1") is None
