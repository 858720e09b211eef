"""Backtrader's ``SESSION_START`` and ``SESSION_END`` timers by the sessions of their contract.

Backtrader has one time of the clock for all days and counts days from midnight, so a night session
would be after the end of its day, or before its start. Here a session is a trading day: it starts
with its night session on the evening before (Friday's for Monday), or in the morning if there is
none, and ends with its last close. ``weekdays``, ``monthdays`` and ``allow`` mean the trading day.
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

import backtrader as bt
from backtrader.timer import SESSION_END, SESSION_START, Timer

from ..session_calendar import CALENDAR

#: Backtrader's defaults of a feed's ``sessionstart`` and ``sessionend``.
_NOT_SAID = {
    SESSION_START: ("sessionstart", time.min),
    SESSION_END: ("sessionend", time(23, 59, 59, 999_990)),
}


class SessionTimer(Timer):
    """A timer by sessions; a started timer of Backtrader becomes one."""

    _day: date | None = None
    _due: datetime | None = None
    _end = datetime.min

    def start(self, data: Any) -> None:
        """Begin another run."""
        super().start(data)
        self._day = self._due = None

    def check(self, dt: float) -> bool:
        """Return whether the timer is due at a bar's timestamp: once, or once per repetition."""
        now = bt.num2date(dt)
        day = CALENDAR.trading_day_at(now)
        if day != self._day:
            late = self._due
            self._begin(day)
            if late is not None:  # its day had no bar after that time
                self.lastwhen = late
                return True
        if self._due is None or now < self._due:
            return False
        self.lastwhen = self._due
        self._due = self._next(self._due, now) if self.p.repeat else None
        return True

    def _begin(self, day: date) -> None:
        sessions = CALENDAR.sessions(self._tzdata._dataname, day)
        self._day, self._end = day, sessions[-1][1]
        moment = sessions[0][0] if self.p.when == SESSION_START else self._end
        allowed = self._check_month(day) and self._check_week(day)
        if allowed and self.p.allow is not None:
            allowed = self.p.allow(day)
        self._due = moment + self.p.offset if allowed else None

    def _next(self, due: datetime, now: datetime) -> datetime | None:
        """Return the first repetition after now; None if that is after the session."""
        due += ((now - due) // self.p.repeat + 1) * self.p.repeat
        return due if due <= self._end else None


def follow_sessions(cerebro: Any, feeds: tuple[type, ...]) -> None:
    """Make a run's session timers on our feeds use the sessions of their contracts.

    The ``sessionstart`` or ``sessionend`` that a feed was given is respected.

    Args:
        cerebro: The run, with its timers started.
        feeds: The classes of our feeds.
    """
    timers: list[Any] = [*cerebro._timers, *cerebro._timerscheat]
    for timer in timers:
        of_session = isinstance(timer.p.when, int) and timer.p.when in _NOT_SAID
        if of_session and isinstance(timer._tzdata, feeds) and not _is_said(timer):
            timer.__class__ = SessionTimer


def _is_said(timer: Any) -> bool:
    name, default = _NOT_SAID[timer.p.when]
    return bool(getattr(timer._tzdata.p, name) != default)
