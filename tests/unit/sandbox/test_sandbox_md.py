"""One market data connection, without a socket: the answers to its requests."""

from collections.abc import Callable
from datetime import date, datetime
from itertools import pairwise
from typing import Any

import pytest

from tianqin_backtrader.core.clock import MINUTE, to_ns
from tianqin_backtrader.sandbox.market.listing import build_instruments
from tianqin_backtrader.sandbox.market.market import Market
from tianqin_backtrader.sandbox.market.timeline import Timeline
from tianqin_backtrader.sandbox.wire.charts import CHUNK
from tianqin_backtrader.sandbox.wire.id_ranges import IdRanges
from tianqin_backtrader.sandbox.wire.instrument_query import DayFacts, InstrumentQuery
from tianqin_backtrader.sandbox.wire.md import MdContext, MdSession
from tianqin_backtrader.sandbox.wire.series import SeriesBook
from tianqin_backtrader.session_calendar import CALENDAR

DAY = date(2026, 11, 10)
CU, M = "SHFE.cu2612", "DCE.m2701"
MARKET = Market(CALENDAR, build_instruments(CALENDAR, DAY, date(2026, 11, 13)), 1)

Connect = Callable[..., MdSession]


@pytest.fixture
def timeline() -> Timeline:
    return Timeline(MARKET, CALENDAR, datetime(2026, 11, 10, 9, 30))


@pytest.fixture
def connect(timeline: Timeline) -> Connect:
    def make() -> MdSession:
        query = InstrumentQuery(
            MARKET.instruments,
            day_facts=lambda symbol: DayFacts(),
            main_contract=lambda symbol: None,
            now=lambda: timeline.now_ns,
            trading_day=lambda: "20261110",
        )
        book = SeriesBook(MARKET, CALENDAR)
        session = MdSession(MdContext(MARKET.instruments, timeline, book, query, list))
        session.outbox.take()
        return session

    return make


def merge(target: dict[str, Any], diff: dict[str, Any]) -> None:
    for key, value in diff.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            merge(target.setdefault(key, {}), value)
        else:
            target[key] = value


class Client:
    """Merges the tree like the client, and keeps the packs."""

    def __init__(self, session: MdSession) -> None:
        self.session = session
        self.tree: dict[str, Any] = {}
        self.packs: list[list[dict[str, Any]]] = []

    def send(self, aid: str, **fields: Any) -> None:
        self.session.receive({"aid": aid, **fields})

    def chart(self, **fields: Any) -> None:
        self.send("set_chart", chart_id="C", **{"ins_list": CU, "duration": 0, **fields})

    def drain(self) -> int:
        """Take all packs; returns their number."""
        count = 0
        while self.session.outbox:
            pack = self.session.outbox.take()
            self.packs.append(pack)
            for diff in pack:
                merge(self.tree, diff)
            count += 1
        return count

    def bars(self, symbol: str = CU, duration: int = MINUTE) -> dict[str, Any]:
        found: dict[str, Any] = self.tree["klines"][symbol][str(duration)]
        return found


@pytest.fixture
def client(connect: Connect) -> Client:
    return Client(connect())


def test_the_first_pack_is_an_empty_picture_that_is_complete(timeline: Timeline) -> None:
    query: Any = None
    context = MdContext(MARKET.instruments, timeline, SeriesBook(MARKET, CALENDAR), query, list)
    session = MdSession(context)
    expected = {"account_id": "", "ins_list": "", "mdhis_more_data": False}
    assert session.outbox.take() == [expected]


def test_a_quote_comes_whole_once_and_then_in_differences(
    client: Client, timeline: Timeline
) -> None:
    client.send("subscribe_quote", ins_list=CU)
    client.drain()
    assert client.tree["ins_list"] == CU
    assert len(client.packs[0][0]["quotes"][CU]) > 30
    assert client.session.on_step(timeline.step())
    client.drain()
    difference = client.packs[-1][0]["quotes"][CU]
    assert "datetime" in difference and "upper_limit" not in difference


