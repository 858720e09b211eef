"""A program to run unattended: it trades, writes logs and records, and tells how it is.

    python examples/deploy/trade.py [--sandbox]

It trades on the paper account of ``TQ_USER`` and ``TQ_PASS``; for a futures account give
``MyStore`` an ``account``. Whatever runs the program restarts it when it ends with an error: it
goes on where it was. ``healthcheck.py`` asks its port.
"""

from __future__ import annotations

import os
import sys

import backtrader as bt

from tianqin_backtrader import MyStore, RiskLimits, log_to
from tianqin_backtrader.errors import TianqinError

PORT = int(os.environ.get("HEALTH_PORT", "9101"))
SYMBOL = os.environ.get("SYMBOL", "KQ.m@SHFE.cu")


class Cross(bt.Strategy):
    def __init__(self):
        self.cross = bt.ind.CrossOver(bt.ind.SMA(period=5), bt.ind.SMA(period=20))

    def next(self):
        if self.data.history_phase or not self.cross[0]:
            return
        self.order_target_size(target=1 if self.cross > 0 else -1)


def store():
    """The sandbox or the paper account."""
    if "--sandbox" in sys.argv:
        return MyStore.sandbox(days=1, strategy_name="trade")
    return MyStore(strategy_name="trade")


def main():
    log_to("logs/trade.jsonl")
    with store() as it:
        it.monitor(PORT)
        cerebro = bt.Cerebro()
        cerebro.setbroker(it.getbroker(risk=RiskLimits(max_position=2, max_daily_loss=5000)))
        cerebro.adddata(it.getdata(SYMBOL, lookback=True))
        cerebro.addstrategy(Cross)
        cerebro.run()


if __name__ == "__main__":
    try:
        main()
    except TianqinError as error:
        sys.exit(f"{type(error).__name__}: {error}")
