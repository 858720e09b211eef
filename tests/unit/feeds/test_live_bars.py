"""TianQin's bars, each as soon as it is final, and compared once more."""

from datetime import datetime

import pytest
from sieves import AnyTime, all_that_can_be, always

from tianqin_backtrader.core.clock import MINUTE, NEVER, SECOND, to_ns
from tianqin_backtrader.core.model import OLD_TICK, Bar, Tick
from tianqin_backtrader.feeds.live_bars import LiveBars, NoQuote
from tianqin_backtrader.feeds.live_ticks import LiveTicks
from tianqin_backtrader.feeds.slots import SlotCursor, SlotTable
from tianqin_backtrader.feeds.tick_sieve import TickSieve
from tianqin_backtrader.session_calendar import CALENDAR

START = to_ns(datetime(2026, 11, 10, 9, 31))
FIRST_BAR = 100
CU = "SHFE.cu2612"


class Server:
    """Rows as a server has them."""

    ready = True

    def __init__(self):
        self.rows = {}
        self.last_id = -1

    def put(self, *rows):
        for row in rows:
            self.rows[row.id] = row
            self.last_id = max(self.last_id, row.id)

    def ticks(self, first, last):
        return [self.rows[n] for n in range(first, last + 1) if n in self.rows]

    bars = ticks


class Quote:
    """Shows the ticks that a test puts."""

    def __init__(self):
        self.shown = []

    def put(self, *ticks):
        self.shown += ticks

    def take(self):
        shown, self.shown = self.shown, []
        return shown


def tick(second, price=100.0, oi=50, bid=99.0):
    return Tick(0, START + int(second * SECOND), price, 10, 0.0, oi, bid, bid + 2, 3, 4)


def official(minute, close=None, volume=6):
    """The bar of a minute after ``START``; each opens at the close before."""
    begin = START + minute * MINUTE
    close = 101.0 + minute if close is None else close
    return Bar(
        begin, begin + MINUTE, 100.0 + minute, 110.0, 90.0, close, volume, 50 + minute,
        51 + minute, id=FIRST_BAR + minute,
    )  # fmt: skip


def last_of_history():
    return official(-1)


def made(klines, quote, last, sieve=None):
    table = SlotTable(CALENDAR, CU, MINUTE)
    cursor = SlotCursor(table, last.end if last is not None else START)
    return LiveBars(CU, cursor, klines, quote, sieve or all_that_can_be(CU), last)


@pytest.fixture
def market():
    """(quote, klines, live bars) at 09:31, the first live bar being ``official(0)``."""
    quote, klines = Quote(), Server()
    klines.put(last_of_history())
    live = made(klines, quote, last_of_history())
    assert live.begin(START) == []
    return quote, klines, live


def deliver(live):
    delivered = []
    while live.has_bar(live.complete_until):
        delivered.append(live.pop())
    return delivered


def plain(bars):
    """Bars without the order book."""
    return [(*bar[:9], bar.id) for bar in bars]


def test_a_bar_is_delivered_when_the_next_one_has_begun(market):
    _, klines, live = market
    klines.put(official(0, close=105.0))
    live.take()
    assert deliver(live) == []
    klines.put(official(0), official(1, close=103.0))
    live.take()
    assert plain(deliver(live)) == plain([official(0)])
    assert live.next_close == START + 2 * MINUTE
    assert live.complete_until == START + 2 * MINUTE - 1


def test_bars_that_came_together_are_delivered_in_order(market):
    _, klines, live = market
    klines.put(*map(official, range(5)))
    live.take()
    live.take()  # without anything new nothing happens
    assert plain(deliver(live)) == plain(map(official, range(4)))


def test_before_a_break_the_clock_ends_a_bar(market):
    quote, klines, live = market
    klines.put(official(0))
    quote.put(tick(59, 101.0, 51))
    assert live.take() == START + 59 * SECOND
    live.flush(START + MINUTE - 1)
    assert deliver(live) == []
    live.flush(START + MINUTE)
    assert plain(deliver(live)) == plain([official(0)])


