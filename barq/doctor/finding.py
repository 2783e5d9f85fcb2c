"""What a check found, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How well a machine stands in one respect."""

    OK = "ok"
    WARN = "warn"  #: Barq works, and something is worse than it need be
    FAIL = "fail"  #: Barq, or a promise of it, does not hold here


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One result. `remedy` is one line, empty where there is nothing to do."""

    check: str
    grade: Grade
    found: str
    means: str = ""
    remedy: str = ""


def ok(check: str, found: str, means: str = "") -> Finding:
    """All is well."""
    return Finding(check=check, grade=Grade.OK, found=found, means=means)


def warn(check: str, found: str, means: str, remedy: str) -> Finding:
    """It works, but."""
    return Finding(check=check, grade=Grade.WARN, found=found, means=means, remedy=remedy)


def fail(check: str, found: str, means: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(check=check, grade=Grade.FAIL, found=found, means=means, remedy=remedy)


def unread(check: str) -> Finding:
    """The site file cannot be read, which `signals` says once for all that would look into it."""
    return warn(check, "not looked at, for the site file cannot be read: see signals", "", "")
