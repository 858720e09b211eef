"""Feeds and orders on ``KQ.m@``: over the change of copper from cu2612 to cu2701 on 2026-11-04."""

import datetime

import backtrader as bt
import pytest
from e2e_script import exchange_orders, play

from tianqin_backtrader.core.clock import MINUTE, from_ns
from tianqin_backtrader.errors import ConfigError

MAIN, OLD, NEW = "KQ.m@SHFE.cu", "SHFE.cu2612", "SHFE.cu2701"
DAY, EVE = datetime.date(2026, 11, 4), "2026-11-03 14:50:00"
EVENING = datetime.datetime(2026, 11, 3, 21, 6)
PRICES = ("open", "high", "low", "close")


def closes(server, symbol, day):
    """(end, close) of a contract's official minutes of a trading day."""
    rows = server.bars(symbol, 60, trading_day=day)
    return [(from_ns(row["datetime"] + MINUTE), row["close"]) for row in rows]


def gap(server):
    """Return the gap of the official closes of the day before the change."""
    return closes(server, NEW, "2026-11-03")[-1][1] - closes(server, OLD, "2026-11-03")[-1][1]


class Watch(bt.Strategy):
    """Keeps bars and notifications until a time."""

    params = dict(until=None)

    def __init__(self):
        self.seen, self.told, self.average = [], [], bt.ind.SMA(period=5)

    def notify_data(self, data, status, *args, **kwargs):
        if status == data.MAIN_CHANGED:
            past = data.close.get(ago=-1, size=3)
            self.told.append((len(self.seen), kwargs["change"], list(past)))

    def next(self):
        self.seen.append((self.data.datetime.datetime(0), self.data.close[0], self.average[0]))
        if self.data.datetime.datetime(0) >= self.p.until:
            self.whole = list(self.data.close.get(size=len(self.data)))
            self.env.runstop()


@pytest.mark.parametrize("adjust", [pytest.param(None, marks=pytest.mark.slow), "back"])
def test_a_change_while_it_runs_is_told_before_the_first_bar_of_the_new_contract(
    sandbox, run, adjust
):
    store = sandbox(start=EVE, days=2, ticks_per_pack=10)
    feed = store.getdata(MAIN, adjust=adjust)
    until = datetime.datetime(2026, 11, 3, 21, 10)
    strategy = run(store, Watch, feed, until=until)
    server = store.sandbox_server
    [(bars_before, change, past)] = strategy.told
    assert (change.day, change.old, change.new, change.gap) == (DAY, OLD, NEW, gap(server))
    assert change.gap != 0
    first_of_new = strategy.seen[bars_before][0]
    assert first_of_new == datetime.datetime(2026, 11, 3, 21, 1)
    official = dict(closes(server, OLD, "2026-11-03")) | dict(closes(server, NEW, "2026-11-04"))
    assert all(close == official[end] for end, close, _ in strategy.seen)  # real when delivered
    shift = change.gap if adjust else 0
    assert past == [close + shift for _, close, _ in strategy.seen[bars_before - 3 : bars_before]]
    # The average over the change has no jump if bars are adjusted.
    for index in range(bars_before, bars_before + 4):
        window = strategy.seen[index - 4 : index + 1]
        moved = [close + (shift if end < first_of_new else 0) for end, close, _ in window]
        assert strategy.seen[index][2] == pytest.approx(sum(moved) / 5)
    certificate = store.certificate()[MAIN]
    assert certificate.corrected == certificate.missing == 0


