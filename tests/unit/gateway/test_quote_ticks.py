"""The ticks that a quote shows."""

from datetime import datetime
from types import SimpleNamespace

import pytest

from tianqin_backtrader.core.clock import to_ns
from tianqin_backtrader.core.model import OLD_TICK, Tick
from tianqin_backtrader.gateway.quote_ticks import KEPT, QuoteTicks

CU = "SHFE.cu2612"
EMPTY = dict.fromkeys(Tick._fields[2:], float("nan")) | {"datetime": "", "volume": 0}


def changes(stamp, volume=10, **prices):
    return {"datetime": f"2026-11-10 {stamp}", "volume": volume} | prices


def at(text):
    return to_ns(datetime.fromisoformat(f"2026-11-10 {text}"))


@pytest.fixture
def quote():
    made = QuoteTicks(CU)
    made.begin(EMPTY, noted=True)
    return made


def test_a_contract_without_a_quote_has_no_tick(quote):
    assert quote.newest() is None and quote.take() == ()


def test_what_does_not_change_is_that_of_the_tick_before(quote):
    quote.note(changes("09:31:00.500000", last_price=100.0, bid_price1=99.0, ask_price1=101.0))
    quote.note(changes("09:31:01.000000", last_price=102.0))
    one, two = quote.take()
    assert (one.time, one.last_price, one.bid_price1) == (at("09:31:00.5"), 100.0, 99.0)
    assert (two.time, two.last_price, two.bid_price1) == (at("09:31:01"), 102.0, 99.0)
    assert quote.newest() == two and quote.take() == ()


def test_what_a_session_begins_with_is_old(quote):
    quote.note(changes("09:31:00", last_price=100.0))
    quote.note(changes("09:31:01", last_price=101.0))
    assert [tick.id for tick in quote.take()] == [OLD_TICK, 0]
    quote.begin(EMPTY | changes("09:32:00", last_price=102.0), noted=True)
    quote.note(changes("09:33:00"))
    assert [tick.id for tick in quote.take()] == [OLD_TICK, 0]


def test_limits_and_settlement_are_no_ticks(quote):
    quote.note(changes("09:31:00", last_price=100.0))
    quote.take()
    quote.note({"upper_limit": 110.0, "settlement": 100.0})
    assert quote.take() == ()


def test_lots_traded_without_a_later_stamp_are_a_tick(quote):
    quote.note(changes("09:31:00", last_price=100.0))
    quote.note({"volume": 12})
    assert [tick.volume for tick in quote.take()] == [10, 12]


def test_another_price_or_order_book_of_the_same_instant_is_a_tick(quote):
    quote.note(changes("09:31:00", last_price=100.0))
    quote.note({"last_price": 101.0})
    quote.note({"bid_volume1": 7})
    assert [tick.last_price for tick in quote.take()] == [100.0, 101.0, 101.0]


def test_changes_that_a_server_repeats_are_no_new_ticks(quote):
    pack = [changes(f"09:31:0{n}", 10 + n, last_price=100.0 + n) for n in range(3)]
    for change in [*pack, *pack, changes("09:31:04", 12)]:
        quote.note(change)
    assert [(tick.time, tick.volume) for tick in quote.take()] == [
        (at("09:31:00"), 10), (at("09:31:01"), 11), (at("09:31:02"), 12), (at("09:31:02"), 12),
        (at("09:31:04"), 12),
    ]  # fmt: skip


def test_a_stamp_that_goes_back_is_a_tick_if_it_is_another(quote):
    quote.note(changes("09:31:01", 11, last_price=100.0))
    quote.note(changes("09:31:00", 10, last_price=99.0))
    assert [tick.volume for tick in quote.take()] == [11, 10]


def test_a_new_session_begins_with_its_own_quote(quote):
    quote.note(changes("09:31:00", last_price=100.0))
    quote.begin(EMPTY, noted=True)
    assert quote.newest() is None and quote.take() == ()
    quote.begin(EMPTY | changes("09:40:00", last_price=105.0), noted=True)
    assert [tick.last_price for tick in quote.take()] == [105.0]


def test_of_ticks_that_nobody_takes_the_newest_are_kept(quote):
    for number in range(2 * KEPT):
        quote.note({"volume": number, "datetime": "2026-11-10 09:31:00"})
    assert [tick.volume for tick in quote.take()] == list(range(KEPT, 2 * KEPT))


def test_a_quote_whose_changes_are_not_noted_is_looked_at():
    quote, source = QuoteTicks(CU), SimpleNamespace(**EMPTY)
    quote.begin(source.__dict__, noted=False)
    assert quote.newest() is None
    source.datetime, source.last_price = "2026-11-10 09:31:00", 100.0
    assert quote.newest().last_price == 100.0
    assert len(quote.take()) == 1 and quote.take() == ()
