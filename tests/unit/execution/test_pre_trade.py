"""Which orders are refused, and which wait, at a time of the run and of the market's day."""

from datetime import datetime
from types import SimpleNamespace

import backtrader as bt
import pytest
from desk_on_stubs import SYMBOL, StubbedDesk

from tianqin_backtrader.core.clock import to_ns
from tianqin_backtrader.core.context import Context
from tianqin_backtrader.errors import CalendarOutOfRange, ConfigError, OrderError
from tianqin_backtrader.execution.pre_trade import PreTradeChecks, WhenClosed, choice
from tianqin_backtrader.feeds.feed_list import FeedList
from tianqin_backtrader.orders.ticket import Stage
from tianqin_backtrader.session_calendar import SessionCalendar, load_holidays, load_products

CU, IO = "SHFE.cu2612", "CFFEX.IO2612-C-4000"
REJECT, HOLD = WhenClosed.REJECT, WhenClosed.HOLD
DOWN, LOADING = "the trading link is down", float("nan")


def calendar():
    return SessionCalendar(load_products(), load_holidays())


class Feed:
    """A feed of a contract; its newest bar has no time while it is being loaded."""

    def __init__(self, symbol=CU, bars=0, time=1.0):
        self._dataname, self._bars, self.datetime = symbol, bars, [time]

    def __len__(self):
        return self._bars


class Checks(PreTradeChecks):
    """The checks of a program that trades, at a time that a test sets."""

    def __init__(self, closed=REJECT, auction=REJECT, *, now="2026-11-10 09:30"):
        self.link, self.feeds = SimpleNamespace(no_trading="", trading_up=True), FeedList()
        clock = SimpleNamespace(now_ns=lambda: to_ns(datetime.fromisoformat(self.now)))
        watchers = SimpleNamespace(said=lambda text: None)
        context = Context(clock, calendar(), SimpleNamespace(at_hand={}), watchers)
        super().__init__(context, self.link, self.feeds, closed, auction)
        self.now, self.reconciled = now, True

    def lose_link(self, words=DOWN):
        self.link.no_trading, self.link.trading_up = words, False


# -- the time of the run ----------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"early": True}, {"waits": True}])
def test_an_order_of_a_program_that_trades_is_admitted(options):
    checks = Checks()
    checks.admit(CU, **options)
    checks.feeds.append(Feed(bars=1))
    checks.admit(CU, bars=1, **options)


@pytest.mark.parametrize("words", [DOWN, "CTP:不合法的登录"])
@pytest.mark.parametrize("early", [False, True])
def test_without_trading_an_order_is_refused_with_the_reason(words, early):
    checks = Checks()
    checks.lose_link(words)
    with pytest.raises(OrderError, match=words):
        checks.admit(CU, early=early)


def test_an_order_that_waits_in_the_program_needs_no_link():
    checks = Checks()
    checks.lose_link()
    checks.admit(CU, waits=True)


def lose_link(checks):
    checks.lose_link()


def deliver_history(checks):
    checks.feeds.in_history = True


def forget_account(checks):
    checks.reconciled = False


def load_first_bar(checks):
    checks.feeds.append(Feed(bars=1, time=LOADING))


@pytest.mark.parametrize(
    ("meet", "reason"),
    [
        ((deliver_history,), "history_phase"),
        ((deliver_history, lose_link), "history_phase"),
        ((forget_account,), "taken over"),
        ((forget_account, lose_link), DOWN),
        ((load_first_bar,), "before its feed has delivered a bar"),
        ((load_first_bar, lose_link), "before its feed has delivered a bar"),
    ],
)
def test_an_order_that_waits_is_refused_too_before_the_run_can_trade(meet, reason):
    checks = Checks()
    for trouble in meet:
        trouble(checks)
    with pytest.raises(OrderError, match=reason):
        checks.admit(CU, waits=True)


