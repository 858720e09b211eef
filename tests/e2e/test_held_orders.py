"""Orders that wait in the program: stops, trailing stops, Close, brackets, OCO, and ``valid``."""

import datetime

import backtrader as bt
import pytest
from e2e_script import CU, MORNING, M, Script, exchange_orders, play
from hand_market import HandMarket

from tianqin_backtrader.risk.limits import RiskLimits

AT_COUNTERS = ("ctp", "kq", "plain")


def ends(strategy, order):
    """Check how often each status was notified, and return the last."""
    path = strategy.path(order)
    assert path[0] == "Submitted"
    assert path.count("Submitted") == path.count("Accepted") == 1
    assert sum(path.count(end) for end in ("Completed", "Canceled", "Expired", "Rejected")) == 1
    return path[-1]


@pytest.fixture
def play_days(sandbox, run, tmp_path):
    """Run a script on ticks of a few days, whose sessions have only some seconds."""

    def play_days(script, *moments, days=2, feed="get_tick_data"):
        market = HandMarket(CU)
        for steps, moment in enumerate(moments):
            market.go_to(f"2026-11-{moment}").show(10 * steps, 10)
        store = sandbox(**market.save(tmp_path), days=days)
        return run(store, Script, getattr(store, feed)(CU), script=script)

    return play_days


def bars(count):
    for _ in range(count):
        yield None


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("limited", [False, True])
def test_a_stop_fires_at_its_price_and_not_before(sandbox, run, side, limited):
    def script(strategy):
        sign = 1 if side == "buy" else -1
        last = strategy.data.close[0]
        price = last + sign * 40
        kind = bt.Order.StopLimit if limited else bt.Order.Stop
        plimit = price + sign * 200 if limited else None
        order = getattr(strategy, side)(size=1, exectype=kind, price=price, plimit=plimit)
        assert exchange_orders(store) == {}
        for _ in range(200):
            yield None
            if not order.alive():
                break
            assert not order.legs or order.triggered
        if order.executed.size:
            assert (order.executed.price - price) * sign >= -10  # the spread is one tick
            assert ends(strategy, order) == "Completed"
            assert strategy.path(order) == ["Submitted", "Accepted", "Completed"]
        done.append(order.executed.size)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    play(store, run, script, CU)
    assert done and done[0]


def test_a_stop_that_is_cancelled_never_leaves(sandbox, run):
    def script(strategy):
        far = strategy.data.close[0] - 3000
        order = strategy.sell(size=1, exectype=bt.Order.Stop, price=far)
        yield None
        strategy.cancel(order)
        yield order
        assert strategy.path(order) == ["Submitted", "Accepted", "Canceled"]
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    play(store, run, script, CU)
    assert done and exchange_orders(store) == {}


def test_a_trailing_stop_follows_the_price_and_closes(sandbox, run):
    def script(strategy):
        yield strategy.buy(size=1)
        order = strategy.sell(size=1, exectype=bt.Order.StopTrail, trailamount=60)
        stops = [order.created.price]
        for _ in range(300):
            yield None
            stops.append(order.created.price)
            if not order.alive():
                break
        assert stops == sorted(stops)  # it never goes back
        assert ends(strategy, order) == "Completed"
        assert strategy.position.size == 0
        done.append(True)

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=4), run, script, CU)
    assert done


def test_backtraders_close_is_sent_in_the_last_seconds(sandbox, run):
    def script(strategy):
        order = strategy.buy(size=1, exectype=bt.Order.Close)
        yield order
        assert ends(strategy, order) == "Completed"
        when = bt.num2date(order.executed.dt)
        assert when.time() >= datetime.time(14, 59, 54)
        done.append(True)

    done = []
    play(sandbox(start="2026-11-10 14:50:00"), run, script, CU)
    assert done


