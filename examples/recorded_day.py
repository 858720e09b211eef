"""Record a day of the market, read it, and trade it again in two ways.

Without an account, on the embedded exchange::

    python examples/recorded_day.py

1. ``store.record`` writes ticks, minute and daily bars to Parquet files, here of a whole trading
day. 2. DuckDB (or pandas, if it is not installed) reads the files directly.
3. The sandbox replays the recorded day: the strategy trades with the recorded order book.
4. ``RecordedData`` is the same day as an offline feed for Backtrader's own broker.
"""

from __future__ import annotations

import argparse
import sys
import tempfile

import backtrader as bt

from tianqin_backtrader import MyStore, RecordedData
from tianqin_backtrader.errors import TianqinError


class Reversal(bt.Strategy):
    """Trades one lot against a minute that moved by more than the average range."""

    params = dict(period=20)

    def __init__(self):
        self.range = bt.ind.SMA(self.data.high - self.data.low, period=self.p.period)
        self.signals, self.side = [], 0

    def next(self):
        move = self.data.close[0] - self.data.open[0]
        if abs(move) > self.range[0]:
            side = -1 if move > 0 else 1
            if side != self.side:
                self.side = side
                self.signals.append((self.data.datetime.datetime(0), side))
                self.order_target_size(target=side)


def record(symbol, start, folder):
    """Record until the market ends."""
    with MyStore.sandbox(start=start, ticks_per_pack=50) as store:
        recorder = store.record(symbol, folder)
        recorder.run()
        print(f"{recorder.rows_written} rows recorded, {len(recorder.holes())} holes")


def read(symbol, folder):
    """Show the recorded ticks by half hours."""
    try:
        import duckdb
    except ImportError:
        import pandas as pd

        frame = pd.read_parquet(f"{folder}/ticks", filters=[("symbol", "=", symbol)])
        frame["at"] = pd.to_datetime(frame["datetime"]) + pd.Timedelta(hours=8)
        print(frame.groupby(frame["at"].dt.floor("30min"))["last_price"].agg(["count", "last"]))
        return
    print(
        duckdb.sql(
            f"""
            SELECT time_bucket(INTERVAL 30 minutes, make_timestamp_ns(datetime)
                       + INTERVAL 8 hours) AS half_hour,
                   count(*) AS ticks, last(last_price ORDER BY id) AS price
            FROM read_parquet('{folder}/ticks/*/*/*.parquet', hive_partitioning = true)
            WHERE symbol = '{symbol}' GROUP BY half_hour ORDER BY half_hour
            """
        )
    )


def run(data, broker=None):
    """Run the strategy over a feed."""
    cerebro = bt.Cerebro(stdstats=False)
    if broker is not None:
        cerebro.setbroker(broker)
    else:
        cerebro.broker.setcash(1_000_000)
        cerebro.broker.addcommissioninfo(data.comminfo(), name=data._name)
    cerebro.adddata(data, name=data._dataname)
    cerebro.addstrategy(Reversal)
    [strategy] = cerebro.run()
    print(f"{len(strategy.signals)} signals, {cerebro.broker.getvalue():.2f} yuan at the end")
    return strategy.signals


def main(argv: list[str] | None = None) -> int:
    """Record, read, and trade twice."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--symbol", default="SHFE.cu2612")
    parser.add_argument("--start", default="2026-11-10", help="a trading day, or a time")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        record(args.symbol, args.start, folder)
        read(args.symbol, folder)
        print("the recorded day, played by the sandbox:")
        with MyStore.sandbox(replay=folder, ticks_per_pack=50) as store:
            played = run(store.getdata(args.symbol), store.getbroker())
        print("the recorded day, with Backtrader's own broker:")
        offline = run(RecordedData(dataname=args.symbol, path=folder))
        print("the signals are equal:", played == offline)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TianqinError as error:
        sys.exit(f"{type(error).__name__}: {error}")
