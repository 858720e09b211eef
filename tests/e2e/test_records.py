"""Records of a run on the embedded exchange are complete, to the cent, however the run ends."""

import csv
import importlib
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import backtrader as bt
import pandas as pd
import pytest
from td_relay import td_relay

from tianqin_backtrader import MyStore, PerformanceTracker
from tianqin_backtrader.__main__ import main
from tianqin_backtrader.errors import ConfigError, JournalError
from tianqin_backtrader.execution import write_ahead
from tianqin_backtrader.records.journal import Journal
from tianqin_backtrader.records.plotting import plot_to_files
from tianqin_backtrader.records.records import KINDS, Records
from tianqin_backtrader.risk.limits import GuardState
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))
DualMovingAverage = importlib.import_module("dual_ma").DualMovingAverage
SYMBOL = "SHFE.cu2612"
#: The last hours of two days: enough for some trades and the settlement.
TENTH, ELEVENTH = "2026-11-10 14:00:00", "2026-11-11 14:00:00"


class Watched(DualMovingAverage):
    """Keeps the exchange's state late in the day, before the settlement."""

    live = 0

    def next(self):
        super().next()
        self.live += not self.data.history_phase
        self.state = getattr(self, "state", None)
        late = self.data.datetime.datetime(0) >= datetime(2026, 11, 11, 14, 40)
        if late and self.state is None and not any(order.alive() for order in self.orders):
            server = self.broker.store.sandbox_server
            [self.state] = server.state()["accounts"].values()
            tracker = self.analyzers.performancetracker
            self.then = {kind: tracker.to_dataframe(kind) for kind in KINDS}


def run(folder, *strategies, **options):
    options = {"seed": 5, "start": TENTH, "ticks_per_pack": 5, "strategy_name": "dual"} | options
    with MyStore.sandbox(**options) as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker(records=folder))
        cerebro.adddata(store.getdata(SYMBOL, lookback=500))
        for strategy in strategies or (DualMovingAverage,):
            cerebro.addstrategy(strategy)
        cerebro.addanalyzer(PerformanceTracker)
        cerebro.addanalyzer(bt.analyzers.TradeAnalyzer)
        done = cerebro.run()
        state = store.sandbox_server.state()
    return cerebro, done, next(iter(state["accounts"].values()))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    # This counter shows the exchange's own ids.
    cerebro, [strategy], account = run(
        folder, Watched, start="2026-11-10 14:30:00", days=2, counter="plain"
    )
    return cerebro, strategy, account, folder / "dual"


def read(folder, kind):
    return pd.read_csv(folder / f"{kind}.csv")


def test_fills_are_the_exchanges_to_the_cent(finished):
    _, strategy, _, folder = finished
    theirs, trades = strategy.state["trades"], strategy.then["trade"]
    assert len(theirs) > 5
    today = trades[trades.trading_day == trades.trading_day.max()].set_index("trade_id")
    assert set(today.index) == set(theirs)
    for trade_id, trade in theirs.items():
        ours = today.loc[trade_id]
        for name in ("price", "volume", "commission", "direction", "offset", "order_id"):
            assert ours[name] == trade[name]
    # The file equals the table.
    assert list(read(folder, "trade").trade_id[: len(trades)]) == list(trades.trade_id)


def test_orders_are_the_exchanges(finished):
    _, strategy, _, _ = finished
    theirs, orders = strategy.state["orders"], strategy.then["order"].set_index("order_id")
    for order_id, order in theirs.items():
        ours = orders.loc[order_id]
        for name in ("status", "volume_left", "volume_orign", "exchange_order_id", "limit_price"):
            assert ours[name] == order[name]