def test_levels_that_the_exchange_does_not_show_are_null(client: Client) -> None:
    client.send("subscribe_quote", ins_list=f"{CU},{M}")
    client.drain()
    quotes = client.packs[0][0]["quotes"]
    assert quotes[CU]["bid_price5"] != "-" and quotes[CU]["bid_price6"] is None
    assert quotes[M]["bid_price1"] > 0 and quotes[M]["bid_price2"] is None


def test_the_list_of_quotes_is_echoed_exactly_even_with_unknown_symbols(client: Client) -> None:
    text = f"{M},SHFE.nothing,{CU}"
    client.send("subscribe_quote", ins_list=text)
    client.drain()
    assert client.tree["ins_list"] == text
    assert set(client.tree["quotes"]) == {M, CU}


def test_a_symbol_no_longer_asked_for_is_no_longer_followed(
    client: Client, timeline: Timeline
) -> None:
    client.send("subscribe_quote", ins_list=f"{CU},{M}")
    client.send("subscribe_quote", ins_list=M)
    assert list(timeline.live) == [M]
    client.session.close()
    assert list(timeline.live) == []


def test_a_chart_is_answered_by_request_rows_and_end(client: Client) -> None:
    client.chart(duration=MINUTE, view_width=100)
    assert client.drain() == 3
    ask, rows, end = client.packs
    chart = ask[0]["charts"]["C"]
    assert chart["ready"] is False and chart["more_data"] is True
    assert chart["state"] == {
        "aid": "set_chart", "chart_id": "C", "ins_list": CU, "duration": MINUTE, "view_width": 100,
    }  # fmt: skip
    assert ask[0]["klines"][CU][str(MINUTE)]["last_id"] == -1
    assert ask[0]["mdhis_more_data"] is True and rows[-1]["mdhis_more_data"] is True
    assert end[-1]["charts"]["C"] == {"more_data": False, "ready": True}
    assert end[-1]["mdhis_more_data"] is False
    last = client.bars()["last_id"]
    assert client.tree["charts"]["C"]["right_id"] == last
    assert client.tree["charts"]["C"]["left_id"] == last - 99
    assert sorted(map(int, client.bars()["data"])) == list(range(last - 99, last + 1))


def test_history_comes_in_chunks_newest_first(client: Client) -> None:
    client.chart(duration=MINUTE, view_width=5000)
    assert client.drain() == 2 + 3
    chunks = [
        list(map(int, diff["klines"][CU][str(MINUTE)].get("data", {})))
        for pack in client.packs[1:4]
        for diff in pack
        if "klines" in diff
    ]
    assert [len(set(chunk)) for chunk in chunks] == [CHUNK, CHUNK, 1000]
    assert all(min(newer) == max(older) + 1 for newer, older in pairwise(chunks))
    assert client.bars()["last_id"] == max(chunks[0])


def test_rows_sent_before_are_not_sent_again(client: Client) -> None:
    client.chart(duration=MINUTE, view_width=50)
    client.drain()
    client.send("set_chart", chart_id="D", ins_list=CU, duration=MINUTE, view_width=80)
    client.drain()
    rows = client.packs[-2][0]["klines"][CU][str(MINUTE)]["data"]
    last = client.bars()["last_id"]
    assert sorted(map(int, rows)) == [*range(last - 79, last - 49), last]


def test_more_rows_than_there_are_make_left_id_negative(client: Client) -> None:
    day = 86400 * 10**9
    client.chart(duration=day, view_width=10000)
    client.drain()
    assert client.tree["charts"]["C"]["left_id"] < 0
    bars = client.bars(duration=day)
    assert sorted(map(int, bars["data"])) == list(range(bars["last_id"] + 1))


