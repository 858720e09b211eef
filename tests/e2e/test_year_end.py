"""A year whose holidays are not announced: orders are refused, and the run continues."""

import backtrader as bt
import pytest

SYMBOL = "SHFE.rb2705"


class OverNewYear(bt.Strategy):
    """Buys, places a stop for its lots, and tries to buy again in the new year."""

    def __init__(self):
        self.reasons, self.told, self.bars, self.stop_order = [], [], [], None

    def notify_order(self, order):
        if order.status == order.Rejected:
            self.reasons.append(order.info.reason)

    def notify_store(self, msg, *args, **kwargs):
        self.told.append(str(msg))

    def next(self):
        self.bars.append(self.data.datetime.datetime(0))
        if len(self) == 5:
            self.buy(size=1)
        elif len(self) == 10:
            stop = self.data.close[0] * 0.9
            self.stop_order = self.sell(size=1, exectype=bt.Order.Stop, price=stop)
        elif len(self) > 1 and self.bars[-1].year > self.bars[-2].year:
            self.buy(size=1)
            self.broker.flatten()


@pytest.mark.filterwarnings("ignore:the exchanges' holidays of 2027")
@pytest.mark.parametrize("name", ["", "new_year"])
def test_what_waits_stays_and_the_owner_is_told_once(sandbox, run, name):
    store = sandbox(start="2026-12-31 14:30:00", days=2, strategy_name=name)
    done = run(store, OverNewYear, store.getdata(SYMBOL))
    assert done.bars[-1].year == 2027
    assert len(done.reasons) == 1
    assert "holidays are known" in done.reasons[0]
    assert len([text for text in done.told if "holidays are known" in text]) == 1
    assert store.broker.get_account_position(SYMBOL)["pos_long"] == 1