@pytest.mark.parametrize(
    ("shown", "seconds"),
    [
        ([tick(59, 102.0, 51)], 10),
        ([tick(59, 101.0, 52)], 10),
        ([tick(59, 102.0, 51), tick(61, 101.0, 51)], 10),
        ([tick(61, 101.0, 51)], 2),
    ],
    ids=["another price", "another open interest", "and another minute", "another minute"],
)
def test_a_bar_that_lacks_a_tick_that_was_shown_is_waited_for(market, shown, seconds):
    quote, klines, live = market
    klines.put(official(0))
    quote.put(*shown)
    live.take()
    live.flush(START + MINUTE)
    assert deliver(live) == []
    assert live.next_close == START + MINUTE + seconds * SECOND
    live.flush(live.next_close - 1)
    assert deliver(live) == []
    klines.put(official(0, close=102.0), official(1))
    live.take()
    assert plain(deliver(live)) == plain([official(0, close=102.0)])
    assert live.next_close == START + 2 * MINUTE


def test_a_bar_that_stays_behind_its_quote_is_waited_for_ten_seconds(market):
    quote, klines, live = market
    klines.put(official(0))
    quote.put(tick(59, 102.0, 51))
    live.take()
    live.flush(START + MINUTE + 10 * SECOND)
    assert plain(deliver(live)) == plain([official(0)])
    klines.put(official(0, close=102.0), official(1), official(2))
    live.take()
    [found] = live.check(START + MINUTE)
    assert found.columns == ("close",)
    assert live.certificate().corrected == 1


def test_a_minute_without_ticks_is_flat_and_compared_when_the_server_has_made_it(market):
    _, klines, live = market
    live.take()
    live.flush(START + 2 * MINUTE)
    one, two = deliver(live)
    before = last_of_history()
    assert one[:9] == (
        START, START + MINUTE, *[before.close] * 4, 0, before.close_oi, before.close_oi
    )  # fmt: skip
    assert (two.start, two.close, one.id) == (START + MINUTE, before.close, -1)
    live.check(START + 10 * MINUTE)
    assert (live.certificate().pending, live.certificate().seam) == (2, 1)
    klines.put(one._replace(id=FIRST_BAR), two._replace(id=FIRST_BAR + 1), official(2))
    live.take()
    assert live.check(START + 10 * MINUTE) == []
    certificate = live.certificate()
    assert (certificate.equal, certificate.seam, certificate.pending) == (2, 1, 0)
    klines.put(official(3))
    live.take()
    assert plain(deliver(live)) == plain([official(2)])


def test_a_tick_that_comes_after_its_flat_minute_is_a_difference(market):
    _, klines, live = market
    live.flush(START + MINUTE)
    deliver(live)
    klines.put(official(0))
    live.take()
    live.flush(START + MINUTE + SECOND)
    klines.put(official(1), official(2))
    live.take()
    assert plain(deliver(live)) == plain([official(1)])
    [found] = live.check(START + 3 * MINUTE)
    assert (found.delivered.volume, found.official) == (0, official(0))


def test_slots_without_a_bar_of_tianqin_are_none_of_ours(market):
    """A market that stood still, or a holiday that nobody has announced."""
    _, klines, live = market
    later = official(7)._replace(id=FIRST_BAR)
    klines.put(later)
    live.take()
    live.flush(START + 7 * MINUTE)
    assert deliver(live) == []
    klines.put(official(8)._replace(id=FIRST_BAR + 1))
    live.take()
    assert plain(deliver(live)) == plain([later])


def test_flat_minutes_that_tianqin_never_has_are_missing(market):
    _, klines, live = market
    live.flush(START + 2 * MINUTE)
    assert len(deliver(live)) == 2
    klines.put(official(2)._replace(id=FIRST_BAR), official(3)._replace(id=FIRST_BAR + 1))
    live.take()
    assert plain(deliver(live)) == plain([official(2)._replace(id=FIRST_BAR)])
    assert live.check(START + 5 * MINUTE) == []
    certificate = live.certificate()
    assert (certificate.missing, certificate.equal) == (2, 1)