def test_the_balance_is_the_exchanges_to_the_cent(finished):
    _, strategy, account, folder = finished
    late = strategy.then["account"].iloc[-1]
    for name in ("commission", "close_profit", "pre_balance", "static_balance"):
        assert late[name] == strategy.state["account"][name]  # these do not depend on prices
    accounts = read(folder, "account")
    assert len(accounts) == 2
    assert accounts.settlement_balance.iloc[1] == account["balance"]
    # The day's figures are kept over the settlement, which resets them.
    trades = read(folder, "trade")
    fees = trades.groupby("trading_day").commission.sum().round(2)
    assert list(accounts.set_index("trading_day").commission) == list(fees)
    assert accounts.pre_balance.iloc[1] == accounts.settlement_balance.iloc[0]


def test_positions_have_a_row_a_day(finished):
    _, _, account, folder = finished
    positions = read(folder, "position")
    assert list(positions.trading_day) == ["2026-11-10", "2026-11-11"]
    [held] = account["positions"].values() or [{}]
    net = held.get("pos_long_his", 0) - held.get("pos_short_his", 0)
    assert positions.pos.iloc[1] == net


def test_statistics_are_the_accounts_to_the_cent(finished):
    _, strategy, account, _ = finished
    found = strategy.analyzers.performancetracker.statistics()
    assert found.start == 1_000_000
    assert found.end == account["balance"]
    assert found.net_profit == round(account["balance"] - 1_000_000, 2)
    assert round(sum(day.profit for day in found.days), 2) == found.net_profit
    theirs = strategy.analyzers.tradeanalyzer.get_analysis()
    assert found.trades.round_trips == theirs.total.closed
    assert found.trades.net_profit == pytest.approx(theirs.pnl.net.total, abs=0.01)
    assert found.by_strategy.keys() == {"Watched"}
    analysis = strategy.analyzers.performancetracker.get_analysis()
    assert analysis["trades"]["fills"] == found.trades.fills


def test_equity_has_a_row_a_bar_and_none_of_history(finished):
    _, strategy, _, folder = finished
    equity = read(folder, "equity")
    first = pd.to_datetime(equity.date_time).min()
    assert first == pd.Timestamp("2026-11-10 14:30")
    assert len(strategy.data) > strategy.live
    assert (equity.why == "bar").sum() == strategy.live
    assert strategy.analyzers.performancetracker.statistics().days[0].trading_day.day == 10
    assert equity.why.iloc[0] == "start"
    assert equity.why.iloc[-1] == "settled"


def test_equity_is_kept_while_a_feed_of_days_still_shows_history(tmp_path):
    class Waits(bt.Strategy):
        bars = 0

        def next(self):
            self.bars += not self.datas[0].history_phase
            if self.bars == 5:
                assert self.datas[1].history_phase
                self.env.runstop()

    with MyStore.sandbox(start="2026-11-10 09:31:00", strategy_name="days") as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker(records=tmp_path))
        cerebro.adddata(store.getdata("SHFE.cu2612", lookback=10))
        cerebro.adddata(store.get_daily_data("SHFE.cu2612", lookback=3))
        cerebro.addstrategy(Waits)
        [strategy] = cerebro.run()
    assert strategy.bars == 5
    assert (read(tmp_path / "days", "equity").why == "bar").sum() == 5


def test_tables_have_moments(finished):
    _, strategy, _, _ = finished
    trades = strategy.analyzers.performancetracker.to_dataframe("trade")
    assert trades.trade_date_time.dt.tz is None
    assert (trades.bar <= trades.trade_date_time).all()
    assert trades.decision_price.notna().all()


def test_the_report_needs_nothing_else(finished, capsys, tmp_path):
    _, strategy, account, folder = finished
    assert main(["report", str(folder)]) == 0
    text = capsys.readouterr().out
    assert f"{account['balance']:,.2f}" in text
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert 'name="viewport"' in page
    assert "http" not in page
    assert page.count("<img") == 4
    pictures = sorted(folder.glob("report_*.png"))
    assert len(pictures) == 4
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    elsewhere = strategy.analyzers.performancetracker.report(tmp_path / "other" / "page.html")
    assert elsewhere.exists()
    assert main(["report", str(tmp_path)]) == 1
    assert "no records here" in capsys.readouterr().err


