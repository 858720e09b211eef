"""The trading floor: time, market and exchange in step, and the books of all accounts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..clock import SECOND, from_ns
from .counter import NOT_SERVED, Counter
from .ctp_view import CtpOptions, CtpView
from .faults import FaultError
from .instrument_fields import DayFacts
from .ledger import Notice
from .limit_lock import LimitLock
from .timeline import Step, Timeline
from .views import KqView, Parcel, PlainView, View

if TYPE_CHECKING:
    from ..session_calendar import SessionCalendar
    from .exchange import Exchange
    from .market import Market


class Floor:
    """Makes market steps and shows the exchange the ticks of what is traded.

    Attributes:
        users: All who have logged in, in order, and what their clients see.
        steps, ticks: How many there have been.
    """

    def __init__(
        self,
        market: Market,
        calendar: SessionCalendar,
        exchange: Exchange,
        timeline: Timeline,
        ctp: CtpOptions | None = None,
    ) -> None:
        self.market, self.calendar = market, calendar
        self.exchange, self.timeline = exchange, timeline
        self.users: dict[str, View] = {}
        self._ctp = ctp or CtpOptions()
        self.steps = self.ticks = 0
        self._traded: dict[str, tuple[object, int]] = {}
        exchange.start_day(timeline.trading_day)

    @property
    def counter(self) -> Counter:
        """By whose rules it is traded."""
        return self.exchange.counter

    def open_account(self, user_id: str, balance: float) -> None:
        """Open the account unless it is there."""
        if user_id not in self.users:
            self.exchange.open_account(user_id, balance)
            self.users[user_id] = self._view(user_id)

    def login(self, user_id: str, balance: float) -> list[Parcel]:
        """Open the account if need be and return what the login is answered with."""
        self.open_account(user_id, balance)
        return self.users[user_id].login(self.timeline.now_ns)

    def _view(self, user_id: str) -> View:
        if self.counter.name == "ctp":
            return CtpView(self.exchange, user_id, self._ctp)
        return (
            KqView(self.exchange, user_id)
            if self.counter.name == "kq"
            else PlainView(self.exchange, user_id)
        )

    def insert(self, user_id: str, pack: dict[str, Any]) -> None:
        """A new order."""
        if self._serves(user_id, "insert_order"):
            self._ensure_traded(f"{pack.get('exchange_id')}.{pack.get('instrument_id')}")
            self.exchange.insert(user_id, pack, self.timeline.now_ns)

    def cancel(self, user_id: str, order_id: str) -> None:
        """Withdraw an order, which has the id that clients see."""
        if self._serves(user_id, "cancel_order"):
            exact_id = self.users[user_id].exact_id(order_id)
            self.exchange.cancel(user_id, exact_id, self.timeline.now_ns)

    def _serves(self, user_id: str, request: str) -> bool:
        """Whether the counter's front is up at this hour; else the user is told."""
        up = self.counter.up(from_ns(self.timeline.now_ns).time())
        if not up:
            self.exchange.say(user_id, Notice(*NOT_SERVED[request]))
        return up

    def step(self) -> Step:
        """Make the next step, without the settlement that may follow it."""
        step = self.timeline.step()
        self.steps += 1
        self.ticks += len(step.ticks)
        for cursor in step.ticks:
            if cursor.symbol in self._traded:
                self._show(cursor.symbol)
        for key in step.closed:
            for symbol in self._traded:
                if self.calendar.product(symbol).key == key:
                    self.exchange.session_end(symbol)
        return step

    def settle(self) -> bool:
        """End the trading day and begin the next; False when the days are over."""
        day = self.timeline.trading_day
        prices = {
            name: float(self.market.day(name, day).settlement)
            for name in self._traded
            if self.market.tick_count(name, day)  # not an expired contract that was ordered
        }
        self.exchange.settle(day, prices)
        self._forget_flat()
        if not self.timeline.next_day():
            return False
        self.exchange.start_day(self.timeline.trading_day)
        return True

    def take_news(self, now_ns: int | None = None) -> list[tuple[str, list[Parcel]]]:
        """What users are to be told by now, or by a later moment, and have not been."""
        if now_ns is None:
            now_ns = self.timeline.now_ns
        news = []
        for user_id, view in self.users.items():
            parcels = view.take(now_ns)
            if parcels:
                news.append((user_id, parcels))
        return news

    def due_ns(self) -> int | None:
        """When a user will be told something by the passing of time alone."""
        moments = [view.due_ns() for view in self.users.values()]
        return min((moment for moment in moments if moment is not None), default=None)

    def working_orders(self, user_id: str) -> list[str]:
        """The orders of a user that are alive."""
        orders = self.exchange.snapshot(user_id)["trade"][user_id]["orders"]
        return [name for name, order in orders.items() if order["status"] == "ALIVE"]

    def day_facts(self, symbol: str) -> DayFacts:
        """The numbers of a symbol's current trading day."""
        day = self.timeline.cursor(symbol).day
        return DayFacts(
            settlement_price=_value(day.pre_settlement),
            pre_close=_value(day.pre_close),
            upper_limit=_value(day.upper_limit),
            lower_limit=_value(day.lower_limit),
            pre_open_interest=int(day.pre_open_interest),
        )

    def main_contract(self, symbol: str) -> str | None:
        """The member of ``KQ.m@SHFE.cu`` today; ``None`` for other symbols."""
        key = symbol.removeprefix("KQ.m@")
        if key == symbol:
            return None
        return self.market.main_contract(key, self.timeline.trading_day)

    def hold_at_limit(self, symbol: str, seconds: float | None, *, up: bool) -> dict[str, Any]:
        """Hold a future, or the future behind a main contract, at its limit from now on.

        Args:
            symbol: A symbol of the made-up market.
            seconds: For how long, in market time; ``None`` is to the end of the trading day.
            up: At the upper limit; else at the lower one.

        Raises:
            FaultError: It does not trade today, or cannot be held.
        """
        symbol = self.main_contract(symbol) or symbol
        day, now = self.timeline.trading_day, self.timeline.now_ns
        instrument = self.market.instruments.get(symbol)
        if instrument is None or instrument.ins_class != "FUTURE":
            raise FaultError(f"{symbol} is no future of this market")
        if not self.market.tick_count(symbol, day):
            raise FaultError(f"{symbol} does not trade on {day}")
        until = self.timeline.end_ns if seconds is None else now + int(seconds * SECOND)
        self.market.lock(symbol, day, LimitLock(now, until, up))
        self.timeline.refresh()
        ticks = self.market.day(symbol, day)
        return {"symbol": symbol, "price": ticks.upper_limit if up else ticks.lower_limit}

    def _show(self, symbol: str) -> None:
        """Show the exchange the symbol's newest tick, once."""
        cursor = self.timeline.cursor(symbol)
        if cursor.k >= 0 and self._traded.get(symbol) != (cursor.day, cursor.k):
            self._traded[symbol] = (cursor.day, cursor.k)
            self.exchange.on_tick(symbol, cursor.day, cursor.k)

    def _ensure_traded(self, symbol: str) -> None:
        ins = self.market.instruments.get(symbol)
        if ins is not None and ins.ins_class == "FUTURE" and symbol not in self._traded:
            self.timeline.watch(symbol)
            self._traded[symbol] = (None, -1)
            self._show(symbol)

    def _forget_flat(self) -> None:
        """Stop following symbols that nobody holds any more."""
        held = set()
        for user_id in self.users:
            positions = self.exchange.snapshot(user_id)["trade"][user_id]["positions"]
            held |= {symbol for symbol, position in positions.items() if is_held(position)}
        for symbol in [name for name in self._traded if name not in held]:
            del self._traded[symbol]
            self.timeline.unwatch(symbol)


def is_held(position: dict[str, Any]) -> bool:
    """Whether any lots are left of a position on the wire."""
    sides: Iterable[str] = ("pos_long_his", "pos_long_today", "pos_short_his", "pos_short_today")
    return any(position.get(side) for side in sides)


def _value(price: float) -> float | None:
    return float(price) if price == price else None
