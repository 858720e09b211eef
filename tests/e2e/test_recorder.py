"""Recording during trading and alone, over faults and kills; replay of recorded days."""

import importlib
import re
import shutil
import signal
from datetime import date
from pathlib import Path

import backtrader as bt
import duckdb
import pandas as pd
import pytest
from recording_desk import (
    assert_recorded_exactly,
    finish,
    kill_at_step,
    official_rows,
    record_process,
    recorded_rows,
)

from tianqin_backtrader import MyStore, PerformanceTracker, RecordedData
from tianqin_backtrader.__main__ import main
from tianqin_backtrader.core.clock import HOUR, SECOND
from tianqin_backtrader.errors import ConfigError, JournalError, UnknownSymbol
from tianqin_backtrader.recording.parquet_files import RecordingFiles
from tianqin_backtrader.recording.tracks import DAYS, MINUTES, TICKS
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

CU, M = "SHFE.cu2612", "DCE.m2701"
DAY = "2026-11-10"
AFTERNOON = f"{DAY} 14:20:20"
EXAMPLES = Path(__file__).parents[2] / "examples"
LINES = (
    "open", "high", "low", "close", "volume", "openinterest",
    "bid_price", "ask_price", "bid_volume", "ask_volume", "bid_price2", "ask_price2",
)  # fmt: skip


class Follow(bt.Strategy):
    """Holds two lots on the side of the average, checked at every fifth bar."""

    def __init__(self):
        self.bars, self.fills = [], []
        self.averages = [bt.ind.SMA(data, period=3) for data in self.datas]

    def next(self):
        for data, average in zip(self.datas, self.averages, strict=True):
            values = [getattr(data.lines, name)[0] for name in LINES]
            self.bars.append((data._name, str(data.datetime.datetime(0)), *map(repr, values)))
            if len(data) % 5 == 0:
                target = 2 if data.close[0] > average[0] else -2
                self.order_target_size(data, target=target)

    def notify_order(self, order):
        if order.status == order.Completed:
            done = order.executed
            self.fills.append((order.data._name, done.dt, done.size, done.price, done.comm))


def trade(store, path):
    """Trade both contracts and record them; return the strategy."""
    store.record([CU, M], path)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(store.getbroker(records=False))
    for symbol in (CU, M):
        cerebro.adddata(store.getdata(symbol, name=symbol))
    cerebro.addstrategy(Follow)
    cerebro.addanalyzer(PerformanceTracker, folder=str(path.parent), name=path.name)
    [strategy] = cerebro.run()
    return strategy


@pytest.fixture(scope="module")
def traded(tmp_path_factory):
    """(strategy, the recording of its run)."""
    live = tmp_path_factory.mktemp("live")
    with MyStore.sandbox(start=AFTERNOON, ticks_per_pack=5) as store:
        strategy = trade(store, live)
        store.recorder.close()
        assert strategy.fills
        # The day's beginning came from the history, while the strategy traded.
        assert assert_recorded_exactly(live, store.sandbox_server, (CU, M), [DAY]) > 10_000
        assert store.recorder.holes() == [] and store.recorder.failed == ""
    return strategy, live


@pytest.mark.told_time("orders meet the same ticks again in a market that waits for them")
def test_a_day_traded_and_replayed_has_the_same_bars_and_fills(traded, sandbox, tmp_path, capsys):
    strategy, live = traded
    store = sandbox(start=AFTERNOON, ticks_per_pack=5, replay=str(live))
    for field in ("upper_limit", "lower_limit", "margin", "commission", "pre_settlement"):
        recorded = RecordingFiles(live).instrument(TICKS, CU, DAY)[field]
        assert getattr(store.instrument(CU), field) == recorded
    again = trade(store, tmp_path / "again")
    store.close()
    assert again.bars == strategy.bars
    assert again.fills == strategy.fills
    assert main(["compare", str(live), str(tmp_path / "again")]) == 0
    words = capsys.readouterr().out
    assert re.match(r"equal: \d+ ticks, 810 minutes, 2 days, \d+ orders, \d+ trades", words)
    files = RecordingFiles(tmp_path / "again")
    [row, *_] = files.read(MINUTES, M, DAY).to_pylist()[200:]
    row["close"] += 1
    files.merge(MINUTES, M, DAY, [tuple(row.values())], None)
    assert main(["compare", str(live), str(tmp_path / "again")]) == 1
    assert f"{M} {DAY} minutes, row 201" in capsys.readouterr().out


