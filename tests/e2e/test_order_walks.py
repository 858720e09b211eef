"""Random walks of orders over a market that refuses, withdraws and drops the link.

After every step the library's books equal the exchange's; no order is sent twice, none is lost, and
the end of every order is notified. Orders that close open nothing, the account stays within the
ordered lots, and lots that had a stop have one, or its loss is notified. A failure shows its seed.
"""

import random
import re

import backtrader as bt
import pytest
from asked_for import Wish, bounds, net
from e2e_script import CU, MORNING, exchange_orders, play

from tianqin_backtrader.core.clock import monotonic
from tianqin_backtrader.core.model import Offset

COUNTER = "ctp"

M = "DCE.m2701"
ENDS = {"Completed", "Canceled", "Expired", "Margin", "Rejected"}


def compare(strategy, symbols):
    """Check that all figures equal the exchange's; no report may be missing."""
    broker = strategy.broker
    assert broker.risk_state == "ACTIVE", broker.risk.reason  # no difference was found
    for symbol in symbols:
        account = broker.get_account_position(symbol)
        for side, sign in (("long", 1), ("short", -1)):
            held = broker.getposition(symbol, side=side).size * sign
            assert held == account.get(f"pos_{side}", 0), (symbol, side)
        net = account.get("pos_long", 0) - account.get("pos_short", 0)
        assert broker.getposition(symbol).size == net
    # The account is marked only once a minute: marks and equity are the exchange's.
    [account] = broker.store.sandbox_server.state()["accounts"].values()
    if len(account["trades"]) == broker.books.fills:  # otherwise fills are missing
        marks = {name: one["last_price"] for name, one in account["positions"].items()}
        balance = broker.books.balance(marks)
        told = account["balance"] + account["account"]["commission"]  # before fees
        assert balance.equity + balance.fees == pytest.approx(told, abs=0.005)


def fees_are_the_exchanges(broker):
    """Return whether fees agree; the counter's trades have none, the account shows them later."""
    [account] = broker.store.sandbox_server.state()["accounts"].values()
    return broker.books.fees == pytest.approx(account["account"]["commission"], abs=0.005)


def told_to_the_end(strategy, order):
    path = strategy.path(order)
    ends = [word for word in path if word in ENDS]
    assert ends == path[-1:], path
    assert path.count("Submitted") <= 1 and path.count("Accepted") <= 1
    assert path == sorted(path, key=bt.Order.Status.index), path


