"""Ten contracts of all six exchanges over a weekend and a holiday eve: every bar equal."""

import backtrader as bt
import pytest

SYMBOLS = (
    "SHFE.cu2611", "SHFE.rb2701", "SHFE.au2612", "INE.sc2611", "DCE.m2701", "DCE.i2701",
    "CZCE.SR701", "CZCE.MA701", "CFFEX.T2612", "GFEX.lc2701",
)  # fmt: skip
#: Feeds of each contract: name of the length, seconds, how to make one.
LENGTHS = {
    "1": (60, lambda store, symbol, name: store.getdata(symbol, name=name)),
    "5": (300, lambda store, symbol, name: store.getdata(symbol, name=name, compression=5)),
    "15": (900, lambda store, symbol, name: store.getdata(symbol, name=name, compression=15)),
    "60": (3600, lambda store, symbol, name: store.getdata(symbol, name=name, compression=60)),
    "day": (86400, lambda store, symbol, name: store.get_daily_data(symbol, name=name)),
}
COLUMNS = ("open", "high", "low", "close", "volume", "close_oi")


class Keep(bt.Strategy):
    def __init__(self):
        self.bars = {data._name: [] for data in self.datas}
        self.lengths = dict.fromkeys(self.bars, 0)

    def prenext(self):
        for data in self.datas:
            if len(data) > self.lengths[data._name]:
                self.lengths[data._name] = len(data)
                lines = (data.open, data.high, data.low, data.close, data.volume, data.openinterest)
                self.bars[data._name].append(tuple(line[0] for line in lines))

    next = prenext


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_bar_of_every_length_is_equal(sandbox, run):
    """Thursday 2026-09-24 is the eve of a holiday, Friday the holiday; Monday has no night."""
    days = ["2026-09-23", "2026-09-24", "2026-09-28"]
    store = sandbox(start=days[0], days=len(days), ticks_per_pack=30)
    feeds = [
        make(store, symbol, f"{symbol} {length}")
        for symbol in SYMBOLS
        for length, (_, make) in LENGTHS.items()
    ]
    strategy = run(store, Keep, *feeds)
    compared = 0
    for symbol in SYMBOLS:
        for length, (seconds, _) in LENGTHS.items():
            official = [
                tuple(row[name] for name in COLUMNS)
                for day in days
                for row in store.sandbox_server.bars(symbol, seconds, trading_day=day)
            ]
            assert strategy.bars[f"{symbol} {length}"] == official, (symbol, length)
            compared += len(official)
    certificates = store.certificate().values()
    assert sum(one.delivered for one in certificates) == compared > 12_000
    assert sum(one.corrected + one.repaired + one.missing for one in certificates) == 0
