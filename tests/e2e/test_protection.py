"""Lots that should have a stop have one, and lots without one are reported.

Brackets and exits are partly filled, refused, and withdrawn while fills cross; long and short.
"""

import datetime

import backtrader as bt
import pytest
from e2e_script import CU, MORNING, M, Script, exchange_orders
from traded_side import TradedSide

from tianqin_backtrader.core.clock import from_ns
from tianqin_backtrader.monitoring.alerts.service import Alerts
from tianqin_backtrader.monitoring.alerts.settings import AlertSettings

AT_COUNTERS = ("ctp", "kq", "plain")

#: Long and short; short is for the slow runs.
SIDES = [pytest.param(False, id="long"), pytest.param(True, id="short", marks=pytest.mark.slow)]
#: Exchanges where orders choose lots by day, and where the counter chooses (for the slow runs).
EXCHANGES = [CU, pytest.param(M, marks=pytest.mark.slow)]
ENDS = {"Completed", "Canceled", "Expired", "Margin", "Rejected"}


@pytest.fixture(params=SIDES)
def side(request):
    """A market that begins a little above an entry at step 0."""
    return TradedSide(CU, short=request.param).at(4, 6)


@pytest.fixture
def trade(sandbox, run, tmp_path):
    """Run a script on every tick; return the strategy, with the exchange's orders and lots."""

    def trade(side, script, **options):
        store = sandbox(**side.market.save(tmp_path), **{"balance": 1e7} | options)
        told, done = [], []
        alerts = Alerts(store.view, AlertSettings(), [lambda alert: told.append(alert) or True])

        def whole(strategy):
            yield from script(strategy)
            done.append(True)

        strategy = run(store, Script, store.get_tick_data(side.symbol), script=whole)
        assert done, "the market was over before the script"
        alerts.close()
        strategy.alerts = [alert for alert in told if alert.event == "exposed"]
        strategy.sent = sorted(
            exchange_orders(store).values(), key=lambda one: int(one["exchange_order_id"] or 0)
        )
        [account] = store.sandbox_server.state()["accounts"].values()
        found = account["positions"].get(side.symbol, {})
        strategy.at_exchange = tuple(
            found.get(f"pos_{name}_today", 0) + found.get(f"pos_{name}_his", 0)
            for name in ("long", "short")
        )
        for path in strategy.told.values():
            assert sum(word in ENDS for word in path) <= 1, path
            assert path.count("Submitted") <= 1 and path.count("Accepted") <= 1, path
        return strategy

    return trade


def wait(ticks):
    for _ in range(ticks):
        yield None


def step(strategy, number):
    """Wait for a step (second) of the market; without the server's time a start takes some."""
    begun = datetime.datetime.fromisoformat(MORNING)
    while strategy.broker.store.now() < begun + datetime.timedelta(seconds=number):
        yield None


def lots_sent(strategy, *, opens):
    return sum(
        one["volume_orign"] - one["volume_left"]
        for one in strategy.sent
        if (one["offset"] == "OPEN") is opens
    )


def exposed(strategy):
    return [str(word) for word in strategy.heard if "no protection" in str(word)]


def stands(order):
    """Return the lots that an order covers, in the program or at the exchange."""
    return order.ticket.left if order.alive() else 0


# -- a parent that is filled in parts ---------------------------------------------------------


def test_children_grow_with_each_fill_of_their_parent(trade, side):
    side.at(0, 1, near=3).at(4, 6).at(0, 1, near=1).at(4, 6).at(0, 1, near=2).at(4, 40)

    def script(strategy):
        yield from step(strategy, 4)
        parent, stop, target = side.bracket(strategy, 10)
        seen = []
        for _ in range(24):
            yield None
            filled = abs(parent.executed.size)
            if filled not in seen:
                seen.append(filled)
                yield from wait(3)
            if filled:
                assert stands(stop) == stands(target) == filled
                working = sum(leg.open_lots for leg in target.ticket.live_legs)
                assert working <= filled and stop.ticket.condition.volume == filled
        assert seen == [0, 3, 4, 6] and parent.alive()
        assert working == 6
        strategy.cancel(parent)
        yield from wait(2)
        assert strategy.path(parent)[-1] == "Canceled"
        assert stands(stop) == stands(target) == 6
        strategy.cancel(stop)
        yield from wait(2)
        assert {strategy.path(one)[-1] for one in (stop, target)} == {"Canceled"}

    strategy = trade(side, script)
    assert strategy.at_exchange == ((0, 6) if side.short else (6, 0))
    assert exposed(strategy) == []  # its owner has cancelled it