def test_a_close_that_is_placed_after_the_close_is_for_the_next_days(play_days):
    """As from a strategy on daily bars: it must not be sent when the night session opens."""

    def script(strategy):
        while strategy.data.datetime.time(0) != datetime.time(15):
            yield None
        order = strategy.buy(size=1, exectype=bt.Order.Close)
        yield order
        assert ends(strategy, order) == "Completed"
        when = bt.num2date(order.executed.dt)
        assert when.date() == datetime.date(2026, 11, 11)
        assert when.time() >= datetime.time(14, 59, 54)
        done.append(True)

    done = []
    moments = ("10 14:58:00", "10 14:59:50", "10 21:00:00", "11 09:00:00", "11 14:59:50")
    play_days(script, *moments, feed="getdata")
    assert done


def test_a_bracket_protects_what_its_parent_has_opened(sandbox, run):
    def script(strategy):
        price = strategy.data.close[0]
        parent, stop, target = strategy.buy_bracket(
            size=2, exectype=bt.Order.Market, stopprice=price - 60, limitprice=price + 60
        )
        yield parent
        assert strategy.position.size == 2
        for _ in range(400):
            yield None
            if not stop.alive() and not target.alive():
                break
        assert sorted([ends(strategy, stop), ends(strategy, target)]) == ["Canceled", "Completed"]
        assert strategy.position.size == 0
        assert strategy.broker.get_account_position(CU) == {}
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    play(store, run, script, CU)
    assert done
    assert {order["offset"] for order in exchange_orders(store).values()} == {"OPEN", "CLOSETODAY"}


def test_a_parent_that_waits_for_a_price_keeps_its_children(sandbox, run):
    """If an entry by a stop fires, its own protection must stay."""

    def script(strategy):
        price = strategy.data.close[0]
        parent, stop, target = strategy.buy_bracket(
            size=2, exectype=bt.Order.Stop, price=price + 10,
            stopprice=price - 500, limitprice=price + 500,
        )  # fmt: skip
        yield parent
        yield None
        assert strategy.path(parent)[-1] == "Completed" and strategy.position.size == 2
        assert stop.alive() and target.legs[0].volume == 2
        strategy.cancel(stop)
        yield target
        assert [ends(strategy, one) for one in (stop, target)] == ["Canceled"] * 2
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    play(store, run, script, CU)
    assert done
    # A fired entry is a market order (IOC), which leaves nothing at the exchange.
    assert [one["time_condition"] for one in exchange_orders(store).values()] == ["IOC", "GFD"]


def test_a_target_beyond_the_days_limit_waits_and_its_stop_goes_on(sandbox, run):
    def script(strategy):
        price = strategy.data.close[0]
        parent, stop, target = strategy.buy_bracket(
            size=2, exectype=bt.Order.Market, stopprice=price - 60, limitprice=price * 1.2
        )
        yield parent
        yield None
        assert stop.alive() and target.alive() and not target.legs
        assert any("waits for another day" in str(word) for word in strategy.heard)
        for _ in range(400):
            yield None
            if not stop.alive():
                break
        assert [ends(strategy, one) for one in (stop, target)] == ["Completed", "Canceled"]
        assert strategy.position.size == 0
        done.append(True)

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=4), run, script, CU)
    assert done


def test_a_stop_larger_than_the_book_stays_until_it_is_filled(sandbox, run):
    def script(strategy):
        price = strategy.data.close[0]
        parent, stop, _target = strategy.buy_bracket(
            size=60, exectype=bt.Order.Limit, price=price + 50,
            stopprice=price - 50, limitprice=price + 3000,
        )  # fmt: skip
        for _ in range(400):
            yield None
            if not stop.alive():
                break
        assert parent.executed.size == 60 == -stop.executed.size
        assert ends(strategy, stop) == "Completed"
        assert strategy.position.size == 0
        done.append(len(stop.legs))

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=4, balance=1e8), run, script, CU)
    assert done == [1]


