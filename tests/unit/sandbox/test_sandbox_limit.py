"""A contract at its price limit: an empty side of the book, and orders that wait."""

import asyncio
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tianqin_backtrader.core.clock import MINUTE, SECOND, from_ns, to_ns
from tianqin_backtrader.sandbox.fault_runner import FaultRunner
from tianqin_backtrader.sandbox.faults import FaultBook, FaultError, make_fault
from tianqin_backtrader.sandbox.market.bars import BarSeries
from tianqin_backtrader.sandbox.market.limit_lock import LimitLock
from tianqin_backtrader.sandbox.market.market import Market
from tianqin_backtrader.sandbox.server import SandboxOptions, make_engine
from tianqin_backtrader.sandbox.wire.md import MdSession

DAY, NEXT = date(2026, 11, 10), date(2026, 11, 11)
TEN, ELEVEN = (to_ns(datetime(2026, 11, 10, hour)) for hour in (10, 11))
CU, MEAL = "SHFE.cu2612", "DCE.m2701"


def make_market() -> Market:
    return make_engine(SandboxOptions(seed=1, start=DAY, days=2)).floor.market


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("symbol", [CU, MEAL])
def test_one_side_of_the_book_is_empty_and_the_price_stands(symbol: str, up: bool) -> None:
    market = make_market()
    before = market.day(symbol, DAY)
    market.lock(symbol, DAY, LimitLock(TEN, ELEVEN, up))
    after = market.day(symbol, DAY)
    held = (after.time > TEN) & (after.time <= ELEVEN)
    limit = after.upper_limit if up else after.lower_limit
    wanted, nobody = ("bid", "ask") if up else ("ask", "bid")
    assert held.any() and np.all(after.last_price[held] == limit)
    assert np.isnan(getattr(after, f"{nobody}_price")[held]).all()
    assert not getattr(after, f"{nobody}_volume")[held].any()
    assert np.all(getattr(after, f"{wanted}_price")[held, 0] == limit)
    assert np.all(getattr(after, f"{wanted}_volume")[held, 0] > after.volume[-1])
    deeper = getattr(after, f"{wanted}_price")[held, 1]
    if symbol == CU:
        assert np.all(deeper == (limit - 10 if up else limit + 10))
    else:  # one level is shown
        assert np.isnan(deeper).all()
    extreme = after.highest if up else after.lowest
    assert extreme[-1] == limit
    for name in ("time", "volume", "open_interest"):
        assert np.array_equal(getattr(before, name), getattr(after, name))
    for name in ("last_price", "bid_price", "ask_volume"):
        one, two = getattr(before, name), getattr(after, name)
        assert np.array_equal(one[~held], two[~held], equal_nan=True)
    assert np.all(np.diff(after.amount) >= 0)
    assert (before.close, before.settlement) == (after.close, after.settlement)


def test_bars_follow_and_those_before_stay() -> None:
    market = make_market()
    bars = BarSeries(market, CU, MINUTE)
    last = len(market.day(CU, DAY)) - 1
    first = bars.running_id(DAY, -1) + 1
    before = bars.rows(first, first + 1000, DAY, last)
    market.lock(CU, DAY, LimitLock(TEN, ELEVEN, True))
    bars.forget()
    after, limit = bars.rows(first, first + 1000, DAY, last), market.day(CU, DAY).upper_limit
    for bar_id, row in after.items():
        if row["datetime"] < TEN or row["datetime"] > ELEVEN:
            assert row == before[bar_id]
        elif TEN <= row["datetime"] < ELEVEN:
            assert row["close"] == row["high"] == limit
            assert row["volume"] == before[bar_id]["volume"]


def test_a_day_held_to_its_end_closes_at_the_limit_and_the_next_knows() -> None:
    market, other = make_market(), make_market()
    market.lock(CU, DAY, LimitLock(TEN, TEN * 2, True))
    one, two, as_before = market.day(CU, DAY), market.day(CU, NEXT), other.day(CU, NEXT)
    assert one.close == one.upper_limit == two.pre_close
    assert two.pre_settlement == one.settlement == as_before.pre_settlement
    assert np.array_equal(two.last_price, as_before.last_price, equal_nan=True)
    assert market.day(CU, date(2026, 11, 9)).close == one.pre_close
    assert two.lower_limit <= np.nanmin(two.last_price)


def test_what_is_made_of_the_contract_follows_it() -> None:
    market = make_market()
    main = market.main_contract("SHFE.cu", DAY)
    index, call = (market.day(name, DAY) for name in ("KQ.i@SHFE.cu", f"{CU}C78000"))
    market.lock(main, DAY, LimitLock(TEN, TEN * 2, True))
    market.lock(CU, DAY, LimitLock(TEN, TEN * 2, True))
    limit = market.day(main, DAY).upper_limit
    assert market.day("KQ.m@SHFE.cu", DAY).close == limit
    assert market.day("KQ.m@SHFE.cu", NEXT).pre_close == limit
    assert market.day("KQ.i@SHFE.cu", DAY).close > index.close
    assert market.day("KQ.i@SHFE.cu", NEXT).pre_close == market.day("KQ.i@SHFE.cu", DAY).close
    assert market.day(f"{CU}C78000", DAY).close > call.close


def test_a_second_lock_counts_over_the_first() -> None:
    market = make_market()
    market.lock(CU, DAY, LimitLock(TEN, TEN * 2, True))
    market.lock(CU, DAY, LimitLock(ELEVEN, TEN * 2, False))
    day = market.day(CU, DAY)
    assert day.highest[-1] == day.upper_limit
    assert day.close == day.lowest[-1] == day.lower_limit


