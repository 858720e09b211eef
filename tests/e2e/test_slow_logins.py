"""Market data is lost and the login server fails: the old trading link still works."""

import backtrader as bt
import pytest
from e2e_script import CU, MORNING
from test_restart import Program
from test_trades_of_others import timed

from tianqin_backtrader.errors import LinkLost, LoginRefused
from tianqin_backtrader.gateway import client as client_maker
from tianqin_backtrader.gateway.supervisor import State
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox


@pytest.fixture
def box():
    with EmbeddedSandbox(start=MORNING, ticks_per_pack=5) as box:
        yield box


@pytest.fixture
def program(box, tmp_path):
    with Program(box, tmp_path) as program:
        bought = program.broker.buy_open(CU, 4, program.quote.ask_price1 + 100)
        program.until(lambda: not bought.alive())
        yield program


def lose_market_data(box):
    """Drop market data, so that tqsdk's own reconnect fails; a probe is answered."""
    box.fault("refuse", conn="md", attempts=1)
    box.fault("drop", conn="md")


def faults(box):
    return box.state()["faults"]


def exit_at_once(program):
    broker = program.broker
    order = broker.sell(None, broker._orders.data(CU), 2, None, exectype=bt.Order.Market)
    program.until(lambda: not order.alive(), 50)
    assert order.status == bt.Order.Completed


def test_an_exit_leaves_at_once_while_the_login_server_hangs(box, program):
    link = program.store.reconnector
    box.fault("slow_login", seconds=600)
    lose_market_data(box)
    with timed(program) as lengths:
        program.until(lambda: faults(box)["slow_logins"])
        exit_at_once(program)
        for _ in range(20):
            program.turn()
        exit_at_once(program)
    assert max(lengths) < 1.0, f"a round took {max(lengths):.2f} s"
    assert link.sessions == 1 and link.trading_up
    box.fault("slow_login", seconds=0)
    program.until(lambda: link.sessions == 2)
    program.until(lambda: link.state is State.UP and link.trading_up and link.market_data_up)


def test_an_exit_leaves_at_once_while_the_login_server_answers_503(box, program):
    link = program.store.reconnector
    box.fault("refuse_token", attempts=2, status=503)
    lose_market_data(box)
    with timed(program) as lengths:
        program.until(lambda: faults(box)["refused_tokens"] == 1)
        program.until(lambda: "not in service" in link.last_error)
        exit_at_once(program)
        program.until(lambda: faults(box)["refused_tokens"] == 0)
    assert max(lengths) < 1.0, f"a round took {max(lengths):.2f} s"
    program.until(lambda: link.sessions == 2)
    exit_at_once(program)


def test_a_password_that_is_wrong_by_now_ends_the_run_in_the_same_words(box, program):
    box.fault("refuse_token", attempts=99)
    lose_market_data(box)
    program.until(lambda: faults(box)["refused_tokens"] == 98)
    exit_at_once(program)
    with pytest.raises(LoginRefused, match=r"repeatedly: TianQin refused the login: .*401"):
        program.until(lambda: False)
    assert program.store.health().state == "FATAL"


def test_a_session_that_follows_a_knock_asks_nothing_of_the_login_server(box, program):
    gateway = program.store.gateway
    assert gateway.probe(5.0).answer(60.0)
    box.fault("slow_login", seconds=600)
    gateway.renew(0.0, 0.0)
    assert gateway.connected


def test_a_session_is_kept_where_the_next_one_would_not_be_let_in(box, program):
    gateway = program.store.gateway
    box.fault("refuse_token")
    assert gateway.probe(5.0).answer(60.0)
    with pytest.raises(LoginRefused, match="Invalid user credentials"):
        gateway.renew(0.0, 0.0)
    assert gateway.connected
    exit_at_once(program)


@pytest.mark.parametrize("conn", ["md", "td"])
def test_a_link_that_is_refused_as_a_session_is_made_holds_nothing_up(box, program, conn):
    """tqsdk itself would try for a minute."""
    gateway = program.store.gateway
    box.fault("refuse", conn=conn, seconds=600)
    with pytest.raises(LinkLost, match="refused a connection"):
        gateway.renew(0.0, 0.0)
    box.fault("refuse", conn=conn, seconds=0)
    gateway.renew(0.0, 0.0)
    assert gateway.connected


def test_market_data_that_takes_connections_and_is_silent_is_not_waited_for(
    box, program, monkeypatch
):
    """It sends data again before tqsdk would give up."""
    monkeypatch.setattr(client_maker, "PICTURE", 1.0)
    gateway = program.store.gateway
    box.fault("freeze", conn="md", later=True, seconds=8.0)
    with pytest.raises(LinkLost, match="says nothing"):
        gateway.renew(0.0, 0.0)
    box.fault("thaw", conn="md")
    gateway.renew(0.0, 0.0)
    assert gateway.connected


def test_on_a_late_line_a_session_gets_as_long_as_the_knock_had(box, program, monkeypatch):
    monkeypatch.setattr(client_maker, "PICTURE", 0.5)
    gateway = program.store.gateway
    box.fault("freeze", conn="md", later=True, seconds=1.5)
    gateway.renew(0.0, 10.0)
    assert gateway.connected
