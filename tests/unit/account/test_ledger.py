"""What an account shows, as far as it can be believed: prices, costs, lots that can be paid."""

import math
from datetime import datetime
from types import SimpleNamespace

import pytest
from manual_clock import ManualClock

from tianqin_backtrader.account.ledger import PositionLedger, mark_price
from tianqin_backtrader.contracts.odd_prices import price_of
from tianqin_backtrader.core.clock import from_ns, to_ns
from tianqin_backtrader.core.model import NAN, Direction, Fill, Instrument, Offset
from tianqin_backtrader.session_calendar import CALENDAR

CU = "SHFE.cu2612"
NOON = to_ns(datetime(2026, 11, 10, 13, 30))


class Account:
    """A store as far as an ``PositionLedger`` asks: contracts, and what the account says."""

    def __init__(self, positions=None, *, names_fees=True, **fields):
        spec = {"margin": 39000.0, "commission": 19.5, "pre_settlement": 77900.0} | fields
        self.gateway = SimpleNamespace(
            positions=lambda: self.held,
            position=lambda symbol: self.held.get(symbol, {}),
            funds=lambda *names: tuple(self.funds[name] for name in names),
            names_fees=names_fees,
        )
        self.funds = {"commission": 0.0, "pre_balance": 1_000_000.0}
        self.funds |= {"margin": 0.0, "frozen_margin": 0.0, "available": 1_000_000.0}
        self.clock, self.calendar = ManualClock(NOON), CALENDAR
        self.trading_up = True
        self.held = positions or {}
        self._spec = Instrument(CU, "FUTURE", "SHFE", "cu", 10.0, 0, 5, False, None, **spec)

    def instrument(self, symbol):
        return self._spec

    def now(self):
        return from_ns(self.clock.now_ns())

    def trading_day(self):
        return self.calendar.trading_day_at(self.now())

    def day_of(self, ns):
        return self.calendar.trading_day_at(from_ns(ns))


def view_of(account):
    return PositionLedger(account, account.gateway, account)


def position(long=0, short=0, **fields):
    return {"pos_long": long, "pos_short": short} | fields


def fill(direction, volume, price, offset=Offset.OPEN, fee=0.0, number=1):
    return Fill(f"t{number}", "o", CU, direction, offset, price, volume, NOON, fee)


@pytest.mark.parametrize("told", [0.0, NAN, "-", None])
def test_what_is_no_number_and_what_is_0_is_no_price(told):
    assert math.isnan(price_of({"open_price_long": told}, "open_price_long"))
    assert math.isnan(price_of({}, "open_price_long"))
    assert price_of({"open_price_long": 78000.0}, "open_price_long") == 78000.0


def test_lots_just_opened_cost_what_the_market_says_until_the_counter_says_more():
    """Behind a futures company everything but the lots is 0 right after an opening."""
    held = position(long=2, open_price_long=0.0, position_price_long=0.0, last_price=78100.0)
    view = view_of(Account({CU: held}))
    view.begin(1_000_000.0)
    assert (view.position(CU).size, view.position(CU).price) == (2, 78100.0)
    assert view.position(CU, "long").price == 78100.0
    assert math.isnan(view.open_prices()[CU, "long"])
    assert view.balance().equity == 1_000_000.0


def test_without_any_price_the_last_settlement_serves():
    view = view_of(Account({CU: position(short=1, open_price_short=0.0, last_price=NAN)}))
    view.begin(1_000_000.0)
    assert (view.position(CU).size, view.position(CU).price) == (-1, 77900.0)
    assert math.isnan(mark_price(position(short=1, last_price=0.0)))


def test_trades_that_the_positions_do_not_show_yet_count_at_their_price():
    account = Account()
    view = view_of(account)
    view.begin(1_000_000.0)
    view.take_fill(fill(Direction.BUY, 2, 78000.0), 5)
    assert view.balance().equity == 1_000_000.0
    account.held = {CU: position(long=2, last_price=78010.0)}
    assert view.balance().equity == 1_000_100.0
    account.held = {}  # a second login: positions come late
    assert view.balance().equity == 1_000_100.0


@pytest.mark.parametrize("margin", [39000.0, 23.1, 0.1, 6552.7])
@pytest.mark.parametrize("lots", [1, 3, 7, 10, 29])
def test_so_many_times_a_margin_is_so_many_lots(margin, lots):
    """Backtrader's own ``getsize`` loses one to the rounding of floats: 69.3 // 23.1 is 2."""
    info = view_of(Account(margin=margin)).comminfo(CU)
    assert info.getsize(78000.0, lots * margin) == info.getsize(78000.0, lots * margin * 1.01)
    assert info.getsize(78000.0, lots * margin) == lots
    assert info.getsize(78000.0, lots * margin * 0.999) == lots - 1


@pytest.mark.parametrize("margin", [NAN, 0.0])
def test_without_a_margin_a_lot_binds_all_it_is_worth(margin):
    info = view_of(Account(margin=margin)).comminfo(CU)
    assert info.get_margin(78000.0) == 390_000.0
    assert info.getsize(78000.0, 1_000_000.0) == 2


def test_fewer_lots_than_an_order_must_have_cannot_be_opened():
    account = Account(open_min_limit_order_volume=4)
    view = view_of(account)
    account.funds["available"] = 5 * 39100.0
    assert view.max_lots(CU, 78000.0) == 5
    assert view.max_lots(CU, 78000.0, share=0.7) == 0
    account.funds["available"] = NAN  # not told yet
    assert view.max_lots(CU, 78000.0) == 0


def test_fees_that_no_trade_names_end_as_the_account_has_them():
    """A futures company: the trade comes at once, what it has cost with the account's query."""
    account = Account(names_fees=False)
    view = view_of(account)
    view.begin(1_000_000.0)
    bought = view.priced(fill(Direction.BUY, 2, 78000.0, fee=NAN))
    assert bought.commission == 39.0
    view.take_fill(bought, 5)
    view.settle_fees()
    assert view.books.fees == 39.0
    account.held = {CU: position(long=2, last_price=78000.0)}
    account.funds["commission"] = 46.8
    view.settle_fees()
    assert view.books.fees == 46.8
    assert view.balance().equity == 999_953.2
    account.clock.advance_to(NOON + 6_000_000_000)
    view.settle_fees()
    assert view.priced(fill(Direction.BUY, 1, 78000.0, fee=NAN, number=2)).commission == 23.4


def test_while_the_link_is_down_no_figure_is_believed():
    account = Account(names_fees=False)
    view = view_of(account)
    view.begin(1_000_000.0)
    view.take_fill(view.priced(fill(Direction.BUY, 2, 78000.0, fee=NAN)), 5)
    account.trading_up = False
    account.clock.advance_to(NOON + 60_000_000_000)
    view.settle_fees()
    assert view.books.fees == 39.0


def test_books_that_begin_before_the_last_trades_end_where_the_account_is():
    """A restart: trades that the account holds already are told one by one."""
    held = position(long=2, last_price=78100.0, open_price_long=78000.0)
    account = Account({CU: held}, names_fees=False)
    account.funds["commission"] = 46.8
    view = view_of(account)
    news = [fill(Direction.BUY, 1, 78000.0, fee=NAN, number=number) for number in (1, 2)]
    view.begin(1_000_953.2, news)
    for one in news:
        view.take_fill(view.priced(one), 5)
    view.settle_fees()
    assert view.balance().equity == 1_000_953.2
    account.clock.advance_to(NOON + 60_000_000_000)
    view.settle_fees()
    assert view.balance().equity == 1_000_953.2