class Orders:
    """Orders of a walk, each kind placed as a strategy would.

    Args:
        rng: Chooses the orders.
        strategy: Places them.
    """

    def __init__(self, rng, strategy):
        self._rng, self._strategy = rng, strategy
        self.kinds = [
            self.four_way, self.four_way, self.market, self.limit, self.stop, self.bracket,
            self.close, self.protect, self.either,
        ]  # fmt: skip

    def some(self):
        """Place orders of one kind; return the wish, or None if no order is possible."""
        data = self._rng.choice(self._strategy.datas)
        return self._rng.choice(self.kinds)(data, self._rng.randint(1, 4))

    def _price(self, data, steps=None):
        tick = 10 if data._dataname == CU else 1
        return data.close[0] + tick * (self._rng.randint(-6, 6) if steps is None else steps)

    def _trade(self, data, lots, **options):
        """Place an order of either side, which opens the lots that it does not close."""
        make = getattr(self._strategy, self._rng.choice(["buy", "sell"]))
        order = make(data=data, size=lots, **options)
        if options.get("exectype") == bt.Order.Stop and order.ticket.may_open == 0:
            return Wish(data._dataname, lots, exits=[order])
        return Wish(data._dataname, lots, order)

    def four_way(self, data, lots):
        action = self._rng.choice(["buy_open", "sell_open", "buy_close", "sell_close"])
        advanced = self._rng.choice([None, "FAK", "FOK"])
        limit = self._rng.choice([None, self._price(data)])
        partial = self._rng.random() < 0.3
        order = getattr(self._strategy.broker, action)(
            data._dataname, lots, limit, advanced=advanced, allow_partial=partial
        )
        if action.endswith("close"):
            return Wish(data._dataname, lots, exits=[order])
        return Wish(data._dataname, lots, order)

    def market(self, data, lots):
        return self._trade(data, lots)

    def limit(self, data, lots):
        return self._trade(data, lots, exectype=bt.Order.Limit, price=self._price(data))

    def stop(self, data, lots):
        return self._trade(data, lots, exectype=bt.Order.Stop, price=self._price(data))

    def bracket(self, data, lots):
        side = self._rng.choice(["buy", "sell"])
        sign, price = (1 if side == "buy" else -1), self._rng.randint(-6, 6)
        parent, *children = getattr(self._strategy, f"{side}_bracket")(
            data=data, size=lots, price=self._price(data, price),
            stopprice=self._price(data, price - 5 * sign),
            limitprice=self._price(data, price + 5 * sign),
        )  # fmt: skip
        return Wish(data._dataname, lots, parent, children)

    def close(self, data, _):
        order = self._strategy.close(data=data)
        return order and Wish(data._dataname, abs(int(order.size)), exits=[order])

    def _leave(self, data):
        """Return how to close a part of the net position: lots, method, and its sign."""
        held = int(self._strategy.getposition(data).size)
        lots = self._rng.randint(1, abs(held)) if held else 0
        return lots, self._strategy.sell if held > 0 else self._strategy.buy, 1 if held > 0 else -1

    def protect(self, data, _):
        """Place a stop of some kind for held lots: an exit."""
        lots, leave, sign = self._leave(data)
        if not lots:
            return None
        kind = self._rng.choice([bt.Order.Stop, bt.Order.StopLimit, bt.Order.StopTrail])
        how = {"price": self._price(data, -5 * sign)}
        if kind == bt.Order.StopLimit:
            how["plimit"] = self._price(data, -8 * sign)
        if kind == bt.Order.StopTrail:
            how = {"trailamount": abs(self._price(data, 5) - self._price(data, 0))}
        order = leave(data=data, size=lots, exectype=kind, **how)
        return Wish(data._dataname, lots, exits=[order])

    def either(self, data, _):
        """Place a stop and a target for held lots, which together close no more than these."""
        lots, leave, sign = self._leave(data)
        if not lots:
            return None
        stop = leave(
            data=data, size=lots, exectype=bt.Order.Stop, price=self._price(data, -5 * sign)
        )
        target = leave(
            data=data, size=lots, exectype=bt.Order.Limit, price=self._price(data, 5 * sign),
            oco=stop,
        )  # fmt: skip
        return Wish(data._dataname, lots, exits=[stop, target])


FAULTS = {
    "reject": lambda server: server.fault("reject_order", count=1),
    "drop td": lambda server: server.fault("drop", conn="td"),
    "drop all": lambda server: server.fault("drop", conn="all"),
    "repeat": lambda server: server.fault("repeat", conn="all"),
    "clean": lambda server: server.fault("drop", conn="td", how="clean"),
}


def never_opens(order):
    """Check that an order that closes has not opened."""
    assert all(leg.offset is not Offset.OPEN for leg in order.legs), order.info


def opens_no_more_than(order, lots):
    """Check that an order that partly closes has opened at most ``lots``."""
    opened = sum(leg.filled for leg in order.legs if leg.offset is Offset.OPEN)
    assert opened <= lots, order.info


def exposure_is_asked_for(strategy, wishes):
    """Check that the position is possible by the orders, and exact if all fills are reported."""
    [account] = strategy.broker.store.sandbox_server.state()["accounts"].values()
    told = len(account["trades"]) == strategy.broker.books.fills
    for symbol in (CU, M):
        held = lots_of(account, symbol)
        lots = held["long"] - held["short"]
        low, high = bounds(wishes, symbol)
        assert low <= lots <= high, (symbol, lots, wishes)
        if told:
            assert lots == net(wishes, symbol), (symbol, lots, wishes)
    for wish in wishes:
        wish.check()