def test_cerebro_plots_without_a_screen(finished, tmp_path):
    cerebro, *_ = finished
    files = plot_to_files(cerebro, tmp_path / "run.png")
    assert files
    assert all(file.stat().st_size > 10_000 for file in files)


def test_the_next_day_goes_on_in_the_same_files(tmp_path):
    folder = tmp_path / "dual"
    _, _, account = run(tmp_path)
    before = {kind: (folder / f"{kind}.csv").read_text(encoding="utf-8") for kind in KINDS}
    run(tmp_path, start=ELEVENTH, balance=account["balance"])
    for kind in KINDS:
        after = (folder / f"{kind}.csv").read_text(encoding="utf-8")
        assert after.startswith(before[kind])
        assert len(after) > len(before[kind])
    assert list(read(folder, "account").trading_day) == ["2026-11-10", "2026-11-11"]
    assert not list(folder.glob("earlier_*"))


def test_another_market_of_the_same_days_is_kept_apart(tmp_path):
    folder = tmp_path / "dual"
    run(tmp_path)
    first = (folder / "trade.csv").read_bytes()
    run(tmp_path, seed=6)
    assert (folder / "earlier_1" / "trade.csv").read_bytes() == first
    assert (folder / "trade.csv").read_bytes() != first
    assert list(read(folder, "account").trading_day) == ["2026-11-10"]


def test_two_strategies_share_the_records(tmp_path):
    run(tmp_path, DualMovingAverage, Watched)
    with Records(tmp_path / "dual") as records:
        found = records.statistics()
    assert found.by_strategy.keys() == {"DualMovingAverage", "Watched"}
    trades = read(tmp_path / "dual", "trade")
    assert not trades.trade_id.duplicated().any()


def test_records_are_kept_without_being_asked_for(tmp_path):
    options = {"seed": 5, "start": TENTH, "ticks_per_pack": 5, "strategy_name": "dual"}
    with MyStore.sandbox(**options) as store:
        cerebro = bt.Cerebro(stdstats=False)
        broker = store.getbroker()
        cerebro.setbroker(broker)
        cerebro.adddata(store.getdata(SYMBOL, lookback=500))
        cerebro.addstrategy(DualMovingAverage)
        cerebro.run()
        folder = tmp_path / "records" / "dual"
        equity, trades = read(folder, "equity"), read(folder, "trade")
        assert equity.balance.iloc[-1] == broker.getvalue()
        assert (equity.why == "bar").sum() == 60
        fills = {trade_id for order in broker.get_all_orders() for leg in order.legs
                 for trade_id in leg.fills}  # fmt: skip
        assert set(trades.trade_id) == fills and fills
    assert len(read(folder, "account")) == 1


def test_a_sandbox_without_a_name_leaves_nothing_behind(tmp_path):
    with MyStore.sandbox(seed=5, start=TENTH, ticks_per_pack=5) as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker())
        cerebro.adddata(store.getdata(SYMBOL))
        cerebro.addstrategy(DualMovingAverage)
        cerebro.run()
    assert list(tmp_path.iterdir()) == []


def test_the_tracker_does_not_write_elsewhere(tmp_path):
    with MyStore.sandbox(seed=5, strategy_name="dual") as store:
        store.getbroker(records=tmp_path).start()
        with pytest.raises(ConfigError, match="getbroker"):
            PerformanceTracker(store=store, folder=str(tmp_path / "other")).start()
    with MyStore.sandbox() as store, pytest.raises(ConfigError, match="records is a folder"):
        store.getbroker(records=7)


