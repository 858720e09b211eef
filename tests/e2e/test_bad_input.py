"""Bad input raises a clear error of the library before anything is sent or half-started."""

import socket
import time

import backtrader as bt
import pytest

from tianqin_backtrader import MyStore
from tianqin_backtrader.errors import (
    ConfigError,
    LoginRefused,
    SandboxError,
    StoreClosed,
    UnknownSymbol,
)
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox


def test_no_credentials(monkeypatch):
    monkeypatch.delenv("TQ_USER", raising=False)
    monkeypatch.delenv("TQ_PASS", raising=False)
    with pytest.raises(ConfigError, match=r"TQ_USER.*MyStore\.sandbox"):
        MyStore()


def test_a_wrong_password_is_refused_with_the_servers_answer_and_not_retried():
    with EmbeddedSandbox(users={"me": "right"}) as server:
        with pytest.raises(LoginRefused, match="Invalid user credentials") as caught:
            MyStore("me", "wrong-secret", urls=server.urls)
        assert "wrong-secret" not in str(caught.value)
        with MyStore("me", "right", urls=server.urls) as store:
            assert store.getbroker().getvalue() > 0


def test_a_server_that_is_not_there():
    with EmbeddedSandbox() as server:
        urls = server.urls
    with pytest.raises(Exception, match="cannot be reached") as caught:
        MyStore("u", "p", urls=urls)
    assert type(caught.value).__name__ == "LinkLost"


@pytest.mark.parametrize("symbol", ["SHFE.xx2612", "SHFE.cu9912", "cu2612", "SHFE.CU2612", ""])
def test_an_unknown_symbol_is_known_at_once(sandbox, symbol):
    store = sandbox()
    began = time.monotonic()
    with pytest.raises((UnknownSymbol, ConfigError)) as caught:
        store.getdata(symbol)
    written_otherwise = symbol in ("cu2612", "SHFE.CU2612")
    assert ("did you mean SHFE.cu2612?" in str(caught.value)) is written_otherwise
    assert time.monotonic() - began < 10  # tqsdk's own time-out would be 30 s
    assert store.feeds == []


def test_zhengzhou_writes_three_digits(sandbox):
    store = sandbox()
    with pytest.raises(UnknownSymbol, match=r"did you mean CZCE\.SR701\?"):
        store.getdata("CZCE.SR2701")


@pytest.mark.parametrize("symbol", [None, 2612])
def test_what_is_no_text_is_no_symbol(sandbox, symbol):
    with pytest.raises(UnknownSymbol, match=f"{symbol} is not a symbol: write SHFE.cu2612"):
        sandbox().getdata(symbol)


def test_what_an_unknown_contract_would_cost_is_refused_at_once(sandbox):
    broker = sandbox().getbroker()
    with pytest.raises(UnknownSymbol, match=r"SHFE\.zz9912"):
        broker.order_cost("SHFE.zz9912", 1)
    with pytest.raises(UnknownSymbol, match=r"SHFE\.zz9912"):
        broker.max_lots("SHFE.zz9912")


def test_an_expired_contract(sandbox):
    store = sandbox()
    expired = store.tianqin.query_quotes(ins_class="FUTURE", expired=True)
    assert expired
    with pytest.raises(UnknownSymbol, match="has expired"):
        store.getdata(expired[0])


@pytest.mark.parametrize("lookback", [-1, 1.5, "many"])
def test_a_negative_lookback(sandbox, lookback):
    with pytest.raises(ConfigError, match="lookback"):
        sandbox().getdata("SHFE.cu2612", lookback=lookback)


def test_a_second_run_on_a_closed_store(sandbox, run):
    store = sandbox()
    feed = store.getdata("SHFE.cu2612")
    store.close()
    store.close()
    with pytest.raises(StoreClosed, match="make a new MyStore"):
        run(store, bt.Strategy, feed)
    with pytest.raises(StoreClosed):
        store.getdata("SHFE.cu2612")
    with pytest.raises(StoreClosed):
        _ = store.tianqin


def test_a_taken_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SandboxError, match="port"):
            MyStore.sandbox(port=taken.getsockname()[1])


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("start", "2026/11/10", "'2026/11/10' is not a day or time"),
        ("speed", "fast", "speed must be max or above 0, not fast"),
        ("days", 0, "0 is not a whole number of at least 1"),
        ("ticks_per_pack", 1.5, "1.5 is not a whole number of at least 1"),
        ("port", 99999, "99999 is not a number from 0 to 65535"),
    ],
)
def test_an_option_of_the_sandbox_that_cannot_be(option, value, words):
    with pytest.raises(SandboxError, match=words) as caught:
        MyStore.sandbox(**{option: value})
    assert "usage:" not in str(caught.value)  # this is no error of the command line
