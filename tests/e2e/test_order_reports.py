"""Reports that come late, twice, or are impossible: notifications of strategies."""

from e2e_script import CU, MORNING, M, play

from tianqin_backtrader.core.clock import monotonic
from tianqin_backtrader.core.model import Fill, OrderReport

COUNTER = "ctp"


def report(leg, *, left, status="FINISHED", order_id="1"):
    return OrderReport(
        leg.order_id, leg.symbol, leg.direction, leg.offset, leg.volume, left,
        leg.limit_price, status, order_id, "",
    )  # fmt: skip


def fill(leg, broker, *, volume=1, trade_id="late"):
    return Fill(
        trade_id, leg.order_id, leg.symbol, leg.direction, leg.offset, leg.limit_price, volume,
        broker.store.clock.now_ns(), 1.0,
    )  # fmt: skip


def working(strategy, lots):
    order = strategy.broker.buy_open(CU, lots, strategy.data.bid_price[0] - 1000)
    yield None
    assert order.getstatusname() == "Accepted"
    return order


def test_a_fill_after_the_cancel_is_told_and_the_cancel_not_again(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        order = yield from working(strategy, 2)
        [leg] = order.legs
        broker.take_reports([report(leg, left=2)])
        broker.take_reports([fill(leg, broker), fill(leg, broker)])
        yield None
        assert strategy.path(order) == ["Submitted", "Accepted", "Canceled", "Partial"]
        assert not order.alive() and order.executed.size == 1
        assert strategy.position.size == 1
        broker.take_reports([fill(leg, broker, trade_id="last")])
        yield None
        assert strategy.path(order)[3:] == ["Partial", "Partial"]  # an end is notified once
        assert strategy.position.size == 2
        done.append(True)

    done = []
    play(sandbox(start=MORNING), run, script, CU)
    assert done


def test_after_a_report_that_cannot_be_the_run_goes_on(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        order = yield from working(strategy, 1)
        [leg] = order.legs
        broker.take_reports([fill(leg, broker, volume=7)])
        yield None
        assert order.executed.size == 0 and order.alive()
        broker.cancel(order)
        yield order
        assert strategy.path(order) == ["Submitted", "Accepted", "Canceled"]
        done.append(True)

    done = []
    play(sandbox(start=MORNING), run, script, CU)
    assert done


def test_other_lots_are_closed_in_place_of_a_refused_leg(sandbox, run):
    """The exchange refuses to close today's lots once; yesterday's are closed instead."""

    def script(strategy):
        broker, store = strategy.broker, strategy.broker.store
        yield broker.buy_open(CU, 3)
        day = store.calendar.trading_day_at(store.now())
        while store.calendar.trading_day_at(store.now()) == day:
            yield None
        yield broker.buy_open(CU, 2)
        store.sandbox_server.fault("reject_order", message="CTP:平今仓位不足")
        order = broker.sell_close(CU, 2)
        yield order
        assert [(str(leg.offset), str(leg.state)) for leg in order.legs] == [
            ("CLOSETODAY", "REJECTED"),
            ("CLOSE", "FILLED"),
        ]
        assert strategy.path(order)[-1] == "Completed"
        done.append(True)

    done = []
    play(sandbox(start="2026-11-10 14:50:00", days=2), run, script, CU)
    assert done


def test_a_fill_while_the_link_is_down_is_told_afterwards(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        data = strategy.data
        order = broker.buy_open(M, 3, data.bid_price[0])
        yield None
        broker.store.sandbox_server.fault("fill_away", conn="all", seconds=3600)
        for _ in range(400):
            broker.store.pump(0.05)
            if not order.alive():
                break
        yield None
        assert strategy.path(order)[0] == "Submitted"
        assert strategy.path(order)[-1] == "Completed"
        assert broker.get_account_position(M)["pos_long"] == strategy.position.size == 3
        done.append(True)

    done = []
    play(sandbox(start=MORNING), run, script, M)
    assert done


def test_an_order_in_the_moment_of_a_drop_has_an_end_and_is_not_sent_twice(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        orders = [broker.buy_open(CU, 1)]
        broker.store.sandbox_server.fault("drop", conn="td")
        orders.append(broker.buy_open(CU, 1))
        patience = monotonic() + 40
        while any(order.alive() for order in orders) and monotonic() < patience:
            broker.store.pump(0.02)
        yield None
        assert all(strategy.path(order)[-1] in ("Completed", "Rejected") for order in orders)
        filled = sum(order.executed.size for order in orders)
        assert broker.get_account_position(CU).get("pos_long", 0) == filled
        assert all(len(order.legs) == 1 for order in orders)
        done.append(True)

    done = []
    play(sandbox(start=MORNING), run, script, CU)
    assert done