@pytest.mark.parametrize("symbol", [CU, M])
@pytest.mark.parametrize("short", SIDES)
def test_a_target_closes_the_lots_of_a_parent_that_is_not_over(trade, symbol, short):
    side = TradedSide(symbol, short=short).at(4, 6)
    side.at(0, 1, near=3).at(4, 4).at(12, 10).at(-8, 6)

    def script(strategy):
        yield from step(strategy, 4)
        parent, stop, target = side.bracket(strategy, 10)
        yield from wait(15)
        assert strategy.path(target)[-1] == "Completed"
        assert [strategy.path(one)[-1] for one in (parent, stop)] == ["Canceled"] * 2
        yield from wait(5)

    strategy = trade(side, script)
    assert strategy.at_exchange == (0, 0)
    assert lots_sent(strategy, opens=True) == lots_sent(strategy, opens=False) == 3


def test_a_stop_that_fires_withdraws_the_rest_of_its_parent_first(trade, side):
    side.at(0, 1, near=3).at(4, 4).at(-12, 20, near=0)

    def script(strategy):
        yield from step(strategy, 4)
        parent, stop, target = side.bracket(strategy, 10)
        yield from wait(20)
        assert strategy.path(stop)[-1] == "Completed"
        assert [strategy.path(one)[-1] for one in (parent, target)] == ["Canceled"] * 2

    strategy = trade(side, script)
    entry, target, stop = strategy.sent
    assert (entry["volume_left"], target["volume_left"], stop["volume_left"]) == (7, 3, 0)
    assert strategy.at_exchange == (0, 0)


def test_what_a_parent_gets_while_its_stop_has_fired_is_closed_too(trade, side):
    """Each tick fills two more lots of the parent, until the exchange has its cancel."""
    side.at(0, 1, near=3).at(4, 4).at(-12, 3, near=1).at(-12, 20, near=0)

    def script(strategy):
        yield from step(strategy, 4)
        parent, stop, target = side.bracket(strategy, 40)
        yield from wait(24)
        assert abs(parent.executed.size) > 3
        assert strategy.path(stop)[-1] == "Completed"
        assert stop.executed.size == -parent.executed.size
        assert strategy.path(target)[-1] == "Canceled"

    strategy = trade(side, script)
    assert strategy.at_exchange == (0, 0)
    assert lots_sent(strategy, opens=True) == lots_sent(strategy, opens=False)


def test_what_a_parent_gets_after_its_target_was_filled_is_protected_by_the_stop(trade, side):
    """The parent's cancel is lost, and the market returns to its price."""
    side.at(0, 1, near=3).at(4, 4).at(12, 3).at(0, 1, near=1).at(4, 6).at(-12, 20, near=0)

    def script(strategy):
        yield from step(strategy, 4)
        parent, stop, target = side.bracket(strategy, 10)
        yield from wait(5)
        strategy.broker.store.sandbox_server.fault("swallow_cancel", count=1)
        while target.alive():
            yield None
        assert side.held(strategy) == 0 and parent.alive() and stop.alive()
        while side.held(strategy) == 0:
            yield None
        yield from wait(2)
        assert stands(stop) == side.held(strategy) == 1
        strategy.cancel(parent)
        yield from wait(20)
        assert strategy.path(stop)[-1] == "Completed"
        assert strategy.path(parent)[-1] == "Canceled"

    strategy = trade(side, script)
    assert strategy.at_exchange == (0, 0)
    assert lots_sent(strategy, opens=True) == lots_sent(strategy, opens=False) == 4
    assert exposed(strategy) == []


