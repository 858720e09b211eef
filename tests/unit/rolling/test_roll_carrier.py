"""Exits while their lots are between two contracts: real order manager, no exchange."""

import itertools
from collections import deque
from types import SimpleNamespace
from unittest.mock import MagicMock

import backtrader as bt
import pytest

from tianqin_backtrader.contracts.order_terms import OrderTerms
from tianqin_backtrader.core.model import Direction, Fill, Offset
from tianqin_backtrader.errors import LotsGone, NotKnownYet, OrderError, VolumeOutOfRange
from tianqin_backtrader.execution.contingent_orders import ContingentOrders
from tianqin_backtrader.execution.order_manager import OrderManager
from tianqin_backtrader.orders.conditional import stop as stop_at
from tianqin_backtrader.orders.leg import OrderLeg
from tianqin_backtrader.orders.ticket import Ending, PositionEffect, Stage, Ticket
from tianqin_backtrader.rolling.roll_carrier import ExitCarrier
from tianqin_backtrader.rolling.roll_state import RollPlan, RollState, Side

OLD, NEW, RB = "SHFE.cu2612", "SHFE.cu2701", "SHFE.rb2701"


class Order:
    """What the order manager needs of a ``bt.Order``."""

    numbers = itertools.count(1)

    def clone(self):
        return self

    def __init__(self, exectype, size, price=None):
        self.ref, self.exectype, self.status = next(self.numbers), exectype, bt.Order.Created
        self.p = SimpleNamespace(price=price, pricelimit=None)
        self.created = SimpleNamespace(price=price, size=size, dt=0.0, pclose=price)
        self.executed = SimpleNamespace(size=0, remsize=size, dt=0.0)
        self.size, self.info, self.triggered = size, {}, False
        self.owner, self.broker, self.data = None, None, None

    def addinfo(self, **words):
        self.info |= words

    def addcomminfo(self, info):
        pass

    def submit(self, broker):
        self.status = bt.Order.Submitted

    def accept(self, broker):
        self.status = bt.Order.Accepted

    def getstatusname(self):
        return bt.Order.Status[self.status]

    def getordername(self):
        return bt.Order.ExecTypes[self.exectype]


class World:
    """An order manager with lots that tests set, and a roll of five long lots."""

    def __init__(self, **lots):
        self.lots = {OLD: 0, NEW: 0} | {symbol.replace("_", "."): n for symbol, n in lots.items()}
        self.told, self.exposed = [], []
        account = MagicMock()
        account.position = lambda symbol, side=None: SimpleNamespace(size=self.lots[symbol])
        account.booked = lambda symbol, direction: self.lots[symbol]
        account.held = lambda symbol, direction: SimpleNamespace(total=self.lots[symbol])
        context = MagicMock()
        context.now_ns.return_value = 0
        context.notify = lambda text, **words: self.told.append(text)
        context.exposed = lambda symbol, n, text: self.exposed.append((symbol, n))
        link = MagicMock(trading_up=True)
        self.pre_trade = MagicMock(reserved={})
        self.router = MagicMock()
        self.router.plan.side_effect = NotKnownYet("limits wait with us here")
        self.router.coming.of.return_value = 0
        self.manager = OrderManager(
            context,
            MagicMock(),
            link,
            account,
            self.pre_trade,
            self.router,
            MagicMock(),
            MagicMock(),
            deque(),
            {},
        )
        self.held = ContingentOrders(
            self.manager, MagicMock(in_history=False), lambda symbol: 78000.0
        )
        plan = RollPlan(OLD, NEW, Side.LONG, 5, 5, 0, 1, 50.0, 300.0)
        self.carrier = ExitCarrier(self.manager, self.held, self.like, plan, lambda state: None)
        self.state = RollState(plan, 0, gap=100.0)

    def exit(
        self, exectype, volume, *, symbol=OLD, oco=None, effect=PositionEffect.CLOSE, price=77000.0
    ):
        """A stop or a limit that sells."""
        ticket = Ticket(
            Order(exectype, -volume, price), symbol, Direction.SELL, volume, OrderTerms(price),
            effect=effect, may_open=0 if effect is PositionEffect.CLOSE else None,
        )  # fmt: skip
        if exectype == bt.Order.Stop:
            ticket.condition = stop_at(Direction.SELL, volume, price)
        if oco is not None:
            self.held._join(ticket, oco.order)
        self.held._take_in(ticket)
        if ticket.condition is not None:
            self.held._emulator.watch(ticket)
        else:
            ticket.stage = Stage.QUEUED
        return ticket

    def stop(self, volume=5, **options):
        return self.exit(bt.Order.Stop, volume, **options)

    def target(self, volume=5, **options):
        return self.exit(bt.Order.Limit, volume, **options)

    def like(self, other, symbol, volume, price, limit):
        order = Order(other.order.exectype, -volume, price)
        return Ticket(order, symbol, Direction.SELL, volume, OrderTerms(price))

    def rolled(self, old, new):
        """Run a round with so many lots in the two contracts."""
        self.lots |= {OLD: old, NEW: new}
        self.state = self.carrier.on_round(self.carrier.meet(self.state), taking=0, gives_back=True)

    def stand_in(self, ticket):
        [name] = [one.stand_in for one in self.state.exits if one.key == ticket.key]
        return next((one for one in self.manager.tickets.values() if one.key == name), None)

    def fill(self, ticket, volume):
        """A trade that closes."""
        symbol = ticket.symbol
        leg = OrderLeg(f"o{ticket.order.ref}", symbol, Direction.SELL, Offset.CLOSE, volume, 0.0)
        fill = Fill(f"t{ticket.order.ref}", leg.order_id, symbol, Direction.SELL, Offset.CLOSE,
                    1.0, volume, 0, 0.0)  # fmt: skip
        leg.take_fill(fill)
        ticket.legs.append(leg)
        self.lots[symbol] -= volume
        self.held.take_fill(ticket, fill)


