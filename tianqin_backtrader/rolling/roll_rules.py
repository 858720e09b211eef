"""When a contract must be rolled, and into which one.

Private persons may not hold a contract into its delivery month, nor crude oil and similar products,
whose trading ends before that month, into the last eight trading days. Exchanges and brokers have
more detailed rules (multiples of lots, higher margins before); the limits here are those after
which positions are closed by force, or a little earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol

from ..calendars.products import split_symbol
from ..errors import ConfigError

#: Cash-settled products: everybody may hold them to the end.
CASH_SETTLED = frozenset({"CFFEX.IF", "CFFEX.IH", "CFFEX.IC", "CFFEX.IM"})
#: Trading days before the last one until which private persons may hold such products.
EIGHTH_DAY = 8
#: The manager warns this many trading days before it rolls.
WARN_DAYS = 5


class Days(Protocol):
    """The parts of the calendar that are needed."""

    def previous_trading_day(self, day: date) -> date: ...
    def next_trading_day(self, day: date) -> date: ...


class RollTrigger(StrEnum):
    """What makes another contract the wanted one."""

    MAIN = "main"  # TianQin's main contract changes
    INTEREST = "interest"  # another has more open interest and more volume than the held one
    DAYS = "days"  # the last allowed day is near


@dataclass(frozen=True, slots=True)
class RollRules:
    """When to roll.

    Attributes:
        trigger: See ``RollTrigger``.
        days_before: Number of trading days before the last allowed day by which a roll begins,
            whatever the trigger.
        private: Whether the account is a private person's.
    """

    trigger: RollTrigger = RollTrigger.MAIN
    days_before: int = 5
    private: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.days_before, bool) or not 0 <= self.days_before <= 60:
            raise ConfigError(f"days_before must be from 0 to 60 days, not {self.days_before!r}")


@dataclass(frozen=True, slots=True)
class Listed:
    """A contract of the product. Volume and open interest are those of the last finished day."""

    symbol: str
    last_day: date
    volume: int = 0
    open_interest: int = 0

    @property
    def month(self) -> date:
        """The first day of its delivery month, from the symbol."""
        month = int(self.symbol.rstrip("F")[-2:])  # F of monthly average futures
        return date(self.last_day.year + (month < self.last_day.month), month, 1)


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on a held contract.

    Attributes:
        new: The contract to roll into; "" for none.
        reason: The reason.
        days_left: Trading days until the last allowed day, approximate if they are many; negative
            after it.
        warn: Whether the owner must be warned.
    """

    new: str
    reason: str
    days_left: int
    warn: bool = False


def hold_until(one: Listed, *, private: bool, days: Days) -> date:
    """The last trading day on which a contract may be held.

    >>> from ..session_calendar import CALENDAR
    >>> hold_until(Listed("SHFE.cu2612", date(2026, 12, 15)), private=True, days=CALENDAR)
    datetime.date(2026, 11, 30)
    """
    if not private or ".".join(split_symbol(one.symbol)) in CASH_SETTLED:
        return one.last_day
    if one.last_day >= one.month:
        return days.previous_trading_day(one.month)
    day = one.last_day
    for _ in range(EIGHTH_DAY):
        day = days.previous_trading_day(day)
    return day


def trading_days_until(today: date, until: date, days: Days) -> int:
    """Trading days after ``today`` up to ``until``; negative if that has passed."""
    count, day = 0, min(today, until)
    while day < max(today, until):
        day = days.next_trading_day(day)
        count += 1
    return count if until >= today else -count


def decide(
    held: str, listed: Sequence[Listed], main: str, today: date, rules: RollRules, days: Days
) -> Decision:
    """Decide whether a held contract must be rolled now.

    Args:
        held: Its symbol.
        listed: The product's trading contracts, including the held one.
        main: TianQin's main contract of the day.
        today: The trading day.
        rules: When to roll.
        days: The calendar.
    """
    own = next(one for one in listed if one.symbol == held)
    later = [one for one in listed if one.last_day > own.last_day]
    new = _wanted(own, later, main, rules)
    if not _near(own, today, rules):
        left = _roughly(own, today)
        reason = f"by the rule {rules.trigger!s}" if new else f"{held} may be held for long"
        return Decision(new, reason, left)
    last = hold_until(own, private=rules.private, days=days)
    left = trading_days_until(today, last, days)
    if new:
        return Decision(new, f"by the rule {rules.trigger!s}", left)
    who = "a private person" if rules.private else "anybody"
    text = f"{held} may be held by {who} until {last}, {left} trading days from now"
    if left > rules.days_before:
        return Decision("", text, left, warn=left <= rules.days_before + WARN_DAYS)
    enough = rules.days_before + EIGHTH_DAY
    safe = [one for one in later if _roughly(one, today) > enough]
    if not safe:
        return Decision("", f"{text}, and no later contract is known", left, warn=True)
    best = max(safe, key=lambda one: (one.symbol == main, one.open_interest))
    return Decision(best.symbol, text, left, warn=True)


def _near(one: Listed, today: date, rules: RollRules) -> bool:
    """Whether days must be counted; far ones may be in years without announced holidays."""
    margin = rules.days_before + WARN_DAYS + EIGHTH_DAY
    return (min(one.month, one.last_day) - today).days <= 2 * margin + 20


def _roughly(one: Listed, today: date) -> int:
    """Approximate trading days until its month or its end, without holidays."""
    return (min(one.month, one.last_day) - today).days * 5 // 7


def _wanted(own: Listed, later: Sequence[Listed], main: str, rules: RollRules) -> str:
    if rules.trigger is RollTrigger.MAIN:
        return next((one.symbol for one in later if one.symbol == main), "")
    if rules.trigger is RollTrigger.INTEREST and later:
        best = max(later, key=lambda one: one.open_interest)
        if best.open_interest > own.open_interest and best.volume > own.volume:
            return best.symbol
    return ""
