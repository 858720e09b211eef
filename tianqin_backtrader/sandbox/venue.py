"""The venue: advances time, market and exchange together, and holds the view of each account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from ..core.clock import SECOND, from_ns
from .exchange.counter import NOT_SERVED, SEND_FAILED, Counter
from .exchange.ctp_view import CtpOptions, CtpView
from .exchange.front import Front
from .exchange.ledger import Diff, Notice
from .exchange.views import KqView, Parcel, PlainView, RecordedView, TradesFirst, View
from .faults import FaultError
from .market.instrument_fields import DayFacts
from .market.limit_lock import LimitLock
from .market.timeline import Step, Timeline

if TYPE_CHECKING:
    from ..session_calendar import SessionCalendar
    from .exchange.exchange import Exchange
    from .market.market import Market


class Venue:
    """Makes market steps and shows the exchange the ticks of the traded symbols.

    Attributes:
        users: All users that have logged in, in order, and what their clients see.
        steps, ticks: How many of each there have been.
        front: Faults of requests before they reach the exchange.
    """

    def __init__(
        self,
        market: Market,
        calendar: SessionCalendar,
        exchange: Exchange,
        timeline: Timeline,
        ctp: CtpOptions | None = None,
        recorded: Mapping[str, Diff] | None = None,
    ) -> None:
        self.market, self.calendar = market, calendar
        self.exchange, self.timeline = exchange, timeline
        self.users: dict[str, View] = {}
        self.front = Front(exchange.counter)
        self._ctp, self._recorded = ctp or CtpOptions(), recorded
        self._late: list[tuple[int, str]] = []
        self._trades_first = TradesFirst()
        self._foreign = 0
        self.steps = self.ticks = 0
        self._traded: dict[str, tuple[object, int]] = {}
        exchange.start_day(timeline.trading_day)

    @property
    def counter(self) -> Counter:
        """The counter whose rules apply."""
        return self.exchange.counter

    def open_account(self, user_id: str, balance: float) -> None:
        """Open the account unless it is open."""
        if user_id not in self.users:
            self.exchange.open_account(user_id, balance)
            self.users[user_id] = self._view(user_id)

    def login(self, user_id: str, balance: float) -> list[Parcel]:
        """Open the account if needed and return the answer to the login."""
        self.open_account(user_id, balance)
        parcels = self.users[user_id].login(self.timeline.now_ns)
        if not any(_has_positions(user_id, parcel) for parcel in parcels):
            return parcels
        seconds = self.front.positions_late(user_id)
        if seconds is None:
            return parcels
        heappush(self._late, (self.timeline.now_ns + int(seconds * SECOND), user_id))
        return [_without_positions(user_id, parcel) for parcel in parcels]

    def _view(self, user_id: str) -> View:
        if self._recorded is not None:
            return RecordedView(self.exchange, user_id, self._recorded)
        if self.counter.name == "ctp":
            return CtpView(self.exchange, user_id, self._ctp)
        kind = KqView if self.counter.name == "kq" else PlainView
        return kind(self.exchange, user_id)

    def insert(self, user_id: str, pack: dict[str, Any]) -> None:
        """Insert an order of a client."""
        if self._passes(user_id, "insert_order"):
            self._ensure_traded(f"{pack.get('exchange_id')}.{pack.get('instrument_id')}")
            self.exchange.insert(user_id, pack, self.timeline.now_ns)

    def cancel(self, user_id: str, order_id: str) -> None:
        """Cancel an order; ``order_id`` is the id that clients see."""
        if self._passes(user_id, "cancel_order"):
            exact_id = self.users[user_id].exact_id(order_id)
            self.exchange.cancel(user_id, exact_id, self.timeline.now_ns)

    def _passes(self, user_id: str, request: str) -> bool:
        """Whether a request reaches the exchange; if not, a fault decides on the answer."""
        view = self.users[user_id]
        said = self.front.stops(request, user_id)
        if said is None and not self.counter.up(from_ns(self.timeline.now_ns).time()):
            said = [Notice(*NOT_SERVED[request])]
        if said is None and isinstance(view, CtpView) and view.front_lost:
            tells = request == "cancel_order" or view.tells_lost
            said = [Notice(*SEND_FAILED[request])] if tells else []
        for notice in said or ():
            view.say(notice)
        return said is None

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
        """End the trading day and begin the next; False after the last day."""
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
        """The unreported news of each user that is due by now or by a later moment."""
        if now_ns is None:
            now_ns = self.timeline.now_ns
        news = []
        for user_id, view in self.users.items():
            parcels = view.take(now_ns)
            if self._trades_first.waiting:
                parcels = self._trades_first.sort(user_id, parcels)
            if parcels:
                news.append((user_id, parcels))
        while self._late and self._late[0][0] <= now_ns:
            _, user_id = heappop(self._late)
            news.append((user_id, [self.users[user_id].positions()]))
        return news

    def due_ns(self) -> int | None:
        """When a user must be sent something because of time alone; None if nothing waits."""
        moments = [view.due_ns() for view in self.users.values()]
        if self._late:
            moments.append(self._late[0][0])
        return min((moment for moment in moments if moment is not None), default=None)

    # Actions of other terminals on an account

    def user(self, user_id: str | None) -> str:
        """A user, or the first that has logged in.

        Raises:
            FaultError: The user has not logged in, or nobody has.
        """
        found = user_id or next(iter(self.users), None)
        if found not in self.users:
            raise FaultError(f"no user {user_id or ''} has logged in")
        return found

    def foreign_order(
        self, user_id: str | None, pack: dict[str, Any], *, trade_first: bool
    ) -> dict[str, Any]:
        """Insert an order that another terminal places on a user's account.

        Args:
            user_id: The account; None is the first user's.
            pack: Like that of a client's order, without ``order_id``; without ``limit_price`` the
                order takes the opposite levels, up to the day's price limit.
            trade_first: Whether its trade is sent shortly before the order.

        Raises:
            FaultError: Unknown user or future.
        """
        user_id = self.user(user_id)
        view = self.users[user_id]
        self._foreign += 1
        order_id = f"other_{self._foreign}"
        if isinstance(view, CtpView):
            order_id = view.server_id(self._foreign, own=False)
        pack = self._priced(pack) | {"order_id": order_id}
        if trade_first:
            self._trades_first.waiting[order_id] = []
        self.exchange.insert(user_id, pack, self.timeline.now_ns)
        return {"user": user_id, "order_id": order_id}

    def foreign_trade(self, user_id: str | None, pack: dict[str, Any]) -> dict[str, Any]:
        """Book a trade without an order on a user's account, such as a forced close.

        Args:
            user_id, pack: As in ``foreign_order``; without ``limit_price`` at the last price.

        Raises:
            FaultError: Unknown user or future, or not enough lots free.
        """
        user_id = self.user(user_id)
        self.exchange.foreign_trade(user_id, self._priced(pack, last=True), self.timeline.now_ns)
        return {"user": user_id}

    def _priced(self, pack: dict[str, Any], *, last: bool = False) -> dict[str, Any]:
        """The pack with a price: the last price, or the day's limit on the order's side."""
        symbol = f"{pack['exchange_id']}.{pack['instrument_id']}"
        instrument = self.market.instruments.get(symbol)
        if instrument is None or instrument.ins_class != "FUTURE":
            raise FaultError(f"{symbol} is not a future of this market")
        self._ensure_traded(symbol)
        if pack.get("limit_price") is not None:
            return pack
        cursor = self.timeline.cursor(symbol)
        day = cursor.day
        price = day.upper_limit if pack["direction"] == "BUY" else day.lower_limit
        if last:
            shown = float(day.last_price[cursor.k]) if cursor.k >= 0 else float("nan")
            price = shown if shown == shown else day.pre_settlement
        return pack | {"limit_price": float(price)}

    def working_orders(self, user_id: str) -> list[str]:
        """The ids of a user's working orders."""
        orders = self.exchange.snapshot(user_id)["trade"][user_id]["orders"]
        return [name for name, order in orders.items() if order["status"] == "ALIVE"]

    def day_facts(self, symbol: str) -> DayFacts:
        """The figures of a symbol's current trading day."""
        day = self.timeline.cursor(symbol).day
        return DayFacts(
            settlement_price=_value(day.pre_settlement),
            pre_close=_value(day.pre_close),
            upper_limit=_value(day.upper_limit),
            lower_limit=_value(day.lower_limit),
            pre_open_interest=int(day.pre_open_interest),
        )

    def main_contract(self, symbol: str) -> str | None:
        """Today's contract of ``KQ.m@SHFE.cu``; ``None`` for other symbols."""
        key = symbol.removeprefix("KQ.m@")
        if key == symbol:
            return None
        return self.market.main_contract(key, self.timeline.trading_day)

    def hold_at_limit(self, symbol: str, seconds: float | None, *, up: bool) -> dict[str, Any]:
        """Hold a future, or the contract of a main contract, at its price limit from now on.

        Args:
            symbol: A symbol of the generated market.
            seconds: For how long, in market time; ``None`` is to the end of the trading day.
            up: Whether at the upper limit; otherwise at the lower one.

        Raises:
            FaultError: It does not trade today, or cannot be held.
        """
        symbol = self.main_contract(symbol) or symbol
        day, now = self.timeline.trading_day, self.timeline.now_ns
        instrument = self.market.instruments.get(symbol)
        if instrument is None or instrument.ins_class != "FUTURE":
            raise FaultError(f"{symbol} is not a future of this market")
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
    """Whether a position row has any lots."""
    sides: Iterable[str] = ("pos_long_his", "pos_long_today", "pos_short_his", "pos_short_today")
    return any(position.get(side) for side in sides)


def _has_positions(user_id: str, parcel: Parcel) -> bool:
    return any(diff.get("trade", {}).get(user_id, {}).get("positions") for diff in parcel.diffs)


def _without_positions(user_id: str, parcel: Parcel) -> Parcel:
    """The snapshot without its positions, which come later."""
    if not _has_positions(user_id, parcel):
        return parcel
    diffs = []
    for diff in parcel.diffs:
        branch = diff.get("trade", {}).get(user_id)
        if branch is None or "positions" not in branch:
            diffs.append(diff)
        else:
            diffs.append({"trade": {user_id: branch | {"positions": {}}}})
    return Parcel(parcel.how, tuple(diffs))


def _value(price: float) -> float | None:
    return float(price) if price == price else None
