"""Whose open trades the lots are that were held before the run."""

from collections import defaultdict
from datetime import datetime
from types import SimpleNamespace

import backtrader as bt
import pytest

from tianqin_backtrader.account.allocation import LotsChange
from tianqin_backtrader.execution.open_trades import OpenTrades
from tianqin_backtrader.feeds.feed_list import PlaceholderFeed

CU, PRICE = "SHFE.cu2612", 78000.0
COSTS = bt.CommissionInfo(mult=5.0, commission=0.0, margin=1.0, stocklike=False)


class Strategy:
    """What Backtrader keeps of orders and trades, and its own way to make trades of fills."""

    _tradehistoryon = False

    def __init__(self, *datas):
        self.datas = datas
        self._trades = defaultdict(lambda: defaultdict(list))
        self._orderspending, self._tradespending = [], []
        self.broker = SimpleNamespace(getcommissioninfo=lambda data: COSTS)
        self.cerebro = SimpleNamespace(p=SimpleNamespace(quicknotify=False))

    def is_told(self, order):
        bt.Strategy._addnotification(self, order)

    def lots(self, data, tradeid=0):
        return [trade.size for trade in self._trades[data][tradeid] if trade.isopen]

    @property
    def closed(self):
        return [trade for trade in self._tradespending if trade.isclosed]

    @property
    def opened(self):
        return [trade for trade in self._tradespending if trade.justopened]


class Run:
    def __init__(self):
        store = SimpleNamespace(
            now=lambda: datetime(2026, 11, 10),
            now_ns=lambda: 1,
            known_instrument=lambda symbol: 1,
        )
        self.feed = PlaceholderFeed(CU, store)
        self.other = PlaceholderFeed(CU, store)  # a second feed of the contract
        self.strategies = [Strategy(self.feed, self.other) for _ in range(2)]
        for feed in (self.feed, self.other):
            feed._env = SimpleNamespace(runningstrats=self.strategies)
        feeds = [self.feed, self.other]
        self.trades = OpenTrades(store, feeds, None, lambda symbol: self.feed)

    def order(self, owner, size, data=None, tradeid=0):
        kind = bt.BuyOrder if size > 0 else bt.SellOrder
        data = self.feed if data is None else data
        order = kind(owner=owner, data=data, size=abs(size), price=PRICE, simulated=True,
                     tradeid=tradeid)  # fmt: skip
        order.addcomminfo(COSTS)
        return order

    def fill(self, order, price=PRICE, opens=False):
        size = order.size
        closed, opened = (0, size) if opens else (size, 0)
        order.execute(1.0, size, price, closed, 0.0, 0.0, opened, 0.0, 0.0, 1.0, 0.0, 0, 0.0)
        told = order.clone()
        self.trades.make_way(told, CU)
        told.owner.is_told(told)


@pytest.fixture
def run():
    return Run()


@pytest.mark.parametrize("side", [1, -1])
def test_lots_are_given_to_the_strategy_whose_exits_stand_for_them(run, side):
    first, second = run.strategies
    stop, target = (run.order(second, -2 * side) for _ in range(2))
    run.trades.give({CU: (2 * side, PRICE)}, {CU: [(stop, 2), (target, 2)]})
    assert (first.lots(run.feed), second.lots(run.feed)) == ([], [2 * side])
    run.fill(stop, PRICE + 10 * side)
    [trade] = second.closed
    assert (trade.pnl, second.opened, first._tradespending) == (100.0, [], [])
    assert first.lots(run.feed) == second.lots(run.feed) == []


def test_lots_of_several_owners_are_shared_and_the_rest_goes_to_the_first_of_them(run):
    first, second = run.strategies
    exits = [(run.order(second, -2), 2), (run.order(first, -1), 1)]
    run.trades.give({CU: (5, PRICE)}, {CU: exits})
    assert (first.lots(run.feed), second.lots(run.feed)) == ([1], [4])


def test_lots_without_exits_are_the_first_strategys(run):
    first, second = run.strategies
    run.trades.give({CU: (3, PRICE)}, {})
    assert (first.lots(run.feed), second.lots(run.feed)) == ([3], [])


def test_who_closes_lots_that_were_held_before_is_told_of_them(run):
    first, second = run.strategies
    run.trades.give({CU: (3, PRICE)}, {})
    run.fill(run.order(second, -2), PRICE + 10)
    [trade] = second.closed
    assert (trade.pnl, trade.size, second.opened) == (100.0, 0, [])
    assert (first.lots(run.feed), first._tradespending) == ([1], [])
    run.fill(run.order(second, -1), PRICE + 10)
    assert [trade.pnl for trade in second.closed] == [100.0, 50.0]
    assert first.lots(run.feed) == []


@pytest.mark.parametrize(("other", "tradeid"), [(True, 0), (False, 7)])
def test_they_are_found_from_another_feed_of_the_contract_and_by_another_tradeid(
    run, other, tradeid
):
    first, _ = run.strategies
    run.trades.give({CU: (2, PRICE)}, {})
    data = run.other if other else run.feed
    run.fill(run.order(first, -2, data, tradeid), PRICE + 10)
    assert [(trade.data, trade.tradeid, trade.pnl) for trade in first.closed] == [
        (data, tradeid, 100.0)
    ]
    assert first.opened == [] and first.lots(run.feed) == []


def test_own_lots_and_those_of_before_are_closed_as_one_trade(run):
    first, second = run.strategies
    run.trades.give({CU: (2, PRICE)}, {})
    run.fill(run.order(second, 1), PRICE + 30, opens=True)
    run.fill(run.order(second, -3), PRICE + 10)
    [trade] = second.closed
    assert trade.pnl == pytest.approx((10 * 2 - 20) * 5)
    assert first.lots(run.feed) == second.lots(run.feed) == []


def test_what_was_made_and_paid_goes_with_the_lots(run):
    first, second = run.strategies
    run.trades.give({CU: (4, PRICE)}, {})
    run.trades.take(LotsChange(CU, -2, PRICE + 10, 6.0))  # a foreign trade closes two
    run.fill(run.order(second, -2), PRICE + 20)
    [trade] = second.closed
    assert (trade.pnl, trade.commission, trade.pnlcomm) == (300.0, 6.0, 294.0)
    assert first.lots(run.feed) == [] and first._tradespending == []


def test_lots_that_a_strategy_has_opened_itself_stay_its_own(run):
    first, second = run.strategies
    run.fill(run.order(first, 2), opens=True)
    run.fill(run.order(second, -2))
    assert (first.lots(run.feed), second.lots(run.feed)) == ([2], [-2])
