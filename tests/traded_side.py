"""One side of a market made by hand: steps go in favour of a long, or of a short."""

import backtrader as bt
from hand_market import HandMarket


class TradedSide:
    """A market and the orders of a trade in it.

    Args:
        symbol: Which contract.
        short: Whether the trade is short: everything is mirrored.
        start: Naive Beijing time of the first tick.
    """

    def __init__(self, symbol, *, short=False, start="2026-11-10 09:31:00"):
        self.market = HandMarket(symbol, start)
        self.symbol, self.short = symbol, short
        self.sign = -1 if short else 1

    def price(self, steps):
        """A price so many steps in the trade's favour."""
        return self.market.price(self.sign * steps)

    def at(self, steps, seconds=1, *, near=50, far=50):
        """Show the market there: who opens finds ``near`` lots at each level, who closes ``far``.

        An entry at ``price(steps)`` trades, and an exit one step behind it. Nobody else trades.
        """
        if self.short:
            self.market.show(1 - steps, seconds, bids=near, asks=far, traded=0)
        else:
            self.market.show(steps, seconds, bids=far, asks=near, traded=0)
        return self

    def enter(self, strategy, **options):
        """Open at the market, or by the order that the options say."""
        return (strategy.sell if self.short else strategy.buy)(**options)

    def exit(self, strategy, **options):
        """The other way."""
        return (strategy.buy if self.short else strategy.sell)(**options)

    def bracket(self, strategy, size, *, stop=-10, target=10, entry=0, **options):
        """An entry at a price and what protects it; ``entry=None`` is at the market."""
        make = strategy.sell_bracket if self.short else strategy.buy_bracket
        kind = bt.Order.Market if entry is None else bt.Order.Limit
        prices = {"stopprice": self.price(stop), "limitprice": self.price(target)}
        if entry is not None:
            prices["price"] = self.price(entry)
        return make(size=size, **({"exectype": kind} | prices | options))

    def held(self, strategy):
        """Lots of the trade's side, by our fills."""
        return int(self.sign * strategy.position.size)
