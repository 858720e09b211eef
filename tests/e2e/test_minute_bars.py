"""Bars from the complete library, compared with the exchange's own."""

from datetime import datetime

import backtrader as bt
import pytest

from tianqin_backtrader.core.clock import MINUTE, from_ns
from tianqin_backtrader.errors import ConfigError
from tianqin_backtrader.session_calendar import CALENDAR


class Keep(bt.Strategy):
    """Keep every bar of every feed, and which came together."""

    def __init__(self):
        self.bars = {data._name: [] for data in self.datas}
        self.together = []
        self.statuses = []
        self.lengths = dict.fromkeys(self.bars, 0)

    def prenext(self):
        self.next()

    def next(self):
        fresh = [data for data in self.datas if len(data) > self.lengths[data._name]]
        for data in fresh:
            self.lengths[data._name] = len(data)
            stamp = data.datetime.datetime(0)
            self.bars[data._name].append(
                (
                    stamp, data.open[0], data.high[0], data.low[0], data.close[0],
                    data.volume[0], data.openinterest[0], data.history_phase,
                )
            )  # fmt: skip
        self.together.append({data.datetime[0] for data in fresh})

    def notify_data(self, data, status, *args, **kwargs):
        self.statuses.append((data._name, data._getstatusname(status)))


def official_of_days(store, symbol, days):
    rows = []
    for day in days:
        rows += store.sandbox_server.bars(symbol, 60, trading_day=day)
    return [
        (
            from_ns(row["datetime"] + 60_000_000_000), row["open"], row["high"], row["low"],
            row["close"], row["volume"], row["close_oi"],
        )
        for row in rows
    ]  # fmt: skip


def every_live_bar(sandbox, run, symbol, start, ticks_per_pack):
    """Return the live bars until the end of Tuesday the tenth; check that they are official."""
    days = 1 if start.startswith("2026-11-10") else 2
    store = sandbox(start=start, days=days, ticks_per_pack=ticks_per_pack)
    strategy = run(store, Keep, store.getdata(symbol))
    live = [bar[:-1] for bar in strategy.bars[symbol]]
    assert not any(bar[-1] for bar in strategy.bars[symbol])
    expected = official_of_days(store, symbol, ["2026-11-09", "2026-11-10"])
    assert live == [bar for bar in expected if bar[0] >= live[0][0]]
    return live


@pytest.mark.parametrize(
    ("symbol", "start", "first", "ticks_per_pack"),
    [
        ("SHFE.cu2612", "2026-11-09 14:30:20", "09 14:31", 20),
        ("CFFEX.T2612", "2026-11-09 14:30:20", "09 14:31", 20),
        ("SHFE.au2704", "2026-11-10 02:00:20", "10 02:01", 4),
        ("KQ.m@DCE.m", "2026-11-09 14:30:20", "09 14:31", 7),
    ],
)
def test_every_live_bar_equals_the_official_one(
    sandbox, run, tells_time, symbol, start, first, ticks_per_pack
):
    live = every_live_bar(sandbox, run, symbol, start, ticks_per_pack)
    stamps = [f"{bar[0]:%d %H:%M}" for bar in live]
    # Bars that a silent server has not proved to be history are live; this contract has few ticks.
    assert stamps.index(first) == 0 or (not tells_time and stamps.index(first) <= 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("symbol", "ticks_per_pack"),
    [("SHFE.cu2612", 20), ("CFFEX.T2612", 20), ("SHFE.au2704", 1), ("KQ.m@DCE.m", 7)],
)
def test_every_live_bar_of_two_days_equals_the_official_one(sandbox, run, symbol, ticks_per_pack):
    # Monday with Friday's night session, and Tuesday.
    live = every_live_bar(sandbox, run, symbol, "2026-11-09", ticks_per_pack)
    assert len(live) == 2 * len({bar[0].time() for bar in live})