class Run:
    """A sandbox with one account at half past nine."""

    def __init__(self) -> None:
        self.engine = make_engine(SandboxOptions(start=datetime(2026, 11, 10, 9, 30)))
        self.floor, self.timeline = self.engine.floor, self.engine.timeline
        self.floor.login("u", 10_000_000.0)
        self.md = MdSession(self.engine.context)
        self.runner = FaultRunner(self.engine, FaultBook())
        self.number = 0

    def fault(self, name: str, **params: Any) -> dict[str, Any]:
        async def apply() -> dict[str, Any]:
            return self.runner.apply(make_fault(name, params))

        return asyncio.run(apply())

    def pass_by(self, **time: float) -> None:
        end = to_ns(self.timeline.moment() + timedelta(**time))
        while (ns := self.timeline.next_time()) is not None and ns <= end:
            self.md.on_step(self.floor.step())
        self.timeline.advance_clock(end)

    def order(self, direction: str, price: float, **fields: Any) -> str:
        self.number += 1
        pack = {
            "order_id": f"o{self.number}", "exchange_id": "SHFE", "instrument_id": "cu2612",
            "volume": 2, "direction": direction, "offset": "OPEN", "price_type": "LIMIT",
            "limit_price": price,
        }  # fmt: skip
        self.floor.insert("u", pack | fields)
        return f"o{self.number}"

    def state(self, order_id: str) -> tuple[str, str]:
        order = self.floor.exchange.snapshot("u")["trade"]["u"]["orders"][order_id]
        return order["status"], order["last_msg"]


def test_buyers_at_the_upper_limit_wait_and_sellers_are_served_at_once() -> None:
    run = Run()
    run.md.receive({"aid": "subscribe_quote", "ins_list": CU})
    held = run.fault("limit_up", symbol=CU, seconds=1800)
    upper = held["price"]
    run.pass_by(minutes=1)
    quote = run.md.quotes[CU]
    assert quote["last_price"] == quote["bid_price1"] == quote["upper_limit"] == upper
    assert (quote["ask_price1"], quote["ask_volume1"]) == ("-", 0)
    waits, gone = run.order("BUY", upper), run.order("BUY", upper, time_condition="IOC")
    sold = run.order("SELL", upper)
    run.pass_by(minutes=20)
    assert run.state(waits) == ("ALIVE", "未成交")
    assert run.state(gone) == ("FINISHED", "已撤单")
    assert run.state(sold) == ("FINISHED", "全部成交")
    assert run.state(run.order("BUY", upper + 10))[1] == "已撤单报单被拒绝价格超出涨停板"
    run.pass_by(minutes=30)
    assert run.md.quotes[CU]["last_price"] < upper
    assert run.state(waits) == ("FINISHED", "全部成交")


def test_sellers_at_the_lower_limit_are_withdrawn_unfilled_at_the_close() -> None:
    run = Run()
    lower = run.fault("limit_down", symbol=CU)["price"]
    run.pass_by(seconds=30)
    waits, bought = run.order("SELL", lower), run.order("BUY", lower)
    assert run.state(bought)[1] == "全部成交"
    run.pass_by(hours=5, minutes=30)
    assert from_ns(run.timeline.now_ns) == datetime(2026, 11, 10, 15, 0, 30)
    assert run.state(waits) == ("FINISHED", "已撤单")


def test_charts_and_quotes_shown_before_go_on_from_where_they_were() -> None:
    run = Run()
    run.md.receive({"aid": "subscribe_quote", "ins_list": CU})
    chart = {"aid": "set_chart", "chart_id": "C", "ins_list": CU, "view_width": 50}
    run.md.receive(chart | {"duration": MINUTE})
    run.md.receive(chart | {"chart_id": "T", "duration": 0})
    run.pass_by(minutes=2)
    book, cursor = run.engine.context.book, run.timeline.cursor(CU)
    ticks, last = book.get(CU, 0), book.get(CU, 0).last_id(cursor)
    before = ticks.rows(last - 20, last, cursor)
    run.fault("limit_up", symbol=CU, seconds=600)
    assert ticks.rows(last - 20, last, run.timeline.cursor(CU)) == before
    run.pass_by(minutes=3)
    cursor = run.timeline.cursor(CU)
    newest = book.get(CU, MINUTE).last_id(cursor)
    rows = book.get(CU, MINUTE).rows(newest, newest, cursor)
    assert rows[str(newest)]["close"] == cursor.day.upper_limit


def test_a_main_contract_stands_for_its_member() -> None:
    run = Run()
    held = run.fault("limit_up", symbol="KQ.m@SHFE.cu")
    assert held["symbol"] == run.floor.main_contract("KQ.m@SHFE.cu")


@pytest.mark.parametrize(
    ("symbol", "words"),
    [
        (None, "need a symbol"),
        ("SHFE.xx2612", "not a future of this market"),
        ("KQ.i@SHFE.cu", "not a future of this market"),
        ("SHFE.cu2610", "does not trade on 2026-11-10"),
        (7, "must be a symbol"),
    ],
)
def test_what_cannot_be_held_is_refused(symbol: Any, words: str) -> None:
    with pytest.raises(FaultError, match=words):
        Run().fault("limit_up", symbol=symbol)


def test_a_lock_of_seconds_is_market_time() -> None:
    run = Run()
    now = run.timeline.now_ns
    run.fault("limit_up", symbol=CU, seconds=90.5)
    day = run.floor.market.day(CU, DAY)
    held = day.time[day.last_price == day.upper_limit]
    assert len(held) and held[0] > now and held[-1] <= now + int(90.5 * SECOND)
