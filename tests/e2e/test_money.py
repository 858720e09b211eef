"""Targets in money, fees, and trades by another hand: what strategies are told."""

import pytest
from e2e_script import CU, MORNING, M, exchange_orders, play

#: Every way from a long, a short and nothing to each of them, larger and smaller.
WALK = (-5, 5, -2, 2, 0, -2, -5, 0, 5, 2, -5, -2, 0, 2, 5, 0)
MAIN_CU = "KQ.m@SHFE.cu"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("symbol", [CU, MAIN_CU])
def test_a_target_in_money_is_reached_from_everywhere_and_said_again_changes_nothing(
    sandbox, run, symbol
):
    def script(strategy):
        broker, data = strategy.broker, strategy.data
        margin = broker.getcommissioninfo(data).get_margin(data.close[0])
        for lots in WALK:
            strategy.order_target_value(target=lots * margin)
            strategy.order_target_value(target=lots * margin)  # before anything is filled
            yield None
            yield None
            sent = len(exchange_orders(store))
            assert strategy.position.size == lots
            assert broker.getvalue([data]) == pytest.approx(lots * margin)
            strategy.order_target_value(target=lots * margin)
            yield None
            yield None
            assert (strategy.position.size, len(exchange_orders(store))) == (lots, sent)
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=5)
    play(store, run, script, symbol)
    assert done


def test_a_share_of_equity_is_the_same_share_short_and_long(sandbox, run):
    def script(strategy):
        yield None
        seen = []
        for share in (-0.2, -0.2, 0.2, 0.2, 0.0, 0.0, 0.2, -0.2):
            strategy.order_target_percent(target=share)
            yield None
            yield None
            seen.append(int(strategy.position.size))
        lots = int(0.2 * strategy.broker.getvalue() // store.instrument(CU).margin)
        assert lots > 1
        assert seen == [-lots, -lots, lots, lots, 0, 0, lots, -lots]
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=5)
    play(store, run, script, CU)
    assert done


# -- fees -------------------------------------------------------------------------------------


def account_of(store):
    [account] = store.sandbox_server.state()["accounts"].values()
    return account["account"]


@pytest.mark.parametrize("commission", ["zero", "dash", "absent"])
def test_fees_that_no_trade_names_are_the_accounts_in_the_end(sandbox, run, commission):
    """A futures company's way: strategies are told an estimate, the books are settled."""

    def script(strategy):
        copper, meal = strategy.datas
        fees = []
        for data, size in ((copper, 2), (meal, 9), (copper, -3), (meal, -4), (copper, 1)):
            order = strategy.buy(data, size) if size > 0 else strategy.sell(data, -size)
            yield order
            assert order.status == order.Completed
            expected = store.instrument(data._dataname).commission * abs(size)
            assert order.executed.comm == pytest.approx(expected, rel=0.5)
            fees.append(order.executed.comm)
        yield from (None,) * 3
        assert store.broker.books.fees == account_of(store)["commission"] > 0
        assert store.broker.balance().equity == pytest.approx(store.broker.getvalue(), abs=0.005)
        assert store.broker.books.fees == pytest.approx(sum(fees), rel=0.5)
        done.append(True)

    done = []
    store = sandbox(start=MORNING, counter="ctp", commission=commission, query_seconds=2.0)
    strategy = play(store, run, script, CU, M)
    assert done
    assert all(trade.commission > 0 for trade in strategy.trades)


def test_cheapest_learns_what_the_account_was_charged_and_no_0(sandbox, run):
    def script(strategy):
        paid = store.broker._account.fees.paid
        told = store.instrument(CU)
        yield strategy.buy(size=2)
        yield from (None,) * 2
        opening = account_of(store)["commission"]
        assert paid.of(told).open == opening / 2
        order = strategy.close()
        yield order
        assert order.executed.comm == pytest.approx(2 * told.commission)  # the 0 was none
        yield from (None,) * 2
        closing = account_of(store)["commission"] - opening
        assert paid.of(told).close_today == pytest.approx(closing / 2)
        assert closing > 1.9 * opening  # today's lots of copper cost twice as much
        done.append(True)

    done = []
    store = sandbox(start=MORNING, counter="ctp", commission="zero")
    store.getbroker(priority="cheapest")
    play(store, run, script, CU)
    assert done