def test_history_then_live_without_a_gap(sandbox, run):
    store = sandbox(start="2026-11-10 14:00:20", ticks_per_pack=20)
    feed = store.getdata("SHFE.cu2612", lookback=2000)
    strategy = run(store, Keep, feed)
    bars = strategy.bars["SHFE.cu2612"]
    history = [bar for bar in bars if bar[-1]]
    live = [bar for bar in bars if not bar[-1]]
    assert 2000 <= len(history) < 2000 + 465
    assert len(live) == 60
    assert bars == history + live
    first = history[0][0]
    assert (first.hour, first.minute) == (21, 1), "history starts with a night opening"
    stamps = [bar[0] for bar in bars]
    days = sorted({CALENDAR.trading_day_at(stamp) for stamp in stamps})
    expected = official_of_days(store, "SHFE.cu2612", [day.isoformat() for day in days])
    assert [bar[:-1] for bar in bars] == expected
    assert [status for _, status in strategy.statuses][:2] == ["DELAYED", "LIVE"]


def test_history_may_start_anywhere(sandbox, run):
    store = sandbox(start="2026-11-10 14:30:20", ticks_per_pack=20)
    strategy = run(store, Keep, store.getdata("SHFE.cu2612", lookback=777, night_start=False))
    assert sum(bar[-1] for bar in strategy.bars["SHFE.cu2612"]) == 777


def test_no_lookback_delivers_no_history(sandbox, run):
    store = sandbox(ticks_per_pack=20)
    strategy = run(store, Keep, store.getdata("CFFEX.IF2612"))
    assert len(strategy.bars["CFFEX.IF2612"]) == 240
    assert strategy.bars["CFFEX.IF2612"][0][0] == datetime(2026, 11, 10, 9, 31)


def test_a_start_in_the_middle_of_a_minute(sandbox, run):
    store = sandbox(start=datetime(2026, 11, 10, 14, 2, 17), ticks_per_pack=4)
    strategy = run(store, Keep, store.getdata("SHFE.cu2612", lookback=100, night_start=False))
    bars = strategy.bars["SHFE.cu2612"]
    assert bars[99][0] == datetime(2026, 11, 10, 14, 2)
    assert bars[100][0] == datetime(2026, 11, 10, 14, 3)
    expected = official_of_days(store, "SHFE.cu2612", ["2026-11-10"])
    live = [bar[:-1] for bar in bars[100:]]
    assert live == [bar for bar in expected if bar[0] >= datetime(2026, 11, 10, 14, 3)]


def test_one_minute_of_many_contracts_comes_in_one_next(sandbox, run):
    """Three of them close at 23:00, and two trade on."""
    symbols = ["SHFE.cu2612", "SHFE.rb2701", "DCE.m2701", "CZCE.SR701", "SHFE.au2704"]
    begin, end = datetime(2026, 11, 9, 22, 45), datetime(2026, 11, 9, 23, 15)

    class Night(Keep):
        def next(self):
            super().next()
            if len(self.data) and self.data.datetime.datetime(0) >= end:
                self.env.runstop()

        prenext = next

    store = sandbox(start="2026-11-09 22:45:20", ticks_per_pack=4)
    feeds = [store.getdata(symbol) for symbol in symbols]
    strategy = run(store, Night, *feeds)
    stamps = sorted({bar[0] for symbol in symbols for bar in strategy.bars[symbol]})
    assert len(strategy.together) == len(stamps)
    assert all(len(together) == 1 for together in strategy.together)
    store.sandbox_server.advance(to="2026-11-09 23:30:00")  # the next tick ends a minute
    for symbol in symbols:
        expected = official_of_days(store, symbol, ["2026-11-10"])
        expected = [bar for bar in expected if begin < bar[0] <= end]
        assert [bar[:-1] for bar in strategy.bars[symbol] if bar[0] > begin] == expected
        assert len(expected) == (30 if symbol in ("SHFE.cu2612", "SHFE.au2704") else 15)


def test_bid_and_ask_are_the_books_at_the_bars_end(sandbox, run):
    class Quotes(bt.Strategy):
        def __init__(self):
            self.seen = []

        def next(self):
            data = self.data
            assert data.bid_price1[0] == data.bid_price[0]
            self.seen.append((data.bid_price[0], data.ask_price[0], data.bid_volume[0]))
            assert data.bid_price2[0] < data.bid_price[0] < data.ask_price[0] < data.ask_price2[0]

    store = sandbox(start="2026-11-10 14:30:20", ticks_per_pack=20)
    strategy = run(store, Quotes, store.getdata("SHFE.cu2612"))
    last = store.sandbox_server.ticks("SHFE.cu2612", trading_day="2026-11-10")[-1]
    assert strategy.seen[-1] == (last["bid_price1"], last["ask_price1"], last["bid_volume1"])


