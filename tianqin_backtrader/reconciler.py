"""After every new session: what our fills come to, beside what the account holds.

The exchange lists the orders and trades of one trading day. What an order of the day before got
while nobody looked shows in the positions alone; without looking there it would be taken for one
that got nothing, and be sent again.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .clock import SECOND, passed_ns
from .errors import UnknownSymbol
from .model import NAN, Fill, Offset, OrderReport
from .order_desk import OrderDesk
from .order_returns import OrderReturns
from .order_state import OrderLeg
from .restart_picture import Place, Sent, compare, place_of

logger = logging.getLogger(__name__)

#: What differs for so long in a new session is not on its way, nanoseconds.
SETTLED = 10 * SECOND
#: What a first picture lacked and is shown for so long was not traded, but held before.
LATE = SECOND

Difference = tuple[str, str, int, int]


class Reconciler:
    """Puts our fills and the account together again.

    Args:
        desk: Where orders were sent.
        returns: Takes what they got.
        on_difference: Called with the words about lots that nothing explains, once they are taken
            over.
    """

    def __init__(
        self, desk: OrderDesk, returns: OrderReturns, on_difference: Callable[[str], None]
    ) -> None:
        self._desk, self._returns, self._tell = desk, returns, on_difference
        self._store, self._account = desk.store, desk.account
        self._session = 0
        self._due = self._first = False
        self._since = self._started = (0, 0)
        self._differences: list[Difference] = []

    def follow_session(self, session: int) -> None:
        """Every round, before its reports: see whether there is a new session."""
        if session != self._session:
            self._due, self._first, self._session = True, not self._session, session
            self._begin([])
            self._started = self._since
        else:
            self.tend()

    def tend(self) -> None:
        """Look, as soon as a new session's first reports are taken: before strategies go on."""
        if not self._due or not self._store.trading_up or not self._contracts_known():
            return
        differences = self._look()
        if self._first:
            self._take_late(differences)
        elif not differences:
            self._due = False
        elif differences != self._differences:
            self._begin(differences)
        elif self._waited(self._since) > SETTLED:
            self._due = False
            self._take_over(differences)

    def _contracts_known(self) -> bool:
        """Whether everything is known of what is held: the money of a difference is, then."""
        store = self._store
        held = {symbol for symbol, _ in (*self._account.sides, *self._account.held_lots())}
        symbols = held | {leg.symbol for leg in self._returns.foreign.values()}
        known = [store.known_instrument(symbol) or store.is_unknown(symbol) for symbol in symbols]
        return all(known)  # not before each was asked for

    def _take_late(self, differences: list[Difference]) -> None:
        """A counter may show what is held a while after all the rest of a program's first picture.

        What our fills have not touched yet was held before them.
        """
        if self._waited(self._started) > SETTLED:
            self._due = self._first = False
        if differences != self._differences:
            self._begin(differences)
        elif differences and self._waited(self._since) > LATE:
            for symbol in dict.fromkeys(symbol for symbol, *_ in differences):
                if not self._desk.live.get(symbol) and not self._account.net.get(symbol):
                    self._take_held(symbol)

    def _take_held(self, symbol: str) -> None:
        self._account.take_over(symbol)
        text = f"{symbol}: the account has shown what it holds after the start: it is taken over"
        logger.warning("%s", text)
        self._store.put_notification(text, symbol=symbol)

    def _begin(self, differences: list[Difference]) -> None:
        self._differences = differences
        self._since = (passed_ns(), self._store.clock.now_ns())

    def _waited(self, since: tuple[int, int]) -> int:
        """By this machine's time or the market's, which may be the faster one."""
        wall, market = since
        return max(passed_ns() - wall, int(self._store.clock.now_ns()) - market)

    def _look(self) -> list[Difference]:
        ended = self._ended()
        account = self._account
        ours = {
            place: abs(int(position.size))
            for place, position in account.sides.items()
            if position.size
        }
        gone = [symbol for symbol in {symbol for symbol, _ in ours} if expired(self._store, symbol)]
        costs = account.open_prices()
        picture = compare(ours, account.held_lots(), [], ended, costs, gone)
        for fill in unseen_fills(self._store, ended, picture.filled, costs):
            logger.warning("%s: the account holds %d lots of it", fill.order_id, fill.volume)
            self._returns.take([fill])
        self._returns.take([day_end(leg) for leg in ended])
        return picture.differences

    def _ended(self) -> list[OrderLeg]:
        """Orders whose day is over, ours first, that this session does not list."""
        known = self._store.gateway.known_orders()
        ours = [
            leg
            for live in self._desk.live.values()
            for leg in live.values()
            if leg.order_id not in known and self._desk.day_over(self._desk.legs[leg.order_id][0])
        ]
        others = [
            leg
            for leg in self._returns.foreign.values()
            if not leg.over and leg.order_id not in known
        ]
        return ours + others

    def _take_over(self, differences: list[Difference]) -> None:
        found = ", ".join(
            f"{symbol} {side}: {ours} by our fills, {theirs} on the account"
            for symbol, side, ours, theirs in differences
        )
        for symbol in dict.fromkeys(symbol for symbol, *_ in differences):
            self._account.take_over(symbol)
        self._tell(f"nothing explains what the account holds after the link was away: {found}")


def expired(store: Any, symbol: str) -> bool:
    """Whether a contract has ended: the account has settled what was held of it."""
    try:
        begun = store.broker.begun  # then nothing is waited for
        instrument = store.known_instrument(symbol) if begun else store.instrument(symbol)
    except UnknownSymbol:
        return True
    if instrument is None:
        return bool(store.is_unknown(symbol))
    ends = instrument.expire_datetime
    return bool(instrument.expired or (ends is not None and ends <= store.now()))


def day_end(leg: OrderLeg) -> OrderReport:
    """The end of an order of an earlier day."""
    price = leg.limit_price if isinstance(leg.limit_price, int | float) else NAN
    return OrderReport(
        leg.order_id, leg.symbol, leg.direction, leg.offset, leg.volume, leg.volume - leg.filled,
        price, "FINISHED", leg.exchange_order_id or "unknown", "its trading day is over",
    )  # fmt: skip


def unseen_fills(
    store: Any, ended: Iterable[Sent], filled: Mapping[str, int], costs: Mapping[Place, float]
) -> list[Fill]:
    """What orders of an earlier day must have got: the account holds it.

    Their trades are no longer told, and their fees are not known.

    Args:
        store: Time and instruments.
        ended: The orders.
        filled: Lots by order id, of a ``Picture``.
        costs: The account's mean price of the lots held, where it is known.
    """
    return [
        Fill(
            f"{leg.order_id}_unseen", leg.order_id, leg.symbol, leg.direction, leg.offset,
            _price(store, leg, costs), filled[leg.order_id], store.clock.now_ns(), NAN,
        )
        for leg in ended
        if leg.order_id in filled
    ]  # fmt: skip


def _price(store: Any, leg: Sent, costs: Mapping[Place, float]) -> float:
    """An order's own price, the worst it can have been.

    A market order has none: what the account says its lots have cost, or the last settlement.
    """
    if isinstance(leg.limit_price, int | float) and math.isfinite(leg.limit_price):
        return leg.limit_price
    cost = costs.get(place_of(leg.symbol, leg.direction, leg.offset), NAN)
    if leg.offset is Offset.OPEN and math.isfinite(cost):
        return cost
    return float(store.instrument(leg.symbol).pre_settlement)