def test_a_parent_that_expires_with_a_part_leaves_its_children(trade, side):
    side.at(0, 1, near=3).at(4, 12).at(-12, 10, near=0)

    def script(strategy):
        yield from step(strategy, 4)
        parent, stop, target = side.bracket(
            strategy, 10, oargs={"valid": datetime.timedelta(seconds=8)}
        )
        while parent.alive():
            yield None
        assert strategy.path(parent)[-1] == "Expired"
        assert stands(stop) == stands(target) == 3
        yield from wait(12)
        assert strategy.path(stop)[-1] == "Completed"

    assert trade(side, script).at_exchange == (0, 0)


@pytest.mark.parametrize("how", ["cancel", "expire"])
def test_the_children_of_a_parent_without_a_fill_go_with_it(trade, side, how):
    side.at(4, 14)

    def script(strategy):
        yield from step(strategy, 4)
        valid = datetime.timedelta(seconds=5) if how == "expire" else None
        parent, stop, target = side.bracket(strategy, 10, oargs={"valid": valid})
        yield from wait(3)
        if how == "cancel":
            strategy.cancel(parent)
        yield from wait(8)
        end = "Canceled" if how == "cancel" else "Expired"
        assert strategy.path(parent)[-1] == end
        assert [strategy.path(one)[-1] for one in (stop, target)] == ["Canceled"] * 2

    assert trade(side, script).at_exchange == (0, 0)


def test_an_entry_by_stop_in_a_thin_book_is_protected_in_parts(trade, side):
    """The entry takes the five shown levels; its rest is cancelled."""
    side.at(6, 1, near=1).at(6, 4, near=0).at(-12, 10)

    def script(strategy):
        yield from step(strategy, 4)
        parent, stop, target = side.bracket(strategy, 8, entry=5, exectype=bt.Order.Stop, target=40)
        yield from wait(7)
        filled = abs(parent.executed.size)
        assert 0 < filled < 8 and not parent.alive()
        assert stands(stop) == stands(target) == filled
        yield from wait(9)
        assert strategy.path(stop)[-1] == "Completed"

    assert trade(side, script).at_exchange == (0, 0)


def test_a_parent_that_reverses_protects_what_it_opens(trade, side):
    """Two lots of the other side are held: it closes them and opens three."""
    side.at(4, 30)

    def script(strategy):
        yield from wait(2)
        other = side.exit(strategy, size=2)
        while other.alive():
            yield None
        parent, stop, target = side.bracket(strategy, 5, entry=None, target=60, stop=-60)
        while parent.alive():
            yield None
        yield from wait(3)
        assert side.held(strategy) == 3
        assert stands(stop) == stands(target) == 3
        strategy.cancel(stop)
        yield from wait(3)

    assert trade(side, script).at_exchange == ((0, 3) if side.short else (3, 0))


def test_children_that_come_one_by_one_close_once(trade, side):
    side.at(12, 8).at(-12, 8)

    def script(strategy):
        yield from step(strategy, 4)
        parent = side.enter(strategy, size=3)
        while parent.alive():
            yield None
        exits = [
            side.exit(strategy, size=3, parent=parent, exectype=kind, price=side.price(steps))
            for kind, steps in ((bt.Order.Stop, -10), (bt.Order.Limit, 10))
        ]
        yield from wait(14)
        assert [strategy.path(one)[-1] for one in exits] == ["Canceled", "Completed"]

    strategy = trade(side, script)
    assert strategy.at_exchange == (0, 0) and lots_sent(strategy, opens=False) == 3


