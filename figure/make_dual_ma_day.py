"""Draw a day of examples/dual_ma.py in the sandbox: minute closes, both averages, the fills.

    pip install -e . && python figure/make_dual_ma_day.py

writes dual_ma_day.png beside this file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import backtrader as bt
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples"))
from dual_ma import DualMovingAverage  # noqa: E402

from tianqin_backtrader import MyStore  # noqa: E402


class Drawn(DualMovingAverage):
    """The example, which also stores the data of the picture."""

    def __init__(self):
        super().__init__()
        self.line, self.fills = [], []
        self.averages = [bt.ind.SMA(self.data.close, period=n) for n in (self.p.fast, self.p.slow)]

    def next(self):
        super().next()
        if not self.data.history_phase:
            stamp = self.data.datetime.datetime(0)
            self.line.append((stamp, self.data.close[0], *(sma[0] for sma in self.averages)))

    def notify_order(self, order):
        super().notify_order(order)
        if order.status == order.Completed:
            self.fills.append((len(self.line) - 1, order.executed.price, order.isbuy()))


def main(folder=HERE):
    """Run the day, and write the picture."""
    with MyStore.sandbox() as store:
        cerebro = bt.Cerebro()
        cerebro.setbroker(store.getbroker())
        cerebro.adddata(store.getdata("SHFE.cu2612", lookback=True))
        cerebro.addstrategy(Drawn)
        [strategy] = cerebro.run()
    stamps, close, fast, slow = zip(*strategy.line, strict=True)
    figure, axes = plt.subplots(figsize=(11, 4.2), layout="constrained")
    axes.plot(close, color="0.65", linewidth=0.8, label="close")
    axes.plot(fast, color="tab:blue", linewidth=1.0, label=f"SMA {strategy.p.fast}")
    axes.plot(slow, color="tab:orange", linewidth=1.2, label=f"SMA {strategy.p.slow}")
    for buys, marker, color in ((True, "^", "tab:green"), (False, "v", "tab:red")):
        points = [(minute, price) for minute, price, bought in strategy.fills if bought is buys]
        axes.scatter(
            *zip(*points, strict=True), marker=marker, color=color, zorder=3, s=34,
            label="buy" if buys else "sell",
        )  # fmt: skip
    opens = [n for n in range(1, len(stamps)) if (stamps[n] - stamps[n - 1]).seconds > 60]
    for minute in opens:
        axes.axvline(minute - 0.5, color="0.85", linewidth=0.8, zorder=0)
    shown = [0, *opens, len(stamps) - 1]
    axes.set_xticks(shown, [f"{stamps[n]:%H:%M}" for n in shown])
    axes.set_ylabel("yuan per ton")
    axes.set_title("SHFE.cu2612, one trading day on the embedded exchange", loc="left", fontsize=11)
    axes.legend(frameon=False, ncols=5, fontsize=8, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
    path = Path(folder, "dual_ma_day.png")
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    main()
