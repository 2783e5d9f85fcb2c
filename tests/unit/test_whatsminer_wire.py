"""What goes over the wire to WhatsMiner, against what other programs make of the same words.

The vectors come from `openssl passwd -1`, `openssl enc -aes-256-ecb` and `openssl dgst -sha256`.
"""

from __future__ import annotations

import base64
import json

import pytest

from workers.whatsminer import framed, sealed
from workers.whatsminer.framed import Account
from workers.whatsminer.md5_crypt import md5_crypt
from workers.whatsminer.sealed import Loan, seal_of

LOAN = Loan(salt="BQ5hoXV9", newsalt="jbzkfQls", time="5626")
SEALED_OFF = (
    "YJracrWpLn2XvqWuNiNqyg70K64pfivIJhwE32DXNCeyv4iYIDyJ6m"
    "JuwbGpytIytGFk3qcQXxIEGYONPJL4PpGxjzTpYw1ob9fHFP6+QL8="
)
SEALED_OK = (
    "C/UGIQ8LwD66stwLyOOcM7zg8YtXnDO2qx2pQMS2dRN3lluOVpsOSpBcGhtOpg0Q"
    "fXzqoVOPWCksKSnoq5FdlDzf1zswfpjLBG0UghjHFmJyj0Iw94hY+ImJc0aQQ3bU"
)


@pytest.mark.parametrize(
    "secret, salt, letters",
    [
        ("admin", "BQ5hoXV9", "RxmaDUO33TS7O26yeMHZ81"),
        ("", "abc", "Or2rbeUYTvt12aiVzMuS/."),
        ("pässwörd", "BQ5hoXV9", "H7ddHLzfHgIopXf36sOEz."),
        ("a secret of more than sixteen letters", "xy", ".VvZQJMhZhb4Zi1EdPMW11"),
        ("RxmaDUO33TS7O26yeMHZ815626", "jbzkfQls", "w.BNbkCV6n1aNWgiBWLzT/"),
    ],
)
def test_md5_crypt_is_what_openssl_makes(secret: str, salt: str, letters: str) -> None:
    """Secrets short and long, empty and not in ASCII, with salts of any length."""
    assert md5_crypt(secret, salt) == letters


def test_no_more_of_a_salt_counts_than_eight_letters() -> None:
    """As in every other crypt."""
    assert md5_crypt("admin", "BQ5hoXV9more") == md5_crypt("admin", "BQ5hoXV9")


def test_a_command_is_sealed_as_the_vendor_says() -> None:
    """Key from the password, token from the key, AES over zero-padded JSON; the same with a known key."""
    request = seal_of("admin", LOAN).close(sealed.Write.POWER_OFF, {"respbefore": "true"})

    assert request == {"enc": 1, "data": SEALED_OFF}
    known = seal_of("admin", LOAN, known_key=md5_crypt("admin", LOAN.salt))
    assert known.close(sealed.Write.POWER_OFF, {"respbefore": "true"}) == request


def test_an_answer_is_opened() -> None:
    """One that was sealed, and a refusal that was not."""
    seal = seal_of("admin", LOAN)

    assert seal.open({"enc": SEALED_OK})["Msg"] == "API command OK"
    assert seal.open({"STATUS": "E", "Code": 45})["Code"] == 45


@pytest.mark.parametrize("enc", ["", "not base64", base64.b64encode(bytes(15)).decode(), SEALED_OFF[::-1]])
def test_a_sealed_answer_that_makes_no_sense_is_an_error(enc: str) -> None:
    """Half a block, no JSON, another key: nothing is guessed."""
    with pytest.raises(ValueError):  # noqa: PT011 (of any kind: the driver says the rest)
        seal_of("admin", LOAN).open({"enc": enc})


@pytest.mark.parametrize("message", [None, "busy", {}, {"salt": "a", "newsalt": "", "time": "1"}])
def test_a_loan_without_its_parts_is_an_error(message: object) -> None:
    """Not every machine that answers lends a token."""
    with pytest.raises(ValueError, match="get_token"):
        Loan.of(message)


def test_a_write_of_api_3_is_signed() -> None:
    """The token is made of command, password, salt and time, and nothing else."""
    request = framed.signed(framed.Write.SERVICE, "stop", Account(), salt="abcd1234", at_s=1795392845)

    assert request == {
        "cmd": "set.miner.service",
        "param": "stop",
        "ts": 1795392845,
        "account": "super",
        "token": "ADVAHysu",
    }


def test_a_frame_tells_its_length_lowest_byte_first() -> None:
    """Four bytes, then the JSON."""
    data = framed.frame({"cmd": "get.device.info"})

    assert data[:4] == b"\x19\0\0\0"
    assert framed.length(data[:4]) == len(data) - 4 == 25
    assert json.loads(data[4:]) == {"cmd": "get.device.info"}


@pytest.mark.parametrize("header", [b"HTTP", b"\0\0\0\0", b"\xff\xff\xff\xff"])
def test_what_is_no_length_is_an_error(header: bytes) -> None:
    """Another protocol on this port is not waited for."""
    with pytest.raises(ValueError, match="no length"):
        framed.length(header)


def test_nothing_that_is_ours_to_send_touches_pools_passwords_or_locks() -> None:
    """The commands are a closed set, and these are all."""
    assert {write.value for write in sealed.Write} == {
        "power_off",
        "power_on",
        "set_power_pct",
        "adjust_power_limit",
    }
    assert {write.value for write in framed.Write} == {
        "set.miner.service",
        "set.miner.power_percent",
        "set.miner.power_limit",
    }


def test_secrets_are_not_shown() -> None:
    """Neither a seal nor an account tells its secret in a log."""
    shown = repr(seal_of("admin", LOAN)) + repr(Account(name="super", password="hidden"))  # noqa: S106

    assert "Rxma" not in shown
    assert "hidden" not in shown
