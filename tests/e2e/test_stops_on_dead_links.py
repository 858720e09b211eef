"""A stop fires while the trading link is dead: a lost order is sent again, and closes once."""

import backtrader as bt
import pytest
from e2e_script import CU, Script, exchange_orders
from hand_market import HandMarket
from test_exits_at_exchanges import buy_three, held, wait

from tianqin_backtrader.core.clock import monotonic

AT_COUNTERS = ("ctp", "kq")
#: Seconds of market time per second of real time.
SPEED = 5.0
#: What happens to the stop's order: it is not read, the counter loses it, or gets it too late.
FAULTS = {
    "frozen": ("freeze", {"conn": "td"}),
    "swallowed": ("swallow_order", {"count": 1}),
    "late": ("freeze", {"conn": "td", "seconds": 30}),
}
#: Parameters of a stop besides its price; its limit is far enough below the market.
KINDS = {bt.Order.Stop: {}, bt.Order.StopLimit: {"plimit": -60}, bt.Order.StopTrail: {}}
#: Seconds until the price is reached, the dead link is detected, another session is made, and the
#: order is found missing.
PATIENCE = 40
ALWAYS = (bt.Order.Stop, "frozen")


def case(kind, fault):
    slow = () if (kind, fault) == ALWAYS else (pytest.mark.slow,)
    return pytest.param(kind, fault, marks=slow, id=f"{bt.Order.ExecTypes[kind]}-{fault}")


def stop_below(strategy, market, kind):
    if kind == bt.Order.StopTrail:
        return strategy.sell(size=3, exectype=kind, trailamount=10 * market.tick)
    prices = {name: market.price(steps) for name, steps in KINDS[kind].items()}
    return strategy.sell(size=3, exectype=kind, price=market.price(-10), **prices)


def closing(store):
    """Return the lots that orders at the exchange have closed."""
    return sum(
        one["volume_orign"] - one["volume_left"]
        for one in exchange_orders(store).values()
        if one["offset"] != "OPEN"
    )


@pytest.mark.parametrize(
    ("kind", "fault"), [case(kind, fault) for kind in KINDS for fault in FAULTS]
)
def test_a_stop_on_a_dead_link_closes_in_the_next_session(
    sandbox, run, tells_time, tmp_path, kind, fault
):  # fmt: skip
    # The stop fires before the dead link is noticed, which takes seconds of the program's clock.
    market = HandMarket(CU).show(0, 60 if tells_time else 20).show(-20, 240)
    speed = 1.0 if tells_time else SPEED  # of the clock by which faults and patience are measured

    def script(strategy):
        yield from buy_three(strategy)
        stop = stop_below(strategy, market, kind)
        yield from wait(2)
        assert stop.alive() and not stop.legs
        sessions = store.reconnector.sessions
        name, how = FAULTS[fault]
        store.sandbox_server.fault(
            name,
            **{key: value * speed if key == "seconds" else value for key, value in how.items()},
        )
        end = monotonic() + PATIENCE * speed
        while stop.alive() and monotonic() < end:
            yield None
        assert strategy.path(stop) == ["Submitted", "Accepted", "Completed"]
        assert (stop.executed.size, strategy.position.size) == (-3, 0)
        assert store.reconnector.sessions == sessions + 1
        assert [leg.filled for leg in stop.legs] == [0, 3]
        while fault == "late" and len(exchange_orders(store)) < 3:
            yield None
        yield from wait(5)
        assert strategy.path(stop) == ["Submitted", "Accepted", "Completed"]
        assert not [word for word in strategy.heard if "no protection" in str(word)]
        done.append(True)

    done = []
    store = sandbox(**market.save(tmp_path), speed=SPEED)
    run(store, Script, store.get_tick_data(CU), script=script)
    assert done
    assert held(store, CU) == (0, 0)
    assert closing(store) == 3
    assert [one["offset"] for one in exchange_orders(store).values()].count("OPEN") == 1
