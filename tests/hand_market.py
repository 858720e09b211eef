"""A market that is written by hand: its ticks, as a file that the sandbox plays."""

import datetime

import pandas as pd

from tianqin_backtrader.core.clock import SECOND, to_ns

#: Price, tick and multiplier of contracts, as far as these tests need them.
PRICES = {
    "SHFE.cu2612": (78000.0, 10.0, 5), "INE.sc2701": (500.0, 0.1, 1000),
    "DCE.m2701": (3000.0, 1.0, 10), "CZCE.SR701": (5600.0, 1.0, 10),
    "GFEX.si2701": (9200.0, 5.0, 5), "CFFEX.IF2612": (4500.0, 0.2, 300),
}  # fmt: skip


class HandMarket:
    """Ticks of one contract, one a second.

    Args:
        symbol: Which.
        start: Naive Beijing time of the first tick.
    """

    def __init__(self, symbol, start="2026-11-10 09:31:00"):
        self.symbol = symbol
        self.middle, self.tick, self.multiplier = PRICES[symbol]
        self.rows = []
        self.moment = datetime.datetime.fromisoformat(start)
        self.volume, self.amount = 0, 0.0

    def price(self, steps):
        """The price so many ticks above the middle."""
        return round(self.middle + steps * self.tick, 4)

    def go_to(self, moment):
        """The next tick comes then."""
        self.moment = datetime.datetime.fromisoformat(moment)
        return self

    def show(self, steps, seconds=1, *, bids=50, asks=50, traded=10):
        """A last price in ticks from the middle, with a bid below and an ask above it.

        Args:
            steps: Of the last price; the bid is one below, the ask at it.
            seconds: How long.
            bids, asks: Lots at each level; 0 is an empty side.
            traded: Lots traded a second.
        """
        for _ in range(seconds):
            self.volume += traded
            self.amount += traded * self.price(steps) * self.multiplier
            row = {
                "datetime": to_ns(self.moment), "last_price": self.price(steps),
                "volume": self.volume, "amount": self.amount,
                "open_interest": 100_000,
            }  # fmt: skip
            for level in range(5):
                row |= {
                    f"bid_price{level + 1}": self.price(steps - 1 - level) if bids else "",
                    f"bid_volume{level + 1}": bids,
                    f"ask_price{level + 1}": self.price(steps + level) if asks else "",
                    f"ask_volume{level + 1}": asks,
                }
            self.rows.append(row)
            self.moment += datetime.timedelta(seconds=1)
        return self

    def save(self, folder):
        """Write the file into a folder and return the options of a sandbox that plays it."""
        pd.DataFrame(self.rows).to_csv(folder / f"ticks_{self.symbol}.csv", index=False)
        first = datetime.datetime(1970, 1, 1, 8) + datetime.timedelta(
            seconds=self.rows[0]["datetime"] // SECOND
        )
        return {"replay": str(folder), "start": str(first)}