class Filling(DualMovingAverage):
    """Fills the disk at some time, and frees it later."""

    def next(self):
        super().next()
        self.bars = getattr(self, "bars", 0) + (not self.data.history_phase)
        journal, broker = self.broker.journal, self.broker
        if self.bars == 10:
            [(pages,)] = journal.query("PRAGMA page_count")
            journal.query(f"PRAGMA max_page_count={pages}")
        elif self.bars == 50:
            self.seen = broker.risk_state, len(broker.get_orders_open())
            [account] = broker.store.sandbox_server.state()["accounts"].values()
            self.sent = set(account["orders"])
            refused = broker.buy_open(SYMBOL, 1, owner=self)
            self.reason = refused.info.reason
            with pytest.raises(JournalError, match="full"):
                broker.resume()
            journal.query("PRAGMA max_page_count=1000000")
            broker.resume()
        elif self.bars == 51:
            self.after = broker.risk_state


def test_bars_of_a_contract_are_kept_once(tmp_path):
    """Bars of its shortest feed are kept: the picture shows one kind of bar."""
    with MyStore.sandbox(start="2026-11-10 14:30:00", strategy_name="two") as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker(records=tmp_path))
        for compression in (5, 1):
            cerebro.adddata(store.getdata(SYMBOL, compression=compression))
        cerebro.addstrategy(bt.Strategy)
        cerebro.addanalyzer(PerformanceTracker)
        cerebro.run()
    with Records(tmp_path / "two") as records:
        ends = [row[0] for row in records.reader.marks(SYMBOL)]
    assert len(ends) == 30
    assert len(set(ends)) == 30


def test_bars_of_a_main_contract_are_those_of_the_contract_behind_it(tmp_path):
    """Its fills belong to the underlying contract, and the report shows both in one picture."""
    main, behind = "KQ.m@SHFE.cu", "SHFE.cu2701"
    with MyStore.sandbox(start="2026-11-10 14:30:00", strategy_name="main") as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker(records=tmp_path))
        for symbol in (main, behind, SYMBOL):
            cerebro.adddata(store.getdata(symbol))
        cerebro.addstrategy(bt.Strategy)
        cerebro.addanalyzer(PerformanceTracker)
        cerebro.run()
    with Records(tmp_path / "main") as records:
        assert records.reader.marks(main) == []
        assert [len(records.reader.marks(one)) for one in (behind, SYMBOL)] == [30, 30]


def test_no_bar_of_history_is_kept(tmp_path):
    """One contract trades at night, the other shows the afternoon's last bar all night."""
    with MyStore.sandbox(start="2026-11-10 21:30:00", strategy_name="night") as store:

        class Ten(bt.Strategy):
            def next(self):
                if self.data0.datetime.time(0).minute == 40:
                    self.env.runstop()

        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker(records=tmp_path))
        cerebro.adddata(store.getdata(SYMBOL, lookback=5, night_start=False))
        cerebro.adddata(store.getdata("CFFEX.IF2612", lookback=5, night_start=False))
        cerebro.addstrategy(Ten)
        cerebro.addanalyzer(PerformanceTracker)
        cerebro.run()
    with Records(tmp_path / "night") as records:
        assert len(records.reader.marks(SYMBOL)) == 10
        assert records.reader.marks("CFFEX.IF2612") == []


def test_a_main_contracts_minutes_are_not_mixed_with_longer_bars_of_the_contract(tmp_path):
    main, behind = "KQ.m@SHFE.cu", "SHFE.cu2701"
    with MyStore.sandbox(start="2026-11-10 14:30:00", strategy_name="both") as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker(records=tmp_path))
        minutes = store.getdata(main)
        cerebro.adddata(store.getdata(behind, compression=5))
        cerebro.adddata(minutes)
        cerebro.addstrategy(bt.Strategy)
        cerebro.addanalyzer(PerformanceTracker)
        cerebro.run()
    with Records(tmp_path / "both") as records:
        marks = records.reader.marks(behind)
    assert [row[-1] for row in marks] == list(minutes.volume.array)


