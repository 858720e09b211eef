"""What strategies can be told now, and what waits for the bar of a feed."""

import copy
import math
from collections import deque
from itertools import count
from types import SimpleNamespace

import backtrader as bt
import pytest

from tianqin_backtrader.account.allocation import LotsChange
from tianqin_backtrader.execution.notifications import OrderNotifications
from tianqin_backtrader.feeds.feed_list import PlaceholderFeed, has_bar, has_time

CU, IF = "SHFE.cu2612", "CFFEX.IF2612"
NUMBERS = count(1)


class Feed:
    def __init__(self, bars=0, loading=False):
        self.bars = bars
        self.datetime = [math.nan if loading else 730000.0]

    def __len__(self):
        return self.bars


class Order:
    def __init__(self, data, symbol, status=bt.Order.Rejected, lots=0):
        self.ref, self.data, self.symbol, self.status = next(NUMBERS), data, symbol, status
        self.executed = SimpleNamespace(size=lots)

    def clone(self):
        return copy.copy(self)


class Trades:
    def __init__(self, feeds):
        self.feeds, self.taken, self.given = feeds, [], {}

    @property
    def at_work(self):
        return any(has_bar(feed) for feed in self.feeds)

    def take(self, change):
        self.taken.append(change)

    def make_way(self, order, symbol):
        pass


class News:
    def __init__(self, *feeds):
        self.tickets, self.trades = {}, Trades(feeds)
        write_ahead = SimpleNamespace(flush=lambda: True, touch=lambda ticket: None)
        manager = SimpleNamespace(tickets=self.tickets, write_ahead=write_ahead)
        self.untold, self.seen = deque(), []
        self.news = OrderNotifications(
            self.untold, manager, SimpleNamespace(told=lambda: None), self.trades,
            SimpleNamespace(listening=[self], order=self.seen.append),
        )  # fmt: skip

    def put(self, order):
        hear = lambda status, lots: None  # noqa: E731
        self.tickets[order.ref] = SimpleNamespace(symbol=order.symbol, hear=hear)
        self.untold.append(order.clone())
        return order.ref

    def told(self):
        return [order.ref for order in iter(self.news.take, None)]


def test_an_order_on_a_feed_without_a_bar_keeps_no_other_feed_waiting():
    night, day = Feed(bars=5), Feed()
    news = News(night, day)
    filled_by_day = news.put(Order(day, IF, bt.Order.Completed, 1))
    at_night = [news.put(Order(night, CU, bt.Order.Completed, lots)) for lots in (1, 2)]
    assert news.told() == at_night
    day.bars = 1
    news.news.let_in()
    assert news.told() == [filled_by_day]


def test_what_got_nothing_waits_for_no_bar_of_its_own():
    night, day = Feed(bars=5), Feed()
    news = News(night, day)
    assert news.told() == []
    refused = news.put(Order(day, IF, bt.Order.Rejected))
    assert news.told() == [refused]


def test_before_the_first_bar_of_all_nobody_is_told_anything():
    day = Feed()
    news = News(day)
    refused = news.put(Order(day, IF, bt.Order.Rejected))
    assert news.told() == []
    day.bars = 1
    news.news.let_in()
    assert news.told() == [refused]


def test_of_one_feed_all_is_told_in_its_order():
    night, day = Feed(bars=5), Feed()
    news = News(night, day)
    refs = [
        news.put(Order(day, IF, status, lots))
        for status, lots in ((bt.Order.Completed, 1), (bt.Order.Rejected, 0))
    ]
    assert news.told() == []
    day.bars = 1
    news.news.let_in()
    assert news.told() == refs


def test_lots_that_others_move_take_their_turn_among_the_orders_of_their_contract():
    night, day = Feed(bars=5), Feed()
    news = News(night, day)
    filled = news.put(Order(day, IF, bt.Order.Completed, 1))
    ours, others = LotsChange(IF, -1, 4000.0), LotsChange(CU, -1, 78000.0)
    news.news.put_change(ours)
    news.news.put_change(others)
    beside = news.put(Order(night, IF, bt.Order.Completed, 1))  # a second feed of the contract
    assert (news.told(), news.trades.taken) == ([], [others])
    day.bars = 1
    news.news.let_in()
    assert (news.told(), news.trades.taken) == ([filled, beside], [others, ours])


@pytest.mark.parametrize(
    ("bars", "loading", "time", "bar"),
    [
        (0, False, False, False),
        (1, True, False, False),  # the first one may be taken back
        (1, False, True, True),
        (3, True, False, True),
        (3, False, True, True),
    ],
)
def test_a_feed_has_a_time_and_bars(bars, loading, time, bar):
    feed = Feed(bars, loading)
    assert (has_time(feed), has_bar(feed)) == (time, bar)


def test_what_stands_for_a_feed_has_the_present():
    data = PlaceholderFeed(CU, None)
    assert has_time(data) and has_bar(data)
