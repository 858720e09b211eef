"""A contract's last trading day, and what remains afterwards."""

from datetime import date, datetime
from typing import Any

import pytest

from tianqin_backtrader.core.clock import MINUTE, from_ns, to_ns
from tianqin_backtrader.sandbox.engine import Engine
from tianqin_backtrader.sandbox.server import SandboxOptions, make_engine
from tianqin_backtrader.sandbox.wire.md import MdSession

COPPER, LAST = "SHFE.cu2611", date(2026, 11, 16)  # the 15th is a Sunday
AFTER = date(2026, 11, 17)


class Run:
    """A sandbox with one account, driven step by step."""

    def __init__(self, start: date, days: int = 4) -> None:
        options = SandboxOptions(start=start, days=days, counter="plain")  # its words are reasons
        self.engine: Engine = make_engine(options)
        self.floor, self.timeline = self.engine.floor, self.engine.timeline
        self.floor.login("u", 10_000_000.0)
        self.md = MdSession(self.engine.context)
        self.orders = 0

    def until(self, moment: datetime) -> int:
        """Advance the market to a time; returns the number of ticks."""
        before = self.floor.ticks
        while (ns := self.timeline.next_time()) is not None and ns <= to_ns(moment):
            step = self.floor.step()
            self.md.on_step(step)
            if step.settles:
                self.md.settle()
                self.floor.settle()
        self.timeline.advance_clock(to_ns(moment))
        return self.floor.ticks - before

    def insert(self, symbol: str, direction: str, offset: str) -> dict[str, Any]:
        """One lot at a price that trades at once; returns the order."""
        exchange_id, code = symbol.split(".")
        day = self.timeline.cursor(symbol).day
        price = day.upper_limit if direction == "BUY" else day.lower_limit
        self.orders += 1
        name = f"o{self.orders}"
        self.floor.insert(
            "u",
            {
                "order_id": name, "exchange_id": exchange_id, "instrument_id": code, "volume": 1,
                "direction": direction, "offset": offset, "price_type": "LIMIT",
                "limit_price": price,
            },
        )  # fmt: skip
        order: dict[str, Any] = self.trade["orders"][name]
        return order

    @property
    def trade(self) -> dict[str, Any]:
        """The account in the exchange's records."""
        picture: dict[str, Any] = self.floor.exchange.snapshot("u")["trade"]["u"]
        return picture

    def expired(self, symbol: str) -> bool:
        """The instrument service's answer."""
        text = '{multi_symbol_info(instrument_id: "%s") {... on future {expired}'
        text = (text + " ... on option {expired} ... on combine {expired}}}") % symbol
        [row] = self.engine.context.query.execute(text, {})["multi_symbol_info"]
        answer: bool = row["expired"]
        return answer


@pytest.fixture
def run() -> Run:
    return Run(date(2026, 11, 13))


def test_on_its_last_day_a_contract_trades_like_any_other(run: Run) -> None:
    run.md.receive({"aid": "subscribe_quote", "ins_list": COPPER})
    assert run.until(datetime(2026, 11, 16, 10, 0)) > 100
    assert run.timeline.trading_day == LAST and not run.expired(COPPER)
    assert run.insert(COPPER, "BUY", "OPEN")["last_msg"] == "全部成交"
    assert run.until(datetime(2026, 11, 16, 15, 0)) > 100
    assert from_ns(run.timeline.cursor(COPPER).times[-1]).date() == LAST


def test_after_its_last_close_it_is_expired_and_shows_no_ticks(run: Run) -> None:
    run.md.receive({"aid": "subscribe_quote", "ins_list": COPPER})
    chart = {"aid": "set_chart", "chart_id": "C", "ins_list": COPPER, "view_width": 10}
    run.md.receive({**chart, "duration": 0})
    run.md.receive({**chart, "chart_id": "B", "duration": MINUTE})
    run.until(datetime(2026, 11, 16, 15, 0, 1))
    assert run.expired(COPPER)
    last, quote = run.timeline.cursor(COPPER), dict(run.md.quotes[COPPER])
    assert run.until(datetime(2026, 11, 18, 16, 0)) == 0
    now = run.timeline.cursor(COPPER)
    assert (now.day.trading_day, now.k) == (LAST, last.k) == (LAST, len(now.times) - 1)
    day = run.floor.market.day(COPPER, LAST)
    expected = quote | {"close": day.close, "settlement": day.settlement}
    assert run.md.quotes[COPPER] == expected == run.engine.context.quote(COPPER)


def test_a_chart_of_an_expired_contract_shows_its_last_days(run: Run) -> None:
    run.until(datetime(2026, 11, 17, 10, 0))
    for duration in (0, MINUTE, 86400 * 10**9):
        series = run.engine.context.book.get(COPPER, duration)
        cursor = run.timeline.cursor(COPPER)
        rows = series.rows(series.last_id(cursor) - 5, series.last_id(cursor) + 5, cursor)
        assert len(rows) == 6
        stamps = [from_ns(row["datetime"]) for row in rows.values()]
        assert max(stamps).date() == LAST
        assert series.id_at(run.timeline.now_ns, cursor) == series.last_id(cursor)