def test_a_bar_that_the_server_no_longer_sends_is_left_out_and_not_invented(market):
    _, klines, live = market
    klines.put(official(4), official(5))
    live.take()
    assert plain(deliver(live)) == plain([official(4)])
    left_out = live.take_left_out()
    assert [bar.start for bar in left_out] == [START + n * MINUTE for n in range(4)]
    assert live.take_left_out() == []
    assert live.certificate().missing == 4


def test_each_bar_has_the_order_book_of_its_end(market):
    quote, klines, live = market
    quote.put(tick(30, bid=98.0), tick(60, bid=97.0), tick(60.5, bid=96.0), tick(119, bid=95.0))
    quote.put(tick(121, bid=94.0))
    klines.put(*map(official, range(3)))
    live.take()
    one, two = deliver(live)
    assert (one.bid_price1, one.ask_price1, one.bid_volume1, one.ask_volume1) == (97.0, 99.0, 3, 4)
    assert two.bid_price1 == 95.0


def test_after_a_lost_session_no_bar_has_an_old_book(market):
    quote, klines, live = market
    quote.put(tick(30, bid=98.0))
    klines.put(official(0))
    live.take()
    newest, klines.last_id = klines.last_id, -1
    live.take()
    klines.last_id = newest
    klines.put(*map(official, range(3)))
    live.take()
    assert all(bar.bid_price1 != bar.bid_price1 for bar in deliver(live))
    quote.put(tick(130, bid=90.0))
    klines.put(official(3))
    live.take()
    assert [bar.bid_price1 for bar in deliver(live)] == [90.0]


def test_a_sessions_first_quote_has_a_book_and_tells_no_time(market):
    quote, klines, live = market
    quote.put(tick(-20, bid=98.0)._replace(id=OLD_TICK))
    assert live.take() == 0
    klines.put(official(0))
    quote.put(tick(21, bid=98.0)._replace(id=OLD_TICK), tick(22, bid=97.0))
    assert live.take() == START + 22 * SECOND
    klines.put(official(1))
    live.take()
    assert [bar.bid_price1 for bar in deliver(live)] == [97.0]


def test_an_impossible_tick_is_left_out_and_changes_nothing(market):
    quote, klines, live = market
    quote.put(tick(20, bid=98.0), tick(21, price=0.0, bid=1.0))
    klines.put(official(0), official(1))
    assert live.take() == START + 20 * SECOND
    [bar] = deliver(live)
    assert bar.bid_price1 == 98.0 and live.last_price == 100.0
    assert (live.certificate().ignored, live.ticks_taken) == (1, 1)


def test_a_bar_that_cannot_have_begun_ends_none():
    """A tick with a stamp of the future makes the server begin its minute."""
    clock = AnyTime(last=START + 30 * SECOND)
    quote, klines = Quote(), Server()
    klines.put(last_of_history())
    live = made(klines, quote, last_of_history(), TickSieve(CU, clock, lambda *_: True, always))
    live.begin(START)
    klines.put(official(0), official(1))
    live.take()
    assert deliver(live) == []
    clock.last = START + MINUTE + SECOND
    klines.put(official(0, close=107.0))
    live.take()
    assert plain(deliver(live)) == plain([official(0, close=107.0)])


def test_a_bar_is_compared_when_it_can_no_longer_change(market):
    _, klines, live = market
    klines.put(official(0), official(1))
    live.take()
    deliver(live)
    live.check(START + MINUTE)
    assert live.certificate().pending == 1
    assert live.next_final == START + MINUTE + 2 * SECOND
    klines.put(official(0, volume=7))
    [found] = live.check(START + MINUTE + 2 * SECOND)
    assert (found.columns, found.official.volume) == (("volume",), 7)
    assert live.next_final == NEVER
    klines.put(official(2), official(3))
    live.take()
    deliver(live)
    live.check(START + 2 * MINUTE)
    certificate = live.certificate()
    assert (certificate.delivered, certificate.equal, certificate.corrected) == (3, 1, 1)
    assert (certificate.pending, certificate.differences) == (1, (found,))