def test_of_two_brackets_that_cancel_each_other_one_is_left(trade):
    """The market may leave a range in either direction."""
    up, down = TradedSide(CU), TradedSide(CU, short=True)
    up.at(0, 8).at(12, 12)

    def script(strategy):
        yield from step(strategy, 4)
        rise = up.bracket(strategy, 2, entry=10, exectype=bt.Order.Stop, target=60)
        fall = down.bracket(strategy, 2, entry=10, exectype=bt.Order.Stop, target=60,
                            oargs={"oco": rise[0]})  # fmt: skip
        yield from wait(12)
        assert strategy.path(rise[0])[-1] == "Completed"
        assert [strategy.path(one)[-1] for one in fall] == ["Canceled"] * 3
        assert stands(rise[1]) == stands(rise[2]) == 2

    assert trade(up, script).at_exchange == (2, 0)


# -- exits as OCO -----------------------------------------------------------------------------


def enter(strategy, side, lots):
    yield from wait(2)
    entry = side.enter(strategy, size=lots)
    while entry.alive():
        yield None
    assert side.held(strategy) == lots


def exits_of(strategy, side, lots):
    target = side.exit(strategy, size=lots, exectype=bt.Order.Limit, price=side.price(10))
    stop = side.exit(
        strategy, size=lots, exectype=bt.Order.Stop, price=side.price(-10), oco=target
    )  # fmt: skip
    return target, stop


@pytest.mark.every_counter
@pytest.mark.parametrize("symbol", [CU, M])
@pytest.mark.parametrize("short", SIDES)
def test_a_partial_fill_of_one_exit_makes_the_other_smaller(trade, symbol, short):
    side = TradedSide(symbol, short=short).at(4, 10).at(11, 1, far=3).at(4, 4).at(-12, 12)

    def script(strategy):
        yield from enter(strategy, side, 10)
        target, stop = exits_of(strategy, side, 10)
        while abs(target.executed.size) < 3:
            yield None
        yield from wait(2)
        assert stands(stop) == stands(target) == 7
        yield from wait(12)
        assert strategy.path(stop)[-1] == "Completed" and abs(stop.executed.size) == 7
        assert strategy.path(target)[-1] == "Canceled"

    assert trade(side, script).at_exchange == (0, 0)


def test_exits_of_a_part_close_no_more_than_that_part(trade, side):
    """Twenty lots are held, so the account would not prevent both exits from trading."""
    side.at(4, 6).at(11, 1, far=3).at(-12, 12).at(12, 12)

    def script(strategy):
        yield from enter(strategy, side, 20)
        target, stop = exits_of(strategy, side, 10)
        while target.alive() or stop.alive():
            yield None
        assert abs(target.executed.size + stop.executed.size) == 10
        yield from wait(10)

    strategy = trade(side, script)
    assert strategy.at_exchange == ((0, 10) if side.short else (10, 0))


def test_two_limits_of_a_part_are_never_both_at_the_exchange(trade, side):
    side.at(4, 6).at(30, 12)

    def script(strategy):
        yield from enter(strategy, side, 9)
        first = side.exit(strategy, size=3, exectype=bt.Order.Limit, price=side.price(10))
        second = side.exit(
            strategy, size=3, exectype=bt.Order.Limit, price=side.price(12), oco=first
        )
        yield from wait(14)
        assert sorted(strategy.path(one)[-1] for one in (first, second)) == [
            "Canceled", "Completed",
        ]  # fmt: skip

    strategy = trade(side, script)
    assert strategy.at_exchange == ((0, 6) if side.short else (6, 0))


def test_an_exit_can_be_tied_to_one_that_is_partly_filled(trade, side):
    side.at(4, 4).at(11, 1, far=3).at(4, 6).at(-12, 12)

    def script(strategy):
        yield from enter(strategy, side, 10)
        target = side.exit(strategy, size=10, exectype=bt.Order.Limit, price=side.price(10))
        while abs(target.executed.size) < 3:
            yield None
        stop = side.exit(
            strategy, size=7, exectype=bt.Order.Stop, price=side.price(-10), oco=target
        )
        assert stop.alive()
        yield from wait(14)
        assert strategy.path(stop)[-1] == "Completed"
        assert strategy.path(target)[-1] == "Canceled"

    assert trade(side, script).at_exchange == (0, 0)


