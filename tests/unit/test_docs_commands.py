"""Every `barq` command that a page shows is one that the program takes: verb, options and number of arguments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from barq.cli.verbs import VERBS, load
from tests.unit.test_docs import PAGES, ROOT

_SHOWN = re.compile(r"^(?:\s{4}|\$ )?(barq [a-z].*)$", re.MULTILINE)  #: in a block, or after a prompt
_TICKED = re.compile(r"`(barq [a-z][^`\n]*)`")
_VERBS = {verb.name: verb for verb in VERBS}
_ENDS = frozenset({"--", ">", "|", "&&"})  #: what follows is another program's
SHORTEST = 200  #: commands that there are at least, or the patterns are wrong


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each command behind `barq`, as far as they are ours; what is left out as `...` is left out."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in (*_SHOWN.findall(text), *_TICKED.findall(text)):
        words = shlex.split(line.partition(" #")[0])[1:]
        end = next((at for at, word in enumerate(words) if word in _ENDS), len(words))
        yield [word for word in words[:end] if word != "..."]


def loaded(words: list[str]) -> tuple[Any, list[str]]:
    """The command that is called, and its own words."""
    command, rest = load(_VERBS[words[0]]), words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


def mistakes(words: list[str]) -> list[str]:
    """What the program would refuse."""
    if words[0] not in _VERBS:
        return [f"{words[0]}: no such verb"]
    command, rest = loaded(words)
    options = {name: p for p in command.params for name in (*p.opts, *p.secondary_opts)}
    places = sum(p.nargs for p in command.params if p.param_type_name == "argument")
    endless = any(p.nargs < 0 for p in command.params)
    wrong, given = [], 0
    while rest:
        word, *rest = rest
        name, _, value = word.partition("=")
        if not word.startswith("-") or word == "-":
            given += 1
        elif name not in {*options, "-h", "--help", "--profile"}:
            wrong.append(f"{' '.join(words)}: no option {name}")
        elif not value and name in options and not options[name].is_flag:
            rest = rest[1:]
    if given > places and not endless:
        wrong.append(f"{' '.join(words)}: too many arguments")
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_every_command_that_is_shown_is_taken(page: Path) -> None:
    """Who types it as it stands is not told that there is no such option."""
    assert [wrong for words in commands(page) for wrong in mistakes(words)] == []


def test_there_are_commands_to_look_at() -> None:
    """A pattern that finds nothing finds no mistake."""
    assert sum(len(list(commands(page))) for page in PAGES) >= SHORTEST
    assert mistakes(["jobs", "--nonsense"]) == ["jobs --nonsense: no option --nonsense"]
    assert mistakes(["jbos"]) == ["jbos: no such verb"]
