"""A real broker's recorded orders and packs, sent to the real tqsdk and the library."""

import json
from pathlib import Path

import pytest
from e2e_script import CU, MORNING, Script
from sandbox_account import store_at
from td_relay import td_relay

from tianqin_backtrader.core.clock import monotonic
from tianqin_backtrader.core.model import OrderReport
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "recorded_trading"
ENDS = {"Completed", "Canceled", "Expired", "Margin", "Rejected"}
GROUPS = ("orders_2020_07_01", "orders_2021_09_29")
#: A gateway pads the exchange's numbers to this many characters.
WIDTH = 12


def recorded(name):
    path = RECORDED / name
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture
def relay():
    """A connection to a broker's counter that keeps our orders: the test answers them."""
    with EmbeddedSandbox(start=MORNING, counter="ctp") as box, td_relay(box.urls) as one:
        one.change_asked = lambda pack: {} if pack.get("aid") == "insert_order" else pack
        yield one


@pytest.fixture
def play(relay, run):
    """Run a script at the counter behind the relay."""

    def play(script):
        done = []

        def whole(strategy):
            yield from script(strategy)
            done.append(True)

        with store_at(relay.urls, "ctp") as store:
            strategy = run(store, Script, store.getdata(CU), script=whole)
        assert done
        return strategy

    return play


def until(strategy, true):
    """Process packs until a condition holds, then let the strategy be notified."""
    patience = monotonic() + 20
    while not true() and monotonic() < patience:
        strategy.broker.store.pump(0.05)
    assert true()
    yield None


def place(strategy, relay, row):
    """Place an order like the recorded one; it is sent, and has no answer yet."""
    make = strategy.broker.buy_open if row["direction"] == "BUY" else strategy.broker.sell_open
    before = len(sent(relay))
    order = make(CU, row["volume_orign"], strategy.data.close[0])
    yield from until(strategy, lambda: len(sent(relay)) > before)
    return order


def sent(relay):
    return [pack for pack in relay.asked if pack["aid"] == "insert_order"]


def as_ours(relay, row, leg):
    """Return a recorded order with our id and contract, and otherwise unchanged."""
    exchange_id, instrument_id = leg.symbol.split(".")
    ours = {
        "user_id": relay.user, "order_id": leg.order_id, "exchange_id": exchange_id,
        "instrument_id": instrument_id, "offset": str(leg.offset), "limit_price": leg.limit_price,
    }  # fmt: skip
    return {name: value for name, value in row.items() if name != "note"} | ours


def tell_trade(relay, leg, lots, number, held):
    """Send a trade like a gateway: seconds without a fraction, no fee, ``pos_*`` together with it.

    ``held`` are the account's lots of each side and is updated; its ``volume_*`` come later.
    """
    exchange_id, instrument_id = leg.symbol.split(".")
    contract = {"user_id": relay.user, "exchange_id": exchange_id, "instrument_id": instrument_id}
    padded = f"{number:>{WIDTH}}"
    trade = {
        **contract, "seqno": number, "trade_id": f"{leg.order_id}|{padded}",
        "order_id": leg.order_id, "exchange_trade_id": padded, "direction": str(leg.direction),
        "offset": str(leg.offset), "price": leg.limit_price, "volume": lots, "commission": 0.0,
        "trade_date_time": leg.sent_ns // 10**9 * 10**9,
    }  # fmt: skip
    held["long" if str(leg.direction) == "BUY" else "short"] += lots
    position = dict(contract)
    for side, today in held.items():
        position |= {f"pos_{side}_today": today, f"pos_{side}_his": 0, f"volume_{side}": 0}
        position |= {f"volume_{side}_{age}": 0 for age in ("today", "his")}
    relay.tell(trades={trade["trade_id"]: trade}, positions={leg.symbol: position})


def whole_pack(exchange, relay, row):
    """Return a recorded pack with an order of ours in it, and otherwise unchanged."""
    [difference] = exchange["received"]["data"]
    [branches] = difference["trade"].values()
    ours = branches | {"user_id": relay.user, "orders": {row["order_id"]: row}}
    return {"trade": {relay.user: ours}}


def recorded_row(exchange):
    [difference] = exchange["received"]["data"]
    [branches] = difference["trade"].values()
    [row] = branches["orders"].values()
    return row


def test_a_recorded_refusal_is_rejected_in_its_own_words(relay, play):
    refused, _ = recorded("broker_2020-08-12_order_packs.json")["exchanges"]
    row = recorded_row(refused)

    def script(strategy):
        order = yield from place(strategy, relay, row)
        [leg] = order.legs
        relay.send(whole_pack(refused, relay, as_ours(relay, row, leg)))
        yield from until(strategy, lambda: not order.alive())
        assert strategy.path(order) == ["Submitted", "Rejected"]
        assert order.info.reason == row["last_msg"] == "已撤单报单被拒绝12038"
        assert strategy.position.size == 0 and strategy.broker.risk_state == "ACTIVE"

    play(script)


