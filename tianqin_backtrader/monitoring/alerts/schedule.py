"""When scheduled alerts are due: day report, still alive, check before the open.

A due time that the market's clock jumps over is caught up once, at the next look.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from .settings import AlertSettings, clock_time

#: An open between these times (10:30, 13:30) follows a break within the day: no check.
WITHIN_A_DAY = (time(10), time(18))
#: A close between these times (15:00, 15:15) ends a trading day; others do not.
ENDS_A_DAY = (time(14), time(18))
#: The report is this long after the close, when the last fills have arrived.
REPORT_AFTER = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Due:
    """What is due now.

    Attributes:
        day: The trading day to report on, or None.
        alive: Whether "still alive" is due.
        opens: The open that must be checked, or None.
    """

    day: date | None = None
    alive: bool = False
    opens: datetime | None = None


NOTHING = Due()


class AlertTimes:
    """Follows the market's hours to find due alerts.

    Args:
        settings: The times.
    """

    def __init__(self, settings: AlertSettings) -> None:
        self._alive_at = sorted(clock_time(text) for text in settings.alive_at)
        self._ahead = timedelta(seconds=settings.check_ahead)
        self._next_alive: datetime | None = None
        self._trading = False
        self._boundary: datetime | None = None
        self._checked: datetime | None = None
        self._open_day: date | None = None  # the day that has traded and is not reported yet
        self._report_due: datetime | None = None

    def look(self, now: datetime, day: date, trading: bool, boundary: datetime | None) -> Due:
        """Find what is due.

        Args:
            now: The exchange's time.
            day: The trading day of ``now``.
            trading: Whether any contract trades.
            boundary: Their next open or close; None without contracts.
        """
        if self._trading and not trading and self._boundary is not None:
            if _between(self._boundary, ENDS_A_DAY):
                self._report_due = self._boundary + REPORT_AFTER
            elif _between(now, ENDS_A_DAY):  # more than one close was jumped over
                self._report_due = now
        self._trading, self._boundary = trading, boundary
        over = self._day_over(now, day, trading)
        if trading:
            self._open_day = day
        opens = None if trading else self._to_check(now, boundary)
        alive = self._alive_due(now)
        return Due(over, alive, opens) if over or alive or opens else NOTHING

    def _day_over(self, now: datetime, day: date, trading: bool) -> date | None:
        ended = self._report_due is not None and now >= self._report_due and not trading
        if self._open_day is None or not (ended or day != self._open_day):
            return None
        over, self._open_day, self._report_due = self._open_day, None, None
        return over

    def _to_check(self, now: datetime, boundary: datetime | None) -> datetime | None:
        if boundary is None or boundary == self._checked or now < boundary - self._ahead:
            return None
        if _between(boundary, WITHIN_A_DAY):
            return None
        self._checked = boundary
        return boundary

    def _alive_due(self, now: datetime) -> bool:
        if not self._alive_at:
            return False
        due = self._next_alive is not None and now >= self._next_alive
        if due or self._next_alive is None:
            today = [datetime.combine(now.date(), at) for at in self._alive_at]
            later = [at for at in today if at > now]
            self._next_alive = later[0] if later else today[0] + timedelta(days=1)
        return due


def _between(moment: datetime, hours: tuple[time, time]) -> bool:
    return hours[0] <= moment.time() < hours[1]