def lots_of(account, symbol):
    row = account["positions"].get(symbol, {})
    return {
        side: row.get(f"pos_{side}_today", 0) + row.get(f"pos_{side}_his", 0)
        for side in ("long", "short")
    }


def stops_stand(strategy, wishes):
    """Check that left lots of a stop that is over were notified, unless it was cancelled."""
    [account] = strategy.broker.store.sandbox_server.state()["accounts"].values()
    for wish in wishes:
        stop = wish.stop
        if stop is None or stop.alive() or wish.withdrawn or wish.looked_at:
            continue
        wish.looked_at = True
        side = "long" if wish.sign > 0 else "short"
        others = sum(
            one.closable for one in wishes
            if one.symbol == wish.symbol and one.sign == wish.sign
            and one.stop is not None and one.stop.alive()
        )  # fmt: skip
        bare = min(wish.closable, lots_of(account, wish.symbol)[side] - others)
        numbers = "|".join(str(one.ref) for one in wish.exits)  # one may end instead of the others
        names = re.compile(rf"\border ({numbers})\b")
        told = [word for word in strategy.heard if names.search(str(word))]
        assert bare <= 0 or told, (bare, wish, strategy.heard[-20:])


def all_is_told(broker, orders):
    return broker.store.trading_up and not any(
        leg.state in ("SUBMITTED", "UNKNOWN", "FINISHING") for one in orders for leg in one.legs
    )


def fired_stops_work(wishes):
    """Return whether stops whose price was reached are over, or at the exchange."""
    stops = [one.stop for one in wishes if one.stop is not None]
    return all(
        any(not leg.over for leg in one.legs) for one in stops if one.alive() and one.triggered
    )


def walk(sandbox, run, seed, *, steps, drops, query_seconds=0.15):
    rng = random.Random(seed)
    faults = list(FAULTS) if drops else ["reject"]

    def script(strategy):
        broker, some = strategy.broker, Orders(rng, strategy)
        wishes, may_open = [], []
        for _ in range(steps):
            for _ in range(rng.randint(0, 3)):
                wish = some.some()
                if wish is None:
                    continue
                wishes.append(wish)
                may_open += [(one, one.ticket.may_open) for one in wish.orders]
            alive = [one for wish in wishes for one in wish.orders if one.alive()]
            if alive and rng.random() < 0.4:
                order = rng.choice(alive)
                broker.cancel(order)
                for wish in wishes:
                    wish.withdrawn = wish.withdrawn or order in wish.orders
            if rng.random() < (0.08 if drops else 0.2):
                FAULTS[rng.choice(faults)](broker.store.sandbox_server)
            yield None
            orders = [one for wish in wishes for one in wish.orders]
            exposure_is_asked_for(strategy, wishes)
            if all_is_told(broker, orders):
                compare(strategy, (CU, M))
                stops_stand(strategy, wishes)
        # The market is faster than the machine's clock, by which a dead link is detected.
        patience = monotonic() + 60
        while not fired_stops_work(wishes) and monotonic() < patience:
            broker.store.pump(0.02)
        assert fired_stops_work(wishes)
        for wish in wishes:
            wish.withdrawn = True
        broker.cancel_all()
        while any(one.alive() for one in orders) and monotonic() < patience:
            broker.store.pump(0.02)
        yield None
        compare(strategy, (CU, M))
        exposure_is_asked_for(strategy, wishes)
        while not fees_are_the_exchanges(broker) and monotonic() < patience:
            broker.store.pump(0.02)
        assert fees_are_the_exchanges(broker)
        for one in orders:
            told_to_the_end(strategy, one)
        for one in (one for wish in wishes for one in wish.exits):
            never_opens(one)
        for one, lots in may_open:
            if lots is not None:
                opens_no_more_than(one, lots)
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
