"""What a loss or a full disk leaves of orders that close and then open."""

from types import SimpleNamespace

import backtrader as bt
import pytest
from desk_on_stubs import SYMBOL, StubbedDesk

from tianqin_backtrader.errors import JournalError
from tianqin_backtrader.orders.ticket import PositionEffect, Stage
from tianqin_backtrader.risk.check import RiskCheck
from tianqin_backtrader.risk.limits import GuardState, RiskLimits

STOP, LIMIT = bt.Order.Stop, bt.Order.Limit
CLOSES, OPENS = ("CLOSETODAY", 3), ("OPEN", 3)


def engine(at, **limits):
    """What decides over orders, on a desk with stubs."""
    risk = RiskCheck(
        at.context, lambda symbol: at.price, SimpleNamespace(trading=True), at.account,
        RiskLimits(**limits), at.live,
    )  # fmt: skip
    at.router._guard = at.manager._guard = risk
    at.engine = at.make_engine(risk)
    return at.engine


def lose(at, buttons):
    """The day's loss reaches its limit."""
    at.account.day_profit = lambda: -2000.0
    buttons._look_at_loss()


def fill_disk(at, buttons):
    """The records cannot be written."""
    buttons._write_ahead.broken = JournalError("journal.db", "the disk is full")
    buttons.records_failed(buttons._write_ahead.broken)
    buttons._look_at_halting()


TROUBLES = [
    (lose, {"max_daily_loss": 1000.0}),
    (lose, {"max_daily_loss": 1000.0, "on_loss": GuardState.HALTED}),
    (fill_disk, {}),
]
troubles = pytest.mark.parametrize(("meet", "limits"), TROUBLES)


@pytest.fixture
def at():
    return StubbedDesk(today=3)


@troubles
def test_a_reversing_stop_that_waits_keeps_what_it_closes(at, meet, limits):
    buttons = engine(at, **limits)
    stop = at.place(6, 2990.0, exectype=STOP)
    meet(at, buttons)
    assert (stop.stage, stop.volume, stop.may_open) == (Stage.WATCHED, 3, 0)
    assert (stop.effect, stop.condition.volume, stop.order.size) == (PositionEffect.CLOSE, 3, -3)
    assert any("only closes from now on" in text for text, _ in at.notes)
    at.price = 2990.0
    at.turn()
    assert at.gateway.sent == [CLOSES]
    at.fill(stop.legs[0], 3)
    assert (at.ends_of(stop), at.gateway.sent) == (["Completed"], [CLOSES])
    assert at.exposed.lots == []


@troubles
@pytest.mark.parametrize("filled", [0, 1])
def test_its_close_at_the_exchange_stays_there(at, meet, limits, filled):
    buttons = engine(at, **limits)
    stop = at.place(6, 2990.0, exectype=STOP)
    at.price = 2990.0
    at.turn()
    at.alive(stop.legs[0])
    if filled:
        at.fill(stop.legs[0], filled)
    meet(at, buttons)
    assert (at.gateway.withdrawn, stop.volume) == ([], 3)
    at.fill(stop.legs[0], 3 - filled)
    assert (at.ends_of(stop), at.gateway.sent) == (["Completed"], [CLOSES])


@troubles
def test_what_it_opens_is_withdrawn_when_it_has_closed(at, meet, limits):
    buttons = engine(at, **limits)
    stop = at.place(6, 2990.0, exectype=STOP)
    at.price = 2990.0
    at.turn()
    at.fill(stop.legs[0], 3)
    meet(at, buttons)
    assert at.gateway.sent == [CLOSES, OPENS]
    assert at.gateway.withdrawn == [stop.legs[1].order_id]


@troubles
def test_beside_a_target_it_gets_smaller_with_it(at, meet, limits):
    buttons = engine(at, **limits)
    target = at.place(3, 3050.0, exectype=LIMIT)
    stop = at.place(6, 2990.0, exectype=STOP, oco=target)
    meet(at, buttons)
    at.fill(target.legs[0], 1)
    assert (stop.volume, stop.condition.volume) == (2, 2)
    at.fill(target.legs[0], 2)
    assert (at.ends_of(target), at.ends_of(stop)) == (["Completed"], ["Canceled"])


@troubles
def test_an_order_that_waits_for_nothing_is_withdrawn_whole(at, meet, limits):
    buttons = engine(at, **limits)
    reversal = at.place(6, 3050.0, exectype=LIMIT)
    meet(at, buttons)
    assert at.gateway.withdrawn == [reversal.legs[0].order_id]


@pytest.mark.parametrize("exectype", [STOP, bt.Order.StopLimit])
def test_a_stop_that_reverses_since_the_halt_closes(exectype):
    at = StubbedDesk()
    fill_disk(at, engine(at))
    stop = at.ticket(6, 2990.0, exectype=exectype)
    stop.order.p.pricelimit = 2980.0
    at.held.place(stop, None, None, True)
    at.gateway.held["pos_long_today"] = 3
    at.account.take_over(SYMBOL)
    at.price = 2990.0
    at.turn()
    assert at.gateway.sent == [CLOSES]
    at.fill(stop.legs[0], 3)
    assert (at.ends_of(stop), at.gateway.sent) == (["Canceled"], [CLOSES])


def test_what_a_limit_of_lots_stops_of_a_reversing_stop_is_what_it_opens(at):
    engine(at, max_position=2)
    stop = at.ticket(6, 2990.0, exectype=bt.Order.StopLimit)
    stop.order.p.pricelimit, stop.may_open = 2980.0, 3
    at.held.place(stop, None, None, True)
    at.price = 2990.0
    at.turn()
    assert at.gateway.sent == [CLOSES]
