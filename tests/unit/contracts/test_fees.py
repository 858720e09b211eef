"""Trades without a fee: estimated, and settled with the account's figure of the day."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tianqin_backtrader.contracts.fees import SETTLED, UNCHANGED, DayFees, FeeLedger
from tianqin_backtrader.core.clock import SECOND, Instants
from tianqin_backtrader.core.model import NAN, Direction, Fill, Instrument, Offset

CU, M = "SHFE.cu2612", "DCE.m2701"
DAY, NEXT, BEFORE = date(2026, 11, 10), date(2026, 11, 11), date(2026, 11, 9)


def contract(symbol, commission):
    exchange, code = symbol.split(".")
    return Instrument(symbol, "FUTURE", exchange, code[:-4], 1.0, 0, 5, False, None, 0.0, 0.0, 0.0,
                      1.0, commission)  # fmt: skip


CONTRACTS = {CU: contract(CU, 20.0), M: contract(M, 1.5)}


class Counter:
    """A ledger, and a counter whose figure of the day comes at any time."""

    def __init__(self, *, named=False, commission=0.0, coming=0.0):
        self.ledger = FeeLedger(all_named=named)
        self.pre_balance, self.commission, self.now, self.booked = 1e6, commission, 0, 0.0
        self.number, self.over = 0, BEFORE
        self.ledger.begin(self.figure, coming)

    @property
    def figure(self):
        return DayFees(self.commission, self.pre_balance)

    def trade(self, lots=1, symbol=CU, offset=Offset.OPEN, fee=NAN, day=DAY):
        self.number += 1
        fill = Fill(f"t{self.number}", "o", symbol, Direction.BUY, offset, 100.0, lots, 0, fee)
        if fee != fee:
            fill = self.ledger.estimated(fill, CONTRACTS[symbol])
        self.ledger.take(fill, day, Instants(self.now, self.now))
        self.booked = round(self.booked + fill.commission, 2)
        return fill.commission

    def says(self, commission, after=SECOND // 10):
        self.commission = commission
        return self.wait(after)

    def wait(self, nanoseconds):
        self.now += nanoseconds
        fee = self.ledger.settle(self.figure, self.over, Instants(self.now, self.now))
        self.booked = round(self.booked + fee, 2)
        return fee

    def paid(self, symbol=CU, offset=Offset.OPEN):
        return self.ledger.paid.a_lot(CONTRACTS[symbol], offset)


def test_a_trade_costs_what_the_contract_says_until_the_account_says_more():
    counter = Counter()
    assert counter.trade(lots=2) == 40.0
    assert counter.wait(SECOND) == 0.0  # the account has not been asked yet
    assert counter.says(43.2) == 3.2
    assert counter.booked == 43.2
    assert counter.wait(SETTLED) == counter.wait(UNCHANGED) == 0.0


def test_the_next_lot_of_the_kind_costs_what_the_last_ones_did():
    counter = Counter()
    counter.trade(lots=2)
    counter.says(43.2)
    counter.wait(SETTLED + 1)
    assert counter.paid() == 21.6
    assert counter.trade(lots=3) == 64.8
    assert counter.trade(offset=Offset.CLOSETODAY) == 20.0  # of another kind nothing is known
    assert counter.trade(symbol=M) == 1.5


def test_a_trade_told_again_costs_the_same():
    ledger = FeeLedger(all_named=False)
    fill = Fill("t1", "o", CU, Direction.BUY, Offset.OPEN, 100.0, 2, 0, NAN)
    first = ledger.estimated(fill, CONTRACTS[CU])
    ledger.paid.put(CU, Offset.OPEN, 30.0)
    assert ledger.estimated(fill, CONTRACTS[CU]) == first


def test_a_figure_before_the_last_trades_waits_for_the_one_after():
    counter = Counter()
    for _ in range(3):
        counter.trade()
        counter.now += SECOND // 10
    assert counter.says(22.0) == 0.0  # the first trade alone
    assert counter.booked == 60.0
    assert counter.says(66.0, SECOND) == 6.0
    counter.wait(SETTLED + 1)
    assert counter.paid() == 22.0


def test_what_settled_too_early_is_settled_again_and_learned_again():
    counter = Counter()
    counter.trade()
    counter.trade()
    assert counter.says(21.0) == 0.0
    assert counter.wait(SETTLED + 1) == -19.0  # a counter under load: half of it only
    assert counter.says(42.0) == 21.0
    assert counter.booked == 42.0
    assert counter.paid() == 21.0


def test_nothing_charged_is_booked_after_a_while_and_never_learned():
    counter = Counter()
    counter.trade(lots=2)
    assert counter.wait(UNCHANGED) == 0.0
    assert counter.wait(1) == -40.0
    assert counter.booked == 0.0
    assert counter.paid() == 20.0
    assert counter.says(42.0) == 42.0  # it only came very late
    assert counter.paid() == 21.0


def test_a_fee_that_comes_with_that_of_a_later_trade_is_not_taken_for_its_own():
    """A counter's queries follow orders: after a forced close there is none."""
    counter = Counter()
    counter.trade(lots=2, offset=Offset.CLOSE)
    assert counter.wait(UNCHANGED + 1) == -40.0
    counter.trade()
    counter.says(30.0)  # 20 for what was closed, 10 for the lot that was opened
    counter.wait(SETTLED + 1)
    assert counter.booked == 30.0
    assert (counter.paid(), counter.paid(offset=Offset.CLOSE)) == (20.0, 20.0)
    counter.trade()
    counter.says(40.0)
    counter.wait(SETTLED + 1)
    assert counter.paid() == 10.0