def test_entries_that_cancel_each_other_keep_backtraders_meaning(trade, side):
    """A partial fill of one cancels the other."""
    side.at(0, 1, near=3).at(4, 8)

    def script(strategy):
        yield from step(strategy, 4)
        first = side.enter(strategy, size=10, exectype=bt.Order.Limit, price=side.price(0))
        second = side.enter(
            strategy, size=10, exectype=bt.Order.Limit, price=side.price(-5), oco=first
        )
        while not first.executed.size:
            yield None
        yield from wait(3)
        assert strategy.path(second)[-1] == "Canceled"
        strategy.cancel(first)
        yield from wait(2)

    assert trade(side, script).at_exchange == ((0, 3) if side.short else (3, 0))


# -- refused, and reported --------------------------------------------------------------------


@pytest.mark.parametrize("as_bracket", [True, False], ids=["bracket", "oco"])
def test_a_target_is_given_back_when_its_stop_is_refused_for_good(trade, side, as_bracket):
    side.at(4, 10).at(-12, 90).at(12, 20)

    def script(strategy):
        if as_bracket:
            yield from wait(2)
            _, stop, target = side.bracket(strategy, 3, entry=None)
            while side.held(strategy) < 3:
                yield None
        else:
            yield from enter(strategy, side, 3)
            target, stop = exits_of(strategy, side, 3)
        yield from wait(3)
        strategy.broker.store.sandbox_server.fault("reject_order", count=31)
        while stop.alive():
            yield None
        assert strategy.path(stop)[-1] == "Rejected" and target.alive()
        assert strategy.path(target) == ["Submitted", "Accepted"]
        while target.alive():
            yield None
        assert strategy.path(target) == ["Submitted", "Accepted", "Completed"]

    strategy = trade(side, script)
    assert strategy.at_exchange == (0, 0)
    [words] = exposed(strategy)
    assert words.startswith(f"{CU}: 3 lots have no protection: order") and "系统繁忙" in words
    [alert] = strategy.alerts
    assert (alert.level, alert.title) == ("failure", "Lots without protection")


def test_a_stop_of_its_own_that_is_refused_for_good_is_an_alert(trade, side):
    side.at(4, 6).at(-12, 90)

    def script(strategy):
        yield from enter(strategy, side, 3)
        stop = side.exit(strategy, size=2, exectype=bt.Order.Stop, price=side.price(-10))
        yield from wait(2)
        strategy.broker.store.sandbox_server.fault("reject_order", count=100)
        while stop.alive():
            yield None
        yield from wait(2)

    strategy = trade(side, script)
    assert [words.partition(": order")[0] for words in exposed(strategy)] == [
        f"{CU}: 2 lots have no protection"
    ]
    assert len(strategy.alerts) == 1


def test_lots_that_another_stop_protects_are_not_told(trade, side):
    side.at(4, 6).at(-12, 90)

    def script(strategy):
        yield from enter(strategy, side, 3)
        stop, other = (
            side.exit(strategy, size=3, exectype=bt.Order.Stop, price=side.price(steps))
            for steps in (-10, -40)
        )
        yield from wait(2)
        strategy.broker.store.sandbox_server.fault("reject_order", count=100)
        while stop.alive():
            yield None
        yield from wait(2)
        assert other.alive()

    strategy = trade(side, script)
    assert exposed(strategy) == [] and strategy.alerts == []


def test_a_target_that_is_refused_leaves_the_lots_to_the_stop(trade, side):
    side.at(4, 8).at(-12, 12)

    def script(strategy):
        yield from enter(strategy, side, 3)
        strategy.broker.store.sandbox_server.fault("reject_order", count=1)
        target, stop = exits_of(strategy, side, 3)
        yield from wait(3)
        assert strategy.path(target)[-1] == "Rejected" and stop.alive()
        yield from wait(12)
        assert strategy.path(stop)[-1] == "Completed"

    strategy = trade(side, script)
    assert strategy.at_exchange == (0, 0) and exposed(strategy) == []