def test_every_feed_of_a_contract_has_its_order_book(sandbox, run):
    """What one of them has taken, the others get, too."""
    store = sandbox(start="2026-11-10 09:55:20")
    minutes = store.getdata("SHFE.cu2612")
    feeds = [minutes, store.getdata("SHFE.cu2612", compression=5), store.getdata("SHFE.cu2612")]

    class Books(bt.Strategy):
        def __init__(self):
            self.seen = [{} for _ in self.datas]

        def next(self):
            for seen, data in zip(self.seen, self.datas, strict=True):
                if len(data):
                    seen[data.datetime.datetime(0)] = (data.bid_price[0], data.ask_volume[0])
            if len(minutes) == 12:
                self.env.runstop()

        prenext = next

    one, five, again = run(store, Books, *feeds).seen
    assert one == again and len(one) == 12
    assert five and all(one[end] == book for end, book in five.items())
    assert all(price == price for price, _ in one.values())


@pytest.mark.parametrize("tells_time", [True, False])
def test_without_quotes_bars_are_the_same_and_have_no_book(sandbox, run, tells_time):
    """Over a break, with a contract that hardly trades."""
    store = sandbox(start="2026-11-10 10:10:20", ticks_per_pack=1, tells_time=tells_time)
    symbols = ["SHFE.cu2612", "SHFE.cu2704"]
    feeds = [store.getdata(symbol, quotes=False) for symbol in symbols]

    class Some(Keep):
        def next(self):
            super().next()
            seen = [data.bid_price[0] for data in self.datas if len(data)]
            assert all(price != price for price in seen)
            if len(self.data) == 10:
                self.env.runstop()

    strategy = run(store, Some, *feeds)
    assert set(store.tianqin._requests["quotes"]).isdisjoint(symbols)
    store.sandbox_server.advance(to="2026-11-10 10:50:00")
    for symbol in symbols:
        bars = [bar[:-1] for bar in strategy.bars[symbol]]
        expected = official_of_days(store, symbol, ["2026-11-10"])
        assert bars == [bar for bar in expected if bars[0][0] <= bar[0] <= bars[-1][0]]
        assert len(bars) >= 10


@pytest.mark.parametrize("quotes", ["no", None, 1])
def test_whether_quotes_are_wanted_is_yes_or_no(sandbox, quotes):
    with pytest.raises(ConfigError, match="quotes is True or False"):
        sandbox().getdata("SHFE.cu2612", quotes=quotes)


def test_ticks_have_their_own_order_book(sandbox):
    store = sandbox()
    for make in (store.get_tick_data, store.getdata_v2):
        with pytest.raises(ConfigError, match="leave out quotes"):
            make("SHFE.cu2612", quotes=False)


def tree_rows(store, kind, symbol, *duration):
    node = store.tianqin._data[kind][symbol]
    for key in duration:
        node = node[key]
    return len(node["data"])


def test_the_clients_memory_is_bounded(sandbox, run):
    """tqsdk keeps every row for ever; the newest are enough."""
    store = sandbox(start="2026-11-10 13:30:00", ticks_per_pack=5)
    strategy = run(store, Keep, store.getdata("SHFE.cu2612", lookback=10_000))
    assert len(strategy.bars["SHFE.cu2612"]) > 9_000
    assert strategy.data.ticks_taken > 1_000
    assert "SHFE.cu2612" not in store.tianqin._data.get("ticks", {})
    assert tree_rows(store, "klines", "SHFE.cu2612", "60000000000") < 600 + 200
    assert strategy.data.certificate().equal >= 89


def test_a_serial_of_the_users_own_is_left_alone(sandbox, run):
    store = sandbox(start="2026-11-10 13:30:00", ticks_per_pack=5)
    ticks = store.tianqin.get_tick_serial("SHFE.cu2612", 5000)
    strategy = run(store, Keep, store.getdata("SHFE.cu2612"))
    assert not ticks.isna()["ask_price1"].any()
    assert (
        int(ticks["id"].iloc[-1])
        == store.sandbox_server.ticks("SHFE.cu2612", trading_day="2026-11-10")[-1]["id"]
    )
    assert strategy.data.certificate().corrected == 0