# -- lots that are gone, or between the contracts ---------------------------------------------


def test_exits_of_a_contract_that_is_rolled_are_not_ended_for_want_of_lots():
    """A program that was killed with all lots between the contracts does not know them yet."""
    world = World()
    stop = world.stop()
    target = world.target(oco=stop)
    world.pre_trade.reserved[OLD] = "it is being rolled"
    world.router.plan.side_effect = LotsGone("gone")
    world.held.on_round()
    world.manager.release(target)
    assert (stop.stage, target.stage) == (Stage.WATCHED, Stage.QUEUED)
    assert world.told == []
    world.rolled(0, 5)
    assert [world.stand_in(one).left for one in (stop, target)] == [5, 5]
    assert stop.over and "replaces it" in stop.order.info["reason"]


def test_a_four_way_close_of_a_contract_that_is_rolled_is_not_refused_for_want_of_lots():
    world = World()
    target = world.target()
    target.may_open = None
    world.pre_trade.reserved[OLD] = "it is being rolled"
    world.router.plan.side_effect = VolumeOutOfRange("5 lots are to be closed, 0 can be")
    world.manager.release(target)
    assert target.stage is Stage.QUEUED and world.told == []
    world.rolled(0, 5)
    assert world.stand_in(target).left == 5


def test_elsewhere_they_end():
    world = World()
    stop = world.stop()
    world.held.on_round()
    assert stop.over and "are gone" in stop.order.info["reason"]


def test_a_market_order_is_told_at_once_that_its_lots_are_gone():
    world = World()
    close = world.exit(bt.Order.Market, 1, price=None)
    world.pre_trade.reserved[OLD] = "it is being rolled"
    world.router.plan.side_effect = LotsGone("gone")
    world.manager.release(close)
    assert close.over


def test_a_fired_stop_without_lots_does_not_hold_up_the_roll():
    world = World(SHFE_cu2612=1)
    stop = world.stop(1)
    stop.stage, stop.condition, stop.order.triggered = Stage.QUEUED, None, True
    assert world.carrier.going_out(world.state) == [stop]
    world.lots[OLD] = 0
    assert world.carrier.going_out(world.state) == []


# -- a roll that is dropped -------------------------------------------------------------------


def test_a_dropped_roll_ends_exits_whose_lots_are_between_the_contracts():
    world = World()
    stop = world.stop()
    target = world.target(oco=stop)
    world.rolled(5, 0)
    world.rolled(0, 0)
    assert stop.held_back and target.held_back
    assert world.carrier.leave(world.state) == 5
    for one in (stop, target):
        assert one.over and not one.held_back
        assert one.order.info["reason"] == "dropped: its lots are in neither contract"