def test_a_chart_from_an_id_on_ends_beyond_the_newest_row(client: Client) -> None:
    client.chart(duration=MINUTE, view_width=10)
    client.drain()
    last = client.bars()["last_id"]
    client.chart(duration=MINUTE, view_width=10, left_kline_id=last - 3)
    client.drain()
    chart = client.tree["charts"]["C"]
    assert (chart["left_id"], chart["right_id"]) == (last - 3, last + 6)
    assert chart["state"]["left_kline_id"] == last - 3 and chart["ready"] is True


def test_a_chart_around_an_instant_begins_with_the_bar_of_that_instant(client: Client) -> None:
    focus = to_ns(datetime(2026, 11, 9, 10, 0))
    client.chart(duration=MINUTE, view_width=20, focus_datetime=focus, focus_position=5)
    client.drain()
    chart, data = client.tree["charts"]["C"], client.bars()["data"]
    assert data[str(chart["left_id"] + 5)]["datetime"] == focus
    assert chart["right_id"] == chart["left_id"] + 19
    assert all(str(bar_id) in data for bar_id in range(chart["left_id"], chart["right_id"] + 1))


def test_a_changed_chart_takes_back_the_fields_it_no_longer_has(client: Client) -> None:
    client.chart(view_width=10, focus_datetime=to_ns(datetime(2026, 11, 9, 10)), focus_position=0)
    client.drain()
    client.chart(view_width=10, left_kline_id=5)
    client.drain()
    assert "focus_datetime" not in client.tree["charts"]["C"]["state"]
    assert client.tree["charts"]["C"]["left_id"] == 5


def test_ticks_around_an_instant_begin_at_or_after_it(client: Client) -> None:
    focus = to_ns(datetime(2026, 11, 9, 10, 20))  # in the break: the next tick is at 10:30
    client.chart(view_width=20, focus_datetime=focus, focus_position=1)
    client.drain()
    left, data = client.tree["charts"]["C"]["left_id"], client.tree["ticks"][CU]["data"]
    assert data[str(left)]["datetime"] < focus <= data[str(left + 1)]["datetime"]


def test_ticks_of_the_past_reach_over_days_with_consecutive_ids(client: Client) -> None:
    client.chart(ins_list=M, view_width=10000)
    client.drain()
    ticks = client.tree["ticks"][M]
    ids = sorted(map(int, ticks["data"]))
    assert ids == list(range(ticks["last_id"] - 9999, ticks["last_id"] + 1))
    stamps = [ticks["data"][str(tick_id)]["datetime"] for tick_id in ids]
    assert stamps == sorted(set(stamps))


def test_live_ticks_and_bars_move_the_chart_with_them(client: Client, timeline: Timeline) -> None:
    client.chart(view_width=10)
    client.send("set_chart", chart_id="B", ins_list=CU, duration=MINUTE, view_width=10)
    client.drain()
    before = client.tree["ticks"][CU]["last_id"]
    end = timeline.now_ns + 3 * MINUTE
    steps = 0
    while timeline.now_ns < end:
        steps += client.session.on_step(timeline.step())
        client.drain()
    ticks = client.tree["ticks"][CU]
    assert ticks["last_id"] == before + steps == client.tree["charts"]["C"]["right_id"]
    book, cursor = SeriesBook(MARKET, CALENDAR), timeline.cursor(CU)
    official = book.get(CU, MINUTE).rows(client.bars()["last_id"] - 5, 1 << 40, cursor)
    assert official == {bar_id: client.bars()["data"][bar_id] for bar_id in official}
    assert client.tree["charts"]["B"]["right_id"] == client.bars()["last_id"]