def test_the_report_of_a_main_contract_has_its_picture(tmp_path):
    class Buys(bt.Strategy):
        def next(self):
            if len(self) == 5:
                self.buy()

    with MyStore.sandbox(start="2026-11-10 14:30:00", strategy_name="main") as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker(records=tmp_path))
        cerebro.adddata(store.getdata("KQ.m@SHFE.cu", adjust="back"))
        cerebro.addstrategy(Buys)
        cerebro.addanalyzer(PerformanceTracker)
        [done] = cerebro.run()
    assert "SHFE.cu2701" in done.analyzers.performancetracker.report().read_text("utf-8")
    assert (tmp_path / "main" / "report_SHFE.cu2701.png").exists()


def test_a_full_disk_halts_trading_and_loses_no_record(tmp_path):
    _, [strategy], account = run(tmp_path, Filling)
    assert strategy.seen == (GuardState.HALTED, 0)
    assert "full" in strategy.reason and "nothing may be sent" in strategy.reason
    assert strategy.after is GuardState.ACTIVE
    orders = read(tmp_path / "dual", "order")
    assert strategy.sent <= set(orders.order_id)
    assert set(account["trades"]) <= set(read(tmp_path / "dual", "trade").trade_id)
    refused = orders[orders.order_id.str.startswith("UNSENT")]
    assert refused.last_msg.str.contains("HALTED|full", na=False).any()
    # Nothing was sent between.
    assert (orders[orders.status == "INTENT"].order_id.str.startswith("TQBT_")).any()


class Freed(DualMovingAverage):
    """Fills the disk for some time, without ``resume``."""

    def next(self):
        super().next()
        self.bars = getattr(self, "bars", 0) + (not self.data.history_phase)
        journal, broker = self.broker.journal, self.broker
        if self.bars == 10:
            price = self.data.close[0] - 1000
            self.resting = self.buy(exectype=bt.Order.Limit, price=price)
        elif self.bars == 12:
            [(pages,)] = journal.query("PRAGMA page_count")
            journal.query(f"PRAGMA max_page_count={pages}")
        elif self.bars == 50:
            self.seen = broker.records_broken, self.resting.alive()
            journal.query("PRAGMA max_page_count=1000000")
        elif self.bars == 51:
            self.then = broker.risk_state, broker.records_broken


class Protected(bt.Strategy):
    """Fills the disk while a stop waits, until the stop has closed its lots."""

    bars, stop_order, seen, heard = 0, None, None, ()

    def notify_store(self, msg, *args, **kwargs):
        self.heard = (*self.heard, str(msg))

    def next(self):
        if self.data.history_phase:
            return
        self.bars += 1
        journal, broker = self.broker.journal, self.broker
        if self.bars == 1:
            self.buy(size=2)
        elif self.bars == 3:
            price = self.data.close[0]
            self.adds = self.buy(size=1, exectype=bt.Order.Limit, price=price - 2000)
            self.stop_order = self.sell(size=2, exectype=bt.Order.Stop, price=price - 60)
            [(pages,)] = journal.query("PRAGMA page_count")
            journal.query(f"PRAGMA max_page_count={pages + 1}")
        elif self.bars > 3 and self.seen is None and not self.adds.alive():
            self.seen = broker.risk_state, broker.records_broken, self.stop_order.alive()
        elif self.seen and broker.records_broken and not self.stop_order.alive():
            journal.query("PRAGMA max_page_count=1000000")
            broker.resume()


def test_a_stop_closes_its_lots_while_the_disk_is_full(tmp_path):
    _, [strategy], account = run(tmp_path, Protected)
    assert strategy.seen == (GuardState.HALTED, True, True)
    assert "cannot be written" in strategy.adds.info.reason
    assert strategy.stop_order.status == bt.Order.Completed
    assert strategy.position.size == 0
    assert not any("no protection" in words for words in strategy.heard)
    orders = read(tmp_path / "dual", "order").drop_duplicates("order_id", keep="last")
    [leg] = strategy.stop_order.legs
    assert orders.set_index("order_id").loc[leg.order_id].status == "FINISHED"
    assert set(account["trades"]) <= set(read(tmp_path / "dual", "trade").trade_id)


