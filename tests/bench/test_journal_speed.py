"""What records cost: an order in the journal, a bar in the files, a year in the report."""

import random
import statistics
import time
from datetime import date, timedelta

import pytest

from tianqin_backtrader.core.clock import MINUTE, SECOND
from tianqin_backtrader.core.model import Direction, Fill, Offset, OrderReport
from tianqin_backtrader.records.journal import JOURNAL, Journal
from tianqin_backtrader.records.journal_values import Origin
from tianqin_backtrader.records.records import WrittenRecords
from tianqin_backtrader.records.report import write_report

pytestmark = pytest.mark.bench

SYMBOL = "SHFE.cu2612"
START = 1_767_240_000 * SECOND
DAY = date(2026, 1, 5)
BUY, SELL = Direction.BUY, Direction.SELL


def order(journal, number, direction=BUY, offset=Offset.OPEN, price=76000.0, day=DAY, at=START):
    """An order's life: intent, accepted, filled, finished. Returns seconds of the intent."""
    order_id, when = f"order{number}", {"trading_day": day, "exchange_time": at}
    terms = (order_id, SYMBOL, direction, offset)
    begun = time.perf_counter()
    journal.intent(*terms, 1, price, origin=Origin("bench", number, 0, at, price), **when)
    intent = time.perf_counter() - begun
    journal.report(OrderReport(*terms, 1, 1, price, "ALIVE", "7", ""), **when)
    fill = Fill(f"trade{number}", *terms, price, 1, at, 19.0)
    journal.fill(fill, trading_day=day, volume_multiple=5)
    journal.report(OrderReport(*terms, 1, 0, price, "FINISHED", "7", "全部成交"), **when)
    return intent


@pytest.mark.parametrize(("synchronous", "count"), [("NORMAL", 5000), ("FULL", 500)])
def test_cost_of_an_order(tmp_path, synchronous, count):
    intents, wholes = [], []
    with Journal(tmp_path / JOURNAL, synchronous=synchronous) as journal:
        for number in range(count):
            begun = time.perf_counter()
            intents.append(order(journal, number) * 1e3)
            wholes.append((time.perf_counter() - begun) * 1e3)
    for name, times in (("intent", intents), ("order, 4 rows", wholes)):
        times.sort()
        print(
            f"\n{synchronous} {name}: median {statistics.median(times):.3f} ms, "
            f"99 % {times[int(count * 0.99)]:.3f} ms, worst {times[-1]:.2f} ms"
        )
    if synchronous == "NORMAL":
        assert statistics.median(wholes) < 0.3


def write_a_year(folder):
    """400 fills and 465 minutes on each of 250 days: 100 000 fills."""
    chance, number, price, balance = random.Random(1), 0, 76000.0, 1e6
    with Journal(folder / JOURNAL) as journal:
        day = DAY
        for day_number in range(250):
            day += timedelta(days=1)
            begin = START + day_number * 24 * 60 * MINUTE
            with journal.together():
                for minute in range(465):
                    at = begin + minute * MINUTE
                    price += chance.choice((-10.0, 0.0, 10.0))
                    balance += chance.gauss(10, 200)
                    when = {"trading_day": day, "exchange_time": at}
                    journal.mark(SYMBOL, (price, price + 10, price - 10, price, 100), **when)
                    journal.equity("bar", {"balance": balance}, 380000.0, **when)
                for trade in range(400):
                    at = begin + trade * MINUTE
                    direction, offset = (
                        (SELL, Offset.CLOSETODAY) if trade % 2 else (BUY, Offset.OPEN)
                    )
                    number += 1
                    order(journal, number, direction, offset, price, day, at)
                journal.account({"balance": balance}, {}, trading_day=day, exchange_time=begin)


@pytest.mark.timeout(300)
def test_a_year_of_minutes_and_100_000_fills(tmp_path):
    write_a_year(tmp_path)
    print(f"\njournal of a year: {(tmp_path / JOURNAL).stat().st_size / 1e6:.0f} MB")
    begun = time.perf_counter()
    write_report(tmp_path)
    took = time.perf_counter() - begun
    print(f"report of a year: {took:.1f} s")
    assert took < 10
    begun = time.perf_counter()
    with Journal(tmp_path / JOURNAL) as journal:
        print(f"journal opened and checked: {time.perf_counter() - begun:.2f} s")
        begun = time.perf_counter()
        journal.open_orders()
        print(f"open orders found: {time.perf_counter() - begun:.2f} s")
        begun = time.perf_counter()
        written = WrittenRecords(tmp_path)
        print(f"files made from nothing: {time.perf_counter() - begun:.2f} s")
        times = []
        for number in range(1000):
            begun = time.perf_counter()
            order(journal, 1_000_000 + number)
            journal.equity("bar", {"balance": 1e6}, 0.0, trading_day=DAY, exchange_time=START)
            journal.account({"balance": 1e6}, {}, trading_day=DAY, exchange_time=START)
            written.refresh()
            times.append((time.perf_counter() - begun) * 1e3)
        print(f"an order into journal and files after a year: {statistics.median(times):.2f} ms")
        written.close()