def at_the_seam():
    """(klines, live bars, the bars of the two minutes after history, which had no ticks)."""
    klines, last = Server(), official(0)
    klines.put(last)
    live = made(klines, Quote(), last)
    return klines, live, live.begin(last.end + 2 * MINUTE)


def test_the_end_of_history_is_compared_as_live_bars_are():
    klines, live, past = at_the_seam()
    last = official(0)
    assert [bar.start for bar in past] == [last.end, last.end + MINUTE]
    live.check(last.end)
    assert live.certificate().seam == 0 and live.certificate().pending == 3
    klines.put(
        last._replace(volume=7), past[0]._replace(id=FIRST_BAR + 1),
        past[1]._replace(id=FIRST_BAR + 2), official(3),
    )  # fmt: skip
    [found] = live.check(last.end + 3 * MINUTE)
    assert found.delivered == last and found.columns == ("volume",)
    certificate = live.certificate()
    assert (certificate.seam, certificate.corrected, certificate.delivered) == (2, 1, 0)


def test_where_ticks_follow_the_end_of_history_is_compared_all_the_same():
    klines, seam, past = at_the_seam()
    last, server = official(0), Server()
    live = LiveTicks(server, 0, None, all_that_can_be(CU), seam)
    server.put(tick(200)._replace(id=0))
    live.take()
    live.pop()
    certificate = live.certificate()
    assert (certificate.delivered, certificate.equal, certificate.pending) == (1, 0, 3)
    assert live.next_final == last.end + 2 * SECOND
    klines.put(last._replace(volume=7), past[0]._replace(id=FIRST_BAR + 1), official(3))
    [found] = live.check(last.end + 4 * MINUTE)
    assert found.delivered == last
    certificate = live.certificate()
    assert (certificate.seam, certificate.corrected, certificate.missing) == (1, 1, 1)
    assert live.next_final == NEVER


def test_minutes_before_a_new_contracts_first_bar_never_were():
    quote, klines = Quote(), Server()
    live = made(klines, quote, None)
    assert live.begin(START) == []
    live.take()
    live.flush(START + 3 * MINUTE)
    assert deliver(live) == [] and live.complete_until > START + 3 * MINUTE
    first = official(2)._replace(id=0)
    klines.put(first)
    live.take()
    live.flush(START + 3 * MINUTE + SECOND)
    assert deliver(live) == []
    live.flush(START + 3 * MINUTE + 2 * SECOND)
    assert plain(deliver(live)) == plain([first])
    klines.put(official(3)._replace(id=1), official(4)._replace(id=2))
    live.take()
    assert plain(deliver(live)) == plain([official(3)._replace(id=1)])
    assert live.check(START + 10 * MINUTE) == []
    assert live.certificate().equal == 2


def test_without_a_quote_a_bar_that_has_begun_says_what_has_passed():
    klines = Server()
    klines.put(last_of_history())
    live = made(klines, NoQuote(), last_of_history())
    live.begin(START)
    klines.put(official(0))
    assert live.take() == START + 1
    assert live.last_price == official(0).close
    klines.put(official(0, close=105.0))
    assert live.take() == 0
    klines.put(official(1))
    assert live.take() == START + MINUTE + 1
    [bar] = deliver(live)
    assert bar.bid_price1 != bar.bid_price1


def test_the_first_bar_of_a_session_may_have_begun_with_the_auction():
    klines, before = Server(), official(43)  # 10:14
    klines.put(before)
    live = made(klines, NoQuote(), before)
    live.begin(before.end)
    klines.put(official(59)._replace(id=before.id + 1))  # 10:30
    assert live.take() == 0