def test_duckdb_and_pandas_read_it_as_it_is(traded):
    _, live = traded
    count = len(RecordingFiles(live).read(TICKS, M, DAY))
    files = f"read_parquet('{live}/ticks/*/*/*.parquet', hive_partitioning = true)"
    answer = duckdb.sql(
        f"SELECT symbol, trading_day, count(*), max(id) - min(id) + 1, typeof(any_value(volume)) "
        f"FROM {files} WHERE symbol = '{M}' GROUP BY ALL"
    ).fetchall()
    assert answer == [(M, date(2026, 11, 10), count, count, "BIGINT")]
    frame = pd.read_parquet(live / "minutes")
    assert len(frame) == 465 + 345
    assert set(frame["symbol"]) == {CU, M} and set(frame["trading_day"].astype(str)) == {DAY}
    assert frame["volume"].dtype == "int64"


def test_with_an_untested_tqsdk_the_frames_are_recorded(sandbox, tmp_path, untested_tqsdk):
    store = sandbox(start=f"{DAY} 14:50:00", ticks_per_pack=20)
    recorder = store.record([CU, M], tmp_path)
    recorder.run()
    recorder.close()
    server = store.sandbox_server
    for kind in (TICKS, MINUTES, DAYS):
        for symbol in (CU, M):
            ours = recorded_rows(tmp_path, kind, symbol, DAY)
            theirs = official_rows(server, kind, symbol, DAY)
            assert [{name: row[name] for name in theirs[0]} for row in ours] == theirs


def test_recorded_bars_are_an_offline_feed(traded):
    strategy, live = traded
    cerebro = bt.Cerebro(stdstats=False)
    for symbol in (CU, M):
        data = RecordedData(dataname=symbol, path=live, name=symbol)
        cerebro.adddata(data)
        cerebro.broker.addcommissioninfo(data.comminfo(), name=symbol)
    cerebro.broker.setcash(1_000_000)
    cerebro.addstrategy(Follow)
    [offline] = cerebro.run()
    bars = {bar[:2]: bar for bar in offline.bars}
    assert len(bars) == 465 + 345 - 4  # the average of three begins with the third
    assert [bars[bar[:2]] for bar in strategy.bars] == strategy.bars
    comminfo = cerebro.broker.getcommissioninfo(cerebro.datas[0])
    instrument = cerebro.datas[0].instrument()
    assert comminfo.p.mult == instrument.volume_multiple == 5
    assert comminfo.get_margin(0) == instrument.margin > 0
    assert comminfo.getcommission(3, 0) == pytest.approx(3 * instrument.commission)
    assert offline.fills and offline.fills[0][4] > 0


def test_recorded_days_and_ticks_are_feeds_too(traded):
    _, live = traded
    for timeframe, kind in ((bt.TimeFrame.Days, DAYS), (bt.TimeFrame.Ticks, TICKS)):
        data = RecordedData(dataname=CU, path=live, timeframe=timeframe)
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(data)
        cerebro.addstrategy(bt.Strategy)
        cerebro.run()
        table = RecordingFiles(live).read(kind, CU, DAY)
        assert len(data) == len(table)
        assert sum(data.volume.array) == pytest.approx(table["volume"].to_pylist()[-1])
    with pytest.raises(ConfigError, match=r"has no days of SHFE.cu2701; it has DCE.m2701"):
        RecordedData(dataname="SHFE.cu2701", path=live, timeframe=bt.TimeFrame.Days)