@pytest.mark.parametrize("meet", [deliver_history, forget_account])
def test_an_order_that_needs_no_bar_needs_a_run_that_trades(meet):
    checks = Checks()
    meet(checks)
    with pytest.raises(OrderError):
        checks.admit(CU, early=True)


@pytest.mark.parametrize(
    ("feeds", "bars", "admitted"),
    [
        ([], 0, True),  # a four-way order on a contract without a feed
        ([Feed(IO, 0)], 0, True),
        ([Feed(CU, 0)], 0, False),
        ([Feed(CU, 1, LOADING)], 1, False),  # this bar may still be withdrawn
        ([Feed(CU, 1)], 1, True),
        ([Feed(CU, 2, LOADING)], 2, True),
        ([Feed(CU, 0), Feed(CU, 1)], 0, True),  # its other feed has one
        ([Feed(CU, 0), Feed(IO, 5)], 0, False),
    ],
)
def test_an_order_on_a_feed_needs_a_bar_of_its_contract(feeds, bars, admitted):
    checks = Checks()
    checks.feeds += feeds
    checks.admit(CU, bars=bars, early=True)
    if admitted:
        checks.admit(CU, bars=bars)
    else:
        with pytest.raises(OrderError, match=f"no orders on {CU} before its feed"):
            checks.admit(CU, bars=bars)


def test_of_a_roll_only_its_contracts_are_reserved_with_the_reason():
    checks = Checks()
    checks.reserved[CU] = "it is being rolled to SHFE.cu2701"
    with pytest.raises(OrderError, match=f"{CU}: it is being rolled to SHFE.cu2701"):
        checks.must_be_free(CU)
    checks.must_be_free("SHFE.cu2701")


# -- the time of the day ----------------------------------------------------------------------

TRADING, AUCTION, CLOSED = "trading", "auction", "closed"
DAY = [
    (CU, "2026-11-10 08:54:59", CLOSED), (CU, "2026-11-10 09:00", TRADING),
    (CU, "2026-11-10 10:14:59", TRADING), (CU, "2026-11-10 10:15", CLOSED),
    (CU, "2026-11-10 11:30", CLOSED), (CU, "2026-11-10 15:00", CLOSED),
    (CU, "2026-11-10 20:55", AUCTION), (CU, "2026-11-10 20:59:59", AUCTION),
    (CU, "2026-11-10 21:00", TRADING), (CU, "2026-11-11 00:59:59", TRADING),
    (CU, "2026-11-11 01:00", CLOSED), (CU, "2026-11-14 10:00", CLOSED),
    (IO, "2026-11-10 09:25", AUCTION), (IO, "2026-11-10 14:56:59", TRADING),
    (IO, "2026-11-10 14:58", AUCTION),  # within its last session
]  # fmt: skip


@pytest.mark.parametrize("closed", WhenClosed)
@pytest.mark.parametrize("auction", WhenClosed)
def test_each_setting_decides_for_its_own_phase_alone(closed, auction):
    checks = Checks(closed, auction)
    for symbol, checks.now, phase in DAY:
        if phase == TRADING:
            assert checks.holds(symbol) is False
        elif {AUCTION: auction, CLOSED: closed}[phase] is HOLD:
            assert checks.holds(symbol) is True
        else:
            words = "is in a call auction" if phase == AUCTION else "does not trade"
            with pytest.raises(OrderError, match=f"{symbol} {words} at"):
                checks.holds(symbol)


@pytest.mark.parametrize("up", [True, False])
def test_the_exchange_takes_orders_in_sessions_without_auctions_while_the_link_is_up(up):
    checks = Checks()
    checks.link.trading_up = up
    for symbol, checks.now, phase in DAY:
        assert checks.open(symbol) is (up and phase == TRADING)


