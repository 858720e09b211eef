"""An exchange whose market is shown by hand, and one user at it."""

from datetime import date, datetime

import numpy as np

from tianqin_backtrader.core.clock import SECOND, to_ns
from tianqin_backtrader.sandbox.exchange.counter import PLAIN
from tianqin_backtrader.sandbox.exchange.exchange import Exchange
from tianqin_backtrader.sandbox.market.listing import build_instruments
from tianqin_backtrader.sandbox.market.ticks import DayTicks
from tianqin_backtrader.session_calendar import CALENDAR

DAY = date(2026, 11, 10)
INSTRUMENTS = build_instruments(CALENDAR, DAY, DAY)
PRICES = {
    "SHFE.cu2612": 78000.0, "DCE.m2701": 3000.0, "CFFEX.IF2612": 4500.0,
    "CZCE.SR701": 5600.0, "GFEX.si2701": 9200.0,
}  # fmt: skip
NOW = to_ns(datetime(2026, 11, 10, 9, 30))


class Desk:
    """One user at an exchange whose market is shown by hand."""

    def __init__(self, balance=10_000_000.0, counter=PLAIN):
        self.exchange = Exchange(INSTRUMENTS, CALENDAR, counter)
        self.exchange.open_account("u", balance)
        self.exchange.start_day(DAY)
        self.now, self.number = NOW, 0
        self.told = []

    def show(self, symbol, *, bid=None, ask=None, last=None, bids=5, asks=5, traded=0):
        """Make a tick: best prices in ticks away from the product's round price."""
        tick = INSTRUMENTS[symbol].price_tick
        middle = PRICES[symbol]
        levels = np.arange(5)

        def side(best, sign, volume):
            prices = middle + (best + sign * levels) * tick
            return np.round(prices, 4)[None, :], np.full((1, 5), volume)

        bid_price, bid_volume = side(0 if bid is None else bid, -1, bids)
        ask_price, ask_volume = side(1 if ask is None else ask, 1, asks)
        self.now += SECOND
        nothing = np.zeros(1)
        day = DayTicks(
            symbol=symbol, trading_day=DAY, first_id=0, levels=5, time=np.array([self.now]),
            last_price=np.array([middle + (last or 0) * tick]), average=nothing, highest=nothing,
            lowest=nothing, volume=np.array([traded]), amount=nothing,
            open_interest=np.zeros(1, np.int64), bid_price=bid_price, ask_price=ask_price,
            bid_volume=bid_volume, ask_volume=ask_volume, pre_settlement=middle, pre_close=middle,
            pre_open_interest=0, upper_limit=middle + 200 * tick, lower_limit=middle - 200 * tick,
            settlement=middle, close=middle,
        )  # fmt: skip
        self.exchange.on_tick(symbol, day, 0)

    def order(self, symbol, direction, offset, volume, price, **fields):
        """Insert; ``price`` in ticks away from the round price, None for a market order."""
        self.number += 1
        exchange_id, code = symbol.split(".")
        pack = {
            "order_id": f"o{self.number}", "exchange_id": exchange_id, "instrument_id": code,
            "direction": direction, "offset": offset, "volume": volume, "price_type": "LIMIT",
            "time_condition": "GFD", "volume_condition": "ANY",
        }  # fmt: skip
        if price is not None:
            tick = INSTRUMENTS[symbol].price_tick if symbol in INSTRUMENTS else 1.0
            pack["limit_price"] = PRICES.get(symbol, 100.0) + price * tick
        pack |= fields
        self.exchange.insert("u", pack, self.now)
        return pack["order_id"]

    @property
    def trade(self):
        return self.exchange.snapshot("u")["trade"]["u"]

    def state(self, order_id):
        order = self.trade["orders"][order_id]
        return order["status"], order["volume_orign"] - order["volume_left"], order["last_msg"]

    def position(self, symbol):
        found = self.trade["positions"].get(symbol, {})
        names = ("pos_long_today", "pos_long_his", "pos_short_today", "pos_short_his")
        return tuple(found.get(name, 0) for name in names)

    def notices(self):
        diffs = self.exchange.take_diffs("u")
        return [n["content"] for diff in diffs for n in diff.get("notify", {}).values()]
