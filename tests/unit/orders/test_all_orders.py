"""The broker's orders: a list of Backtrader's, and what the exchange knows of them by id."""

import math

import backtrader as bt
import pytest
from desk_on_stubs import SYMBOL

from tianqin_backtrader.contracts.order_terms import OrderTerms
from tianqin_backtrader.core.model import Direction, Fill, Offset
from tianqin_backtrader.orders.all_orders import AllOrders
from tianqin_backtrader.orders.leg import OrderLeg
from tianqin_backtrader.orders.ticket import Stage, Ticket


class Data:
    """All that a ``bt.Order`` asks of a feed here."""

    datetime = (0.0,)
    close = (3000.0,)
    p = type("P", (), {"sessionend": None})
    _dataname = _name = SYMBOL

    def date2num(self, when):
        return 0.0


def ticket(*legs, volume=5, stage=Stage.WORKING, price=3000.0):
    order = bt.BuyOrder(owner=None, data=Data(), size=volume, price=price, simulated=True)
    made = Ticket(order, SYMBOL, Direction.BUY, volume, OrderTerms(price), stage=stage)
    made.legs.extend(legs)
    order.ticket, order.legs = made, made.legs
    return made


def leg(order_id, volume=5, offset=Offset.OPEN, price=3000.0):
    return OrderLeg(order_id, SYMBOL, Direction.BUY, offset, volume, price)


def fill(one, volume, price):
    number = f"{one.order_id}|{len(one.fills)}"
    one.take_fill(
        Fill(number, one.order_id, SYMBOL, Direction.BUY, one.offset, price, volume, 0, 0.0)
    )


@pytest.fixture
def orders():
    """Two legs of which one is done, an order over, and one that waits with us."""
    shut, opened = leg("a", 2, Offset.CLOSETODAY), leg("b", 3)
    fill(shut, 1, 3000.0)
    fill(shut, 1, 3002.0)
    over = leg("c", 5, price=None)
    fill(over, 5, 3001.0)
    return [ticket(shut, opened), ticket(over, stage=Stage.OVER), ticket(stage=Stage.WATCHED)]


def test_it_is_the_list_it_was(orders):
    every = AllOrders(orders)
    mine = [one.order for one in orders]
    assert every == mine and list(every) == mine and len(every) == 3
    assert every[-1] is mine[-1] and every[1:] == mine[1:] and mine[0] in every
    first, *rest = every
    assert first is mine[0] and rest == mine[1:]
    assert isinstance(every, list) and every[-20:] == mine
    assert not AllOrders([]) and AllOrders([]) == [] and list(AllOrders([]).keys()) == []


def test_by_id_it_is_what_the_exchange_knows(orders):
    every = AllOrders(orders)
    waiting = orders[2].key
    assert list(every.keys()) == ["a", "b", "c", waiting]
    assert [one["status"] for one in every.values()] == ["FINISHED", "ALIVE", "FINISHED", "ALIVE"]
    assert every["a"]["trade_price"] == 3001.0 and every["a"]["volume_left"] == 0
    assert every["a"]["offset"] == "CLOSETODAY" and every["b"]["offset"] == "OPEN"
    assert every["b"]["volume_left"] == 3 and math.isnan(every["b"]["trade_price"])
    assert math.isnan(every["c"]["limit_price"]) and every["b"]["limit_price"] == 3000.0
    assert (every["b"]["exchange_id"], every["b"]["instrument_id"]) == ("SHFE", "rb2605")
    assert (every[waiting]["offset"], every[waiting]["volume_left"]) == ("", 5)
    assert dict(every) == dict(every.items()) and every.get("a") == every["a"]


def test_ids_are_looked_up_as_in_a_mapping(orders):
    every = AllOrders(orders)
    assert "a" in every and "z" not in every
    assert every.get("z") is None and every.get("z", 1) == 1
    with pytest.raises(KeyError, match="z"):
        every["z"]


def test_orders_that_are_iterated_can_be_looked_up_too(orders):
    every = AllOrders(orders)
    states = [every[order].get("status") for order in every]
    assert states == ["ALIVE", "FINISHED", "ALIVE"]
    assert every[orders[0].order.clone()]["volume_left"] == 3
    with pytest.raises(KeyError):
        every[ticket().order]


def test_each_id_has_a_copy_of_its_own(orders):
    AllOrders(orders)["a"]["status"] = "ALIVE"
    assert AllOrders(orders)["a"]["status"] == "FINISHED"
