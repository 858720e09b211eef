"""Call auctions, which gather orders and match them at one price. They are not trading.

Sources: the exchanges' trading rules; SHFE 2023 no. 25, INE 2023 no. 11 and DCE 2023 no. 20 on the
morning auction of products with a night; CFFEX's trading rules on the close of index options.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from ..core.clock import MINUTE
from .trading_hours import Interval

#: Ticks at most this long before an open belong to its call auction, nanoseconds.
AUCTION = 5 * MINUTE + MINUTE // 2

_BEFORE_OPEN = timedelta(minutes=5)
_BEFORE_CLOSE = timedelta(minutes=3)
# Exchanges where products that have a night session have an auction in the morning, too.
# At CZCE orders may only be cancelled then.
_MORNING_TOO = frozenset({"SHFE", "INE", "DCE"})
_MORNING_SINCE = date(2023, 5, 26)
_CLOSING = frozenset({"CFFEX.IO", "CFFEX.HO", "CFFEX.MO"})


def auctions(key: str, day: date, sessions: Sequence[Interval]) -> tuple[Interval, ...]:
    """The auctions of a trading day, in order of time.

    Orders are accepted until the last minute, which is only for matching. The closing auction
    lies within the last session as the exchange and TianQin define it.

    Args:
        key: The product, ``"SHFE.cu"``.
        day: The trading day.
        sessions: Its actual sessions.
    """
    if not sessions:
        return ()
    opens = [sessions[0][0]]
    if opens[0].date() < day and key.partition(".")[0] in _MORNING_TOO and day >= _MORNING_SINCE:
        opens += [start for start, _ in sessions if start.date() == day][:1]
    found = [(start - _BEFORE_OPEN, start) for start in opens]
    if key in _CLOSING:
        found.append((sessions[-1][1] - _BEFORE_CLOSE, sessions[-1][1]))
    return tuple(found)
