"""Bars that can be vouched for: compared, and repaired after a hole."""

from datetime import datetime

import pytest
from sieves import all_that_can_be

from tianqin_backtrader.core.clock import MINUTE, SECOND, to_ns
from tianqin_backtrader.core.model import Bar, Tick
from tianqin_backtrader.feeds.bar_builder import BarBuilder, SlotTable
from tianqin_backtrader.feeds.live_bars import LiveBars
from tianqin_backtrader.feeds.live_ticks import LiveTicks
from tianqin_backtrader.session_calendar import CALENDAR

START = to_ns(datetime(2026, 11, 10, 9, 31))
FIRST_BAR = 100
CU = "SHFE.cu2612"


class Server:
    """Rows as a server has them; ``lose`` makes ticks that never come."""

    ready = True

    def __init__(self):
        self.rows = {}
        self.last_id = -1

    def put(self, *rows):
        for row in rows:
            self.rows[row.id] = row
            self.last_id = max(self.last_id, row.id)

    def lose(self, *ids):
        for row_id in ids:
            self.rows.pop(row_id, None)
            self.last_id = max(self.last_id, row_id)

    def ticks(self, first, last):
        return [self.rows[n] for n in range(first, last + 1) if n in self.rows]

    bars = ticks


def tick(number):
    """One every ten seconds, the price and the volume going up by one."""
    price = 100.0 + number
    return Tick(number, START + number * 10 * SECOND + SECOND, price, 10 + number, 0.0, 50 + number)


def official(minute):
    """The bar of six such ticks."""
    first, last = 6 * minute, 6 * minute + 5
    opened = 99.0 + first if minute else 100.0
    return Bar(
        START + minute * MINUTE, START + (minute + 1) * MINUTE, opened, 100.0 + last, opened,
        100.0 + last, 6 if minute else 5, 49 + first if minute else 50, 50 + last,
        id=FIRST_BAR + minute,
    )  # fmt: skip


@pytest.fixture
def market():
    """(ticks, klines, live bars) at 09:31, the price in force 100."""
    ticks, klines = Server(), Server()
    builder = BarBuilder(SlotTable(CALENDAR, "SHFE.cu2612", MINUTE))
    builder.begin_after(START, 100.0, 50)
    live = LiveBars(
        "SHFE.cu2612", builder, ticks, klines, FIRST_BAR, 0, all_that_can_be("SHFE.cu2612")
    )
    live.begin(None, [Tick(-1, START - SECOND, 100.0, 10, 0.0, 50)], START)
    return ticks, klines, live


def deliver(live, now):
    delivered = []
    while live.has_bar(live.complete_until, now):
        delivered.append(live.pop())
    return delivered


def test_equal_bars_are_counted_as_equal_once_the_official_one_is_final(market):
    ticks, klines, live = market
    ticks.put(*map(tick, range(13)))
    klines.put(official(0), official(1))
    live.take_ticks()
    now = START + 2 * MINUTE + SECOND
    one, two = deliver(live, now)
    assert one == official(0)._replace(**{name: getattr(one, name) for name in Bar._fields[9:15]})
    assert live.check(now) == []
    assert (live.certificate().equal, live.certificate().pending) == (1, 1)
    klines.put(official(2))
    live.check(now)
    certificate = live.certificate()
    assert (certificate.delivered, certificate.equal, certificate.pending) == (2, 2, 0)
    assert two.id == FIRST_BAR + 1


def test_before_a_break_the_official_bar_is_final_by_the_clock(market):
    ticks, klines, live = market
    ticks.put(*map(tick, range(6)))
    klines.put(official(0))
    live.take_ticks()
    live.flush(START + MINUTE)
    deliver(live, START + MINUTE + SECOND)
    live.check(START + MINUTE + SECOND)
    assert live.certificate().pending == 1
    live.check(START + MINUTE + 2 * SECOND)
    assert live.certificate().equal == 1


def test_a_difference_is_counted_and_told_with_its_columns(market):
    ticks, klines, live = market
    ticks.put(*map(tick, range(7)))
    klines.put(official(0)._replace(high=200.0, volume=6), official(1))
    live.take_ticks()
    deliver(live, START + MINUTE)
    [found] = live.check(START + MINUTE)
    assert found.columns == ("high", "volume")
    assert live.certificate().differences == (found,)
    assert live.certificate().corrected == 1


