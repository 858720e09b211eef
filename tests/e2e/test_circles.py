"""Objects of a run reference objects of lower rooms only: there are no cycles between rooms.

Imports show which types know each other; these tests check references at run time, also those of
callbacks. Cycles within a room are allowed, and those through the classes of users (``FACES``).
"""

from collections import deque
from functools import partial
from types import CellType, FunctionType, MethodType

import backtrader as bt
import networkx
import pytest
from e2e_script import CU

from tianqin_backtrader.risk.limits import RiskLimits

PACKAGE = "tianqin_backtrader"
#: Modules with the classes that users have.
FACES = frozenset({
    "store", "broker", "datafeed", "session_calendar", "store_reconnect", "performance_tracker",
})  # fmt: skip
CONTAINERS = (dict, list, tuple, set, frozenset, deque)


def room_of(one):
    """Return the room of an object's class, "" for classes of other packages."""
    package, _, place = type(one).__module__.partition(".")
    return place.partition(".")[0] if package == PACKAGE else ""


def held_by(one):
    """Return what an object references by attributes, or what a callable references."""
    if isinstance(one, MethodType):
        return [one.__self__]
    if isinstance(one, FunctionType):
        return [*(one.__closure__ or ()), *(one.__defaults__ or ())]
    if isinstance(one, CellType):
        return [one.cell_contents] if one != CellType() else []
    if isinstance(one, partial):
        return [one.func, *one.args, *one.keywords.values()]
    if isinstance(one, dict):
        return [*one.keys(), *one.values()]
    if isinstance(one, CONTAINERS):
        return list(one)
    slots = [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
    fields = [getattr(one, name) for name in slots if hasattr(one, name)]
    return [*getattr(one, "__dict__", {}).values(), *fields]


def living(*roots):
    """Return a graph of references between objects of the library, and the objects by id."""
    graph, left, seen = networkx.DiGraph(), [*roots], {}
    while left:
        holder = left.pop()
        if id(holder) in seen:
            continue
        seen[id(holder)] = holder  # kept alive, so that no id is used twice
        inner, met = held_by(holder), set()
        while inner:
            one = inner.pop()
            passes = isinstance(one, (*CONTAINERS, MethodType, FunctionType, CellType, partial))
            if passes and id(one) not in met:
                met.add(id(one))
                inner += held_by(one)
            elif room_of(one) and not isinstance(one, type):
                graph.add_edge(id(holder), id(one))
                left.append(one)
    return graph, seen


def circles(*roots):
    """Return the rooms of each cycle over several rooms, without ``FACES``, and all rooms."""
    graph, objects = living(*roots)
    graph.remove_nodes_from([one for one in graph if room_of(objects[one]) in FACES])
    found = [
        sorted({room_of(objects[one]) for one in circle})
        for circle in networkx.strongly_connected_components(graph)
    ]
    return [rooms for rooms in found if len(rooms) > 1], {room_of(one) for one in objects.values()}


class Busy(bt.Strategy):
    """A run with every kind of object: a position with a bracket, a stop and a target."""

    params = (("look", None),)

    def next(self):
        if len(self) == 1:
            self.buy_bracket(
                size=2, exectype=bt.Order.Market, stopprice=70000.0, limitprice=99000.0
            )
            self.sell(size=1, exectype=bt.Order.Stop, price=69000.0)
            self.broker.order_target_position("DCE.m2701", 1)
        if len(self) == 4:
            self.p.look(self.broker)
            self.env.runstop()


@pytest.mark.parametrize("planted", [False, True])
def test_no_circle_of_objects_is_wider_than_a_room(sandbox, run, tmp_path, planted):
    def look(broker):
        if planted:  # a cycle that existed once: reports went back by a callback
            store.gateway.trading.on_report = broker._engine.apply
        seen.append(circles(store, broker))

    seen = []
    store = sandbox(start="2026-11-10 09:31:00", strategy_name="circles")
    store.getbroker(risk=RiskLimits(max_position=9), records=tmp_path)
    store.record([CU], path=tmp_path / "ticks")
    store.alerts("json://localhost:1")
    run(store, Busy, store.getdata(CU), look=look)
    [(found, rooms)] = seen
    assert bool(found) is planted, found
    assert rooms >= {
        "account", "calendars", "contracts", "core", "execution", "feeds", "gateway", "monitoring",
        "orders", "reconciliation", "recording", "records", "risk", "rolling",
    }  # fmt: skip
