"""Compare the positions of our fills with the account's after every new session.

The exchange lists the orders and trades of one trading day only. Fills of an earlier day's order
during a disconnection show only in the positions; without this comparison the order would count as
unfilled and be sent again.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping

from ..core.clock import SECOND, Instants, instants
from ..core.context import Context
from ..core.model import NAN, Fill, Offset, OrderReport
from ..errors import UnknownSymbol
from ..execution.order_manager import OrderManager
from ..execution.write_ahead import Planned
from ..orders.leg import OrderLeg
from .position_diff import Place, Sent, compare, place_of

logger = logging.getLogger(__name__)

#: A difference that lasts this long in a new session is real, not late data; nanoseconds.
SETTLED = 10 * SECOND
#: Lots that were missing at first and are then shown for this long were held before the start.
LATE = SECOND
#: The interval of checks for lots that were given up.
AGAIN = SECOND

Difference = tuple[str, str, int, int]


class Reconciler:
    """Reconciles our fills with the account.

    Args:
        manager: Has the orders that were sent.
        foreign: Orders that other terminals have sent, by id.
        lots: The baseline of the records; written again when lots are taken over.
    """

    def __init__(
        self, manager: OrderManager, foreign: Mapping[str, OrderLeg], lots: Planned
    ) -> None:
        self._manager, self._foreign, self._lots = manager, foreign, lots
        self._context, self._trading = manager.context, manager.trading
        self._link, self._account = manager.link, manager.account
        self._session = 0
        #: Whether a new session has yet to be reconciled.
        self.due = self._first = False
        self._since = self._started = self._looked = Instants(0, 0)
        self._differences: list[Difference] = []
        self._seen: list[Difference] | None = None
        #: Lots by contract and side that the account no longer showed, and that were given up.
        self.given_up: dict[Place, int] = {}
        self._lacking = False

    def follow_session(self, session: int) -> bool:
        """Return whether a new session has begun, whose reports are still to come."""
        if session == self._session:
            return False
        self.due, self._first, self._session = True, not self._session, session
        self._begin([])
        self._started, self._lacking = self._since, False
        return True

    def reports(self) -> Iterator[OrderReport | Fill]:
        """Yield what the account shows of orders whose day is over, to be applied one by one.

        This happens as soon as a new session's first reports are applied, before strategies run.
        After lots were given up it is repeated, as a counter may still show them later.
        """
        self._seen = None
        if not self._is_time() or not self._link.trading_up or not self._contracts_known():
            return
        self._looked = self._now()
        if self._account.lacks_positions():
            self._tell_lacking()
            return
        ended = self._ended()
        costs = self._account.open_prices()
        picture = compare(self._ours(), self._account.held_lots(), [], ended, costs, self._gone())
        for fill in unseen_fills(self._context, ended, picture.filled, costs):
            logger.warning("%s: %d lots of it are in the account", fill.order_id, fill.volume)
            yield fill
        for leg in ended:
            yield day_end(leg)
        self._seen = picture.differences

    def on_round(self) -> str:
        """Act on the differences found by ``reports``.

        Returns:
            A message about unexplained lots when they are taken over, else "".
        """
        differences, self._seen = self._seen, None
        if differences is None:
            return ""
        if differences != self._differences:
            self._begin(differences)
        stable = self._now().since(self._since)
        if stable > LATE and (back := self._come_back(differences)):
            self._take_back(back)
        elif not self.due:
            return ""
        elif not differences:
            # The first snapshot may lack positions that a counter shows later.
            self.due = self._first and self._now().since(self._started) <= SETTLED
            self.given_up.clear()
        elif self._first and stable > LATE and (late := self._held_before(differences)):
            self._take_held(late)
        elif stable > SETTLED:
            self.due = False
            return self._take_over(differences)
        return ""

    def _is_time(self) -> bool:
        looked = self._now().since(self._looked)
        return self.due or (bool(self.given_up) and looked >= AGAIN)

    def _tell_lacking(self) -> None:
        """Report once that margin is in use but the account shows no positions."""
        if self._lacking or self._now().since(self._started) <= SETTLED:
            return
        self._lacking = True
        text = (
            "the account has shown no positions since the login, though margin is in use: the "
            "positions of our fills are assumed to be held, and exits wait until they are shown"
        )
        logger.error("%s", text)
        self._context.notify(text)

    def _come_back(self, differences: list[Difference]) -> dict[str, int]:
        """Return lots that were given up and are now shown after all, by contract."""
        found: dict[str, int] = {}
        for symbol, side, ours, theirs in differences:
            lots = min(theirs - ours, self.given_up.get((symbol, side), 0))
            if lots > 0 and not self._manager.live.get(symbol):
                found[symbol] = found.get(symbol, 0) + lots
        return found

    def _take_back(self, back: dict[str, int]) -> None:
        """Hold these lots again; their stops have ended because the lots were gone."""
        self._hold(list(back))
        for place in [place for place in self.given_up if place[0] in back]:
            del self.given_up[place]
        for symbol, lots in back.items():
            text = (
                f"{symbol}: the account shows lots again that had been given up: they are taken "
                f"over; {lots} lots have no protection: their stops have ended"
            )
            logger.error("%s", text)
            self._context.exposed(symbol, lots, text)
            self._context.notify(text, symbol=symbol, lots=lots)

    def _contracts_known(self) -> bool:
        """Return whether all contracts held are known, so that differences can be valued."""
        context = self._context
        held = {symbol for symbol, _ in (*self._account.sides, *self._account.held_lots())}
        symbols = held | {leg.symbol for leg in self._foreign.values()}
        known = [
            context.known_instrument(symbol) or context.is_unknown(symbol) for symbol in symbols
        ]
        return all(known)  # the list above requests every contract first

    def _held_before(self, differences: list[Difference]) -> list[str]:
        """Return contracts without any fills of ours: their lots were held before the start."""
        return [
            symbol
            for symbol in _symbols(differences)
            if not self._manager.live.get(symbol) and not self._account.net.get(symbol)
        ]

    def _take_held(self, symbols: list[str]) -> None:
        self._hold(symbols)
        for symbol in symbols:
            text = (
                f"{symbol}: the account has shown what it holds after the start: it is taken over"
            )
            logger.warning("%s", text)
            self._context.notify(text, symbol=symbol)

    def _hold(self, symbols: list[str]) -> None:
        """Take over the account's lots, and record them as the next start's baseline."""
        for symbol in symbols:
            self._account.take_over(symbol)
        self._manager.write_ahead.touch_plan(self._lots)

    def _begin(self, differences: list[Difference]) -> None:
        self._differences, self._since = differences, self._now()

    def _now(self) -> Instants:
        return instants(self._context.clock)

    def _ours(self) -> dict[Place, int]:
        """Return the lots of our fills."""
        return {
            place: abs(int(position.size))
            for place, position in self._account.sides.items()
            if position.size
        }

    def _gone(self) -> list[str]:
        """Return held contracts that have expired."""
        symbols = {symbol for symbol, _ in self._ours()}
        return [symbol for symbol in symbols if expired(self._context, symbol, waits=False)]

    def _ended(self) -> list[OrderLeg]:
        """Return orders whose day is over and that this session does not list, ours first."""
        known = self._trading.known_orders()
        ours = [
            leg
            for live in self._manager.live.values()
            for leg in live.values()
            if leg.order_id not in known
            and self._manager.day_over(self._manager.legs[leg.order_id][0])
        ]
        others = [
            leg for leg in self._foreign.values() if not leg.over and leg.order_id not in known
        ]
        return ours + others

    def _take_over(self, differences: list[Difference]) -> str:
        found = ", ".join(
            f"{symbol} {side}: {ours} by our fills, {theirs} on the account"
            for symbol, side, ours, theirs in differences
        )
        for symbol, side, ours, theirs in differences:
            if theirs < ours:
                self.given_up[symbol, side] = ours - theirs
        self._hold(_symbols(differences))
        when = "the start" if self._first else "the link was away"
        return f"nothing explains what the account holds after {when}: {found}"


def _symbols(differences: list[Difference]) -> list[str]:
    return list(dict.fromkeys(symbol for symbol, *_ in differences))


def expired(context: Context, symbol: str, *, waits: bool) -> bool:
    """Return whether a contract has expired: the account has settled its positions.

    Args:
        context: Knows contracts and the time.
        symbol: The contract.
        waits: Whether to wait for its specification. Without one it has not expired.
    """
    try:
        instrument = context.instrument(symbol) if waits else context.known_instrument(symbol)
    except UnknownSymbol:
        return True
    if instrument is None:
        return bool(context.is_unknown(symbol))
    ends = instrument.expire_datetime
    return bool(instrument.expired or (ends is not None and ends <= context.now()))


def day_end(leg: OrderLeg) -> OrderReport:
    """Make the final report of an order of an earlier day."""
    price = leg.limit_price if isinstance(leg.limit_price, int | float) else NAN
    return OrderReport(
        leg.order_id, leg.symbol, leg.direction, leg.offset, leg.volume, leg.volume - leg.filled,
        price, "FINISHED", leg.exchange_order_id or "unknown", "its trading day is over",
    )  # fmt: skip


def unseen_fills(
    context: Context, ended: Iterable[Sent], filled: Mapping[str, int], costs: Mapping[Place, float]
) -> list[Fill]:
    """Make the fills that orders of an earlier day must have had, as the account holds the lots.

    Their trades are no longer listed, and their commission is not known.

    Args:
        context: Time and contracts.
        ended: The orders.
        filled: Lots by order id, of a ``PositionDiff``.
        costs: The account's mean price of the lots held, where it is known.
    """
    return [
        Fill(
            f"{leg.order_id}_unseen", leg.order_id, leg.symbol, leg.direction, leg.offset,
            _price(context, leg, costs), filled[leg.order_id], context.now_ns(), NAN,
        )
        for leg in ended
        if leg.order_id in filled
    ]  # fmt: skip


def _price(context: Context, leg: Sent, costs: Mapping[Place, float]) -> float:
    """Return an order's own price, the worst possible one.

    For a market order: the account's mean opening price of the lots, or the last settlement price.
    """
    if isinstance(leg.limit_price, int | float) and math.isfinite(leg.limit_price):
        return leg.limit_price
    cost = costs.get(place_of(leg.symbol, leg.direction, leg.offset), NAN)
    if leg.offset is Offset.OPEN and math.isfinite(cost):
        return cost
    return float(context.instrument(leg.symbol).pre_settlement)
