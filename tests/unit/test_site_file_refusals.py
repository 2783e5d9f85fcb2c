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
    (b"name: \xff\n", "utf-8"),
    (SITE.encode("utf-16"), "utf-8"),
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


def test_an_alias_that_stands_for_little_is_fine(tmp_path: Path) -> None:
    """Two groups of like nodes may share what they have in common."""
    file = tmp_path / "site.yaml"
    file.write_text(
        "name: t\npower: {firm_w: 20000}\nnodes:\n"
        "  - &one {prefix: a, count: 1, gpus: 4, simulated: true}\n  - {<<: *one, prefix: b}\n"
    )

    assert sorted(load_site(file).groups()) == ["a-1", "b-1"]
