"""Tick rows that are lost or late on one connection, while everything else stays right."""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from tianqin_backtrader.core.clock import MINUTE, SECOND
from tianqin_backtrader.sandbox.fault_runner import FaultRunner
from tianqin_backtrader.sandbox.faults import FaultBook, FaultError, make_fault
from tianqin_backtrader.sandbox.server import SandboxOptions, make_engine
from tianqin_backtrader.sandbox.wire.connection import Connection
from tianqin_backtrader.sandbox.wire.md import MdSession
from tianqin_backtrader.sandbox.wire.row_faults import RowFaults

CU, MEAL = "SHFE.cu2612", "DCE.m2701"


def passed(faults: RowFaults, symbol: str, *row_ids: int) -> list[list[int]]:
    """The packs that are sent, step by step."""
    return [[int(key) for key in faults.pass_on(symbol, {str(row_id): {}})] for row_id in row_ids]


def test_a_hole_takes_the_next_rows_of_its_symbol_and_no_more() -> None:
    faults = RowFaults()
    faults.hole(CU, 2)
    assert passed(faults, MEAL, 1) == [[1]]
    assert passed(faults, CU, 5, 6, 7) == [[], [], [7]]


def test_without_a_symbol_each_one_is_hit() -> None:
    faults = RowFaults()
    faults.hole(None, 1)
    assert passed(faults, CU, 5, 6) == [[], [6]]
    assert passed(faults, MEAL, 1, 2) == [[], [2]]


def test_shuffled_rows_each_come_after_their_next_one() -> None:
    faults = RowFaults()
    faults.shuffle(CU, 2)
    assert passed(faults, CU, 1, 2, 3, 4, 5) == [[], [2, 1], [], [4, 3], [5]]


def test_a_late_row_waits_over_a_hole() -> None:
    faults = RowFaults()
    faults.shuffle(CU, 1)
    assert passed(faults, CU, 1) == [[]]
    faults.hole(CU, 1)
    assert passed(faults, CU, 2, 3) == [[], [3, 1]]


class Client:
    """A connection of a sandbox with charts of ticks and bars of a symbol."""

    def __init__(self) -> None:
        self.engine = make_engine(SandboxOptions(start=datetime(2026, 11, 10, 9, 30)))
        self.session = MdSession(self.engine.context)
        transport: Any = None
        link = Connection("md", self.session, "client", transport, 1, lambda: None)
        self.engine.connections.append(link)
        self.runner = FaultRunner(self.engine, FaultBook())
        self.session.receive({"aid": "subscribe_quote", "ins_list": CU})
        self.chart("T", 0, 10)
        self.chart("B", MINUTE, 10)
        self.take()

    def chart(self, chart_id: str, duration: int, width: int) -> None:
        ask = {"aid": "set_chart", "chart_id": chart_id, "ins_list": CU, "duration": duration}
        self.session.receive(ask | {"view_width": width})

    def take(self) -> list[list[dict[str, Any]]]:
        packs = []
        while self.session.outbox:
            packs.append(self.session.outbox.take())
        return packs

    def fault(self, name: str, **params: Any) -> dict[str, Any]:
        async def apply() -> dict[str, Any]:
            self.engine.kick = lambda **_: None  # type: ignore[method-assign]
            return self.runner.apply(make_fault(name, params))

        return asyncio.run(apply())

    def step(self) -> list[dict[str, Any]]:
        """The elements of the next step's pack."""
        while not self.session.on_step(self.engine.floor.step()):
            pass
        [pack] = self.take()
        return pack


def ids(pack: list[dict[str, Any]]) -> list[int]:
    return [int(key) for element in pack for key in element["ticks"][CU]["data"]]


@pytest.fixture
def client() -> Client:
    return Client()


def test_over_a_hole_ids_charts_quotes_and_bars_go_on(client: Client) -> None:
    cursor = client.engine.timeline.cursor(CU)
    before = int(cursor.day.first_id) + cursor.k
    assert client.fault("hole", symbol=CU, count=2) == {"connections": 1}
    packs = [client.step() for _ in range(3)]
    assert [ids(pack) for pack in packs] == [[], [], [before + 3]]
    for number, [element] in enumerate(packs, before + 1):
        assert element["ticks"][CU]["last_id"] == number
        assert element["charts"]["T"]["right_id"] == number
        assert "datetime" in element["quotes"][CU]
        [running] = list(element["klines"][CU][str(MINUTE)]["data"].values())[-1:]
        view = client.engine.context.book.views.get(CU, cursor.day.trading_day)
        price = view.row(number - int(cursor.day.first_id))["last_price"]
        assert running["close"] == price


