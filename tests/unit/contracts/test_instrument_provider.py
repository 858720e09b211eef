"""Specifications are cached, in any state of the line; a new day's come in the background."""

import datetime
import math
from dataclasses import replace

import pytest

from tianqin_backtrader.contracts import instrument_provider
from tianqin_backtrader.contracts.instrument_provider import InstrumentProvider
from tianqin_backtrader.core.model import Instrument
from tianqin_backtrader.errors import LinkLost, LinkTimeout, UnknownSymbol

CU = Instrument("SHFE.cu2612", "FUTURE", "SHFE", "cu", 10.0, 0, 5, False, None, 80_000.0, 70_000.0)
MONDAY, TUESDAY = datetime.date(2026, 11, 9), datetime.date(2026, 11, 10)


class Source:
    """A server whose answers come when the test releases them."""

    def __init__(self):
        self.connected, self.contracts = True, {CU.symbol: CU}
        self.waited, self.asked, self.answering = [], [], False
        self.pumped = 0

    def instrument(self, symbol):
        if not self.connected:
            raise LinkLost("no session")
        self.waited.append(symbol)
        if symbol not in self.contracts:
            raise UnknownSymbol(symbol, symbol)
        return self.contracts[symbol]

    def instruments(self, symbols):
        self.waited.append(tuple(symbols))
        return {one: self.contracts[one] for one in symbols if one in self.contracts}

    def ask_instruments(self, symbols):
        self.asked.append(symbols)
        found = {one: self.contracts[one] for one in symbols if one in self.contracts}
        return lambda: found if self.answering else None

    def pump(self, timeout):
        self.pumped += 1
        return False


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def day():
    return [MONDAY]


@pytest.fixture
def learned():
    return []


@pytest.fixture
def book(source, day, learned):
    return InstrumentProvider(source, source.pump, lambda: day[0], learned.append)


def test_only_what_nobody_has_asked_for_is_waited_for(book, source, learned):
    assert book.get(CU.symbol) is book.get(CU.symbol) is CU
    assert source.waited == [CU.symbol]
    assert learned == [CU]
    with pytest.raises(UnknownSymbol):
        book.get("SHFE.xx")


def test_on_a_new_day_yesterdays_serves_without_its_limits_until_the_answer(book, source, day):
    book.get(CU.symbol)
    day[0] = TUESDAY
    source.contracts[CU.symbol] = today = replace(CU, upper_limit=81_000.0, lower_limit=71_000.0)
    found = book.get(CU.symbol)
    assert found is book.get(CU.symbol)
    assert math.isnan(found.upper_limit)
    assert math.isnan(found.lower_limit)
    assert found.volume_multiple == 5
    source.answering = True
    assert book.get(CU.symbol) is today
    assert source.waited == [CU.symbol]
    assert source.asked == [[CU.symbol]]


def test_without_a_session_it_is_asked_when_there_is_one(book, source, day):
    book.get(CU.symbol)
    source.connected, source.answering = False, True
    day[0] = TUESDAY
    assert book.get(CU.symbol).volume_multiple == 5
    assert source.asked == []
    with pytest.raises(LinkLost):
        book.get("SHFE.rb2701")
    source.connected = True
    book.follow()
    assert source.asked == [[CU.symbol]]
    assert book.get(CU.symbol) is CU