def test_the_example_runs(capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example = importlib.import_module("recorded_day")
    assert example.main(["--start", AFTERNOON]) == 0
    words = capsys.readouterr().out
    assert ", 0 holes" in words and "half_hour" in words
    assert "the signals are equal: True" in words


def test_what_a_line_loses_is_repaired(sandbox, tmp_path):
    steps = [
        {"fault": "hole", "symbol": CU, "count": 30},
        {"fault": "shuffle", "symbol": M, "count": 5},
        {"fault": "drop", "conn": "md"},
        {"fault": "batch", "steps": 1500},
        {"fault": "hole", "count": 3},
        {"fault": "repeat", "conn": "md"},
    ]
    script = [{"at": {"step": 150 * (i + 1)}, **fault} for i, fault in enumerate(steps)]
    store = sandbox(start=AFTERNOON, ticks_per_pack=5, script=script)
    recorder = store.record([CU, M], tmp_path)
    recorder.run()
    server = store.sandbox_server
    assert server.state()["faults"]["planned"] == 0
    recorder.close()
    assert_recorded_exactly(tmp_path, server, (CU, M), [DAY])


def test_killed_and_torn_it_goes_on_without_a_gap(tmp_path):
    with EmbeddedSandbox(start=f"{DAY} 14:40:00", ticks_per_pack=5) as server:
        assert kill_at_step(record_process(server, [CU, M], tmp_path), server, 300)
        server.advance(seconds=300)
        assert "0 holes" in finish(record_process(server, [CU, M], tmp_path))
        assert_recorded_exactly(tmp_path, server, (CU, M), [DAY])
        # The remains of a power cut.
        path = RecordingFiles(tmp_path).path(TICKS, CU, DAY)
        path.write_bytes(path.read_bytes()[:1000])
        path.with_name(".rows.parquet.new").write_bytes(b"half")
        with MyStore("u", "p", urls=server.urls) as store:
            recorder = store.record([CU, M], tmp_path)
            recorder.run()
        assert_recorded_exactly(tmp_path, server, (CU, M), [DAY])
    assert (tmp_path / "holes.csv").read_text() == "kind,symbol,first_id,last_id\n"


def test_ctrl_c_ends_the_command_in_order(tmp_path):
    with EmbeddedSandbox(start=f"{DAY} 09:31:00", speed=20) as server:
        process = record_process(server, [M], tmp_path)
        while "requesting ticks" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        words, _ = process.communicate(timeout=30)
    assert process.returncode == 0, words
    assert "Traceback" not in words
    rows = RecordingFiles(tmp_path).read(TICKS, M, DAY)
    assert len(rows) > 0


def test_wrong_wishes_are_refused_before_anything_is_written(sandbox, tmp_path):
    store = sandbox(start=AFTERNOON)
    with pytest.raises(UnknownSymbol):
        store.record(["SHFE.cu9999"], tmp_path / "new")
    with pytest.raises(ConfigError, match="at least one"):
        store.record([], tmp_path / "new")
    assert not (tmp_path / "new").exists()
    store.record(CU, tmp_path / "new")
    with pytest.raises(ConfigError, match="already"):
        store.record(M, tmp_path / "other")
    other = MyStore("u", "p", urls=store.sandbox_server.urls)
    with pytest.raises(JournalError, match="another program"):
        other.record(M, tmp_path / "new")
    other.close()


def test_a_store_may_record_again_when_the_recorder_is_closed(sandbox, run, tmp_path):
    class Few(bt.Strategy):
        def next(self):
            if len(self) == 3:
                self.env.runstop()

    store = sandbox(start=f"{DAY} 14:50:00", ticks_per_pack=20)
    first = store.record([CU], tmp_path)
    run(store, Few, store.getdata(CU))
    with pytest.raises(ConfigError, match="records already"):
        store.record([M], tmp_path)
    first.close()
    again = store.record([CU, M], tmp_path)
    again.run()
    again.close()
    assert assert_recorded_exactly(tmp_path, store.sandbox_server, (CU, M), [DAY]) > 10_000
    assert again.holes() == []


def test_another_markets_folder_is_not_carried_on(traded, sandbox, tmp_path):
    shutil.copytree(traded[1], tmp_path / "live")
    store = sandbox(start="2026-11-05 14:50:00")
    recorder = store.record(M, tmp_path / "live")
    with pytest.raises(JournalError, match="another market's"):
        recorder.run()
    assert "up to id" in recorder.failed


def test_a_full_disk_ends_the_recording_and_not_the_trading(sandbox, run, tmp_path):
    store = sandbox(start=f"{DAY} 14:50:20", ticks_per_pack=5)
    recorder = store.record([CU], tmp_path)
    recorder._journal._db.execute("PRAGMA max_page_count = 20")
    heard = []

    class Listening(Follow):
        def notify_store(self, msg, *args, **kwargs):
            heard.append(msg)

    strategy = run(store, Listening, store.getdata(CU))
    assert "full" in recorder.failed
    assert any("the recording has stopped" in str(message) for message in heard)
    assert len(strategy.bars) == 8


def test_a_recorded_tick_with_the_coming_nights_time_moves_no_clock(sandbox, tmp_path):
    store = sandbox(start=AFTERNOON)
    recorder = store.record([CU], tmp_path / "odd")
    while not any(stream.live for stream in recorder._streams):
        store.pump(0.5)
    [ticks] = [stream for stream in recorder._streams if stream.kind is TICKS]
    coming, odd = ticks.new_rows, store.clock.now_ns() + 7 * HOUR

    seen = []

    def odd_rows(alive_at):
        rows = [(day, (row[0], odd, *row[2:])) for day, row in coming(alive_at)]
        seen.extend(rows)
        return rows

    ticks.new_rows = odd_rows
    begin = store.clock.now_ns()
    while store.clock.now_ns() < begin + 10 * SECOND or not seen:
        store.pump(0.5)
    assert store.clock.now_ns() < begin + HOUR and store.alive_at(CU) < begin + HOUR
