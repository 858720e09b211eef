"""What ``doctor`` finds: one line a check, with what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"  # works today
    BAD = "FAILED"
    SKIPPED = "skipped"  # cannot be known while something above is bad


@dataclass(frozen=True, slots=True)
class Finding:
    """One line.

    Attributes:
        check: What was looked at.
        state: How it is.
        text: What was found.
        advice: What to do; empty where nothing is.
    """

    check: str
    state: State
    text: str
    advice: str = ""


def good(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, State.OK, text)


def bad(check: str, text: str, advice: str) -> Finding:
    """It will not work like this."""
    return Finding(check, State.BAD, text, advice)


def warning(check: str, text: str, advice: str) -> Finding:
    """It works, and somebody should look at it."""
    return Finding(check, State.WARNING, text, advice)


def skipped(check: str, text: str) -> Finding:
    """Not looked at."""
    return Finding(check, State.SKIPPED, text)