@pytest.mark.parametrize("which", ["stop", "target"])
def test_what_its_owner_withdraws_is_not_told(trade, side, which):
    side.at(4, 14)

    def script(strategy):
        yield from enter(strategy, side, 3)
        target, stop = exits_of(strategy, side, 3)
        yield from wait(3)
        strategy.cancel(stop if which == "stop" else target)
        yield from wait(4)
        assert {strategy.path(one)[-1] for one in (target, stop)} == {"Canceled"}

    strategy = trade(side, script)
    assert exposed(strategy) == [] and strategy.alerts == []


# -- a stop that reverses ---------------------------------------------------------------------


def reverse(strategy, side, lots=6):
    """Hold three lots, and place a stop for more."""
    yield from enter(strategy, side, 3)
    stop = side.exit(strategy, size=lots, exectype=bt.Order.Stop, price=side.price(-10))
    yield from wait(2)
    return stop


def turned(side, lots=3):
    return (lots, 0) if side.short else (0, lots)


def sent_again(strategy):
    return sum("is sent again" in str(words) for words in strategy.heard)


@pytest.mark.parametrize("refused", [1, 3])
@pytest.mark.parametrize("symbol", EXCHANGES)
@pytest.mark.parametrize("short", SIDES)
def test_a_reversing_stop_that_is_refused_closes_all_the_same_and_then_opens(
    trade, symbol, short, refused
):
    side = TradedSide(symbol, short=short).at(4, 8).at(-12, 25)

    def script(strategy):
        stop = yield from reverse(strategy, side)
        strategy.broker.store.sandbox_server.fault("reject_order", count=refused)
        while stop.alive():
            yield None
        assert strategy.path(stop)[-1] == "Completed"
        assert sent_again(strategy) == refused

    strategy = trade(side, script)
    assert strategy.at_exchange == turned(side)
    assert lots_sent(strategy, opens=False) == 3
    assert exposed(strategy) == []


def test_a_reversing_stop_that_is_refused_for_good_opens_nothing_and_is_an_alert(trade, side):
    side.at(4, 8).at(-12, 90)

    def script(strategy):
        stop = yield from reverse(strategy, side)
        strategy.broker.store.sandbox_server.fault("reject_order", count=100)
        while stop.alive():
            yield None
        assert strategy.path(stop)[-1] == "Rejected"
        assert sent_again(strategy) == 30
        yield from wait(2)

    strategy = trade(side, script)
    assert strategy.at_exchange == ((0, 3) if side.short else (3, 0))
    assert lots_sent(strategy, opens=True) == 3
    [words] = exposed(strategy)
    assert words.startswith(f"{CU}: 3 lots have no protection")
    assert len(strategy.alerts) == 1


@pytest.mark.parametrize(
    "fault",
    ["refuse_by_notice", pytest.param("swallow_order", marks=pytest.mark.slow)],
)
def test_a_reversing_stop_that_never_arrived_is_sent_again(trade, side, fault):
    side.at(4, 50).at(-12, 150)

    def script(strategy):
        stop = yield from reverse(strategy, side)
        strategy.broker.store.sandbox_server.fault(fault, count=1)
        while stop.alive():
            yield None
        assert strategy.path(stop)[-1] == "Completed"
        assert sent_again(strategy) == 1

    strategy = trade(side, script, speed=10.0)  # a dead link takes seconds of this machine
    assert strategy.at_exchange == turned(side)
    assert lots_sent(strategy, opens=False) == 3


@pytest.mark.parametrize("symbol", EXCHANGES)
@pytest.mark.parametrize("short", SIDES)
def test_a_reversing_stop_waits_in_a_locked_market_and_opens_when_it_has_closed(
    trade, symbol, short
):
    side = TradedSide(symbol, short=short).at(4, 8).at(-12, 10, far=0).at(-12, 15)

    def script(strategy):
        stop = yield from reverse(strategy, side)
        while not stop.triggered:
            yield None
        yield from wait(5)
        assert strategy.path(stop) == ["Submitted", "Accepted"]
        assert [(leg.volume, leg.filled) for leg in stop.legs] == [(3, 0)]
        while stop.alive():
            yield None
        assert strategy.path(stop)[-1] == "Completed"

    strategy = trade(side, script)
    assert strategy.at_exchange == turned(side)
    assert sent_again(strategy) == 0


