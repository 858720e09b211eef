"""A program is killed while a bracket works; the next one continues it.

However far the first one got, the held lots have their exits, and there are no others.
"""

from datetime import datetime, timedelta

import backtrader as bt
import pytest
from e2e_script import CU
from test_restart import Program, exchange_orders
from traded_side import TradedSide

from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

LIMIT, STOP = bt.Order.Limit, bt.Order.Stop
#: Seconds of market time in which a program finishes its work.
LONG = 1200


def after(seconds):
    """Return a time shortly after ``seconds`` since the first fill."""
    return f"{datetime(2026, 11, 10, 13, 31, 15) + timedelta(seconds=seconds)}"


@pytest.fixture(params=[False, True], ids=["long", "short"])
def side(request):
    return TradedSide(CU, short=request.param, start="2026-11-10 13:31:00").at(4, 10)


@pytest.fixture
def play(tmp_path, tells_time):
    """Make an exchange with this market, and programs that run on it one after the other."""
    boxes = []

    def play(side):
        options = side.market.save(tmp_path)
        boxes.append(EmbeddedSandbox(**options, counter="ctp", balance=1e7, tells_time=tells_time))
        box = boxes[-1].__enter__()
        return box, lambda: Program(box, tmp_path)

    yield play
    for box in boxes:
        box.__exit__(None, None, None)


class Exits:
    """An entry at step 0, its stop at -10 and its target at 10, as a program has them."""

    def __init__(self, orders):
        self.parent, self.stop, self.target = self.orders = orders

    @classmethod
    def placed(cls, program, side, lots, *, as_oco=False):
        """Place them in this program: a bracket, or an entry and then an OCO."""
        broker, data, price = program.broker, program.broker._orders.data(CU), side.price
        enter, leave = (broker.sell, broker.buy) if side.short else (broker.buy, broker.sell)
        parent = enter(None, data, lots, price(0), exectype=LIMIT, transmit=as_oco)
        options = [{"parent": parent, "transmit": False}, {"parent": parent}]
        if as_oco:
            program.until(lambda: not parent.alive())
            options[0] = {}
        stop = leave(None, data, lots, price(-10), exectype=STOP, **options[0])
        if as_oco:
            options[1] = {"oco": stop}
        target = leave(None, data, lots, price(10), exectype=LIMIT, **options[1])
        return cls([parent, stop, target])

    @classmethod
    def found(cls, program, side):
        """Find them in the next program, as an earlier one has left them."""
        orders = program.broker.get_all_orders()
        [parent] = [one for one in orders if one.issell() == side.short]
        [stop] = [one for one in orders if one.exectype == STOP]
        [target] = [one for one in orders if one not in (parent, stop)]
        return cls([parent, stop, target])

    @property
    def filled(self):
        return abs(self.parent.executed.size)

    @property
    def stands(self):
        return [one.ticket.left if one.alive() else 0 for one in (self.stop, self.target)]

    @property
    def over(self):
        return not any(order.alive() for order in self.orders)

    @property
    def ends(self):
        return [order.getstatusname() for order in self.orders]


def held(box):
    [account] = box.state()["accounts"].values()
    found = account["positions"].get(CU, {})
    return [
        sum(found.get(f"pos_{side}_{day}", 0) for day in ("today", "his"))
        for side in ("long", "short")
    ]


def test_a_parent_with_a_part_goes_on_with_its_children(play, side):
    """Two more lots are filled while no program runs."""
    side.at(0, 1, near=3).at(4, LONG).at(0, 1, near=2).at(4, LONG).at(12, LONG)
    box, program = play(side)
    with program() as first:
        exits = Exits.placed(first, side, 10)
        first.until(lambda: exits.filled == 3)
        first.turn()
        assert exits.stands == [3, 3]
    box.advance(to=after(LONG))
    with program() as second:
        exits = Exits.found(second, side)
        assert exits.filled == 5 and exits.stands == [5, 5]
        second.until(lambda: sum(leg.open_lots for leg in exits.target.ticket.live_legs) == 5)
        box.advance(to=after(2 * LONG))
        second.until(lambda: exits.over)
        assert exits.ends == ["Canceled", "Canceled", "Completed"]
    with program() as third:
        third.turn()
        assert third.words() == []
    assert held(box) == [0, 0]


