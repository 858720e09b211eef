"""The order book of one contract: a tick's quotes, what own orders took, and resting orders."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator

from ..market.listing import Instrument
from ..market.ticks import LEVELS, DayTicks
from .account import to_ticks
from .order_rules import Order

_DEEP = {"BEST": 1, "FIVELEVEL": 5}


class Book:
    """The order book at one tick; prices in ticks.

    Attributes:
        time: Nanoseconds since 1970 UTC.
        last: Last price, 0 before the day's first trade.
        upper, lower: The day's price limits.
    """

    def __init__(self, day: DayTicks, k: int, instrument: Instrument) -> None:
        self._instrument = instrument
        self.time = int(day.time[k])
        self.last = _ticks(day.last_price[k], instrument)
        self.upper = to_ticks(day.upper_limit, instrument)
        self.lower = to_ticks(day.lower_limit, instrument)
        self._day, self._k = day, k
        before = int(day.volume[k - 1]) if k else 0
        self._traded = int(day.volume[k]) - before
        self._taken: dict[tuple[bool, int], int] = defaultdict(int)

    def _side(self, *, asks: bool) -> list[tuple[int, int]]:
        """(price, volume) of the levels of one side, best first."""
        day, k = self._day, self._k
        prices = day.ask_price[k] if asks else day.bid_price[k]
        volumes = day.ask_volume[k] if asks else day.bid_volume[k]
        levels = ((_ticks(prices[i], self._instrument), int(volumes[i])) for i in range(LEVELS))
        return [(price, volume) for price, volume in levels if price]

    @property
    def best_ask(self) -> int:
        """Lowest ask price, 0 if there is none."""
        return _ticks(self._day.ask_price[self._k, 0], self._instrument)

    @property
    def best_bid(self) -> int:
        """Highest bid price, 0 if there is none."""
        return _ticks(self._day.bid_price[self._k, 0], self._instrument)

    @property
    def trade_price(self) -> int:
        """Price at which this tick's lots were traded, 0 if there were none."""
        return self.last if self._traded else 0

    def reachable(self, order: Order) -> list[tuple[int, int]]:
        """(price, lots) of the opposite side within the order's limit, best first."""
        levels = self._side(asks=order.buys)[: _DEEP.get(order.price_type, LEVELS)]
        limit = order.limit
        return [
            (price, volume - self._taken[order.buys, price])
            for price, volume in levels
            if (limit is None or (price <= limit if order.buys else price >= limit))
            and volume > self._taken[order.buys, price]
        ]

    def incoming_fills(self, order: Order) -> list[tuple[int, int]]:
        """(price, lots) a new order takes at once, level by level; FOK takes all or nothing."""
        levels = self.reachable(order)
        if order.volume_condition == "ALL" and sum(volume for _, volume in levels) < order.volume:
            return []
        return self._take(order, levels)

    def resting_fills(self, order: Order) -> list[tuple[int, int]]:
        """(price, lots) that a resting order gets with this tick, all at the order's own price."""
        assert order.limit is not None  # only limit orders rest
        fills = [(order.limit, lots) for _, lots in self._take(order, self.reachable(order))]
        lots = self.traded_through(order, order.volume_left - sum(lots for _, lots in fills))
        return [*fills, (order.limit, lots)] if lots else fills

    def _take(self, order: Order, levels: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Take lots of these levels; they stay taken until the next tick."""
        left, fills = order.volume_left, []
        for price, volume in levels:
            if left:
                lots = min(volume, left)
                left -= lots
                self._taken[order.buys, price] += lots
                fills.append((price, lots))
        return fills

    def queue_at(self, order: Order) -> int:
        """Lots shown ahead of a new resting order at its price."""
        levels = self._side(asks=not order.buys)
        for price, volume in levels:
            if price == order.limit:
                return volume
        # Beyond the shown levels: at least as many lots as at the last one.
        assert order.limit is not None
        deeper = levels and (order.limit < levels[-1][0]) == order.buys
        return levels[-1][1] if deeper else 0

    def traded_through(self, order: Order, left: int) -> int:
        """How many of ``left`` lots this tick's trades fill; moves the order up in its queue."""
        assert order.limit is not None
        if not self._traded or not self.last:
            return 0
        better = self.last < order.limit if order.buys else self.last > order.limit
        if not better and self.last != order.limit:
            return 0
        ahead = 0 if better else min(order.queue_ahead, self._traded)
        order.queue_ahead -= ahead
        lots = min(self._traded - ahead, left)
        self._traded -= lots
        return lots


class Working:
    """The own orders that rest in one contract, by price, then by time."""

    def __init__(self) -> None:
        self._buys: list[Order] = []
        self._sells: list[Order] = []

    def __len__(self) -> int:
        return len(self._buys) + len(self._sells)

    def __iter__(self) -> Iterator[Order]:
        yield from self._buys
        yield from self._sells

    def _side(self, order: Order) -> list[Order]:
        return self._buys if order.buys else self._sells

    def add(self, order: Order) -> None:
        """Add an order that begins to rest."""
        insort(self._side(order), order, key=_priority)

    def discard(self, order: Order) -> None:
        """Remove an order if it rests."""
        if order.limit is None:
            return
        side = self._side(order)
        index = bisect_left(side, _priority(order), key=_priority)
        if index < len(side) and side[index] is order:
            del side[index]

    def reached(self, book: Book) -> list[Order]:
        """The orders that the tick's quotes or trades may fill or move up, in priority.

        Orders far from the market are not looked at.
        """
        traded = book.trade_price
        found: list[Order] = []
        floor = min((price for price in (book.best_ask, traded) if price), default=None)
        if floor is not None:
            found += self._buys[: bisect_left(self._buys, (1 - floor, ""), key=_priority)]
        ceiling = max(book.best_bid, traded)
        if ceiling:
            found += self._sells[: bisect_left(self._sells, (ceiling + 1, ""), key=_priority)]
        return found


def _priority(order: Order) -> tuple[int, str]:
    """Price, then time."""
    assert order.limit is not None  # only limit orders wait
    return (-order.limit if order.buys else order.limit), order.exchange_order_id


def _ticks(price: float, instrument: Instrument) -> int:
    return to_ticks(price, instrument) if price == price else 0