def test_a_reversing_stop_in_a_thin_market_closes_before_it_opens(trade, side):
    """The book shows five lots at a time: twelve are closed, and five of eight opened."""
    side.at(4, 8).at(-12, 1, far=1).at(-12, 8, far=1)

    def script(strategy):
        yield from enter(strategy, side, 12)
        stop = side.exit(strategy, size=20, exectype=bt.Order.Stop, price=side.price(-10))
        while stop.alive():
            yield None
        assert abs(stop.executed.size) >= 12
        assert [leg.filled for leg in stop.legs if str(leg.offset) != "OPEN"] == [12]

    strategy = trade(side, script)
    assert lots_sent(strategy, opens=False) == 12
    assert exposed(strategy) == []


# -- the close --------------------------------------------------------------------------------

NOON, CLOSING, NIGHT = "2026-11-10 14:51:50", "2026-11-10 14:58:50", "2026-11-10 21:00:00"
LOSSES = {
    "nothing": lambda server: None,
    "market data": lambda server: server.fault("drop", conn="md"),
    "trading": lambda server: server.fault("drop", conn="td"),
    "front": lambda server: server.fault("front_lost", seconds=5.0),
}


def must_have_front(counter):
    if counter != "ctp":
        pytest.skip("only the counter of a futures company reports a lost front")


def close_order(strategy, side, lots):
    yield from enter(strategy, side, lots)
    order = side.exit(strategy, size=lots, exectype=bt.Order.Close)
    yield from wait(2)
    return order


def missed(strategy):
    return [str(word) for word in strategy.heard if "missed the close" in str(word)]


def reached_exchange(strategy):
    """Return when the closing order reached the exchange."""
    [closing] = [one for one in strategy.sent if one["offset"] != "OPEN"]
    return f"{from_ns(closing['insert_date_time']):%H:%M:%S}"


@pytest.mark.parametrize("what", LOSSES)
@pytest.mark.parametrize("short", SIDES)
def test_close_leaves_a_minute_earlier_when_a_line_was_lost_before(trade, counter, short, what):
    if what == "front":
        must_have_front(counter)
    side = TradedSide(CU, short=short, start=NOON).at(4, 30)
    side.market.go_to(CLOSING)
    side.at(4, 69)

    def script(strategy):
        store = strategy.broker.store
        order = yield from close_order(strategy, side, 3)
        LOSSES[what](store.sandbox_server)
        yield from wait(12)
        while order.alive():
            yield None
        assert strategy.path(order) == ["Submitted", "Accepted", "Completed"]

    strategy = trade(side, script)
    assert strategy.at_exchange == (0, 0)
    earliest, latest = ("55", "57") if what == "nothing" else ("00", "03")
    assert f"14:59:{earliest}" <= reached_exchange(strategy) <= f"14:59:{latest}"


def test_close_leaves_as_soon_as_the_front_is_back(trade, counter, side):
    must_have_front(counter)
    side = TradedSide(CU, short=side.short, start=NOON).at(4, 20)
    side.market.go_to(CLOSING)
    side.at(4, 69)

    def script(strategy):
        order = yield from close_order(strategy, side, 3)
        while strategy.broker.store.now() < datetime.datetime.fromisoformat(CLOSING):
            yield None
        strategy.broker.store.sandbox_server.fault("front_lost", seconds=25.0)
        while order.alive():
            yield None
        assert strategy.path(order)[-1] == "Completed"

    strategy = trade(side, script)
    assert strategy.at_exchange == (0, 0)
    assert "14:59:14" <= reached_exchange(strategy) <= "14:59:25"