def test_what_is_owed_stays_owed_until_the_figure_changes():
    counter = Counter()
    for offset in (Offset.CLOSE, Offset.OPEN):
        counter.trade(offset=offset)
        counter.wait(UNCHANGED + 1)
    counter.trade()
    counter.says(33.0)
    counter.wait(SETTLED + 1)
    assert (counter.booked, counter.paid()) == (33.0, 20.0)


def test_nothing_is_owed_on_a_new_day():
    counter = Counter()
    counter.trade(lots=2, offset=Offset.CLOSE)
    counter.wait(UNCHANGED + 1)
    counter.pre_balance, counter.over = 999_000.0, DAY
    counter.wait(SECOND)
    counter.trade(day=NEXT)
    counter.says(10.0)
    counter.wait(SETTLED + 1)
    assert counter.paid() == 10.0


def test_of_trades_of_several_kinds_no_price_is_learned():
    counter = Counter()
    counter.trade()
    counter.trade(symbol=M, lots=10)
    counter.says(50.0, SETTLED + 1)
    assert counter.booked == 50.0
    assert (counter.paid(), counter.paid(M)) == (20.0, 1.5)


def test_what_was_charged_before_we_began_is_not_ours():
    counter = Counter(commission=500.0)
    counter.trade()
    counter.says(521.0)
    assert counter.booked == 21.0


def test_trades_that_the_first_figure_holds_already_are_not_charged_twice():
    counter = Counter(commission=520.0, coming=20.0)
    counter.trade()
    assert counter.wait(UNCHANGED + 1) == 0.0
    counter.trade()
    counter.says(540.0)
    assert counter.booked == 40.0


def test_a_new_day_begins_at_nothing():
    counter = Counter()
    counter.trade()
    counter.says(21.0)
    counter.wait(SETTLED + 1)
    counter.commission, counter.pre_balance, counter.over = 0.0, 999_000.0, DAY
    assert counter.wait(SECOND) == 0.0
    counter.trade(day=NEXT)
    counter.says(21.0)
    assert counter.booked == 42.0
    counter.says(23.0)  # the exchange's fee for orders
    assert counter.booked == 44.0


@pytest.mark.parametrize("charged", [21.0, 30.0])
def test_trades_of_the_new_day_before_its_first_figure_is_seen(charged):
    """The link was down over the opening of the night: trades and a new figure come at once."""
    counter = Counter(commission=100.0)
    counter.trade()
    counter.says(120.0)
    counter.wait(SETTLED + 1)
    counter.trade(day=NEXT)
    counter.pre_balance, counter.over = 999_000.0, DAY
    counter.says(charged)
    counter.wait(SETTLED + 1)
    assert counter.booked == 20.0 + charged
    counter.trade(day=NEXT)
    counter.says(charged + 22.0)
    counter.wait(SETTLED + 1)
    assert counter.booked == 20.0 + charged + 22.0
    assert counter.paid() == 22.0


def test_a_figure_that_is_not_told_changes_nothing():
    counter = Counter(commission=NAN)
    counter.trade()
    assert counter.wait(UNCHANGED + 1) == 0.0
    assert counter.says(320.0) == 0.0  # what was before us is not known
    assert counter.paid() == 20.0
    counter.trade()
    assert counter.says(342.0) == 2.0
    assert counter.says(NAN) == 0.0
    assert counter.says(343.0) == 1.0


def test_where_every_trade_names_its_fee_nothing_is_settled():
    counter = Counter(named=True)
    counter.trade(fee=0.0)
    assert counter.says(77.0) == counter.wait(UNCHANGED + 1) == 0.0


def test_a_trade_that_names_its_fee_among_those_that_do_not():
    counter = Counter()
    counter.trade(fee=33.0)
    assert counter.says(33.0) == 0.0
    counter.trade()
    counter.says(55.0)
    assert counter.booked == 55.0


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), st.sampled_from([CU, M]), st.integers(1, 9)),
        st.tuples(st.just("query"), st.integers(0, 3), st.integers(1, 40)),
        st.tuples(st.just("settlement"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


@given(EVENTS)
def test_when_it_is_quiet_the_books_are_the_accounts(events):
    """For all trades, and however late the account's figures are."""
    counter, day = Counter(), 0
    charged, history, total = 0.0, [0.0], 0.0
    days = [date(2026, 11, 10 + number) for number in range(20)]
    for kind, what, number in events:
        if kind == "trade":
            counter.trade(symbol=what, lots=number, day=days[min(day, 19)])
            fee = {CU: 23.4, M: 1.2}[what] * number
            charged, total = round(charged + fee, 2), round(total + fee, 2)
            history.append(charged)
        elif kind == "query":  # a figure of some trades ago
            late = history[max(0, len(history) - 1 - what)]
            counter.says(max(late, counter.commission), number * SECOND // 10)
        else:
            counter.says(charged, SETTLED + 1)
            counter.wait(UNCHANGED + 1)
            counter.over, day = days[min(day, 19)], day + 1
            counter.pre_balance -= 1.0
            charged, history = 0.0, [0.0]
            counter.says(0.0)
    counter.says(charged)
    counter.wait(UNCHANGED + 1)
    assert counter.booked == pytest.approx(total, abs=0.005)
