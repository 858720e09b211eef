"""Settle contracts that expire while they are held, as the account does.

Orders on them that wait for a price or another day end, too.
"""

from __future__ import annotations

import logging
import math
from datetime import date

from ..account.ledger import SIDES, PositionLedger
from ..contracts.odd_prices import sane
from ..core.clock import SECOND, passed_ns
from ..core.model import Instrument
from ..core.ports import MarketDataPort
from ..errors import TianqinError
from ..execution.order_manager import OrderManager
from ..orders.ticket import Ending, Stage
from .after_reconnect import expired

logger = logging.getLogger(__name__)

#: How long to wait for a settlement price, nanoseconds.
PATIENCE = 3 * SECOND


class ExpirySettlement:
    """Checks positions and waiting orders for expiry, beginning once per trading day.

    Args:
        account: Has the positions.
        manager: Has the orders.
        market: Has the settlement prices.

    Attributes:
        expiring: Contracts that may expire today.
    """

    def __init__(
        self, account: PositionLedger, manager: OrderManager, market: MarketDataPort
    ) -> None:
        self._account, self._manager = account, manager
        self._context, self._trading, self._market = manager.context, manager.trading, market
        self._day: date | None = None
        self.expiring: set[str] = set()
        self._asked: dict[str, int] = {}

    def on_round(self) -> bool:
        """Settle what has expired; return whether anything was settled."""
        today = self._context.trading_day()
        if today != self._day:
            self._day = today
            self._end_waiting()
            self.expiring.clear()
            self.expiring |= {
                symbol
                for symbol, held in self._account.net.items()
                if held.size or any(self._account.position(symbol, side).size for side in SIDES)
            }
        return bool(self.expiring) and self._settle()

    def _end_waiting(self) -> None:
        for ticket in list(self._manager.tickets.values()):
            waits = not ticket.over and ticket.stage is not Stage.WORKING
            if waits and expired(self._context, ticket.symbol, waits=False):
                ticket.order.addinfo(reason=f"{ticket.symbol} has expired")
                self._manager.cancel(ticket, Ending.EXPIRE)

    def _settle(self) -> bool:
        settled = False
        for symbol in list(self.expiring):
            instrument = self._context.known_instrument(symbol)
            if instrument is None:
                continue  # it was requested
            ends = instrument.expire_datetime
            if not instrument.expired and (ends is None or ends > self._context.now()):
                self.expiring.discard(symbol)  # not today
            elif not self._trading.position(symbol).get("pos", 0):
                price = self._price(symbol, instrument)
                if price != price:
                    continue
                self.expiring.discard(symbol)
                lots = self._account.settle(symbol, price)
                text = f"{symbol} has expired: {lots} lots were settled at {price}"
                logger.warning("%s", text)
                self._context.notify(text, symbol=symbol, lots=lots, price=price)
                settled = True
        return settled

    def _price(self, symbol: str, instrument: Instrument) -> float:
        """Return the last day's settlement price, nan while it may still come.

        If it does not come, the price of the day before.
        """
        since = self._asked.setdefault(symbol, passed_ns())
        try:
            price = float(self._market.quote(symbol).settlement)
        except TianqinError:
            price = math.nan
        if price or not instrument.ins_class.endswith("OPTION"):  # an option may end at 0
            price = sane(symbol, price)
        late = price != price and passed_ns() - since > PATIENCE
        return instrument.pre_settlement if late else price
