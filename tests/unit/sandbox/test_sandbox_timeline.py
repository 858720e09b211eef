"""The market's clock: order of ticks, events between them, and the change of days."""

from datetime import date, datetime

import pytest

from tianqin_backtrader.core.clock import from_ns, to_ns
from tianqin_backtrader.sandbox.market.listing import build_instruments
from tianqin_backtrader.sandbox.market.market import Market
from tianqin_backtrader.sandbox.market.timeline import Timeline, auction_open
from tianqin_backtrader.session_calendar import CALENDAR

DAY = date(2026, 11, 10)
CU, M, IF = "SHFE.cu2612", "DCE.m2701", "CFFEX.IF2612"


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(CALENDAR, build_instruments(CALENDAR, DAY, date(2026, 11, 13)), 1)


def at(text: str) -> int:
    return to_ns(datetime.fromisoformat(text))


def test_a_trading_day_begins_at_its_auction_the_evening_before() -> None:
    assert auction_open(CALENDAR, DAY) == datetime(2026, 11, 9, 20, 59)


def test_a_day_without_a_night_begins_in_the_morning() -> None:
    assert auction_open(CALENDAR, date(2026, 10, 8)) == datetime(2026, 10, 8, 8, 59)


def test_mondays_market_begins_on_friday_evening() -> None:
    assert auction_open(CALENDAR, date(2026, 11, 16)) == datetime(2026, 11, 13, 20, 59)


def test_a_start_between_settlement_and_evening_is_the_next_trading_day(market: Market) -> None:
    timeline = Timeline(market, CALENDAR, datetime(2026, 11, 10, 16, 0))
    assert timeline.trading_day == date(2026, 11, 11)


def test_steps_are_the_union_of_all_ticks_in_order_of_time(market: Market) -> None:
    timeline = Timeline(market, CALENDAR, DAY)
    for symbol in (CU, M):
        timeline.watch(symbol)
    end = at("2026-11-09 21:05:00")
    seen: dict[str, list[int]] = {CU: [], M: []}
    moments = []
    while (timeline.next_time() or end) < end:
        step = timeline.step()
        moments.append(step.time_ns)
        for cursor in step.ticks:
            assert cursor.times[cursor.k] == step.time_ns == timeline.now_ns
            seen[cursor.symbol].append(cursor.k)
    assert moments == sorted(set(moments))
    for symbol, found in seen.items():
        count = int(market.day(symbol, DAY).time.searchsorted(end))
        assert found == list(range(count))


def test_time_is_announced_a_second_after_each_session(market: Market) -> None:
    timeline = Timeline(market, CALENDAR, DAY)
    timeline.watch(CU)
    silent = []
    while timeline.trading_day == DAY and not timeline.finished:
        step = timeline.step()
        if not step.ticks:
            silent.append(f"{from_ns(step.time_ns):%H:%M:%S}")
        if step.closed:
            assert step.closed == ("SHFE.cu",)
            assert from_ns(step.time_ns) == datetime(2026, 11, 10, 15, 0, 1)
        if step.settles:
            timeline.next_day()
    assert silent == ["01:00:01", "10:15:01", "11:30:01", "15:00:01", "15:30:00"]


def test_the_next_day_begins_with_its_first_tick(market: Market) -> None:
    timeline = Timeline(market, CALENDAR, datetime(2026, 11, 10, 15, 10), days=2)
    timeline.watch(IF)
    assert timeline.step().settles
    assert timeline.next_day()
    assert timeline.trading_day == date(2026, 11, 11)
    step = timeline.step()
    assert from_ns(step.time_ns).date() == date(2026, 11, 11)
    assert [(cursor.symbol, cursor.k) for cursor in step.ticks] == [(IF, 0)]


def test_after_the_last_day_the_market_stands_still(market: Market) -> None:
    timeline = Timeline(market, CALENDAR, datetime(2026, 11, 10, 15, 10))
    timeline.step()
    assert not timeline.next_day()
    assert timeline.finished and timeline.next_time() is None
    with pytest.raises(RuntimeError, match="last trading day has ended"):
        timeline.step()


def test_a_symbol_watched_late_starts_where_the_clock_is(market: Market) -> None:
    timeline = Timeline(market, CALENDAR, datetime(2026, 11, 10, 9, 30))
    cursor = timeline.watch(CU)
    assert cursor.times[cursor.k] <= timeline.now_ns < cursor.times[cursor.k + 1]


def test_an_unwatched_symbol_makes_no_more_steps(market: Market) -> None:
    timeline = Timeline(market, CALENDAR, DAY)
    timeline.watch(CU)
    timeline.watch(CU)
    timeline.unwatch(CU)
    assert list(timeline.live) == [CU]
    timeline.unwatch(CU)
    assert list(timeline.live) == []
    assert not timeline.step().ticks


def test_an_expired_contract_stands_at_its_last_tick(market: Market) -> None:
    timeline = Timeline(market, CALENDAR, DAY)
    gone = next(
        ins
        for ins in market.instruments.values()
        if ins.ins_class == "FUTURE" and ins.expire.date() < DAY
    )
    cursor = timeline.watch(gone.symbol)
    assert cursor.day.trading_day == gone.expire.date()
    assert cursor.k == len(cursor.times) - 1


def test_the_clock_never_passes_the_next_step(market: Market) -> None:
    timeline = Timeline(market, CALENDAR, DAY)
    timeline.watch(CU)
    following = timeline.next_time()
    timeline.advance_clock(at("2026-11-10 12:00:00"))
    assert timeline.now_ns == following