def test_protection_that_expires_is_told(sandbox, run):
    """Backtrader applies ``valid`` of a bracket to its children, too."""

    def script(strategy):
        price = strategy.data.close[0]
        parent, stop, target = strategy.buy_bracket(
            size=2, exectype=bt.Order.Market, stopprice=price - 3000, limitprice=price + 3000,
            valid=datetime.timedelta(minutes=3),
        )  # fmt: skip
        for _ in range(6):
            yield None
        assert strategy.path(parent)[-1] == "Completed"
        assert {ends(strategy, stop), ends(strategy, target)} <= {"Expired", "Canceled"}
        told = [str(word) for word in strategy.heard if "no protection" in str(word)]
        assert told == [f"{CU}: 2 lots have no protection: order {stop.ref} (Stop) is Expired"]
        done.append(True)

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=4), run, script, CU)
    assert done


def test_limits_of_speed_do_not_lose_a_stop_that_fires(sandbox, run):
    """Three equal stops that fire at once are no repetition; one is sent per second."""

    def script(strategy):
        yield strategy.buy(size=3)
        price = strategy.data.close[0] - 40
        assert (
            "max_order_size is 3"
            in strategy.sell(size=4, exectype=bt.Order.Stop, price=price).info.reason
        )
        stops = [strategy.sell(size=1, exectype=bt.Order.Stop, price=price) for _ in range(3)]
        for _ in range(400):
            yield None
            if not any(stop.alive() for stop in stops):
                break
        assert [ends(strategy, stop) for stop in stops] == ["Completed"] * 3
        assert strategy.position.size == 0
        done.append(True)

    done = []
    limits = RiskLimits(orders_per_second=1, no_repeat_within=60, max_order_size=3)
    store = sandbox(start=MORNING, ticks_per_pack=4)
    store.getbroker(risk=limits)
    play(store, run, script, CU)
    assert done


def test_the_children_of_a_parent_that_is_withdrawn_are_withdrawn(sandbox, run):
    def script(strategy):
        price = strategy.data.close[0]
        parent, stop, target = strategy.buy_bracket(
            size=2, price=price - 1000, stopprice=price - 1500, limitprice=price + 500
        )
        yield from bars(2)
        assert len(exchange_orders(store)) == 1
        strategy.cancel(parent)
        yield parent
        yield None
        assert [ends(strategy, one) for one in (parent, stop, target)] == ["Canceled"] * 3
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    play(store, run, script, CU)
    assert done


def test_a_bracket_with_an_impossible_child_is_refused_whole(sandbox, run):
    def script(strategy):
        orders = strategy.buy_bracket(
            size=2, exectype=bt.Order.Market, stopprice=None, limitprice=float("nan")
        )
        yield None
        assert [strategy.path(one)[-1] for one in orders] == ["Rejected"] * 3
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    play(store, run, script, CU)
    assert done and exchange_orders(store) == {}


def test_nothing_leaves_before_it_is_transmitted(sandbox, run):
    def script(strategy):
        price = strategy.data.close[0]
        parent = strategy.buy(size=1, transmit=False)
        yield from bars(3)
        assert exchange_orders(store) == {} and parent.ref not in strategy.told
        child = strategy.sell(size=1, exectype=bt.Order.Stop, price=price - 2000, parent=parent)
        yield parent
        assert ends(strategy, parent) == "Completed"
        assert child.alive()
        strategy.cancel(child)
        yield child
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    play(store, run, script, CU)
    assert done


def test_of_orders_that_cancel_each_other_one_trades(sandbox, run):
    def script(strategy):
        price = strategy.data.close[0]
        yield strategy.buy(size=2)
        target = strategy.sell(size=2, exectype=bt.Order.Limit, price=price + 60)
        stop = strategy.sell(size=2, exectype=bt.Order.Stop, price=price - 60, oco=target)
        for _ in range(400):
            yield None
            if not target.alive() and not stop.alive():
                break
        assert sorted([ends(strategy, stop), ends(strategy, target)]) == ["Canceled", "Completed"]
        assert strategy.position.size == 0
        done.append(True)

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=4), run, script, CU)
    assert done