def test_history_of_one_contract_comes_before_live_bars_of_another(sandbox, run):
    store = sandbox(start="2026-11-10 14:30:20", ticks_per_pack=20)
    short = store.getdata("DCE.m2701")
    long = store.getdata("SHFE.cu2612", lookback=1500, night_start=False)
    strategy = run(store, Keep, short, long)
    assert sum(bar[-1] for bar in strategy.bars["SHFE.cu2612"]) == 1500
    for symbol in ("DCE.m2701", "SHFE.cu2612"):
        live = [bar[:-1] for bar in strategy.bars[symbol] if not bar[-1]]
        assert live == official_of_days(store, symbol, ["2026-11-10"])[-30:]


def test_a_second_feed_of_a_contract_may_look_back_further(sandbox, run):
    store = sandbox(start="2026-11-10 14:30:20", ticks_per_pack=20)
    one = store.getdata("SHFE.cu2612", name="one")
    two = store.getdata("SHFE.cu2612", lookback=3000, night_start=False, name="two")
    strategy = run(store, Keep, one, two)
    assert len(strategy.bars["one"]) == 30
    assert len(strategy.bars["two"]) == 3030
    assert [bar[:-1] for bar in strategy.bars["two"][3000:]] == [
        bar[:-1] for bar in strategy.bars["one"]
    ]


@pytest.mark.parametrize("wanted", [9_999, 10_000, 25_000])
def test_any_length_of_history(sandbox, run, wanted):
    class Count(bt.Strategy):
        def __init__(self):
            self.stamps = []

        def next(self):
            if not self.data.history_phase:
                self.env.runstop()
            else:
                self.stamps.append(self.data.datetime.datetime(0))

    store = sandbox(ticks_per_pack=20)
    strategy = run(store, Count, store.getdata("SHFE.cu2612", lookback=wanted, night_start=False))
    assert len(strategy.stamps) == wanted
    days = sorted({CALENDAR.trading_day_at(stamp) for stamp in strategy.stamps})[1:]
    for day in days:
        of_day = [stamp for stamp in strategy.stamps if CALENDAR.trading_day_at(stamp) == day]
        assert len(of_day) == sum(
            int((end - start).total_seconds()) // 60
            for start, end in CALENDAR.sessions("SHFE.cu2612", day)
        )


def test_odd_ticks_do_no_harm(sandbox, run, caplog):
    """The coming night's time, another day's, no price, a volume that falls."""
    odd = [
        dict(stamp="2026-11-10 21:00:01"), dict(stamp="2026-11-09 21:00:01"),
        dict(last_price=0.0), dict(last_price=1.7976931348623157e308), dict(volume=3),
    ]  # fmt: skip
    script = [
        {"at": {"time": f"2026-11-10 14:{5 * number:02}:30"}, "fault": "odd_tick",
         "symbol": "SHFE.cu2612", **fields}
        for number, fields in enumerate(odd, 1)
    ]  # fmt: skip
    store = sandbox(start="2026-11-10 14:00:20", script=script)
    feed = store.getdata("SHFE.cu2612")

    class Keep(bt.Strategy):
        def __init__(self):
            self.bars = []

        def next(self):
            data = self.data
            lines = (data.open, data.high, data.low, data.close, data.volume)
            self.bars.append((data.datetime.datetime(0), *(line[0] for line in lines)))

    strategy = run(store, Keep, feed)
    rows = store.sandbox_server.bars("SHFE.cu2612", 60, trading_day="2026-11-10")
    names = ("open", "high", "low", "close", "volume")
    official = [(from_ns(row["datetime"] + MINUTE), *(row[name] for name in names)) for row in rows]
    assert strategy.bars == official[-len(strategy.bars) :]
    assert len(strategy.bars) == 60
    certificate = feed.certificate()
    assert (certificate.ignored, certificate.corrected, certificate.equal) == (5, 0, 60)
    said = [one for one in caplog.messages if "a tick is left out" in one]
    assert len(said) == 5