def test_the_link_does_not_decide_whether_an_order_waits_for_the_market():
    checks = Checks()
    checks.lose_link()
    assert (checks.holds(CU), checks.open(CU)) == (False, False)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-10 10:20", "2026-11-10 10:30"),
        ("2026-11-10 15:00", "2026-11-10 21:00"),
        ("2026-11-11 01:00", "2026-11-11 09:00"),
        ("2026-11-14 02:00", "2026-11-16 09:00"),  # Friday's night session is over
        ("2026-02-13 15:00", "2026-02-24 09:00"),  # the eve of Spring Festival has no night session
    ],
)
def test_a_refusal_says_when_the_market_opens(now, opens):
    with pytest.raises(OrderError, match=f"it opens at {opens}"):
        Checks(now=now).holds(CU)


@pytest.mark.filterwarnings("ignore:.*2027 are not announced")
@pytest.mark.parametrize("closed", WhenClosed)
@pytest.mark.parametrize("now", ["2027-03-03 09:30", "2027-03-03 10:20"])
def test_in_a_year_whose_holidays_are_not_announced_no_order_is_taken_or_held(closed, now):
    checks = Checks(closed, now=now)
    with pytest.raises(CalendarOutOfRange):
        checks.holds(CU)
    assert checks.open(CU) is False


# -- orders of a strategy ---------------------------------------------------------------------


class Market(StubbedDesk):
    """A desk whose market has the sessions and auctions of the real one."""

    def __init__(self, closed=HOLD, auction=HOLD, *, now="2026-01-05 14:00", **lots):
        super().__init__(**lots)
        self.context.calendar = calendar()
        self.line.no_trading, self.feeds.has_no_bar = "", lambda symbol: False
        checks = PreTradeChecks(self.context, self.line, self.feeds, closed, auction)
        checks.reconciled = True
        self.pre_trade = self.manager.pre_trade = checks
        self.go(now)

    def go(self, moment):
        """A round at a time."""
        self.now = to_ns(datetime.fromisoformat(moment))
        self.turn()


def entry(at):
    return at.place(3, 2990.0, kind=bt.BuyOrder, exectype=bt.Order.Limit)


@pytest.mark.parametrize("placed", ["2026-01-05 16:00", "2026-01-05 20:57"])
def test_a_held_order_leaves_at_the_open_and_not_in_the_auction_before_it(placed):
    at = Market(now=placed)
    order = entry(at)
    for moment in ("2026-01-05 20:58", "2026-01-05 20:59:59"):
        at.go(moment)
        assert (order.stage, at.gateway.sent) == (Stage.QUEUED, [])
    at.go("2026-01-05 21:00")
    assert at.gateway.sent == [("OPEN", 3)]


@pytest.mark.parametrize(
    ("closed", "auction", "placed"),
    [
        (REJECT, HOLD, "2026-01-05 16:00"), (REJECT, HOLD, "2026-01-10 10:00"),
        (HOLD, REJECT, "2026-01-05 20:57"),
    ],
)  # fmt: skip
def test_a_rejected_order_never_leaves_and_the_strategy_is_told_why(closed, auction, placed):
    at = Market(closed, auction, now=placed)
    order = entry(at)
    assert at.ends_of(order) == ["Rejected"]
    assert f"{SYMBOL} " in order.order.info.reason
    at.go("2026-01-12 09:30")
    assert at.gateway.sent == []


def test_a_stop_whose_price_comes_in_an_auction_leaves_at_the_open_if_it_is_still_there():
    at = Market(today=3)
    at.place(3, 2990.0, exectype=bt.Order.Stop)
    at.go("2026-01-05 20:57")
    at.price = 2980.0
    at.turn()
    assert at.gateway.sent == []
    at.go("2026-01-05 21:00")
    assert sum(lots for _, lots in at.gateway.sent) == 3


# -- the broker's settings --------------------------------------------------------------------


@pytest.mark.parametrize("value", ["hold", HOLD])
def test_a_setting_is_read(value):
    assert choice(value, "auction") is HOLD


@pytest.mark.parametrize("value", ["wait", "HOLD", "", None, True, 1])
def test_a_setting_that_means_nothing_is_refused_with_its_name(value):
    with pytest.raises(ConfigError, match='auction is "reject" or "hold"'):
        choice(value, "auction")