@pytest.mark.parametrize("symbol", [CU, M])
@pytest.mark.parametrize("exectype", [bt.Order.Limit, bt.Order.Stop, bt.Order.Market])
def test_an_exit_in_the_same_next_as_its_market_entry_closes_it(sandbox, run, symbol, exectype):
    """Without ``parent``; the exchange refuses the stop once."""

    def script(strategy):
        tick = store.instrument(symbol).price_tick
        away = {bt.Order.Limit: 1, bt.Order.Stop: -2, bt.Order.Market: None}[exectype]
        price = None if away is None else strategy.data.close[0] + away * tick
        entry = strategy.buy(size=3)
        out = strategy.sell(size=3, exectype=exectype, price=price)
        yield entry
        if exectype == bt.Order.Stop:
            store.sandbox_server.fault("reject_order", count=1)
        for _ in range(400):
            if not out.alive():
                break
            yield None
        yield None
        assert ends(strategy, out) == "Completed"
        assert strategy.position.size == 0
        assert strategy.broker.get_account_position(symbol) == {}
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    play(store, run, script, symbol)
    assert done
    offsets = [order["offset"] for order in exchange_orders(store).values()]
    assert offsets.count("OPEN") == 1


def test_an_exit_of_an_entry_that_is_refused_ends(sandbox, run):
    def script(strategy):
        store.sandbox_server.fault("reject_order", count=1)
        strategy.buy(size=3)
        price = strategy.data.close[0]
        exits = [
            strategy.sell(size=3, exectype=bt.Order.Stop, price=price - 500),
            strategy.sell(size=3, exectype=bt.Order.Limit, price=price + 500),
        ]
        yield from bars(5)
        assert [strategy.path(one)[-1] for one in exits] == ["Canceled"] * 2
        assert all("are gone" in one.info.reason for one in exits)
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    play(store, run, script, CU)
    assert done and len(exchange_orders(store)) == 1


#: Two days: the night session of the tenth belongs to the eleventh.
TWO_DAYS = ("10 14:50:00", "10 14:59:50", "10 20:59:55", "10 22:29:55")


@pytest.mark.parametrize(
    ("valid", "end", "sendings"),
    [
        (bt.Order.DAY, "Expired", 1),
        (datetime.timedelta(minutes=3), "Expired", 1),
        (None, "", 2),
        (datetime.date(2026, 11, 11), "", 2),
        (datetime.datetime(2026, 11, 10, 22, 0), "Expired", 2),
    ],
)
def test_an_order_is_good_as_long_as_it_says(play_days, valid, end, sendings):
    def script(strategy):
        price = strategy.data.close[0] - 500
        order = strategy.buy(size=1, exectype=bt.Order.Limit, price=price, valid=valid)
        yield None
        while strategy.data.datetime.datetime(0) < datetime.datetime(2026, 11, 10, 22, 30):
            yield None
        assert len(order.legs) == sendings
        if end:
            assert ends(strategy, order) == end
        else:
            assert strategy.path(order) == ["Submitted", "Accepted"]
            strategy.cancel(order)
            yield order
            assert ends(strategy, order) == "Canceled"
        done.append(True)

    done = []
    play_days(script, *TWO_DAYS)
    assert done


def test_a_price_that_the_next_days_limits_leave_out_waits_for_another_day(play_days):
    def script(strategy):
        store = strategy.broker.store
        low = store.instrument(CU).lower_limit
        good, day = (
            strategy.buy(size=1, exectype=bt.Order.Limit, price=low, valid=valid)
            for valid in (None, datetime.date(2026, 11, 11))
        )
        while strategy.data.datetime.datetime(0) < datetime.datetime(2026, 11, 10, 22, 30):
            yield None
        assert store.instrument(CU).lower_limit > low
        for order in (good, day):
            assert (order.getstatusname(), len(order.legs)) == ("Accepted", 1)
        while strategy.data.datetime.datetime(0) < datetime.datetime(2026, 11, 11, 21, 30):
            yield None
        assert ends(strategy, day) == "Expired"
        assert good.alive()
        done.append(True)

    done = []
    play_days(script, *TWO_DAYS, "11 09:00:00", "11 14:59:50", "11 21:30:00", days=3)
    assert done
