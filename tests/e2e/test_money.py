"""Targets in money, fees, and trades by another hand: what strategies are told."""

import pytest
from e2e_script import CU, MORNING, exchange_orders, play

#: Every way from a long, a short and nothing to each of them, larger and smaller.
WALK = (-5, 5, -2, 2, 0, -2, -5, 0, 5, 2, -5, -2, 0, 2, 5, 0)
MAIN_CU = "KQ.m@SHFE.cu"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("symbol", [CU, MAIN_CU])
def test_a_target_in_money_is_reached_from_everywhere_and_said_again_changes_nothing(
    sandbox, run, symbol
):
    def script(strategy):
        broker, data = strategy.broker, strategy.data
        margin = broker.getcommissioninfo(data).get_margin(data.close[0])
        for lots in WALK:
            strategy.order_target_value(target=lots * margin)
            strategy.order_target_value(target=lots * margin)  # before anything is filled
            yield None
            yield None
            sent = len(exchange_orders(store))
            assert strategy.position.size == lots
            assert broker.getvalue([data]) == pytest.approx(lots * margin)
            strategy.order_target_value(target=lots * margin)
            yield None
            yield None
            assert (strategy.position.size, len(exchange_orders(store))) == (lots, sent)
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=5)
    play(store, run, script, symbol)
    assert done


def test_a_share_of_equity_is_the_same_share_short_and_long(sandbox, run):
    def script(strategy):
        yield None
        seen = []
        for share in (-0.2, -0.2, 0.2, 0.2, 0.0, 0.0, 0.2, -0.2):
            strategy.order_target_percent(target=share)
            yield None
            yield None
            seen.append(int(strategy.position.size))
        lots = int(0.2 * strategy.broker.getvalue() // store.instrument(CU).margin)
        assert lots > 1
        assert seen == [-lots, -lots, lots, lots, 0, 0, lots, -lots]
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=5)
    play(store, run, script, CU)
    assert done
