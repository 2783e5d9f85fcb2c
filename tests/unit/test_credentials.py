"""Secrets are read where the site file says they are, and nobody repeats them."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler.connections.credentials import read_secret
from scheduler.errors import SignalError


def test_a_secret_is_read_anew_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file, without its line end, or from the environment; None where it is nowhere said to be."""
    file = tmp_path / "token"
    for secret in ("first", "second"):
        file.write_text(f"{secret}\n", encoding="utf-8")
        monkeypatch.setenv("TOKEN", secret)
        assert read_secret("password", file=Path("token"), env=None, base=tmp_path) == secret
        assert read_secret("password", file=None, env="TOKEN", base=tmp_path) == secret
    assert read_secret("password", file=None, env=None, base=tmp_path) is None


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xffhush"])
def test_a_file_without_a_secret_is_named(content: bytes | None, tmp_path: Path) -> None:
    """With what to do; what is in it is not shown."""
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(SignalError, match=r"^password_file: .*/token.*; (put|write)") as caught:
        read_secret("password", file=Path("token"), env=None, base=tmp_path)
    assert "hush" not in str(caught.value)


def test_a_variable_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has to be there where the site was started."""
    monkeypatch.delenv("TOKEN", raising=False)
    with pytest.raises(SignalError, match="password_env: TOKEN is not set"):
        read_secret("password", file=None, env="TOKEN", base=tmp_path)
