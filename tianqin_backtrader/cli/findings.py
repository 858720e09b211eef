"""The findings of ``doctor``: one line per check, with advice."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"  # works today
    BAD = "FAILED"
    SKIPPED = "skipped"  # depends on a check that failed


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of ``doctor``.

    Attributes:
        check: What was checked.
        state: The result.
        text: What was found.
        advice: What to do; empty if nothing is needed.
    """

    check: str
    state: State
    text: str
    advice: str = ""


def good(check: str, text: str) -> Finding:
    """The check passed."""
    return Finding(check, State.OK, text)


def bad(check: str, text: str, advice: str) -> Finding:
    """The check failed: trading will not work."""
    return Finding(check, State.BAD, text, advice)


def warning(check: str, text: str, advice: str) -> Finding:
    """Trading works, but somebody should look at this."""
    return Finding(check, State.WARNING, text, advice)


def skipped(check: str, text: str) -> Finding:
    """The check was skipped."""
    return Finding(check, State.SKIPPED, text)