def test_a_recorded_end_waits_for_its_trades_which_come_later(relay, play):
    """The order's end comes alone, without a trade, a position or an account."""
    _, filled = recorded("broker_2020-08-12_order_packs.json")["exchanges"]
    row = recorded_row(filled)

    def script(strategy):
        order = yield from place(strategy, relay, row)
        [leg] = order.legs
        pack = whole_pack(filled, relay, as_ours(relay, row, leg))
        relay.send(pack)
        yield from until(strategy, lambda: str(leg.state) == "FINISHING")
        assert strategy.path(order) == ["Submitted", "Accepted"] and order.alive()
        assert strategy.position.size == 0 and leg.open_lots == 3
        held = {"long": 0, "short": 0}
        tell_trade(relay, leg, 2, 71, held)
        yield from until(strategy, lambda: order.executed.size == 2)
        assert strategy.path(order) == ["Submitted", "Accepted", "Partial"]
        relay.send(pack)  # repeated, as after a reconnect
        tell_trade(relay, leg, 1, 8, held)
        yield from until(strategy, lambda: not order.alive())
        assert strategy.path(order) == ["Submitted", "Accepted", "Partial", "Completed"]
        assert strategy.position.size == order.executed.size == 3
        assert sorted(leg.fills) == sorted(
            f"{leg.order_id}|{number:>{WIDTH}}" for number in (8, 71)
        )
        assert strategy.broker.risk_state == "ACTIVE"

    play(script)


def end_of(row):
    """Return the expected notifications of a recorded order that ended without a trade."""
    if row["exchange_order_id"]:
        return ["Submitted", "Accepted", "Canceled"]
    return ["Submitted", "Margin" if "资金不足" in row["last_msg"] else "Rejected"]


@pytest.mark.parametrize("group", GROUPS)
def test_recorded_ends_of_orders_are_told_as_what_they_are(relay, play, group):
    """Filled, withdrawn, refused by the counter and by the exchange; numbers are padded."""
    rows = recorded("broker_2020_2021_orders.json")[group]

    def script(strategy):
        held = {"long": 0, "short": 0}
        for number, row in enumerate(rows, start=1):
            order = yield from place(strategy, relay, row)
            [leg] = order.legs
            relay.tell(orders={leg.order_id: as_ours(relay, row, leg)})
            if row["volume_left"]:
                yield from until(strategy, lambda order=order: not order.alive())
                assert strategy.path(order) == end_of(row), row
                assert order.info.reason == row["last_msg"]
            else:
                yield from until(strategy, lambda leg=leg: str(leg.state) == "FINISHING")
                assert order.alive()
                tell_trade(relay, leg, row["volume_orign"], number, held)
                yield from until(strategy, lambda order=order: not order.alive())
                assert strategy.path(order) == ["Submitted", "Accepted", "Completed"]
            assert leg.exchange_order_id == row["exchange_order_id"].strip()
        assert strategy.position.size == held["long"] - held["short"]
        for path in strategy.told.values():
            assert sum(word in ENDS for word in path) == 1
        assert strategy.broker.foreign_orders == {}

    play(script)


@pytest.mark.parametrize("group", GROUPS)
def test_recorded_orders_of_an_account_are_read_as_they_are(sandbox, tmp_path, group):
    """They have their own contracts and ids, in the snapshot after the login."""
    rows = recorded("broker_2020_2021_orders.json")[group]
    told = {
        row["order_id"]: {"user_id": "u"} | {k: v for k, v in row.items() if k != "note"}
        for row in rows
    }
    account_file = tmp_path / "account.json"
    account_file.write_text(json.dumps({"orders": told}), encoding="utf-8")
    store = sandbox(start=MORNING, counter="ctp", account_file=account_file)
    reports = [one for one in store.gateway.trading.all_reports() if isinstance(one, OrderReport)]
    assert {one.order_id for one in reports} == told.keys()
    for one in reports:
        row = told[one.order_id]
        names = ("status", "volume_orign", "volume_left", "limit_price", "last_msg")
        assert [getattr(one, name) for name in names] == [row[name] for name in names]
        assert (str(one.direction), str(one.offset)) == (row["direction"], row["offset"])
        assert one.exchange_order_id == row["exchange_order_id"].strip()
        assert one.symbol == f"{row['exchange_id']}.{row['instrument_id']}"