@pytest.mark.parametrize("lost", [(3,), (5, 6), (4, 5, 6, 7), tuple(range(3, 16))])
def test_after_a_hole_the_official_bars_are_delivered(market, lost):
    ticks, klines, live = market
    ticks.put(*(tick(n) for n in range(25) if n not in lost))
    ticks.lose(*lost)
    klines.put(*map(official, range(4)))
    live.take_ticks()
    now = START + 4 * MINUTE + SECOND
    klines.put(official(4))
    delivered = deliver(live, now)
    columns = [bar[:9] for bar in delivered]
    assert columns == [official(minute)[:9] for minute in range(4)]
    live.check(now)
    certificate = live.certificate()
    touched = {n // 6 for n in (lost[0] - 1, *lost, lost[-1] + 1)}
    assert certificate.repaired == len(touched)
    assert certificate.equal == 4 - len(touched)
    assert certificate.corrected == 0
    assert live.ticks_missing == len(lost)


def test_a_suspect_bar_waits_for_the_official_one(market):
    ticks, klines, live = market
    ticks.put(*(tick(n) for n in (0, 1, 5, 6)))
    ticks.lose(2, 3, 4)
    live.take_ticks()
    now = START + MINUTE + SECOND
    assert deliver(live, now) == []
    klines.put(official(0), official(1))
    [bar] = deliver(live, now)
    assert bar[:9] == official(0)[:9]


def test_without_an_official_bar_our_own_is_delivered_and_counted_as_missing(market):
    ticks, _, live = market
    ticks.put(*(tick(n) for n in (0, 1, 5, 6)))
    ticks.lose(2, 3, 4)
    live.take_ticks()
    assert deliver(live, START + MINUTE + 59 * SECOND) == []
    now = START + 2 * MINUTE
    [bar] = deliver(live, now)
    assert bar.close == 105.0
    live.check(now)
    assert (live.certificate().missing, live.certificate().pending) == (0, 1)
    klines = live._klines
    klines.lose(FIRST_BAR + 1)  # the server goes on, and never had the bar
    live.check(now)
    assert (live.certificate().missing, live.certificate().pending) == (1, 0)


def test_a_bar_that_the_server_no_longer_sends_is_left_out_and_not_invented(market):
    """After a long sleep: of the first minutes neither ticks nor official bars are there."""
    ticks, klines, live = market
    ticks.put(*map(tick, [0, 1, *range(30, 40)]))
    klines.put(*map(official, range(3, 7)))
    klines.ready = False
    live.take_ticks()
    now = START + 6 * MINUTE + 40 * SECOND
    assert deliver(live, now) == [] and live.take_left_out() == []  # rows are still on their way
    klines.ready = True
    delivered = deliver(live, now)
    assert [bar[:9] for bar in delivered] == [official(minute)[:9] for minute in (3, 4, 5)]
    assert [bar.id - FIRST_BAR for bar in live.take_left_out()] == [0, 1, 2]
    assert live.take_left_out() == []
    certificate = live.certificate()
    assert (certificate.missing, certificate.delivered, certificate.repaired) == (3, 3, 3)


def test_a_flat_bar_is_compared_when_the_server_makes_it(market):
    ticks, klines, live = market
    ticks.put(*map(tick, range(6)))
    klines.put(official(0))
    live.take_ticks()
    live.flush(START + 2 * MINUTE)
    now = START + 3 * MINUTE
    assert len(deliver(live, now)) == 2
    live.check(now)
    assert (live.certificate().equal, live.certificate().pending) == (1, 1)
    flat = official(0)._replace(
        start=START + MINUTE, end=START + 2 * MINUTE, open=105.0, low=105.0, volume=0,
        open_oi=55, id=FIRST_BAR + 1,
    )  # fmt: skip
    klines.put(flat, official(2))
    assert live.check(now) == []
    assert (live.certificate().equal, live.certificate().pending) == (2, 0)


@pytest.mark.parametrize("packs", [(25,), (1,) * 25, (3, 1, 9, 12), (6, 6, 6, 7)])
def test_the_same_ticks_in_any_packs_give_the_same_bars(market, packs):
    ticks, klines, live = market
    klines.put(*map(official, range(5)))
    delivered, number = [], 0
    for size in packs:
        ticks.put(*(tick(n) for n in range(number, number + size)))
        number += size
        live.take_ticks()
        delivered += deliver(live, START)
    assert [bar[:9] for bar in delivered] == [official(minute)[:9] for minute in range(4)]


def at_the_seam(last, klines, ticks=()):
    builder = BarBuilder(SlotTable(CALENDAR, "SHFE.cu2612", MINUTE))
    builder.begin_after(last.end, last.close, last.close_oi)
    server = Server()
    live = LiveBars(CU, builder, server, klines, last.id + 1, 0, all_that_can_be(CU))
    return server, live, live.begin(last, ticks, last.end + 2 * MINUTE)


def test_the_end_of_history_is_compared_as_live_bars_are():
    klines, last = Server(), official(0)
    klines.put(last)
    _, live, past = at_the_seam(last, klines)
    assert [bar.id for bar in past] == [FIRST_BAR + 1, FIRST_BAR + 2]
    live.check(last.end)
    assert live.certificate().seam == 0 and live.certificate().pending == 3
    klines.put(last._replace(volume=7), past[0], past[1], official(3))
    [found] = live.check(last.end + 3 * MINUTE)
    assert found.delivered == last and found.columns == ("volume",)
    certificate = live.certificate()
    assert (certificate.seam, certificate.corrected, certificate.delivered) == (2, 1, 0)


def test_where_ticks_follow_the_end_of_history_is_compared_all_the_same():
    klines, last = Server(), official(0)
    klines.put(last)
    server, seam, past = at_the_seam(last, klines)
    live = LiveTicks(server, 0, None, all_that_can_be(CU), seam)
    server.put(tick(13))
    live.take_ticks()
    live.pop()
    certificate = live.certificate()
    assert (certificate.delivered, certificate.equal, certificate.pending) == (1, 0, 3)
    assert live.next_final == last.end + 2 * SECOND
    klines.put(last._replace(volume=7), past[0], past[1], official(3))
    [found] = live.check(last.end + 3 * MINUTE)
    assert found.delivered == last
    certificate = live.certificate()
    assert (certificate.seam, certificate.corrected, certificate.pending) == (2, 1, 0)
    assert live.next_final > START + 10**18


def test_a_bar_of_the_seam_that_cannot_be_compared_is_missing():
    klines, last = Server(), official(0)
    klines.put(last)
    _, live, past = at_the_seam(last, klines)
    klines.put(past[0], official(3))
    klines.lose(past[1].id)
    live.check(last.end + 3 * MINUTE)
    certificate = live.certificate()
    assert (certificate.seam, certificate.missing, certificate.pending) == (2, 1, 0)


def test_an_odd_tick_is_left_out_and_its_bar_is_the_official_one(market):
    ticks, klines, live = market
    rows = [*map(tick, range(13))]
    rows[3] = rows[3]._replace(last_price=0.0)
    ticks.put(*rows)
    klines.put(official(0), official(1), official(2))
    assert live.take_ticks() == rows[-1].time
    one, two = deliver(live, START + 2 * MINUTE + SECOND)
    assert one[:9] == official(0)[:9] and two[:9] == official(1)[:9]
    certificate = live.certificate()
    assert (certificate.ignored, certificate.repaired, certificate.delivered) == (1, 2, 2)
    assert live.ticks_taken == 13 and live.ticks_missing == 0


@pytest.mark.parametrize(
    ("made", "minutes"),
    [("with its minute", 4), ("with the next tick", 4), ("late", 4), ("with the next tick", 0)],
)
def test_after_a_refused_tick_that_was_right_no_bar_goes_on_at_the_old_price(market, made, minutes):
    ticks, klines, live = market
    ticks.put(*map(tick, range(3)), tick(3)._replace(last_price=0.0))
    first = official(0)._replace(close=103.0, high=103.0, volume=3, close_oi=53)
    klines.put(first)
    quiet = [
        first._replace(
            start=first.start + minute * MINUTE, end=first.end + minute * MINUTE, open=103.0,
            low=103.0, volume=0, open_oi=53, id=FIRST_BAR + minute,
        ) for minute in range(1, 5)
    ]  # fmt: skip
    klines.ready = made != "late"
    live.take_ticks()
    delivered = []
    for minute in range(1, 1 + minutes):
        now = START + minute * MINUTE
        live.flush(now)
        if made == "with its minute":
            klines.put(*quiet[: minute - 1])
        delivered += deliver(live, now + 2 * SECOND)
    klines.ready = True
    klines.put(*quiet)
    last = tick(27)
    ticks.put(*(last._replace(id=number) for number in range(4, 28)))
    live.take_ticks()
    live.flush(START + 5 * MINUTE)
    klines.put(quiet[3]._replace(close=127.0, high=127.0, volume=24, close_oi=77))
    delivered += deliver(live, START + 5 * MINUTE + 2 * SECOND)
    assert [bar.close for bar in delivered] == [103.0] * 4 + [127.0]
    assert [bar.close_oi for bar in delivered] == [53] * 4 + [77]
    assert [bar.volume for bar in delivered] == [3, 0, 0, 0, 24]
    assert live.certificate().corrected == 0


def test_when_a_bar_can_be_decided_without_a_successor(market):
    ticks, klines, live = market
    assert live.next_final > START + 10**18
    ticks.put(*map(tick, range(6)))
    klines.put(official(0))
    live.take_ticks()
    live.flush(START + MINUTE)
    deliver(live, START + MINUTE)
    assert live.next_final == START + MINUTE + 2 * SECOND
    live.check(START + MINUTE + 2 * SECOND)
    assert live.next_final > START + 10**18
    ticks.lose(6)
    ticks.put(*map(tick, range(7, 13)))  # a hole: the next bar waits for the official one
    live.take_ticks()
    assert live.next_final == START + 2 * MINUTE + 60 * SECOND
    klines.put(official(1))
    assert live.next_final == START + 2 * MINUTE + 2 * SECOND


def test_minutes_before_a_new_contracts_first_bar_never_were(market):
    klines, server = Server(), Server()
    builder = BarBuilder(SlotTable(CALENDAR, CU, MINUTE))
    builder.begin_after(START, float("nan"), 0)
    live = LiveBars(CU, builder, server, klines, -1, 0, all_that_can_be(CU))
    live.begin(None, [], START)
    live.flush(START + 3 * MINUTE)
    assert deliver(live, START + 90 * MINUTE) == []  # the server has nothing yet
    server.put(*(tick(number)._replace(id=number - 18) for number in range(18, 25)))
    klines.put(*(official(minute)._replace(id=minute - 3) for minute in (3, 4)))
    live.take_ticks()
    assert [bar.id for bar in deliver(live, START + 5 * MINUTE)] == [0]
    assert live.certificate().missing == 0