@pytest.mark.parametrize("symbol", EXCHANGES)
@pytest.mark.parametrize("short", SIDES)
@pytest.mark.parametrize(("lots", "taken"), [(3, 0), (8, 5)], ids=["locked", "thin"])
def test_close_stays_until_the_close_and_its_rest_is_told(trade, symbol, short, lots, taken):
    side = TradedSide(symbol, short=short, start="2026-11-10 14:59:40").at(4, 10)
    side.at(4, 7, far=0).at(4, 1, far=1 if taken else 0).at(4, 2, far=0)
    side.market.go_to(NIGHT)
    side.at(4, 20)

    def script(strategy):
        order = yield from close_order(strategy, side, lots)
        while order.alive():
            yield None
        assert strategy.path(order)[-1] == "Expired"
        assert [leg.filled for leg in order.legs] == [taken]
        yield from wait(5)

    left = lots - taken
    strategy = trade(side, script, days=2)
    assert strategy.at_exchange == ((0, left) if short else (left, 0))
    [words] = missed(strategy)
    assert f"{left} lots were not traded" in words and f"{left} lots stay open" in words
    [alert] = strategy.alerts
    assert words in alert.text
    assert strategy.sent == []  # on the next day


def test_close_takes_what_comes_into_a_thin_book(trade, side):
    side = TradedSide(CU, short=side.short, start="2026-11-10 14:59:40").at(4, 10)
    side.at(4, 10, far=1)

    def script(strategy):
        order = yield from close_order(strategy, side, 8)
        while order.alive():
            yield None
        assert strategy.path(order)[-1] == "Completed"

    strategy = trade(side, script)
    assert strategy.at_exchange == (0, 0)
    assert missed(strategy) == strategy.alerts == []


@pytest.mark.parametrize("kind", ["stop", "market"])
def test_an_exit_that_is_placed_while_the_link_is_down_is_taken(trade, side, kind):
    side.at(4, 20).at(-12, 90)

    def script(strategy):
        yield from enter(strategy, side, 3)
        store = strategy.broker.store
        store.sandbox_server.fault("refuse", conn="td")  # otherwise it would be back too early
        store.sandbox_server.fault("drop", conn="td")
        while store.trading_up:
            store.pump(0.05)
        refused = side.enter(strategy, size=1)
        assert "link is down" in refused.info.reason
        options = {"exectype": bt.Order.Stop, "price": side.price(-10)} if kind == "stop" else {}
        out = side.exit(strategy, size=3, **options)
        while out.alive():
            yield None
        assert strategy.path(out)[-1] == "Completed"

    strategy = trade(side, script, speed=10.0)  # a dead link takes seconds of this machine
    assert strategy.at_exchange == (0, 0)
    assert exposed(strategy) == [] and strategy.alerts == []


def test_a_stop_that_is_refused_as_it_is_placed_is_an_alert(trade, side):
    side.at(4, 20)

    def script(strategy):
        yield from enter(strategy, side, 3)
        stop = side.exit(strategy, size=3, exectype=bt.Order.Stop)  # without a price
        yield from wait(2)
        assert strategy.path(stop) == ["Rejected"]

    strategy = trade(side, script)
    [words] = exposed(strategy)
    assert words.startswith(f"{CU}: 3 lots have no protection: order") and "a price" in words
    assert len(strategy.alerts) == 1


def test_a_halt_by_its_owner_tells_which_lots_it_leaves_without_a_stop(trade, side):
    side.at(4, 20)

    def script(strategy):
        yield from enter(strategy, side, 3)
        target, stop = exits_of(strategy, side, 2)
        yield from wait(3)
        strategy.broker.halt("enough")
        yield from wait(4)
        assert {strategy.path(one)[-1] for one in (target, stop)} == {"Canceled"}
        assert "enough" in stop.info.reason

    strategy = trade(side, script)
    assert exposed(strategy) == [f"{CU}: 2 lots have no protection: trading is HALTED: enough"]
    assert len(strategy.alerts) == 1
