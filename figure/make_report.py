"""Run examples/dual_ma.py for a week in the sandbox and keep two pictures of its report.

    pip install -e . && python figure/make_report.py

writes report.png beside this file: equity with its drawdown, and the contract with entries and
exits, as ``PerformanceTracker.report()`` draws them.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from pathlib import Path

import backtrader as bt
import numpy as np
from matplotlib.image import imread, imsave

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples"))
from dual_ma import DualMovingAverage  # noqa: E402

from tianqin_backtrader import MyStore, PerformanceTracker  # noqa: E402

SYMBOL = "SHFE.cu2612"
#: The report's pictures that are kept, one under the other.
PICTURES = ("report_equity_and_drawdown.png", f"report_{SYMBOL}.png")


def run(folder, days):
    """Trade ``days`` trading days; return the folder of the records with the report in it."""
    with MyStore.sandbox(days=days) as store, contextlib.redirect_stdout(io.StringIO()):
        cerebro = bt.Cerebro()
        cerebro.setbroker(store.getbroker())
        cerebro.adddata(store.getdata(SYMBOL, lookback=500))
        cerebro.addstrategy(DualMovingAverage, fast=20, slow=80)
        cerebro.addanalyzer(PerformanceTracker, name="dual_ma", folder=folder)
        [strategy] = cerebro.run()
        return strategy.analyzers.performancetracker.report().parent


def main(folder: Path = HERE, days: int = 5) -> Path:
    """Run, and write the picture."""
    with tempfile.TemporaryDirectory() as records:
        report = run(records, days)
        parts = [imread(report / name)[:, :, :3] for name in PICTURES]
    path = Path(folder, "report.png")
    imsave(path, np.concatenate(parts))
    return path


if __name__ == "__main__":
    main()
