"""Six exchanges, four directions, every order type: orders that the real client sends."""

import pytest
from e2e_script import CU, IF, SI, SR, M, exchange_orders, play

COUNTER = "ctp"

SC = "INE.sc2701"
ACTIONS = {"buy_open": 1, "sell_open": -1, "sell_close": -1, "buy_close": 1}
#: order type -> (whether it has a price, or its ``order_type``; advanced)
TYPES = {
    "limit": (True, None),
    "limit FAK": (True, "FAK"),
    "limit FOK": (True, "FOK"),
    "market": (False, None),
    "market FOK": (False, "FOK"),
    "BEST": ("BEST", None),
    "FIVELEVEL": ("FIVELEVEL", None),
}
LIMIT, FAK, FOK = ("LIMIT", "GFD", "ANY"), ("LIMIT", "IOC", "ANY"), ("LIMIT", "IOC", "ALL")
ANY, ANY_FOK = ("ANY", "IOC", "ANY"), ("ANY", "IOC", "ALL")
NO = None
#: The order that the exchange gets, by order type as in ``TYPES``; None for a refusal.
PACKS = {
    CU: (LIMIT, FAK, FOK, FAK, FOK, NO, NO),
    SC: (LIMIT, FAK, FOK, FAK, FOK, NO, NO),
    M: (LIMIT, FAK, FOK, ANY, ANY_FOK, NO, NO),
    SR: (LIMIT, FAK, NO, ANY, NO, NO, NO),
    SI: (LIMIT, FAK, FOK, ANY, ANY_FOK, NO, NO),
    IF: (LIMIT, FAK, FOK, FAK, FOK, ("BEST", "IOC", "ANY"), ("FIVELEVEL", "IOC", "ANY")),
}


def wire(pack):
    return pack["price_type"], pack["time_condition"], pack["volume_condition"]


@pytest.mark.parametrize("symbol", PACKS)
def test_every_type_in_every_direction_goes_out_as_the_exchange_has_it(sandbox, run, symbol):
    def script(strategy):
        broker, data = strategy.broker, strategy.datas[0]
        yield broker.buy_open(symbol, 20)
        yield broker.sell_open(symbol, 20)
        apart = symbol in (CU, SC)
        for (price, advanced), expected in zip(TYPES.values(), PACKS[symbol], strict=True):
            for action, sign in ACTIONS.items():
                yield None
                side = data.ask_price[0] if sign > 0 else data.bid_price[0]
                limit = side if price is True else price or None
                order = getattr(broker, action)(symbol, 1, limit, advanced=advanced)
                yield None
                if expected is NO:
                    assert strategy.path(order) == ["Rejected"]
                    assert order.info.reason and not order.legs
                    continue
                broker.cancel(order) if order.alive() else None
                yield order
                [leg] = order.legs
                pack = exchange_orders(store)[leg.order_id]
                assert wire(pack) == expected
                offset = "OPEN" if "open" in action else "CLOSETODAY" if apart else "CLOSE"
                assert (pack["offset"], pack["volume_orign"]) == (offset, 1)
                assert pack["direction"] == ("BUY" if sign > 0 else "SELL")
                assert strategy.path(order)[0] == "Submitted"
                assert strategy.path(order)[-1] in ("Completed", "Canceled")
                if price is False and expected in (FAK, ANY):
                    assert strategy.path(order)[-1] == "Completed"
        assert broker.balance().equity == pytest.approx(broker.getvalue(), abs=0.005)
        done.append(True)

    done = []
    store = sandbox(start="2026-11-10 13:30:20", balance=50_000_000.0, ticks_per_pack=4)
    play(store, run, script, symbol)
    assert done
