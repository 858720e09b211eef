"""Fees of trades that do not state their fee: estimated first, then settled (pure).

A futures company's trades state no fee, but its account has the commission of the trading day so
far: seconds later, for all programs that trade on it, and starting at 0 every day.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import date

from ..core.clock import SECOND, Instants
from ..core.model import Fill, Instrument, Offset
from .offsets import LotFees

#: If the account's commission has changed since the last trade and this time has passed since
#: then, it includes all trades; nanoseconds.
SETTLED = 5 * SECOND
#: If it has not changed for this long since the last trade, nothing was charged; nanoseconds.
UNCHANGED = 30 * SECOND


@dataclass(frozen=True, slots=True)
class DayFees:
    """``commission`` of the account's trading day so far, and ``pre_balance``, yuan.

    A change of ``pre_balance`` shows that a new trading day has begun.
    """

    commission: float
    pre_balance: float


class PaidFees:
    """Learns fees from the account: TianQin's specification has the same fee for everybody.

    Where the exchange chooses which lots a close takes (all but SHFE and INE), the fee of closing
    today's lots cannot be told from that of older lots; ``close_today`` is the specified fee there.
    A futures company's counter charges today's fee there as long as lots were opened today, though
    it takes the oldest lots first.
    """

    def __init__(self) -> None:
        self._paid: dict[tuple[str, str], float] = {}

    def learn(self, fill: Fill) -> None:
        """Learn from a trade that states its fee."""
        if fill.volume:
            self.put(fill.symbol, fill.offset, fill.commission / fill.volume)

    def put(self, symbol: str, offset: str, fee: float) -> None:
        """Store the fee of one lot, yuan."""
        self._paid[symbol, str(offset)] = fee

    def a_lot(self, instrument: Instrument, offset: Offset) -> float:
        """Yuan per lot; the specified fee if nothing has been paid yet."""
        told = instrument.commission if math.isfinite(instrument.commission) else 0.0
        return self._paid.get((instrument.symbol, str(offset)), told)

    def of(self, instrument: Instrument) -> LotFees:
        """Yuan per lot for opening and for each way of closing."""
        today, history, opens = (
            self.a_lot(instrument, offset)
            for offset in (Offset.CLOSETODAY, Offset.CLOSE, Offset.OPEN)
        )
        return LotFees(close_today=today, close_history=history, open=opens)


class FeeLedger:
    """Tracks the fees of trades, estimated until the account's figures show the true sum.

    Args:
        all_named: Whether every trade states its fee; then there is nothing to settle.

    Attributes:
        all_named: As above.
        paid: The fees per lot so far.
    """

    def __init__(self, *, all_named: bool) -> None:
        self.all_named, self.paid = all_named, PaidFees()
        self._estimates: dict[tuple[str, str], float] = {}
        self._booked: defaultdict[date, float] = defaultdict(float)
        self._base = 0.0
        self._settled = 0.0
        self._told: DayFees | None = None
        #: The trades since the account's commission was last known to include all trades.
        self._lots: Counter[tuple[str, str]] = Counter()
        self._least = math.inf
        self._before = 0.0
        self._open = self._changed = self._mixed = False
        #: Whether the next figure will include fees of earlier trades, which were 0 so far.
        self._owed = False
        self._since = Instants(0, 0)

    # -- trades -------------------------------------------------------------------------------

    def estimated(self, fill: Fill, instrument: Instrument) -> Fill:
        """The fill with an estimated fee; the estimate is the same for repeated reports."""
        place = (fill.order_id, fill.trade_id)
        if place not in self._estimates:
            a_lot = self.paid.a_lot(instrument, fill.offset)
            self._estimates[place] = round(a_lot * fill.volume, 2)
        return replace(fill, commission=self._estimates[place])

    def take(self, fill: Fill, day: date, at: Instants) -> None:
        """Take a booked trade, with its stated or estimated fee."""
        if self.all_named:
            return
        self._booked[day] += fill.commission
        if not self._open:
            self._lots.clear()
            self._least, self._mixed = math.inf, self._owed
            self._before = self._told.commission if self._told is not None else math.nan
        self._lots[fill.symbol, str(fill.offset)] += fill.volume
        self._least = min(self._least, fill.commission)
        self._open, self._changed, self._since = True, False, at

    # -- the account --------------------------------------------------------------------------

    def begin(self, told: DayFees, coming: float = 0.0) -> None:
        """Begin with the account's present figures.

        Args:
            told: The account's present figures.
            coming: Fees of trades that are in these figures and will be taken later.
        """
        self._told = told if math.isfinite(told.commission) else None
        self._base = told.commission - coming if self._told is not None else math.nan

    def settle(self, told: DayFees, settled: date, at: Instants) -> float:
        """The yuan to book so that the fees of the trades match the account's commission.

        Args:
            told: The account's present figures.
            settled: The last trading day that is over: later trades are in the commission of the
                account's next day.
            at: The present.
        """
        if self.all_named or not math.isfinite(told.commission):
            return 0.0
        if self._told is None:
            self._base = told.commission - self._total
        elif _is_another_day(self._told, told):
            self._begin_day(settled)
        before, self._told = self._told, told
        changed = before is None or before.commission != told.commission
        self._changed |= changed
        if not changed and not self._open:
            return 0.0
        difference = round(told.commission - self._base - self._total, 2)
        quiet = at.since(self._since) > (SETTLED if self._changed else UNCHANGED)
        if self._open and not quiet and not (changed and difference > -self._least / 2):
            return 0.0  # some of the trades are not included yet
        if quiet:
            self._owed = bool(self._lots) and not self._changed
            self._open = False
            self._learn(told.commission)
        self._settled += difference
        return difference

    @property
    def _total(self) -> float:
        return sum(self._booked.values()) + self._settled

    def _begin_day(self, settled: date) -> None:
        for day in [day for day in self._booked if day <= settled]:
            del self._booked[day]
        self._base = self._settled = self._before = 0.0
        self._open &= bool(self._booked)
        self._owed &= bool(self._booked)
        self._mixed = True  # the figure will mix trades of both days
        self._estimates.clear()

    def _learn(self, commission: float) -> None:
        """If all trades were of one kind, learn the fee per lot of that kind."""
        cost = commission - self._before
        if len(self._lots) == 1 and cost > 0 and not self._mixed:
            [((symbol, offset), lots)] = self._lots.items()
            self.paid.put(symbol, offset, cost / lots)


def _is_another_day(before: DayFees, told: DayFees) -> bool:
    if math.isfinite(before.pre_balance) and math.isfinite(told.pre_balance):
        return before.pre_balance != told.pre_balance
    return told.commission < before.commission