@pytest.mark.parametrize("again", [0.0, 1000.0], ids=["by itself", "at the end"])
def test_after_a_full_disk_the_files_say_what_the_exchange_says(tmp_path, monkeypatch, again):
    monkeypatch.setattr(write_ahead, "AGAIN", again)
    monkeypatch.setattr(write_ahead, "AT_MOST", again)
    _, [strategy], account = run(tmp_path, Freed)
    assert strategy.seen == (True, False)
    assert strategy.then == (GuardState.HALTED, again > 0)
    orders = read(tmp_path / "dual", "order").drop_duplicates("order_id", keep="last")
    theirs, ours = account["orders"], orders.set_index("order_id")
    assert {key: (one["status"], one["volume_left"]) for key, one in theirs.items()} == {
        key: (ours.loc[key].status, ours.loc[key].volume_left) for key in theirs
    }
    assert set(account["trades"]) <= set(read(tmp_path / "dual", "trade").trade_id)


@pytest.mark.parametrize("analyzer", [True, False])
def test_a_file_that_cannot_be_made_ends_the_start_in_its_own_words(tmp_path, analyzer):
    blocked = tmp_path / "dual" / "trade.csv"
    blocked.mkdir(parents=True)
    (blocked / "in the way").touch()
    with pytest.raises(JournalError, match=r"trade\.csv: cannot be"):
        run_once(tmp_path, analyzer)
    (blocked / "in the way").unlink()
    blocked.rmdir()
    run_once(tmp_path, analyzer)  # the failed run has left nothing behind
    assert len(read(tmp_path / "dual", "equity")) > 10


def run_once(folder, analyzer):
    with MyStore.sandbox(start="2026-11-10 14:40:00", strategy_name="dual") as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker(records=folder))
        cerebro.adddata(store.getdata(SYMBOL))
        cerebro.addstrategy(bt.Strategy)
        if analyzer:
            cerebro.addanalyzer(PerformanceTracker)
        cerebro.run()


@pytest.mark.parametrize("analyzer", [True, False])
def test_trades_of_others_are_in_the_last_rows(tmp_path, analyzer):
    """Another terminal trades until the program ends; the program itself does nothing."""

    class Looks(bt.Strategy):
        early = ()

        def next(self):
            price = self.data.ask_price[0] + 100
            held = self.broker.getposition(self.data).size
            if len(self) == 2:
                relay.order("other2", SYMBOL, "BUY", "OPEN", 2, price)
            elif held == 2 and not len(self.early):
                self.early = read(tmp_path / "dual", "position")
                if len(self.early):
                    relay.order("other5", SYMBOL, "BUY", "OPEN", 2, price)
            elif held == 4:
                self.env.runstop()

    start = "2026-11-10 09:31:00"
    with (
        EmbeddedSandbox(start=start, ticks_per_pack=5) as box,
        td_relay(box.urls) as relay,
    ):
        with MyStore("sandbox", "sandbox", urls=relay.urls, strategy_name="dual") as store:
            cerebro = bt.Cerebro(stdstats=False)
            cerebro.setbroker(store.getbroker(records=tmp_path))
            cerebro.adddata(store.getdata(SYMBOL))
            cerebro.addstrategy(Looks)
            if analyzer:
                cerebro.addanalyzer(PerformanceTracker)
            [strategy] = cerebro.run()
        [account] = box.state()["accounts"].values()
    assert list(strategy.early.pos_long) == [2]
    assert read(tmp_path / "dual", "position").pos_long.iloc[-1] == 4
    last = read(tmp_path / "dual", "account").iloc[-1]
    for name in ("commission", "margin", "static_balance", "close_profit"):
        assert last[name] == account["account"][name]
    equity = read(tmp_path / "dual", "equity").iloc[-1]
    assert (equity.why, equity.balance) == ("stop", last.balance)