def test_rows_that_were_lost_are_sent_to_who_asks_for_them(client: Client) -> None:
    client.fault("hole", symbol=CU, count=2)
    for _ in range(4):
        client.step()
    last = int(client.engine.timeline.cursor(CU).day.first_id) + client.engine.timeline.cursor(CU).k
    client.chart("again", 0, 10)
    found = {
        int(key)
        for pack in client.take()
        for element in pack
        for key in element.get("ticks", {}).get(CU, {}).get("data", {})
    }
    assert found == {last - 3, last - 2, last}  # the newest is always sent


def test_a_late_row_comes_a_pack_later_behind_its_next_one(client: Client) -> None:
    client.fault("shuffle", count=1)
    one, two, three = (client.step() for _ in range(3))
    assert ids(one) == []
    [last] = ids(three)
    assert ids(two) == [last - 1, last - 2]
    assert two[0]["ticks"][CU]["last_id"] == last - 1


def test_in_a_pack_of_several_ticks_the_rows_change_places(client: Client) -> None:
    client.fault("shuffle", symbol=CU, count=2)
    for _ in range(4):
        while not client.session.on_step(client.engine.floor.step()):
            pass
    [pack] = client.take()
    first = min(ids(pack))
    assert ids(pack) == [first + 1, first, first + 3, first + 2]


def test_other_connections_are_spared(client: Client) -> None:
    client.fault("hole", count=3)
    other = MdSession(client.engine.context)
    assert not other.charts.tick_faults


@pytest.mark.parametrize("params", [{"count": -1}, {"symbol": 5}, {"conn": "td"}])
def test_what_cannot_be_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(FaultError):
        make_fault("hole", params)


# -- odd ticks --------------------------------------------------------------------------------


def rows_of_ticks(packs: list[list[dict[str, Any]]]) -> dict[int, dict[str, Any]]:
    return {
        int(key): row
        for pack in packs
        for element in pack
        for key, row in element.get("ticks", {}).get(CU, {}).get("data", {}).items()
    }


def test_an_odd_tick_has_an_id_of_its_own_and_is_in_the_quote_until_the_next(
    client: Client,
) -> None:
    before = client.session.charts.charts["T"].right_id
    true = dict(client.session.quotes[CU])
    now_ns = client.engine.timeline.now_ns
    hit = client.fault("odd_tick", symbol=CU, last_price=0.0, seconds=10)
    assert hit == {"connections": 1}
    [[element]] = client.take()
    [row] = element["ticks"][CU]["data"].values()
    assert element["ticks"][CU]["last_id"] == before + 1
    assert (row["datetime"], row["last_price"]) == (now_ns + 10 * SECOND, 0.0)
    assert element["quotes"][CU]["last_price"] == 0.0
    after = client.step()
    assert ids(after) == [before + 2]
    assert client.session.quotes[CU]["last_price"] > 0
    assert client.session.quotes[CU]["volume"] >= true["volume"]


def test_who_asks_again_gets_the_odd_ticks_at_their_places(client: Client) -> None:
    first = client.session.charts.charts["T"].right_id
    for price in (0.0, 1e308):
        client.fault("odd_tick", symbol=CU, last_price=price)
        client.step()
    other = MdSession(client.engine.context)
    other.receive(
        {"aid": "set_chart", "chart_id": "U", "ins_list": CU, "duration": 0, "view_width": 8}
    )
    packs = []
    while other.outbox:
        packs.append(other.outbox.take())
    rows = rows_of_ticks(packs)
    assert sorted(rows) == list(range(first - 3, first + 5))
    assert [rows[first + n]["last_price"] for n in (1, 3)] == [0.0, 1e308]
    stamps = [rows[key]["datetime"] for key in sorted(rows)]
    assert stamps == sorted(stamps)


def test_an_odd_tick_needs_a_symbol(client: Client) -> None:
    with pytest.raises(FaultError, match="symbol"):
        client.fault("odd_tick", last_price=0.0)


def bars_of(pack: list) -> list[dict]:
    return [element["klines"][CU][str(MINUTE)] for element in pack if "klines" in element]


def test_late_bars_come_with_a_later_tick_and_quotes_do_not_wait(client: Client) -> None:
    client.chart("bars", MINUTE, 10)
    client.take()
    client.fault("late_bars", symbol=CU, count=2)
    packs = [client.step() for _ in range(3)]
    assert [bool(bars_of(pack)) for pack in packs] == [False, False, True]
    assert all("quotes" in pack[0] for pack in packs)
    cursor = client.engine.timeline.cursor(CU)
    price = client.engine.context.book.views.get(CU, cursor.day.trading_day).row(cursor.k)
    newest = list(bars_of(packs[2])[0]["data"].values())[-1]
    assert newest["close"] == price["last_price"]
