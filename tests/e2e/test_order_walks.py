"""Random walks of orders over a market that refuses, withdraws and drops the link.

After every step our books are the exchange's; no order is sent twice, none is lost, and every
order is told to its end. A failure names its seed.
"""

import random

import backtrader as bt
import pytest
from e2e_script import CU, MORNING, exchange_orders, play

from tianqin_backtrader.clock import monotonic
from tianqin_backtrader.model import Offset

COUNTER = "ctp"

M = "DCE.m2701"
ENDS = {"Completed", "Canceled", "Expired", "Margin", "Rejected"}


def compare(strategy, symbols):
    """Where nothing is under way, every figure of ours is the exchange's."""
    broker = strategy.broker
    assert broker.risk_state == "ACTIVE", broker.risk.reason  # no difference was found
    for symbol in symbols:
        account = broker.get_account_position(symbol)
        for side, sign in (("long", 1), ("short", -1)):
            held = broker.getposition(symbol, side=side).size * sign
            assert held == account.get(f"pos_{side}", 0), (symbol, side)
        net = account.get("pos_long", 0) - account.get("pos_short", 0)
        assert broker.getposition(symbol).size == net
    # The account's picture is marked once a minute only: marks and equity are the exchange's own.
    [account] = broker.store.sandbox_server.state()["accounts"].values()
    if len(account["trades"]) == broker.books.fills:  # else the client has not seen all of it
        marks = {name: one["last_price"] for name, one in account["positions"].items()}
        balance = broker.books.balance(marks)
        told = account["balance"] + account["account"]["commission"]  # before fees
        assert balance.equity + balance.fees == pytest.approx(told, abs=0.005)


def fees_are_the_exchanges(broker):
    """A counter's trades name no fee: the books take it from the account, seconds later."""
    [account] = broker.store.sandbox_server.state()["accounts"].values()
    return broker.books.fees == pytest.approx(account["account"]["commission"], abs=0.005)


def told_to_the_end(strategy, order):
    path = strategy.path(order)
    ends = [word for word in path if word in ENDS]
    assert ends == path[-1:], path
    assert path.count("Submitted") <= 1 and path.count("Accepted") <= 1
    assert path == sorted(path, key=bt.Order.Status.index), path


def some_order(rng, strategy):
    """Orders of one kind, and those of them that are placed to close."""
    broker, data = strategy.broker, rng.choice(strategy.datas)
    symbol, lots = data._dataname, rng.randint(1, 4)
    tick = 10 if symbol == CU else 1
    price = data.close[0] + tick * rng.randint(-6, 6)
    kind = rng.randrange(7)
    if kind < 3:
        action = rng.choice(["buy_open", "sell_open", "buy_close", "sell_close"])
        advanced = rng.choice([None, "FAK", "FOK"])
        limit = rng.choice([None, price])
        partial = rng.random() < 0.3
        order = getattr(broker, action)(
            symbol, lots, limit, advanced=advanced, allow_partial=partial
        )
        return [order], [order] if action.endswith("close") else []
    side = rng.choice(["buy", "sell"])
    trade = getattr(strategy, side)
    if kind == 3:
        return [trade(data=data, size=lots)], []
    if kind == 4:
        return [trade(data=data, size=lots, exectype=bt.Order.Limit, price=price)], []
    if kind == 5:
        return [trade(data=data, size=lots, exectype=bt.Order.Stop, price=price)], []
    sign = 1 if side == "buy" else -1
    bracket = getattr(strategy, f"{side}_bracket")
    parent, *children = bracket(
        data=data, size=lots, price=price, stopprice=price - sign * 5 * tick,
        limitprice=price + sign * 5 * tick,
    )  # fmt: skip
    return [parent, *children], children


FAULTS = {
    "reject": lambda server: server.fault("reject_order", count=1),
    "drop td": lambda server: server.fault("drop", conn="td"),
    "drop all": lambda server: server.fault("drop", conn="all"),
    "repeat": lambda server: server.fault("repeat", conn="all"),
    "clean": lambda server: server.fault("drop", conn="td", how="clean"),
}


def never_opens(order):
    """What was placed to close has not opened."""
    assert all(leg.offset is not Offset.OPEN for leg in order.legs), order.info


def walk(sandbox, run, seed, *, steps, drops, query_seconds=0.15):
    rng = random.Random(seed)
    faults = list(FAULTS) if drops else ["reject"]

    def script(strategy):
        broker, orders, exits = strategy.broker, [], []
        for _ in range(steps):
            for _ in range(rng.randint(0, 3)):
                placed, closing = some_order(rng, strategy)
                orders += placed
                exits += closing
            alive = [one for one in orders if one.alive()]
            if alive and rng.random() < 0.4:
                broker.cancel(rng.choice(alive))
            if rng.random() < (0.08 if drops else 0.2):
                FAULTS[rng.choice(faults)](broker.store.sandbox_server)
            yield None
            if broker.store.trading_up and not any(
                leg.state in ("SUBMITTED", "UNKNOWN", "FINISHING")
                for one in orders
                for leg in one.legs
            ):
                compare(strategy, (CU, M))
        broker.cancel_all()
        # The market runs ahead of the machine's clock, by which a dead link is found out.
        patience = monotonic() + 60
        while any(one.alive() for one in orders) and monotonic() < patience:
            broker.store.pump(0.02)
        yield None
        compare(strategy, (CU, M))
        while not fees_are_the_exchanges(broker) and monotonic() < patience:
            broker.store.pump(0.02)
        assert fees_are_the_exchanges(broker)
        for one in orders:
            told_to_the_end(strategy, one)
        for one in exits:
            never_opens(one)
        at_exchange = exchange_orders(broker.store)
        sent = [leg for one in orders for leg in one.legs if leg.exchange_order_id]
        assert {leg.order_id for leg in sent} >= {
            name for name, one in at_exchange.items() if one["exchange_order_id"]
        }
        assert broker.foreign_orders == {}
        for leg in sent:
            seen = at_exchange[leg.order_id]
            assert leg.filled == seen["volume_orign"] - seen["volume_left"]
        done.append(len(orders))

    done = []
    options = {"seed": seed % 50 + 1, "query_seconds": query_seconds}
    store = sandbox(start=MORNING, balance=20_000_000.0, **options)
    play(store, run, script, CU, M)
    assert done, f"seed {seed}"


@pytest.mark.parametrize("seed", range(4))
def test_books_agree_after_every_step(sandbox, run, seed):
    walk(sandbox, run, seed, steps=40, drops=False)


@pytest.mark.parametrize("seed", range(100, 104))
def test_no_order_is_lost_or_doubled_over_drops(sandbox, run, seed):
    walk(sandbox, run, seed, steps=25, drops=True)


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("seed", range(1000, 2000))
def test_many_walks(sandbox, run, seed):
    old = 0.15 if seed % 4 < 2 else 2.0
    walk(sandbox, run, seed, steps=15, drops=seed % 2 == 0, query_seconds=old)
