"""A position target is reached and not exceeded despite random fills, rejects and delays."""

from dataclasses import dataclass
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tianqin_backtrader.core.clock import SECOND
from tianqin_backtrader.orders.pegged import ChaseRules, Quote, Style
from tianqin_backtrader.orders.target import (
    Cancel,
    CancelRefused,
    Ended,
    Filled,
    Lots,
    NewTarget,
    Place,
    TargetState,
    step,
)


@dataclass
class Order:
    place: Place
    filled: int = 0
    over: bool = False
    arrived: bool = False
    cancel_comes: bool = False


class Exchange:
    """The true state; its client gets reports late, out of order and more than once."""

    def __init__(self, rnd):
        self.rnd = rnd
        self.orders = {}
        self.net = 0
        self.trades = 0
        self.told = []  # on the way to the client
        self.kind = False  # no longer random: everything succeeds

    @property
    def alive(self):
        return [order for order in self.orders.values() if not order.over]

    def chance(self, share):
        return self.kind or self.rnd.random() < share

    def fill(self, order):
        left = order.place.volume - order.filled
        lots = left if self.kind else self.rnd.randint(1, left)
        order.filled += lots
        self.net += order.place.direction.sign * lots
        self.trades += 1
        self.told.append(
            Filled(order.place.order_id, f"trade {self.trades}", order.place.direction, lots)
        )
        if order.filled == order.place.volume:
            self.end(order)

    def end(self, order, rejected=False):
        order.over = True
        self.told.append(Ended(order.place.order_id, order.filled, rejected))

    def act(self):
        """Let some time pass at the exchange."""
        for order in self.alive:
            if not order.arrived:
                order.arrived = self.chance(0.5)
                if order.arrived and not self.kind and self.rnd.random() < 0.2:
                    self.end(order, rejected=True)
            elif order.cancel_comes and self.chance(0.4):
                order.cancel_comes = False
                if self.chance(0.6):
                    self.end(order)
                else:
                    self.told.append(CancelRefused(order.place.order_id))
            elif self.chance(0.4):
                self.fill(order)
            elif self.rnd.random() < 0.05:
                self.end(order)

    def deliver(self):
        """Deliver some of the reports in any order; some of them will come again."""
        self.rnd.shuffle(self.told)
        count = len(self.told) if self.kind else self.rnd.randint(0, len(self.told))
        news, self.told = self.told[:count], self.told[count:]
        if not self.kind:
            self.told += [item for item in news if self.rnd.random() < 0.2]
        return news

    def take(self, action, state):
        if isinstance(action, Place):
            # No order is alive, everything is known, and no more is sent than is missing.
            assert not self.alive
            assert state.net == self.net
            signed = action.direction.sign * action.volume
            missing = state.target - self.net
            assert abs(signed) <= abs(missing) and signed * missing > 0
            assert action.order_id not in self.orders
            self.orders[action.order_id] = Order(action)
        elif isinstance(action, Cancel):
            order = self.orders[action.order_id]
            order.cancel_comes = not order.over


def quote(rnd):
    if rnd.random() < 0.1:
        return None
    bid = 100.0 + rnd.randint(-3, 3)
    return Quote(bid, bid + 1.0)


@given(
    seed=st.integers(0, 2**32),
    target=st.integers(-9, 9),
    most=st.integers(0, 4),
    style=st.sampled_from(Style),
    moves=st.booleans(),
)
@settings(max_examples=500, deadline=None)
def test_the_target_is_met_and_not_passed(seed, target, most, style, moves):
    rnd = Random(seed)
    exchange, now = Exchange(rnd), 0
    state = TargetState(
        "t", target, rules=ChaseRules(style, max_order_volume=most, max_rejections=10**9)
    )
    low, high = min(0, target), max(0, target)
    for turn in range(160):
        exchange.kind = turn >= 80
        now += rnd.choice([0, SECOND // 2, SECOND, 7 * SECOND])
        news = exchange.deliver()
        if moves and turn < 80 and rnd.random() < 0.05:
            target = rnd.randint(-9, 9)
            news.append(NewTarget(target))
            low, high = min(low, target), max(high, target)
        market = Quote(100.0, 101.0) if exchange.kind else quote(rnd)
        state, action = step(state, news, now, market)
        exchange.take(action, state)
        exchange.act()
        assert len(exchange.alive) <= 1
        assert low <= exchange.net <= high
    assert state.reached
    assert state.net == exchange.net == target


@given(
    seed=st.integers(0, 2**32),
    target=st.integers(-12, 12),
    net=st.integers(-12, 12),
    least=st.integers(2, 8),
    most=st.integers(0, 9),
)
@settings(max_examples=500, deadline=None)
def test_no_order_opens_fewer_lots_than_the_contract_does(seed, target, net, least, most):
    rnd = Random(seed)
    exchange, now = Exchange(rnd), 0
    exchange.net = net
    rules = ChaseRules(max_order_volume=most, max_rejections=10**9)
    state = TargetState("t", target, net=net, rules=rules)
    for turn in range(160):
        exchange.kind = turn >= 80
        now += rnd.choice([0, SECOND // 2, SECOND, 7 * SECOND])
        lots = Lots(max(0, exchange.net), max(0, -exchange.net), least)
        market = Quote(100.0, 101.0) if exchange.kind else quote(rnd)
        state, action = step(state, exchange.deliver(), now, market, lots)
        if isinstance(action, Place):
            opened = lots.opens(action.direction, action.volume)
            assert not 0 < opened < least
        exchange.take(action, state)
        exchange.act()
        assert min(net, target) <= exchange.net <= max(net, target)
    assert state.net == exchange.net
    assert state.working is None and (state.reached or state.stalled)
    if state.stalled:  # all closes are done, and the missing lots cannot be opened
        assert target * state.net >= 0 or not state.net
        assert state.short == abs(target - state.net)
        assert state.short < least or 0 < most < least
