"""Site files: damage, tricks and bombs end in one error that names the file, and soon."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler.errors import SettingsError
from scheduler.plain_yaml import MAX_BYTES
from scheduler.settings import load_site

SITE = "name: t\npower: {firm_w: 20000}\nnodes: [{count: 1, gpus: 4, simulated: true}]\n"
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))

CASES: list[tuple[str | bytes, str]] = [
    (SITE + "name: u\n", "'name' is given twice"),
    (SITE.replace("{firm_w: 20000}", "{firm_w: 20000, firm_w: 90000}"), "'firm_w' is given twice"),
    (BOMB, "parts"),
    ("a: &a [*a]\n", "contains itself"),
    ("[" * 5000, "levels"),
    (SITE + "x: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
    (SITE + "x: 2024-13-45\n", "month must be in"),
    (SITE + "x: " + "9" * 5000, "digits"),
    ("name: a\0b\n", "special characters"),
    (b"name: \xff\n", "UTF-8"),
    (SITE.encode("utf-16"), "UTF-8"),
    (b"#" * (MAX_BYTES + 1), "larger than"),
    (SITE + "--- \n" + SITE, "single document"),
    (SITE.replace("gpus: 4", "gpus: -4"), "gpus"),
    (SITE.replace("gpus: 4", "gpus: 1000000000"), "gpus"),
    (SITE.replace("count: 1", "count: 1000000000"), "count"),
    (SITE.replace("20000", ".nan"), "firm_w"),
    (SITE.replace("20000", ".inf"), "firm_w"),
    (SITE.replace("20000", "1e999"), "firm_w"),
    (SITE.replace("name: t", "name: ../up"), "name"),
    (SITE + "colour: red\n", "colour"),
    ("- a\n", "mapping"),
    ("", "mapping"),
]


@pytest.mark.parametrize("text, words", CASES, ids=range(len(CASES)))
def test_what_is_no_site_file_is_refused(tmp_path: Path, text: str | bytes, words: str) -> None:
    """With words that lead to it; nothing else is raised, whatever it is."""
    file = tmp_path / "site.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)

    with pytest.raises(SettingsError, match=r"site\.yaml") as caught:
        load_site(file)

    assert words in str(caught.value)
    assert len(str(caught.value)) < 2000


LAN = "miners: [{name: hall, count: 2, max_w: 3000, simulated: false, lan: {addresses: [10.0.0.1-2], %s}}]\n"
NOT_KNOWN = [
    (
        LAN % "firmware: luxo",
        "firmware = 'luxo' is not known; did you mean luxos? it is one of braiins, luxos, whatsminer-v2, ",
    ),
    (
        LAN % "credentials: {luxo: {password_env: X}}",
        "miners.0.lan.credentials = 'luxo' is not known; did you mean luxos?",
    ),
    ("mode: revenu\n", "mode.type = 'revenu' is not known; did you mean revenue?"),
    (
        "mode: {type: shadow, of: {type: share}}\n",
        "mode.shadow.of.type = 'share' is not known; did you mean shares?",
    ),
    ("mode: {minimum: 3}\n", "mode: type is missing; it says which kind this is"),
    ("meter: {type: modbu}\n", "meter.type = 'modbu' is not known; did you mean modbus?"),
    ("meter: modbus\n", "write its keys below it"),
    ("forecast: {use: 7}\n", "forecast.use = '7' is not known; it is one of starts, show, nothing"),
    (
        "partners: [{name: n, contract: {price: {type: fixd}}}]\n",
        "price.type = 'fixd' is not known; did you mean fixed?",
    ),
]


@pytest.mark.parametrize("text, words", NOT_KNOWN, ids=range(len(NOT_KNOWN)))
def test_a_name_that_is_not_known_is_one_sentence_with_those_that_are(
    tmp_path: Path, text: str, words: str
) -> None:
    """The field, the value, the nearest name and all of them; never a line for each kind of value that was tried."""
    file = tmp_path / "site.yaml"
    file.write_text(SITE + text)

    with pytest.raises(SettingsError) as caught:
        load_site(file)

    (line,) = str(caught.value).splitlines()
    assert words in line


def test_an_alias_that_stands_for_little_is_fine(tmp_path: Path) -> None:
    """Two groups of like nodes may share what they have in common."""
    file = tmp_path / "site.yaml"
    file.write_text(
        "name: t\npower: {firm_w: 20000}\nnodes:\n"
        "  - &one {prefix: a, count: 1, gpus: 4, simulated: true}\n  - {<<: *one, prefix: b}\n"
    )

    assert sorted(load_site(file).groups()) == ["a-1", "b-1"]