def test_a_question_that_is_lost_is_asked_again(book, source, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(instrument_provider, "monotonic", lambda: now[0])
    book.get(CU.symbol)
    book.ask()
    book.follow()
    assert len(source.asked) == 1
    now[0] += instrument_provider.ASK_AGAIN + 1
    book.follow()
    assert len(source.asked) == 2
    book.ask()  # a new session
    assert len(source.asked) == 3


def test_what_has_not_changed_keeps_its_identity(book, source, learned):
    first = book.get(CU.symbol)
    source.answering = True
    source.contracts[CU.symbol] = replace(CU)
    book.ask()
    book.follow()
    assert book.get(CU.symbol) is first
    assert learned == [CU]


def test_with_nothing_known_nothing_is_asked(book, source):
    book.ask()
    assert source.asked == []


@pytest.fixture
def hurried(source, day, learned):
    """During a run, with market data connected."""
    return InstrumentProvider(source, source.pump, lambda: day[0], learned.append, lambda: 0.05)


def test_what_is_not_known_is_asked_for_beside_the_run_and_not_waited_for(book, source, learned):
    assert book.known(CU.symbol) is None
    assert book.known(CU.symbol) is None
    assert (source.waited, source.asked) == ([], [[CU.symbol]])
    source.answering = True
    book.follow()
    assert book.known(CU.symbol) is CU
    assert learned == [CU]


def test_without_a_session_what_is_not_known_is_asked_for_when_there_is_one(book, source):
    source.connected, source.answering = False, True
    assert book.known(CU.symbol) is None
    assert source.asked == []
    source.connected = True
    assert book.known(CU.symbol) is None
    assert book.known(CU.symbol) is CU


def test_contracts_that_do_not_exist_are_asked_for_once_a_day(book, source, day):
    source.answering = True
    for _ in range(5):
        assert book.known("SHFE.xx2612") is None
    assert book.absent("SHFE.xx2612") and not book.absent(CU.symbol)
    assert source.asked == [["SHFE.xx2612"]]
    with pytest.raises(UnknownSymbol):
        book.get("SHFE.yy2612")
    assert book.absent("SHFE.yy2612")
    day[0] = TUESDAY
    book.known("SHFE.xx2612")
    assert source.asked[-1] == ["SHFE.xx2612"]


def test_in_a_run_an_explicit_question_takes_a_moment_at_most(hurried, source):
    with pytest.raises(LinkTimeout, match="is not known yet"):
        hurried.get(CU.symbol)
    assert source.waited == [] and source.pumped
    source.answering = True
    assert hurried.get(CU.symbol) is CU  # it was asked on
    with pytest.raises(UnknownSymbol):
        hurried.get("SHFE.xx2612")
    for name in ("cu2612", 5):
        with pytest.raises(UnknownSymbol, match="not a symbol"):
            hurried.get(name)


def test_who_has_time_may_say_so(hurried, source):
    assert hurried.get(CU.symbol, instrument_provider.PATIENCE) is CU
    assert source.waited == [CU.symbol]


def test_without_a_session_nothing_is_waited_for(hurried, source):
    source.connected = False
    with pytest.raises(LinkTimeout):
        hurried.get(CU.symbol)
    assert source.pumped == 0


def test_of_a_list_all_unknown_contracts_are_asked_for_in_one_request(book, source, learned):
    names = ["SHFE.cu2612", "SHFE.cu2701", "SHFE.cu2702", "SHFE.cu2612"]
    source.contracts |= {one: replace(CU, symbol=one) for one in names}
    assert [one.symbol for one in book.get_list(iter(names))] == names  # also of a generator
    assert [one.symbol for one in book.get_list(names)] == names
    assert source.waited == [("SHFE.cu2612", "SHFE.cu2701", "SHFE.cu2702")]
    assert len(learned) == 3


@pytest.mark.parametrize("wrong", ["SHFE.xx2612", "cu2612", 7])
def test_one_unknown_contract_of_a_list_is_named(book, source, wrong):
    with pytest.raises(UnknownSymbol) as raised:
        book.get_list([CU.symbol, wrong])
    assert raised.value.symbol == str(wrong)


def test_in_a_run_a_list_is_one_request_beside_the_run(hurried, source):
    other = "SHFE.cu2701"
    source.contracts[other] = replace(CU, symbol=other)
    source.answering = True
    assert [one.symbol for one in hurried.get_list([CU.symbol, other])] == [CU.symbol, other]
    assert source.asked == [[CU.symbol, other]]
    assert source.waited == []