def test_orders_in_an_expired_contract_are_refused_and_the_days_go_on(run: Run) -> None:
    run.until(datetime(2026, 11, 17, 10, 0))
    order = run.insert(COPPER, "BUY", "OPEN")
    assert (order["status"], order["last_msg"]) == ("FINISHED", "CTP:合约已到期,不允许交易")
    run.until(datetime(2026, 11, 18, 10, 0))
    assert run.timeline.trading_day == date(2026, 11, 18)
    assert run.insert(COPPER, "BUY", "OPEN")["last_msg"] == "CTP:合约已到期,不允许交易"


def test_an_order_in_a_contract_not_listed_yet_does_not_stop_the_days() -> None:
    run = Run(date(2026, 9, 24))
    young = "CFFEX.T2709"
    assert run.floor.market.instruments[young].listed == date(2026, 9, 28)
    run.until(datetime(2026, 9, 24, 10, 0))
    assert run.insert(young, "BUY", "OPEN")["last_msg"] == "CTP:找不到合约"
    run.until(datetime(2026, 9, 28, 10, 0))
    assert run.timeline.trading_day == date(2026, 9, 28)
    assert run.insert(young, "BUY", "OPEN")["last_msg"] != "CTP:找不到合约"


def test_lots_held_over_the_last_day_end_at_its_settlement_price(run: Run) -> None:
    run.until(datetime(2026, 11, 16, 10, 0))
    run.insert(COPPER, "BUY", "OPEN")
    run.insert("SHFE.cu2612", "SELL", "OPEN")
    [paid] = [t for t in run.trade["trades"].values() if t["instrument_id"] == "cu2611"]
    others = [t for t in run.trade["trades"].values() if t["instrument_id"] == "cu2612"]
    run.until(datetime(2026, 11, 16, 15, 20))
    assert run.trade["positions"][COPPER]["volume_long"] == 1
    run.floor.take_news()
    run.until(datetime(2026, 11, 16, 16, 0))
    assert run.trade["positions"][COPPER]["volume_long"] == 0
    parcels = [parcel for _, parcels in run.floor.take_news() for parcel in parcels]
    news = [diff for parcel in parcels for diff in parcel.diffs]
    told = {k: v for diff in news for k, v in diff["trade"]["u"].get("positions", {}).items()}
    assert (told[COPPER]["volume_long"], told[COPPER]["margin"]) == (0, 0)
    assert told["SHFE.cu2612"]["volume_short"] == 1
    market = run.floor.market
    profit = (market.day(COPPER, LAST).settlement - paid["price"]) * 5
    profit -= (market.day("SHFE.cu2612", LAST).settlement - others[0]["price"]) * 5
    fees = sum(trade["commission"] for trade in [paid, *others])
    account = run.trade["accounts"]["CNY"]
    assert account["balance"] == pytest.approx(10_000_000 + profit - fees, abs=1e-6)
    assert account["margin"] == run.trade["positions"]["SHFE.cu2612"]["margin"]
    run.until(datetime(2026, 11, 17, 16, 0))
    assert run.timeline.trading_day == date(2026, 11, 18)
    assert set(run.trade["positions"]) == {"SHFE.cu2612"}


@pytest.mark.parametrize(
    ("symbol", "last"),
    [
        ("CFFEX.IF2611", date(2026, 11, 20)),
        ("SHFE.cu2612C78000", date(2026, 11, 24)),
        ("DCE.m2611", date(2026, 11, 13)),
    ],
)
def test_others_end_the_same_way(symbol: str, last: date) -> None:
    run = Run(last, days=3)
    run.md.receive({"aid": "subscribe_quote", "ins_list": symbol})
    assert run.until(datetime.combine(last, datetime.min.time().replace(hour=14))) > 5
    assert not run.expired(symbol)
    run.until(datetime.combine(last, datetime.min.time().replace(hour=16)))
    assert run.expired(symbol)
    assert run.until(from_ns(run.timeline.end_ns)) == 0
    assert run.insert(symbol, "BUY", "OPEN")["status"] == "FINISHED"


def test_the_main_contract_goes_on() -> None:
    run = Run(date(2026, 12, 11), days=3)  # the last day of CFFEX.T2612
    run.md.receive({"aid": "subscribe_quote", "ins_list": "KQ.m@CFFEX.T"})
    run.until(datetime(2026, 12, 14, 10, 0))
    assert run.floor.main_contract("KQ.m@CFFEX.T") == "CFFEX.T2703"
    assert run.timeline.cursor("KQ.m@CFFEX.T").day.trading_day == date(2026, 12, 14)