def test_a_dropped_roll_leaves_exits_that_have_lots():
    world = World()
    stop = world.stop()
    world.rolled(5, 0)
    world.rolled(3, 1)
    assert world.carrier.leave(world.state) == 1
    assert not stop.over and not world.stand_in(stop).over
    world.rolled(0, 4)
    assert stop.held_back
    assert world.carrier.leave(world.state) == 1
    assert stop.order.info["reason"].startswith("rolled: order")


def test_a_stop_that_is_held_back_covers_no_lots():
    world = World()
    stop = world.stop()
    world.lots[OLD] = 5
    assert world.held._covered(OLD, Direction.SELL) == 5
    stop.held_back = True
    assert world.held._covered(OLD, Direction.SELL) == 0


# -- groups -----------------------------------------------------------------------------------


def test_stand_ins_that_are_made_at_different_times_are_one_group():
    """The target is for the first three lots, which leave last."""
    world = World()
    stop = world.stop(5)
    target = world.target(3, oco=stop)
    world.rolled(5, 0)
    world.rolled(4, 1)
    first = world.stand_in(stop)
    assert world.stand_in(target) is None
    world.rolled(2, 3)
    second = world.stand_in(target)
    assert (first.left, second.left) == (3, 1)
    world.fill(second, 1)
    assert first.left == 2 and not first.over
    assert world.held.group_of(first) == world.held.group_of(second) != first.key


def test_the_last_lot_of_one_withdraws_the_other():
    world = World()
    stop = world.stop(5)
    target = world.target(3, oco=stop)
    for old in (5, 4, 0):
        world.rolled(old, 5 - old)
    world.fill(world.stand_in(stop), 5)
    assert world.stand_in(target).over


def test_an_exit_that_joins_a_stop_while_it_is_rolled_has_its_stand_in_in_the_same_group():
    world = World()
    stop = world.stop(5)
    world.rolled(5, 0)
    world.rolled(4, 1)
    target = world.target(4, oco=stop)
    world.rolled(4, 1)
    world.rolled(0, 5)
    assert len({one.group for one in world.state.exits}) == 1
    world.fill(world.stand_in(stop), 5)
    assert world.stand_in(target).over


@pytest.mark.parametrize(
    ("partner", "refused"),
    [
        ({}, False),
        ({"effect": PositionEffect.NET}, True),
        ({"symbol": NEW, "effect": PositionEffect.NET}, True),
        ({"symbol": RB}, True),
        ({"symbol": NEW}, True),
    ],
)
def test_an_exit_that_ends_with_what_is_not_taken_along_is_refused_before_the_roll(
    partner, refused
):
    world = World()
    stop = world.stop(1)
    other = world.target(1, oco=stop, **partner)
    for ticket in (stop, other):
        ticket.validity = SimpleNamespace(expired=lambda now: False)
    if refused:
        with pytest.raises(OrderError, match=f"ends with order {other.order.ref} on"):
            world.carrier.refuse_what_cannot_be_carried()
    else:
        world.carrier.refuse_what_cannot_be_carried()


# -- stand-ins that are refused ---------------------------------------------------------------


def rolled_and_refused(kind):
    """The replacement of a stop, or of its target, is refused; returns the notifications."""
    world = World()
    stop = world.stop()
    exits = {"stop": stop, "target": world.target(oco=stop)}
    world.rolled(5, 0)
    world.rolled(0, 5)
    world.manager.finish(world.stand_in(exits[kind]), bt.Order.Rejected, "busy")
    world.held.take_ends()
    world.rolled(0, 5)
    world.rolled(0, 5)
    return world


def test_a_target_that_is_refused_beside_its_stop_leaves_no_lot_without_protection():
    world = rolled_and_refused("target")
    assert world.exposed == []


def test_a_stop_that_is_refused_is_told_once():
    world = rolled_and_refused("stop")
    assert world.exposed == [(NEW, 5)]


def test_a_target_without_a_stop_that_is_refused_is_told_once():
    world = World()
    target = world.target()
    world.rolled(5, 0)
    world.rolled(0, 5)
    world.manager.finish(world.stand_in(target), bt.Order.Rejected, "busy")
    world.held.take_ends()
    world.rolled(0, 5)
    world.rolled(0, 5)
    assert world.exposed == [(NEW, 5)]
    assert Ending.CANCEL not in (
        one.ending for one in world.manager.tickets.values() if not one.over
    )
