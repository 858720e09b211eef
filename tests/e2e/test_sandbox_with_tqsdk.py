"""The real TqApi against the embedded exchange, over real sockets.

The exchange runs as fast as the client: every ``wait_update`` makes a market step, so no test waits
for real time.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tqsdk import TqAccount, TqApi, TqAuth, TqKq, TqSim

from tianqin_backtrader.core.clock import from_ns, to_ns
from tianqin_backtrader.errors import SandboxError
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

CU = "SHFE.cu2612"
END_CODE = 2026112101

Connect = Callable[..., Any]


@pytest.fixture
def sandbox() -> Iterator[EmbeddedSandbox]:
    # This counter shows the exchange's own books and messages at once.
    with EmbeddedSandbox(start="2026-11-10", counter="plain", ticks_per_pack=4) as exchange:
        yield exchange


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    opened: list[Any] = []
    # tqsdk and websockets log every pack, and pytest would keep all records.
    monkeypatch.setattr(logging.root.manager, "disable", logging.WARNING)

    def make(exchange: EmbeddedSandbox, account: Any = None, user: str = "u:p") -> Any:
        for name, value in exchange.urls.items():
            monkeypatch.setenv(name, value)
        api = TqApi(
            TqKq() if account is None else account,
            auth=TqAuth(*user.split(":")),
            debug=False,
            disable_print=True,
        )
        opened.append(api)
        return api

    yield make
    for api in opened:
        api.close()


def run_to(api: Any, moment: str) -> None:
    """Let the market run to a time of its own."""
    wanted = to_ns(datetime.fromisoformat(moment))
    while api._data["_tqsdk_backtest"]["current_dt"] < wanted:
        assert api.wait_update(time.time() + 10)


def finish(api: Any, order: Any) -> Any:
    """Wait until an order is done."""
    while order.status != "FINISHED":
        assert api.wait_update(time.time() + 10)
    return order


def user_of(sandbox: EmbeddedSandbox) -> dict[str, Any]:
    accounts = sandbox.state()["accounts"]
    assert len(accounts) == 1
    account: dict[str, Any] = next(iter(accounts.values()))
    return account


@pytest.mark.parametrize("make", [TqKq, TqSim, lambda: TqAccount("H海通期货", "022631", "x")])
def test_every_kind_of_account_connects_and_sees_a_quote(
    sandbox: EmbeddedSandbox, connect: Connect, make: Callable[[], Any]
) -> None:
    api = connect(sandbox, make())
    quote = api.get_quote(CU)
    assert quote.price_tick == 10 and quote.volume_multiple == 5
    assert quote.expire_rest_days == 36  # by the market's date, not the machine's
    assert api.get_account().balance > 0


def test_a_quote_before_the_days_first_tick_is_yesterdays_settled_one(
    sandbox: EmbeddedSandbox, connect: Connect
) -> None:
    api = connect(sandbox)
    quote = api.get_quote(CU)
    assert quote.datetime.startswith("2026-11-09 14:59:59")
    assert quote.settlement == quote.settlement
    settlement = quote.settlement
    run_to(api, "2026-11-09 21:00:01")
    assert quote.datetime.startswith("2026-11-09 2")
    assert quote.pre_settlement == settlement
    assert quote.settlement != quote.settlement
    assert quote.lower_limit < quote.bid_price1 < quote.ask_price1 < quote.upper_limit


def test_ten_thousand_minute_bars_equal_the_official_ones(
    sandbox: EmbeddedSandbox, connect: Connect
) -> None:
    api = connect(sandbox)
    bars = api.get_kline_serial(CU, 60, 10000)
    last = int(bars.id.iloc[-1])
    known = bars[bars.datetime > 0]
    assert len(known) == min(10000, last + 1)
    assert known.id.tolist() == list(range(last - len(known) + 1, last + 1))
    official = sandbox.bars(CU, 60, left=last - 99, right=last)
    for row, (_, mine) in zip(official, known.iloc[-100:].iterrows(), strict=True):
        assert row["id"] == mine.id and row["datetime"] == mine.datetime
        assert [row[key] for key in ("open", "high", "low", "close", "volume", "close_oi")] == [
            mine.open,
            mine.high,
            mine.low,
            mine.close,
            mine.volume,
            mine.close_oi,
        ]


@pytest.mark.parametrize("seconds", [300, 3600, 86400])
def test_longer_bars_come_and_the_running_one_moves(
    sandbox: EmbeddedSandbox, connect: Connect, seconds: int
) -> None:
    api = connect(sandbox)
    bars = api.get_kline_serial(CU, seconds, 20)
    run_to(api, "2026-11-09 21:07:00")
    official = sandbox.bars(CU, seconds)[-1]
    assert bars.id.iloc[-1] == official["id"]
    assert bars.close.iloc[-1] == official["close"]
    assert bars.volume.iloc[-1] == official["volume"]


def test_every_tick_of_a_night_is_seen_exactly_once(
    sandbox: EmbeddedSandbox, connect: Connect
) -> None:
    api = connect(sandbox)
    symbol = "DCE.m2701"
    ticks = api.get_tick_serial(symbol, 20)
    seen = int(ticks.id.iloc[-1])
    first = seen + 1
    found: list[int] = []
    while api._data["_tqsdk_backtest"]["current_dt"] < to_ns(datetime(2026, 11, 9, 21, 30)):
        api.wait_update()
        for tick_id in range(seen + 1, int(ticks.id.iloc[-1]) + 1):
            found.append(api._data["ticks"][symbol]["data"][str(tick_id)]["datetime"])
        seen = max(seen, int(ticks.id.iloc[-1]))
    official = sandbox.ticks(symbol, left=first, right=seen)
    assert found == [row["datetime"] for row in official]
    assert [row["id"] for row in official] == list(range(first, seen + 1))
    assert found == sorted(set(found)) and len(found) > 1000


def test_bars_of_two_symbols_are_aligned(sandbox: EmbeddedSandbox, connect: Connect) -> None:
    api = connect(sandbox)
    bars = api.get_kline_serial([CU, "SHFE.au2612"], 60, 50)
    run_to(api, "2026-11-09 21:10:00")
    assert len(bars) == 50
    last = bars.iloc[-1]
    assert from_ns(int(last.datetime)).hour == 21
    mine = sandbox.bars(CU, 60, left=int(last.id), right=int(last.id))[0]
    theirs = sandbox.bars("SHFE.au2612", 60, left=int(last.id1), right=int(last.id1))[0]
    assert mine["datetime"] == theirs["datetime"] == last.datetime
    assert theirs["close"] == last.close1


def test_instruments_can_be_queried(sandbox: EmbeddedSandbox, connect: Connect) -> None:
    api = connect(sandbox)
    futures = api.query_quotes(ins_class="FUTURE", exchange_id="SHFE", expired=False)
    assert CU in futures and all(name.startswith("SHFE.") for name in futures)
    main = api.query_cont_quotes(exchange_id="SHFE", product_id="cu")
    assert len(main) == 1 and main[0] in futures
    assert api.query_quotes(ins_class="CONT", product_id="cu") == ["KQ.m@SHFE.cu"]
    by_day = api.query_cont_quotes(has_night=False)
    assert by_day and {name[:7] for name in by_day if name.startswith("SHFE")} == {"SHFE.wr"}
    info = api.query_symbol_info([CU, "DCE.m2701"])
    assert info.price_tick.tolist() == [10, 1]
    assert api.get_quote("KQ.m@SHFE.cu").underlying_symbol in futures
    assert api.query_quotes(product_id="no such product") == []


def test_an_expired_contract_has_its_past_and_no_future(
    sandbox: EmbeddedSandbox, connect: Connect
) -> None:
    api = connect(sandbox)
    gone = api.query_quotes(ins_class="FUTURE", exchange_id="SHFE", product_id="cu", expired=True)
    quote = api.get_quote(gone[-1])
    assert quote.expired and quote.expire_rest_days < 0
    bars = api.get_kline_serial(gone[-1], 86400, 5)
    assert bars.close.iloc[-1] > 0


def test_an_order_is_filled_and_the_books_agree(sandbox: EmbeddedSandbox, connect: Connect) -> None:
    api = connect(sandbox)
    quote, account, position = api.get_quote(CU), api.get_account(), api.get_position(CU)
    run_to(api, "2026-11-09 21:00:10")
    order = finish(api, api.insert_order(CU, "BUY", "OPEN", 1, quote.upper_limit))
    assert order.last_msg == "全部成交" and not order.is_error
    assert position.pos_long_today == 1 and account.commission > 0
    trade = next(iter(order.trade_records.values()))
    assert quote.bid_price1 <= trade.price <= quote.upper_limit
    run_to(api, "2026-11-09 21:02:00")
    order = finish(api, api.insert_order(CU, "SELL", "CLOSETODAY", 1, quote.lower_limit))
    assert order.volume_left == 0 and position.pos_long == 0
    books = user_of(sandbox)
    assert books["balance"] == account.balance
    assert books["available"] == account.available == account.balance
    assert len(books["trades"]) == 2


def test_a_resting_order_waits_and_can_be_withdrawn(
    sandbox: EmbeddedSandbox, connect: Connect
) -> None:
    api = connect(sandbox)
    quote = api.get_quote(CU)
    run_to(api, "2026-11-09 21:00:10")
    order = api.insert_order(CU, "BUY", "OPEN", 2, quote.lower_limit)
    run_to(api, "2026-11-09 21:00:20")
    assert order.status == "ALIVE" and order.is_online
    assert api.get_account().frozen_margin > 0
    api.cancel_order(order)
    finish(api, order)
    assert order.volume_left == 2 and not order.is_error
    assert api.get_account().frozen_margin == 0


def test_a_bad_order_is_rejected_with_the_exchanges_words(
    sandbox: EmbeddedSandbox, connect: Connect
) -> None:
    api = connect(sandbox)
    quote = api.get_quote(CU)
    run_to(api, "2026-11-09 21:00:10")
    order = finish(api, api.insert_order(CU, "BUY", "OPEN", 1, quote.upper_limit + 10))
    assert order.is_error and "涨停" in order.last_msg
    order = finish(api, api.insert_order(CU, "SELL", "CLOSE", 1, quote.last_price))
    assert order.is_error
    sandbox.fault("reject_order", message="CTP:没有报单交易权限")
    order = finish(api, api.insert_order(CU, "BUY", "OPEN", 1, quote.last_price))
    assert order.is_error and order.last_msg == "CTP:没有报单交易权限"


def test_tqsim_trades_by_the_markets_time(sandbox: EmbeddedSandbox, connect: Connect) -> None:
    api = connect(sandbox, TqSim())
    quote = api.get_quote(CU)
    run_to(api, "2026-11-09 21:00:10")
    order = finish(api, api.insert_order(CU, "BUY", "OPEN", 1, quote.upper_limit))
    assert order.volume_left == 0
    assert str(from_ns(order.insert_date_time)).startswith("2026-11-09 21:00")


def trade_by_averages(exchange: EmbeddedSandbox, connect: Connect) -> list[Any]:
    """Run a small program; return its fills."""
    api = connect(exchange)
    bars, ticks = api.get_kline_serial(CU, 60, 30), api.get_tick_serial(CU, 10)
    quote = api.get_quote(CU)
    orders: list[Any] = []
    side = 0
    while api._data["_tqsdk_backtest"]["current_dt"] < to_ns(datetime(2026, 11, 9, 21, 12)):
        api.wait_update()
        want = 1 if ticks.last_price.iloc[-1] > bars.close.iloc[-6:-1].mean() else -1
        alive = any(order.status == "ALIVE" for order in orders)
        if want == side or alive or quote.datetime < "2026-11-09 21:00:01":
            continue
        price = quote.ask_price1 if want > 0 else quote.bid_price1
        direction = "BUY" if want > 0 else "SELL"
        if side:
            orders.append(api.insert_order(CU, direction, "CLOSETODAY", 1, price))
        orders.append(api.insert_order(CU, direction, "OPEN", 1, price))
        side = want
    trades = user_of(exchange)["trades"].values()
    fills = [(t["trade_date_time"], t["direction"], t["offset"], t["price"]) for t in trades]
    api.close()
    return [len(orders), sorted(fills)]


def test_the_same_program_meets_the_same_market_twice(connect: Connect) -> None:
    runs = []
    for _ in range(2):
        with EmbeddedSandbox(start="2026-11-10", seed=5) as exchange:
            runs.append(trade_by_averages(exchange, connect))
    assert runs[0] == runs[1]
    assert runs[0][0] > 5


def test_the_clock_passes_into_a_break(connect: Connect) -> None:
    with EmbeddedSandbox(start="2026-11-10") as exchange:  # it advances with each of its steps
        api = connect(exchange)
        quote = api.get_quote(CU)
        exchange.advance(to="2026-11-10 10:14:50")
        moments: list[int] = []
        while not moments or moments[-1] < to_ns(datetime(2026, 11, 10, 10, 30)):
            api.wait_update()
            moments.append(api._data["_tqsdk_backtest"]["current_dt"])
        assert to_ns(datetime(2026, 11, 10, 10, 15, 1)) in moments
        assert quote.datetime >= "2026-11-10 10:30:00"


def test_the_day_ends_with_settlement_and_a_notice(connect: Connect) -> None:
    with EmbeddedSandbox(start="2026-11-10", days=2) as exchange:
        api = connect(exchange)
        quote, position = api.get_quote(CU), api.get_position(CU)
        run_to(api, "2026-11-09 21:00:10")
        finish(api, api.insert_order(CU, "BUY", "OPEN", 1, quote.upper_limit))
        resting = api.insert_order(CU, "BUY", "OPEN", 1, quote.lower_limit)
        run_to(api, "2026-11-09 21:00:20")
        assert resting.status == "ALIVE"
        exchange.advance(to="2026-11-10 14:59:50")
        run_to(api, "2026-11-10 15:00:01")
        finish(api, resting)
        assert resting.volume_left == 1
        run_to(api, "2026-11-10 15:30:00")
        settlement = quote.settlement
        while position.pos_long_his != 1:
            assert api.wait_update(time.time() + 10)
        assert position.position_price_long == settlement
        assert exchange.state()["trading_day"] == "2026-11-11"
        run_to(api, "2026-11-10 21:00:01")
        assert quote.pre_settlement == settlement
        exchange.advance(to="2026-11-11 15:00:00")
        codes: set[int] = set()
        while END_CODE not in codes:
            assert api.wait_update(time.time() + 10)
            codes = {note["code"] for note in api._data["notify"].values() if "code" in note}
        assert exchange.state()["phase"] == "finished"


# A TqApi that fails to start leaves its event loop and sockets open; this is tqsdk's bug.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_wrong_password_is_refused_by_the_first_request(connect: Connect) -> None:
    with EmbeddedSandbox(users={"u": "right"}) as exchange:
        with pytest.raises(Exception, match="Invalid user credentials"):
            connect(exchange, user="u:wrong")
        connect(exchange, user="u:right")


def test_a_clean_close_of_md_is_reconnected_without_a_word(
    sandbox: EmbeddedSandbox, connect: Connect
) -> None:
    api = connect(sandbox)
    api.get_quote(CU)
    sandbox.fault("drop", conn="md", how="clean")
    notes: list[int] = []
    while notes.count(2019112901) < 3:  # md, td, and md again
        assert api.wait_update(time.time() + 10)
        notes = [note["code"] for note in api._data["notify"].values() if "code" in note]
    assert 2019112911 not in notes


@pytest.mark.slow
def test_an_abrupt_drop_of_md_is_mended_with_nothing_missing(
    sandbox: EmbeddedSandbox, connect: Connect
) -> None:
    api = connect(sandbox)
    symbol = CU
    quote, ticks = api.get_quote(symbol), api.get_tick_serial(symbol, 500)
    bars = api.get_kline_serial(symbol, 60, 100)
    run_to(api, "2026-11-09 21:05:00")
    before = int(ticks.id.iloc[-1])
    sandbox.fault("fill_away", conn="md", seconds=60)
    notes: list[int] = []
    deadline = time.time() + 60
    while 2019112902 not in notes and time.time() < deadline:
        api.wait_update(time.time() + 1)
        notes = [note["code"] for note in api._data["notify"].values() if "code" in note]
    for _ in range(20):
        api.wait_update(time.time() + 10)
    data = api._data["ticks"][symbol]["data"]
    assert all(str(tick_id) in data for tick_id in range(before, int(ticks.id.iloc[-1]) + 1))
    assert quote.datetime > "2026-11-09 21:06:00"
    official = sandbox.bars(symbol, 60)[-1]
    assert bars.id.iloc[-1] == official["id"] and bars.close.iloc[-1] == official["close"]


def is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().split()[2] != "Z"


def test_nothing_is_left_behind_after_close() -> None:
    before = dict(os.environ)
    exchange = EmbeddedSandbox()
    assert exchange.running and dict(os.environ) == before
    exchange.close()
    exchange.close()
    assert not exchange.running
    with pytest.raises(SandboxError, match="has ended"):
        exchange.state()


def test_the_exchange_ends_when_its_parent_is_killed() -> None:
    program = (
        "import os, signal, sys\n"
        "from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox\n"
        "exchange = EmbeddedSandbox()\n"
        "sys.stdout.write(f'{exchange.pid}\\n'); sys.stdout.flush()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    pid = int(done.stdout)
    deadline = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(pid)


def test_a_taken_port_is_said_clearly(sandbox: EmbeddedSandbox) -> None:
    with pytest.raises(SandboxError, match="cannot be used"):
        EmbeddedSandbox(port=sandbox.port)


def test_a_wrong_fault_is_refused_with_what_there_is(sandbox: EmbeddedSandbox) -> None:
    with pytest.raises(SandboxError, match="the faults are advance"):
        sandbox.fault("meteor")


def test_two_clients_share_the_market_and_have_their_own_books(
    sandbox: EmbeddedSandbox, connect: Connect
) -> None:
    with closing(connect(sandbox)) as first:
        first_quote = first.get_quote(CU)
        run_to(first, "2026-11-09 21:00:10")
        finish(first, first.insert_order(CU, "BUY", "OPEN", 1, first_quote.upper_limit))
    second = connect(sandbox, user="other:p")
    assert second.get_position(CU).pos_long == 0
    second_quote = second.get_quote(CU)
    # The market may have made a step for the first client before it was closed.
    assert second_quote.datetime >= first_quote.datetime
    official = {
        f"{from_ns(row['datetime'])}"[:19] + f"/{row['volume']}": row["last_price"]
        for row in sandbox.ticks(CU, trading_day="2026-11-10")
    }
    for quote in (first_quote, second_quote):
        assert official[f"{quote.datetime[:19]}/{quote.volume}"] == quote.last_price


def test_a_batch_comes_in_one_pack_with_every_tick(
    sandbox: EmbeddedSandbox, connect: Connect
) -> None:
    api = connect(sandbox)
    ticks = api.get_tick_serial(CU, 50)
    run_to(api, "2026-11-09 21:00:10")
    before = int(ticks.id.iloc[-1])
    sandbox.fault("batch", steps=10)
    assert api.wait_update(time.time() + 10)
    assert int(ticks.id.iloc[-1]) == before + 10
    assert all(str(int(tick_id)) in api._data["ticks"][CU]["data"] for tick_id in ticks.id)
    assert sandbox.state()["faults"]["counts"] == {"batch": 1}


def test_a_pack_that_comes_twice_changes_nothing(
    sandbox: EmbeddedSandbox, connect: Connect
) -> None:
    api = connect(sandbox)
    ticks = api.get_tick_serial(CU, 50)
    run_to(api, "2026-11-09 21:00:10")
    for _ in range(5):
        sandbox.fault("repeat", conn="all")
        assert api.wait_update(time.time() + 10)
    official = sandbox.ticks(CU, left=int(ticks.id.iloc[0]), right=int(ticks.id.iloc[-1]))
    assert ticks.last_price.tolist() == [row["last_price"] for row in official]


def test_a_frozen_connection_is_silent_until_it_thaws(
    sandbox: EmbeddedSandbox, connect: Connect
) -> None:
    api = connect(sandbox)
    quote = api.get_quote(CU)
    run_to(api, "2026-11-09 21:00:10")
    assert sandbox.fault("freeze", conn="md") == {"connections": 1}
    for _ in range(3):
        heard = api.wait_update(time.time() + 0.1)
    assert not heard
    before = quote.datetime
    sandbox.fault("thaw")
    while quote.datetime == before:
        assert api.wait_update(time.time() + 10)


def test_packs_can_be_delayed(sandbox: EmbeddedSandbox, connect: Connect) -> None:
    api = connect(sandbox)
    api.get_quote(CU)
    run_to(api, "2026-11-09 21:00:10")
    sandbox.fault("delay", conn="md", seconds=0.1)
    api.wait_update(time.time() + 10)
    began = time.monotonic()
    for _ in range(3):
        assert api.wait_update(time.time() + 10)
    assert time.monotonic() - began >= 0.25


def test_a_script_has_its_faults_when_their_moment_comes(connect: Connect) -> None:
    script: list[dict[str, Any]] = [
        {"at": {"time": "2026-11-09 21:01:00"}, "fault": "reject_order", "message": "CTP:不行"},
        {"at": {"step": 1}, "fault": "delay", "seconds": 0},
    ]
    with EmbeddedSandbox(start="2026-11-10", script=script) as exchange:
        api = connect(exchange)
        quote = api.get_quote(CU)
        run_to(api, "2026-11-09 21:00:10")
        order = finish(api, api.insert_order(CU, "BUY", "OPEN", 1, quote.upper_limit))
        assert order.volume_left == 0
        run_to(api, "2026-11-09 21:01:01")
        order = finish(api, api.insert_order(CU, "BUY", "OPEN", 1, quote.upper_limit))
        assert order.is_error and order.last_msg == "CTP:不行"
        faults = exchange.state()["faults"]
        assert faults["counts"] == {"delay": 1, "reject_order": 1} and faults["planned"] == 0


def test_a_script_that_is_not_understood_is_refused_at_the_start() -> None:
    with pytest.raises(SandboxError, match="entry 0 of the script"):
        EmbeddedSandbox(script=[{"at": {"step": 1}, "fault": "meteor"}])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_token_can_be_refused_once(sandbox: EmbeddedSandbox, connect: Connect) -> None:
    sandbox.fault("refuse_token")
    with pytest.raises(Exception, match="401"):
        connect(sandbox)
    assert connect(sandbox).get_account().balance == 1_000_000


def test_orders_withdrawn_while_trading_is_away_are_on_the_books(
    sandbox: EmbeddedSandbox, connect: Connect
) -> None:
    api = connect(sandbox)
    quote = api.get_quote(CU)
    run_to(api, "2026-11-09 21:00:10")
    order = api.insert_order(CU, "BUY", "OPEN", 1, quote.lower_limit)
    while not order.is_online:
        assert api.wait_update(time.time() + 10)
    assert sandbox.fault("cancel_away") == {"orders": 1}
    books = user_of(sandbox)
    assert [one["status"] for one in books["orders"].values()] == ["FINISHED"]
    assert order.status == "ALIVE"  # the client has no report of it


def test_the_market_goes_by_itself_at_a_given_speed(connect: Connect) -> None:
    began = time.monotonic()
    with EmbeddedSandbox(start="2026-11-10 09:30:00", speed=100) as exchange:
        api = connect(exchange)
        quote = api.get_quote(CU)
        ticks = api.get_tick_serial(CU, 200)
        run_to(api, "2026-11-10 09:31:00")
        assert time.monotonic() - began > 0.6
        assert quote.datetime >= "2026-11-10 09:30:58"
        data = api._data["ticks"][CU]["data"]
        assert all(str(int(tick_id)) in data for tick_id in ticks.id)


def test_rows_of_a_trading_day_can_be_asked_of_the_exchange(sandbox: EmbeddedSandbox) -> None:
    bars = sandbox.bars(CU, 60, trading_day="2026-11-09")
    assert len(bars) == 465  # 240 minutes of night and 225 of day
    assert str(from_ns(bars[0]["datetime"])) == "2026-11-06 21:00:00"
    [day] = sandbox.bars(CU, 86400, trading_day="2026-11-09")
    assert day["volume"] == sum(bar["volume"] for bar in bars)
    assert day["close"] == bars[-1]["close"] and day["open"] == bars[0]["open"]
    ticks = sandbox.ticks(CU, trading_day="2026-11-09")
    assert ticks[-1]["volume"] == day["volume"]
    with pytest.raises(SandboxError, match="no symbol"):
        sandbox.bars("SHFE.xx2612")


@pytest.mark.slow
def test_an_order_withdrawn_while_away_is_seen_after_the_reconnect(
    sandbox: EmbeddedSandbox, connect: Connect
) -> None:
    api = connect(sandbox)
    quote = api.get_quote(CU)
    run_to(api, "2026-11-09 21:00:10")
    order = api.insert_order(CU, "BUY", "OPEN", 1, quote.lower_limit)
    while not order.is_online:
        assert api.wait_update(time.time() + 10)
    sandbox.fault("delay", conn="md", seconds=0.1)  # the day must not end before the fault
    sandbox.fault("cancel_away")
    deadline = time.time() + 60
    while order.status == "ALIVE" and time.time() < deadline:
        api.wait_update(time.time() + 1)
    assert order.status == "FINISHED" and order.volume_left == 1
