"""A strategy that keeps its bars, and whether they are the exchange's, one after the other."""

from datetime import timedelta

import backtrader as bt

from tianqin_backtrader.core.clock import MINUTE, from_ns, to_ns

#: With a night to 1:00, to 23:00, without one at an exchange of its own, and till 15:15.
SYMBOLS = ("SHFE.cu2612", "SHFE.rb2701", "DCE.m2701", "CFFEX.IF2612", "CFFEX.T2612")
FIELDS = ("open", "high", "low", "close", "volume", "close_oi")


class Keep(bt.Strategy):
    """Keeps the bars of each feed until each has so many live ones."""

    params = (("live", 3), ("at", {}))

    def __init__(self):
        self.bars = {data._name: [] for data in self.datas}
        self.lengths = dict.fromkeys(self.bars, 0)
        self.faults = dict(self.p.at)

    def prenext(self):
        self.next()

    def next(self):
        for data in self.datas:
            if len(data) > self.lengths[data._name]:
                self.lengths[data._name] = len(data)
                self.bars[data._name].append(
                    (
                        data.datetime.datetime(0).replace(microsecond=0), data.open[0],
                        data.high[0], data.low[0], data.close[0], data.volume[0],
                        data.openinterest[0], data.history_phase,
                    )
                )  # fmt: skip
        text = f"{self.datetime.datetime(0):%H:%M}"
        for at in [at for at in self.faults if at <= text]:
            self.faults.pop(at)(self.broker.store)
        if all(sum(not bar[-1] for bar in one) >= self.p.live for one in self.bars.values()):
            self.env.runstop()


def assert_official(store, bars, symbol):
    """All that was delivered is what the exchange has, one bar after the other.

    Of minutes since the last tick it has no bars until the next one comes: those are flat.
    """
    days = sorted({store.calendar.trading_day_at(from_ns(to_ns(bar[0]) - MINUTE)) for bar in bars})
    official = [
        (from_ns(row["datetime"] + MINUTE), *(row[name] for name in FIELDS))
        for day in days
        for row in store.sandbox_server.bars(symbol, 60, trading_day=day)
    ]
    begin = [row[0] for row in official].index(bars[0][0])
    expected = official[begin : begin + len(bars)]
    for bar in bars[len(expected) :]:
        *_, close, _, interest = expected[-1]
        expected.append((expected[-1][0] + timedelta(minutes=1), *(close,) * 4, 0, interest))
        assert bar[0] == expected[-1][0], symbol
    assert [bar[:-1] for bar in bars] == expected, symbol


def assert_all_official(store, strategy):
    for data in strategy.datas:
        assert_official(store, strategy.bars[data._name], data.symbol)
        found = data.certificate()
        assert found.corrected == found.missing == found.ignored == 0, (data.symbol, found)