@pytest.mark.parametrize("as_oco", [False, True], ids=["bracket", "oco"])
def test_a_stop_that_never_left_is_sent_by_the_next_program(play, side, monkeypatch, as_oco):
    """Its target is being suspended at that moment."""
    side.at(0, 1, near=3).at(4, LONG).at(-12, LONG, near=0)
    box, program = play(side)

    class Died(BaseException):
        pass

    def die(*_):
        raise Died

    with pytest.raises(Died), program() as first:
        exits = Exits.placed(first, side, 3 if as_oco else 10, as_oco=as_oco)
        first.until(lambda: any(leg.exchange_order_id for leg in exits.target.legs))
        monkeypatch.setattr(first.store.gateway.trading, "insert_order", die)
        box.advance(to=after(LONG))
        first.until(lambda: False)
    monkeypatch.undo()
    assert sum(held(box)) == 3 and exits.target.alive()
    with program() as second:
        exits = Exits.found(second, side)
        second.until(lambda: exits.over)
        assert exits.ends[1:] == ["Completed", "Canceled"]
    assert held(box) == [0, 0]
    closed = [one for one in exchange_orders(box).values() if one["offset"] != "OPEN"]
    assert sum(one["volume_orign"] - one["volume_left"] for one in closed) == 3


def test_a_suspended_stop_is_armed_by_the_next_program(play, side):
    """The target closed all lots, the parent's cancel was lost, and the parent got one lot more."""
    side.at(0, 1, near=3).at(4, LONG).at(12, LONG).at(0, 1, near=1).at(4, LONG)
    side.at(-12, LONG, near=0)
    box, program = play(side)
    with program() as first:
        box.fault("swallow_cancel", count=1)
        exits = Exits.placed(first, side, 10)
        first.until(lambda: exits.filled == 3)
        box.advance(to=after(LONG))
        first.until(lambda: not exits.target.alive())
        assert exits.parent.alive() and exits.stop.alive()
    box.advance(to=after(2 * LONG))
    with program() as second:
        exits = Exits.found(second, side)
        assert exits.filled == 4 and exits.stands == [1, 0]
        second.until(lambda: not exits.parent.alive())
        box.advance(to=after(3 * LONG))
        second.until(lambda: exits.over)
        assert exits.ends == ["Canceled", "Completed", "Completed"]
    assert held(box) == [0, 0]


def test_a_stop_that_has_closed_while_nobody_was_there_opens_what_it_was_to_open(play, side):
    side.at(0, 1, near=3).at(4, LONG).at(-12, LONG, far=0).at(-12, LONG)
    box, program = play(side)
    with program() as first:
        broker, data = first.broker, first.broker._orders.data(CU)
        enter, leave = (broker.sell, broker.buy) if side.short else (broker.buy, broker.sell)
        entry = enter(None, data, 3, side.price(0), exectype=LIMIT)
        first.until(lambda: not entry.alive())
        stop = leave(None, data, 6, side.price(-10), exectype=STOP)
        box.advance(to=after(LONG))
        first.until(lambda: any(leg.exchange_order_id for leg in stop.legs))
        assert [leg.volume for leg in stop.legs] == [3]
    box.advance(to=after(2 * LONG))
    assert held(box) == [0, 0]
    with program() as second:
        [stop] = [one for one in second.broker.get_all_orders() if one.exectype == STOP]
        second.until(lambda: not stop.alive())
        assert stop.getstatusname() == "Completed"
    assert held(box) == ([3, 0] if side.short else [0, 3])