def test_a_chart_removed_and_made_again_gets_the_bar_that_ran_meanwhile(
    client: Client, timeline: Timeline
) -> None:
    client.chart(duration=MINUTE, view_width=10)
    client.drain()
    running = str(client.bars()["last_id"])
    client.chart(ins_list="", duration=MINUTE, view_width=10)
    client.drain()
    assert "C" not in client.tree["charts"]
    timeline.watch(CU)
    end = timeline.now_ns + 2 * MINUTE
    while timeline.now_ns < end:
        client.session.on_step(timeline.step())
    client.chart(duration=MINUTE, view_width=10)
    client.drain()
    official = SeriesBook(MARKET, CALENDAR).get(CU, MINUTE)
    rows = official.rows(int(running), 1 << 40, timeline.cursor(CU))
    assert rows == {bar_id: client.bars()["data"][bar_id] for bar_id in rows}
    assert len(rows) >= 3


def test_bars_of_several_symbols_are_bound_by_their_stamps(
    client: Client, timeline: Timeline
) -> None:
    client.chart(ins_list=f"{CU},{M}", duration=MINUTE, view_width=500)
    client.drain()
    end = timeline.now_ns + 3 * MINUTE
    while timeline.now_ns < end:
        client.session.on_step(timeline.step())
        client.drain()
    mine, theirs = client.bars(), client.bars(M)
    bound = mine["binding"][M]
    for own, other in bound.items():
        assert mine["data"][own]["datetime"] == theirs["data"][str(other)]["datetime"]
    by_stamp = {row["datetime"] for row in theirs["data"].values()}
    wanted = {own for own, row in mine["data"].items() if row["datetime"] in by_stamp}
    assert set(bound) == wanted
    assert len(bound) < len(mine["data"])  # copper trades on where meal sleeps, after 23:00


def test_a_contract_that_is_not_listed_yet_has_an_empty_chart(
    client: Client, timeline: Timeline
) -> None:
    young = max(MARKET.instruments.values(), key=lambda ins: ins.listed)
    timeline.now_ns = to_ns(datetime.combine(young.listed, datetime.min.time())) - MINUTE * 60 * 24
    timeline.trading_day = CALENDAR.previous_trading_day(young.listed)
    client.chart(ins_list=young.symbol, duration=MINUTE, view_width=10)
    client.send("subscribe_quote", ins_list=young.symbol)
    client.drain()
    assert client.tree["charts"]["C"]["ready"] is True
    assert client.tree["charts"]["C"]["right_id"] == -1
    assert client.bars(young.symbol)["last_id"] == -1
    assert client.tree["mdhis_more_data"] is False
    assert client.tree["quotes"][young.symbol] == {"instrument_id": young.symbol}


def test_an_instrument_query_is_echoed_and_can_be_taken_back(client: Client) -> None:
    text = '{ multi_symbol_info(instrument_id: ["SHFE.cu2612"]) { ... on basic { ins_id } } }'
    client.send("ins_query", query_id="Q", query=text, variables={})
    client.drain()
    answer = client.tree["symbols"]["Q"]
    assert answer["query"] == text
    assert answer["result"] == {"multi_symbol_info": [{"ins_id": "cu2612"}]}
    client.send("ins_query", query_id="Q", query="")
    client.drain()
    assert "Q" not in client.tree["symbols"]


def test_the_days_end_brings_close_and_settlement(client: Client, timeline: Timeline) -> None:
    client.send("subscribe_quote", ins_list=CU)
    client.drain()
    assert client.tree["quotes"][CU]["settlement"] == "-"
    client.session.settle()
    client.drain()
    day = MARKET.day(CU, DAY)
    assert client.tree["quotes"][CU]["settlement"] == day.settlement
    assert client.tree["quotes"][CU]["close"] == day.close


def test_ranges_of_ids_know_what_is_missing() -> None:
    ids = IdRanges()
    ids.add(10, 12)
    ids.add(20, 25)
    ids.add(13, 15)
    assert ids.missing(5, 30) == [(5, 9), (16, 19), (26, 30)]
    ids.add(16, 19)
    ids.add(8, 7)
    assert ids.missing(10, 25) == []
    ids.discard_from(22)
    assert ids.missing(10, 25) == [(22, 25)]