def test_a_change_is_that_of_its_day_though_the_days_bar_comes_in_the_evening(sandbox, run):
    """Between 15:00 and 20:59 no data come: a day's bar is delivered on the next trading day."""

    class Days(Watch):
        def next(self):
            self.seen.append((self.data.datetime.date(0), self.data.close[0]))
            self.whole = list(self.data.close.get(size=len(self.data)))
            if self.seen[-1][0] == DAY:
                self.env.runstop()

        prenext = next

    store = sandbox(start="2026-11-03 14:30:00", days=3, ticks_per_pack=60)
    # A round waits for data up to five seconds, as three days would have too many rounds.
    feed = store.get_daily_data(MAIN, lookback=2, adjust="back", qcheck=5.0)
    strategy = run(store, Days, feed)
    [(bars_before, change, _)] = strategy.told
    assert (change.day, change.gap) == (DAY, gap(store.sandbox_server))
    assert strategy.seen[bars_before][0] == DAY
    moved = [close + (change.gap if day < DAY else 0) for day, close in strategy.seen]
    assert strategy.whole == moved


@pytest.mark.parametrize(
    ("start", "at"),
    [
        pytest.param(datetime.datetime(2026, 11, 3, 21, 3), EVENING, id="that evening"),
        pytest.param(
            datetime.datetime(2026, 11, 4, 9, 3), datetime.datetime(2026, 11, 4, 9, 6),
            id="the next morning", marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_days_are_those_of_a_program_that_starts_later_or_has_run_over_the_change(
    sandbox, run, start, at
):
    class Levels(bt.Strategy):
        """Keeps the closes of the latest days, at each minute from the evening on."""

        params = (("until", None),)

        def __init__(self):
            self.seen = {}

        def next(self):
            now = self.data.datetime.datetime(0)
            if not self.data.history_phase:
                days = self.data1
                self.seen[now] = (days.datetime.date(0), list(days.close.get(size=8)))
            if now >= self.p.until:
                self.env.runstop()

    def seen(start, until):
        store = sandbox(start=start, days=2, ticks_per_pack=60)
        days = store.get_daily_data(MAIN, lookback=9, adjust="back")
        minutes = store.getdata(MAIN, lookback=2, adjust="back")
        levels = run(store, Levels, minutes, days, until=until).seen
        shift = gap(store.sandbox_server)
        store.close()
        return shift, days, levels

    shift, days, over = seen(EVE, at)
    _, _, fresh = seen(start, at)
    assert over[at] == fresh[at]
    eve, night = datetime.datetime(2026, 11, 3, 15), datetime.datetime(2026, 11, 3, 21, 1)
    assert over[night][0] == datetime.date(2026, 11, 3)
    assert over[night][1] == [close + shift for close in over[eve][1]]
    assert days.certificate().corrected == 0


@pytest.mark.parametrize("kind", ["minutes", pytest.param("days", marks=pytest.mark.slow)])
def test_history_is_moved_by_the_gaps_of_every_change(sandbox, run, kind):
    store = sandbox(start="2026-11-05 09:31:00", ticks_per_pack=10)

    class Last(bt.Strategy):
        def next(self):
            if not self.data.history_phase or kind == "days":
                seen.append([line[0] for line in map(self.data.__getattr__, PRICES)])
            self.ends = self.data.datetime.datetime(0)
            history.append((self.ends, self.data.close[0]))
            if not self.data.history_phase or len(history) == width:
                self.env.runstop()

    seen, history = [], []
    width = 900 if kind == "minutes" else 25
    get = store.getdata if kind == "minutes" else store.get_daily_data
    run(store, Last, get(MAIN, lookback=width, adjust="back", night_start=False))
    server, length = store.sandbox_server, 60 if kind == "minutes" else 86400
    changes = store.mains.changes(MAIN, datetime.date(2026, 9, 1))
    assert [(one.day, one.new) for one in changes[-2:]] == [
        (datetime.date(2026, 10, 8), OLD), (DAY, NEW),
    ]  # fmt: skip
    raw = {}
    left = max(0, server.bars(MAIN, length)[-1]["id"] - width - 5)
    for row in server.bars(MAIN, length, left=left):
        start = from_ns(row["datetime"])
        end = start + datetime.timedelta(minutes=1)
        if kind == "days":
            end = datetime.datetime.combine(start.date(), datetime.time(15))
        raw[end] = row["close"]
    for end, close in history:
        day = store.calendar.trading_day_at(end - datetime.timedelta(seconds=1))
        assert close == raw[end] + sum(one.gap for one in changes if one.day > day)
    assert history[0][0] < datetime.datetime(2026, 11, 3, 20)


def test_orders_go_to_the_contract_of_the_moment(sandbox, run):
    def script(strategy):
        broker, store = strategy.broker, strategy.broker.store
        order = strategy.buy(size=2)
        yield order
        assert order.status == bt.Order.Completed
        assert [leg.symbol for leg in order.legs] == [OLD]
        assert strategy.position.size == 2 == broker.getposition(OLD).size
        while store.mains.traded(MAIN) == OLD or not broker.takes_orders(MAIN):
            yield None
        # After the change the lots of the old contract still count as position.
        assert store.mains.behind(MAIN) == (NEW, OLD)
        assert strategy.position.size == 2
        assert broker.getposition(NEW).size == 0
        refused = strategy.sell(size=3)
        yield refused
        assert "2 lots of SHFE.cu2612, the contract behind KQ.m@SHFE.cu before" in (
            refused.info.reason
        )
        first = strategy.sell(size=1)
        yield first
        assert [(leg.symbol, str(leg.offset)) for leg in first.legs] == [(OLD, "CLOSE")]
        second = strategy.order_target_size(target=0)
        yield second
        assert [leg.symbol for leg in second.legs] == [OLD]
        assert strategy.position.size == 0
        third = broker.buy_open(MAIN, 1)
        yield third
        assert [leg.symbol for leg in third.legs] == [NEW]
        assert broker.get_account_position(MAIN)["pos_long"] == 1
        fourth = broker.sell_close(MAIN, 1)
        yield fourth
        assert [leg.symbol for leg in fourth.legs] == [NEW]
        target = broker.order_target_position(MAIN, -1)
        assert target.symbol == NEW
        while not target.reached:
            yield None
        assert strategy.position.size == -1
        yield strategy.close()
        done.append(True)

    done = []
    store = sandbox(start=EVE, days=2, ticks_per_pack=5)
    strategy = play(store, run, script, MAIN)
    assert done
    assert {order["instrument_id"] for order in exchange_orders(store).values()} == {
        "cu2612", "cu2701",
    }  # fmt: skip
    assert {trade.data._name for trade in strategy.trades} == {MAIN}
    profit = sum(trade.pnlcomm for trade in strategy.trades)
    assert profit == pytest.approx(store.broker.getvalue() - 1_000_000.0, abs=0.01)


@pytest.mark.slow
def test_a_roll_is_a_closed_trade_and_a_new_one_on_the_feed(sandbox, run):
    def script(strategy):
        broker, store = strategy.broker, strategy.broker.store
        yield strategy.buy(size=2)
        while store.mains.traded(MAIN) == OLD or not broker.takes_orders(MAIN):
            yield None
        roll = store.roll(OLD, NEW)
        while not roll.done:
            refused = strategy.order_target_size(target=2)  # it is reached already, or refused
            assert refused is None or "is being rolled into" in refused.info.reason
            yield None
        assert strategy.position.size == 2 == broker.getposition(NEW).size
        yield strategy.close()
        done.append(True)

    done = []
    store = sandbox(start=EVE, days=2, ticks_per_pack=5)
    strategy = play(store, run, script, MAIN)
    assert done
    profit = sum(trade.pnlcomm for trade in strategy.trades)
    assert profit == pytest.approx(store.broker.getvalue() - 1_000_000.0, abs=0.01)


def test_adjust_is_for_main_contracts(sandbox):
    store = sandbox()
    for symbol, adjust in (
        (MAIN, "forward"), (MAIN, True), (OLD, "back"), ("KQ.i@SHFE.cu", "back"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match="adjust is None, or"):
            store.getdata(symbol, adjust=adjust)
    assert store.feeds == []