SCRIPT = """
import sys
sys.path[:0] = {folders!r}
from test_records import DualMovingAverage, run

class Telling(DualMovingAverage):
    def next(self):
        super().next()
        for order in self.broker.get_all_orders():
            for leg in order.legs:
                for trade_id in leg.fills:
                    sys.stderr.write(f"has {{trade_id}}\\n")
        sys.stderr.flush()

run({folder!r}, Telling)
"""


def test_a_killed_program_has_recorded_everything(tmp_path):
    folder = tmp_path / "dual"
    folders = [str(one) for one in Path(__file__).parents[:2]]
    code = SCRIPT.format(folders=folders, folder=str(tmp_path))
    told = set()
    with subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ, text=True,
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        for line in process.stderr:
            if line.startswith("has "):
                told.add(line.split()[1])
            if len(told) == 6:
                os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
                break
    with (folder / "trade.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    # Trades printed in a bar were notified before it, so that they are in the file.
    assert {row["trade_id"] for row in rows} >= told
    assert all(row["seq"].isdecimal() for row in rows)
    with Records(folder) as records:
        assert len(records.to_dataframe("trade")) == len(rows)
        assert records.statistics().trades.fills == len(rows)
    with Journal(folder / "journal.sqlite") as journal:
        journal.open_orders()
    before = (folder / "trade.csv").read_text(encoding="utf-8")
    run(tmp_path, start=ELEVENTH)
    assert (folder / "trade.csv").read_text(encoding="utf-8").startswith(before)
    assert list(read(folder, "account").trading_day) == ["2026-11-10", "2026-11-11"]


def test_files_of_a_journal_that_is_gone_are_kept(tmp_path):
    folder = tmp_path / "dual"
    run(tmp_path)
    trades = (folder / "trade.csv").read_bytes()
    (folder / "journal.sqlite").unlink()
    run(tmp_path, start=ELEVENTH)
    assert (folder / "earlier_1" / "trade.csv").read_bytes() == trades
    assert list(read(folder, "account").trading_day) == ["2026-11-11"]


def test_a_lost_file_is_made_again(tmp_path):
    folder = tmp_path / "dual"
    run(tmp_path)
    whole = {kind: (folder / f"{kind}.csv").read_bytes() for kind in KINDS}
    (folder / "trade.csv").unlink()
    (folder / "equity.csv").write_bytes(whole["equity"][:-7])
    run(tmp_path, start=ELEVENTH)
    for kind in KINDS:
        assert (folder / f"{kind}.csv").read_bytes().startswith(whole[kind])


def test_without_cerebro(tmp_path):
    with MyStore.sandbox(seed=5, ticks_per_pack=5) as store:
        broker = store.getbroker()
        tracker = PerformanceTracker(store=store, folder=str(tmp_path), name="by_hand")
        broker.start()
        tracker.start()
        store.tianqin.get_quote(SYMBOL)  # without a quote no time comes
        while not store.is_trading(SYMBOL):
            store.pump(1.0)
        order = broker.buy_open(SYMBOL, 2)
        while order.alive():
            store.pump(1.0)
            tracker.update()
        tracker.update()
        trades = tracker.to_dataframe("trade")
        assert trades.volume.sum() == 2
        assert tracker.to_dataframe("position").pos_long.iloc[-1] == 2
        order = broker.sell_close(SYMBOL, 2)
        while order.alive():
            store.pump(1.0)
        tracker.update()
        flat = tracker.to_dataframe("position").iloc[-1]
        assert (flat.pos_long, flat.volume_long, flat.margin) == (0, 0, 0)
        assert flat.last_price > 0
        refused = broker.sell_close(SYMBOL, 9)
        tracker.update()
        tracker.notify_order(refused)
        assert tracker.to_dataframe("order").iloc[-1].last_msg == refused.info.reason
        tracker.stop()
        tracker.stop()