def test_fees_over_a_settlement_and_a_night(sandbox, run):
    def script(strategy):
        yield strategy.buy(size=3)
        while strategy.data.datetime.datetime(0).hour < 21:
            yield None
        paid = store.broker.books.fees
        assert account_of(store)["commission"] == 0
        yield strategy.close()
        yield from (None,) * 3
        assert store.broker.books.fees - paid == pytest.approx(account_of(store)["commission"])
        assert store.broker.balance().equity == pytest.approx(store.broker.getvalue(), abs=0.005)
        done.append(True)

    done = []
    store = sandbox(start="2026-11-10 14:55:00", days=2, counter="ctp", ticks_per_pack=10)
    play(store, run, script, CU)
    assert done


# -- trades by another hand -------------------------------------------------------------------


def by_hand(strategy, size, symbol=M):
    """A trade that the program knows nothing of: an order put straight into the client."""
    store = strategy.broker.store
    net = store.broker.getposition(symbol).size
    closes = net * size < 0
    assert not closes or abs(size) <= abs(net)
    today = "CLOSETODAY" if symbol.startswith("SHFE") else "CLOSE"
    quote = store.tianqin.get_quote(symbol)
    price = quote.ask_price1 + 5 * quote.price_tick if size > 0 else (
        quote.bid_price1 - 5 * quote.price_tick)  # fmt: skip
    order = store.tianqin.insert_order(
        symbol, "BUY" if size > 0 else "SELL", today if closes else "OPEN", abs(size), price
    )
    while order.status == "ALIVE" or store.broker.getposition(symbol).size != net + size:
        store.pump(0.1)
    assert order.volume_left == 0


def round_trips(store, symbol):
    """Profits of all that was traded in a contract, from flat to flat, by the exchange's list."""
    [account] = store.sandbox_server.state()["accounts"].values()
    trades = sorted(
        (one for one in account["trades"].values()
         if f"{one['exchange_id']}.{one['instrument_id']}" == symbol),
        key=lambda one: one["seqno"] if "seqno" in one else one["trade_date_time"],
    )  # fmt: skip
    profits, lots, cash = [], 0, 0.0
    for one in trades:
        size = one["volume"] if one["direction"] == "BUY" else -one["volume"]
        lots, cash = lots + size, cash - size * one["price"]
        if not lots:
            profits.append(cash * store.instrument(symbol).volume_multiple)
            cash = 0.0
    return profits


def open_lots(strategy):
    """Lots of the trades that a strategy has open."""
    lists = (trades for by_id in strategy._trades.values() for trades in by_id.values())
    return sum(trade.size for trades in lists for trade in trades if trade.isopen)


HANDS = {
    "closes all": [("own", 4), ("hand", -4), ("own", 2), ("own", -2)],
    "closes a part": [("own", 4), ("hand", -1), ("own", -3), ("own", -1), ("own", 1)],
    "closes a short": [("own", -3), ("hand", 1), ("hand", 2), ("own", 1), ("own", -1)],
    "turns it": [("own", 4), ("hand", -4), ("hand", -3), ("own", 3)],
    "opens": [("hand", 2), ("own", -2), ("own", 1), ("own", -1)],
    "adds": [("own", 2), ("hand", 2), ("own", -4)],
    "opens what is reversed": [("hand", 2), ("own", -2), ("own", -3), ("hand", 3)],
}


@pytest.mark.parametrize("counter", ["plain", "kq", "ctp"])
@pytest.mark.parametrize("name", HANDS)
def test_trades_by_another_hand_are_in_the_trades_that_are_told(sandbox, run, name, counter):
    def script(strategy):
        yield None
        for who, size in HANDS[name]:
            if who == "hand":
                by_hand(strategy, size)
                yield None
            else:
                order = strategy.buy(size=size) if size > 0 else strategy.sell(size=-size)
                yield order
            assert open_lots(strategy) == strategy.position.size
        assert strategy.position.size == 0
        yield from (None,) * 2
        expected.extend(round_trips(store, M))

    expected = []
    store = sandbox(start=MORNING, counter=counter, ticks_per_pack=5)
    strategy = play(store, run, script, M)
    assert len(expected) >= 1
    assert [trade.pnl for trade in strategy.trades] == pytest.approx(expected)
    fees = sum(trade.commission for trade in strategy.trades)
    assert fees == pytest.approx(store.broker.books.fees, rel=0.5 if counter == "ctp" else 1e-9)
