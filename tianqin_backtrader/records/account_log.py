"""Writes a store's account, orders and bars into a journal, and decides what deserves a row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Protocol

import backtrader as bt

from ..core.clock import from_backtrader, from_ns, to_ns
from ..core.context import Context
from ..core.fields import Fields, number
from ..core.model import Direction, OrderReport
from ..core.ports import Underlyings
from ..orders.leg import OrderLeg
from .journal import Journal
from .journal_values import Origin, to_json

#: These fields of a flat position keep their values; all others become 0.
_LASTING = frozenset({"last_price"})
#: No exchange trades later than this on the date of a trading day.
_DAYS_END = time(15, 15)


class Account(Protocol):
    """The present state of an account; ``MyBroker``."""

    def get_account(self) -> Fields: ...
    def get_account_positions(self) -> Mapping[str, Fields]: ...


class AccountLog:
    """Converts the state of a ``MyStore`` and its orders to rows.

    Args:
        context: Contracts and time.
        account: The account that is recorded.
        mains: The underlying contracts of main contracts.
        journal: The journal to write to.
        strategy: The name written with orders.

    Raises:
        JournalError: A row cannot be written; every method raises it.
    """

    def __init__(
        self,
        context: Context,
        account: Account,
        mains: Underlyings,
        journal: Journal,
        strategy: str,
    ) -> None:
        self._context, self._account_of, self._mains = context, account, mains
        self._journal, self._strategy = journal, strategy
        last = journal.last("equity")
        self._day = date.fromisoformat(last["trading_day"]) if last else None
        self._settled = self._day if last and last["why"] == "settled" else None
        self._before: Fields = dict(last) if last else {}
        self._exposure, self._written_at = 0.0, 0
        if last:
            self._exposure, self._written_at = last["exposure"], last["exchange_time"]
        self._held = journal.held_positions()  # positions of an earlier run may be closed by now
        self._stood: tuple[Fields, Mapping[str, Fields]] | None = None
        self._seen: dict[str, tuple[object, ...]] = {}

    def _now(self) -> tuple[int, date]:
        now = self._context.now()
        return to_ns(now), self._context.calendar.trading_day_at(now)

    # -- orders -------------------------------------------------------------------------------

    def take_order(self, order: bt.Order) -> None:
        """Write the state of a Backtrader order, leg by leg, unless it is recorded already."""
        now, day = self._now()
        if not order.legs and not order.alive():
            self._refused(order, now, day)
        for place, leg in enumerate(order.legs):
            stands = (leg.state, leg.filled, leg.exchange_order_id, leg.last_msg)
            if self._seen.get(leg.order_id) == stands:
                continue
            with self._journal.together():
                if leg.order_id not in self._seen:
                    self._journal.intent(
                        leg.order_id, leg.symbol, leg.direction, leg.offset, leg.volume,
                        leg.limit_price, trading_day=day, exchange_time=now,
                        origin=self._origin(order, place),
                    )  # fmt: skip
                self._take_leg(leg, now, day)
            self._seen[leg.order_id] = stands

    def _take_leg(self, leg: OrderLeg, now: int, day: date) -> None:
        multiple = self._context.instrument(leg.symbol).volume_multiple
        for fill in leg.fills.values():
            traded = self._context.calendar.trading_day_at(from_ns(fill.time))
            self._journal.fill(fill, trading_day=traded, volume_multiple=multiple)
        if leg.over or leg.exchange_order_id:
            price = leg.limit_price if isinstance(leg.limit_price, int | float) else math.nan
            self._journal.report(
                OrderReport(
                    leg.order_id, leg.symbol, leg.direction, leg.offset, leg.volume,
                    leg.volume - leg.filled, price, "FINISHED" if leg.over else "ALIVE",
                    leg.exchange_order_id, leg.last_msg,
                ),
                trading_day=day, exchange_time=now,
            )  # fmt: skip

    def _refused(self, order: bt.Order, now: int, day: date) -> None:
        """Write an order that the library refused: it has no leg but is recorded all the same."""
        direction = Direction.BUY if order.isbuy() else Direction.SELL
        order_id, symbol = f"REFUSED_{now}_{order.ref}", order.data._dataname
        volume = int(abs(order.created.size))
        price = order.created.price
        reason = str(order.info.get("reason", ""))
        with self._journal.together():
            self._journal.intent(
                order_id, symbol, direction, "", volume, price,
                origin=self._origin(order, 0), trading_day=day, exchange_time=now,
            )  # fmt: skip
            self._journal.report_refusal(
                order_id, symbol, direction, volume, reason, trading_day=day, exchange_time=now
            )

    def _origin(self, order: bt.Order, leg: int) -> Origin:
        created = order.created
        bar = from_backtrader(created.dt) if created.dt else 0
        return Origin(self._strategy, order.ref, leg, bar, created.pclose or math.nan)

    # -- account ------------------------------------------------------------------------------

    def take_account(self) -> None:
        """Write the account and its positions; nothing more after the day's settlement."""
        broker = self._account_of
        account, positions = broker.get_account(), broker.get_account_positions()
        if not _is_told(account):
            return
        now, day = self._now()
        self._follow_settlement(account, now, day)
        if day == self._settled:
            return
        gone = {symbol: _flat(one) for symbol, one in self._held.items() if symbol not in positions}
        self._journal.account(account, {**gone, **positions}, trading_day=day, exchange_time=now)
        self._held, self._stood = dict(positions), (account, positions)

    def take_equity(self, why: str) -> None:
        """Write a point of the equity curve."""
        broker = self._account_of
        account = broker.get_account()
        if not _is_told(account):
            return
        now, day = self._now()
        self._follow_settlement(account, now, day)
        if day == self._settled:
            return
        exposure = 0.0
        for symbol, position in broker.get_account_positions().items():
            price = number(position, "last_price")
            lots = number(position, "pos_long", 0) + number(position, "pos_short", 0)
            instrument = self._context.known_instrument(symbol)
            if price == price and instrument is not None:  # otherwise it counts once it is known
                exposure += lots * price * instrument.volume_multiple
        self._journal.equity(why, account, exposure, trading_day=day, exchange_time=now)
        self._remember(account, day, now, exposure)

    def take_last(self) -> None:
        """At the end of the program, write the account's state unless it is recorded already."""
        broker = self._account_of
        stands = broker.get_account(), broker.get_account_positions()
        if self._stood is None or not all(map(_same, stands, self._stood)):
            self.take_equity("stop")
            self.take_account()

    def _remember(self, account: Fields, day: date, now: int, exposure: float) -> None:
        self._day, self._before = day, dict(account)
        self._exposure, self._written_at = exposure, now

    def _follow_settlement(self, account: Fields, now: int, day: date) -> None:
        """After a settlement: profit is booked at the settlement price, the day's figures restart.

        The new balance is the last of the old day and the first of the next.
        """
        before = self._before
        known = "pre_balance" in before
        last_day = self._day
        if last_day is None or last_day == self._settled:
            return
        if known:
            settled = account["pre_balance"] != before["pre_balance"]
        else:  # recorded by an earlier run: the next trading day is today
            settled = self._context.calendar.next_trading_day(last_day) == day
        if not settled:
            return
        if known:
            last_day = self._settled_day(now, day)
            if last_day == self._settled:
                return
        flows = {name: before[name] for name in ("deposit", "withdraw")}
        closed = {"balance": account["pre_balance"], **flows}
        self._journal.equity(
            "settled", closed, self._exposure, trading_day=last_day,
            exchange_time=now if day == last_day else self._written_at,
        )  # fmt: skip
        self._settled = last_day

    def _settled_day(self, now: int, day: date) -> date:
        """The day of the settlement seen now; it may be seen only after the next day has begun."""
        over = from_ns(now) >= datetime.combine(day, _DAYS_END)
        before: date = self._context.calendar.previous_trading_day(day)
        return day if over else before

    # -- bars ---------------------------------------------------------------------------------

    def take_bar(self, feed: bt.DataBase) -> None:
        """Write the bar that a feed has just delivered, under the contract that it trades."""
        end = from_backtrader(feed.datetime[0])
        bar = (feed.open[0], feed.high[0], feed.low[0], feed.close[0], int(feed.volume[0]))
        day = self._context.calendar.trading_day_at(from_ns(end))
        symbol = self._mains.traded(feed._dataname)
        self._journal.mark(symbol, bar, trading_day=day, exchange_time=end)


def _flat(position: Fields) -> dict[str, object]:
    """A position after its last lot has been closed."""
    return {
        name: type(value)(0) if isinstance(value, int | float) and name not in _LASTING else value
        for name, value in position.items()
    }


def _is_told(account: Fields) -> bool:
    """Whether the account's figures have arrived; a counter may send them after the login."""
    return all(math.isfinite(number(account, name)) for name in ("balance", "pre_balance"))


def _same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Whether two accounts or positions are equal, with NaN equal to NaN."""
    return bool(to_json(one) == to_json(other))
