"""Which rolls are planned, begun and continued; without an exchange."""

import contextlib
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace

import pytest
from manual_clock import ManualClock

from tianqin_backtrader.core.clock import MarketClock, to_ns
from tianqin_backtrader.core.context import Context
from tianqin_backtrader.core.model import Instrument, OrderReport
from tianqin_backtrader.errors import JournalError, OrderError
from tianqin_backtrader.monitoring.observers import Observers
from tianqin_backtrader.risk.engine import RiskEngine
from tianqin_backtrader.rolling.ports import RollPorts
from tianqin_backtrader.rolling.roll_file import RollFile
from tianqin_backtrader.rolling.roll_service import RollService
from tianqin_backtrader.rolling.roll_state import RollPhase, RollPlan, RollState, Side
from tianqin_backtrader.session_calendar import CALENDAR

OLD, NEW, RB = "SHFE.cu2612", "SHFE.cu2701", "SHFE.rb2701"
BEGIN = to_ns(datetime(2026, 11, 10, 10))
PLAN = RollPlan(OLD, NEW, Side.LONG, 5, 5, 0, 1, 200.0, 300.0, "me")


def contract(symbol, product="cu", kind="FUTURE", *, expired=False, least=1):
    return Instrument(
        symbol, kind, "SHFE", product, 10.0, 0, 5, expired, None, open_min_limit_order_volume=least
    )


class Exits:
    """Orders that can be carried over, or not."""

    def __init__(self):
        self.in_the_way, self.withdrawn = None, 0

    def refuse_what_cannot_be_carried(self):
        if self.in_the_way is not None:
            raise self.in_the_way

    def fills(self, state):
        return {}

    def withdraw_entries(self, *of):
        self.withdrawn += 1
        return False

    def __getattr__(self, name):
        return lambda *args, **kwargs: args[0] if args else None


class World:
    """An account with five lots of the old contract."""

    begun, closes_first = True, "today_first"

    def __init__(self, folder):
        self.records_folder, self.risk = str(folder), RiskEngine()
        self.contracts = {OLD: contract(OLD), NEW: contract(NEW), RB: contract(RB, "rb")}
        self.held = {OLD: {"pos_long": 5, "pos_short": 0}}
        self.foreign_orders, self.known, self.exits = {}, {}, Exits()
        self.reserved, self.account_id = {}, "me"
        provider = SimpleNamespace(at_hand={}, get=self.contracts.__getitem__)
        clock = MarketClock(ManualClock(BEGIN))
        context = Context(clock, CALENDAR, provider, Observers(), "dual")
        link = SimpleNamespace(sessions=1, trading_up=True)
        self.ports = RollPorts(context, self, self, link, self)
        self.service = RollService(self.ports)

    # -- the account --------------------------------------------------------------------------

    def orders(self):
        return self.known

    def fills(self):
        return iter(())

    def get_account_position(self, symbol):
        return self.held.get(symbol, {})

    def exit_carrier(self, plan, save):
        return self.exits

    def takes_orders(self, symbol):
        return True

    def drop_target(self, symbol):
        pass

    def reserve(self, symbol, reason):
        self.reserved[symbol] = reason

    def reserved_for_us(self, symbol):
        return contextlib.nullcontext()

    # -- the market ---------------------------------------------------------------------------

    def quote(self, symbol):
        price = 78000.0 if symbol == OLD else 78500.0
        return SimpleNamespace(
            bid_price1=price - 10, ask_price1=price + 10, last_price=price, upper_limit=9e4,
            lower_limit=7e4, datetime="2026-11-10 10:00:00",
        )  # fmt: skip

    def order_cost(self, symbol, size, price, *, closes):
        return SimpleNamespace(commission=size * 4.0)

    def save(self, phase=RollPhase.CHECKING, **changes):
        """A roll of an earlier program."""
        state = RollState(replace(PLAN, **changes), BEGIN, phase)
        file = RollFile.of(self.service.folder, state)
        file.save(state)
        return file


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


# -- plans ------------------------------------------------------------------------------------


def test_without_a_number_all_lots_of_the_side_that_is_held_are_moved(world):
    plan = world.service.plan(OLD, NEW)
    assert (plan.side, plan.lots, plan.old_start, plan.new_start) == (Side.LONG, 5, 5, 0)
    assert (plan.max_slippage, plan.account) == (200.0, "me")


def test_lots_of_the_new_contract_are_not_counted_as_moved(world):
    world.held[NEW] = {"pos_long": 2}
    assert world.service.plan(OLD, NEW, 3).new_start == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"new": OLD}, "not two contracts of one product"),
        ({"new": RB}, "not two contracts of one product"),
        ({"lots": 6}, "6 lots long of SHFE.cu2612 are to be moved, but 5 are held"),
        ({"side": "short", "lots": 1}, "1 lots short .* but 0 are held"),
        ({"side": "both"}, 'side is "long", "short" or None'),
        ({"max_slippage": -1.0}, "max_slippage"),
        ({"max_slippage": float("nan")}, "max_slippage"),
        ({"patience": 0.0}, "patience"),
        ({"lots": 1.5}, "1.5"),
        ({"slice_lots": 0}, "0"),
    ],
)
def test_a_roll_that_cannot_be_meant_is_refused(world, changes, words):
    with pytest.raises(OrderError, match=words):
        world.service.plan(**{"old": OLD, "new": NEW} | changes)


@pytest.mark.parametrize("change", [{"kind": "FUTURE_OPTION"}, {"expired": True}])
def test_only_futures_that_trade_are_rolled(world, change):
    world.contracts[NEW] = contract(NEW, **change)
    with pytest.raises(OrderError, match="future"):
        world.service.plan(OLD, NEW)


def test_where_both_sides_are_held_one_is_to_be_named(world):
    world.held[OLD]["pos_short"] = 2
    with pytest.raises(OrderError, match="both sides"):
        world.service.plan(OLD, NEW)
    assert world.service.plan(OLD, NEW, side="short").lots == 2
    world.held.clear()
    with pytest.raises(OrderError, match="nothing to roll"):
        world.service.plan(OLD, NEW)


@pytest.mark.parametrize("priority", ["lock", "yesterday_only"])
def test_a_broker_that_does_not_close_today_s_lots_rolls_nothing(world, priority):
    world.closes_first = priority
    with pytest.raises(OrderError, match="use another priority"):
        world.service.plan(OLD, NEW)


def test_lots_that_are_too_few_for_the_new_contract_are_refused(world):
    world.contracts[NEW] = contract(NEW, least=8)
    with pytest.raises(OrderError, match="8"):
        world.service.plan(OLD, NEW)


def test_an_order_of_another_program_is_in_the_way_while_it_lives(world):
    world.foreign_orders["X"] = SimpleNamespace(symbol=NEW, over=False)
    assert world.service.plan(OLD, NEW)  # the exchange does not know it any more
    world.known["X"] = OrderReport("X", NEW, None, None, 1, 1, 1.0, "ALIVE", "17", "")
    with pytest.raises(OrderError, match=r"order X on SHFE\.cu2701 is not of this program"):
        world.service.plan(OLD, NEW)
    world.foreign_orders["X"].symbol = RB
    assert world.service.plan(OLD, NEW)


def test_an_exit_that_cannot_go_along_is_in_the_way(world):
    world.exits.in_the_way = OrderError("a stop's time is over")
    with pytest.raises(OrderError, match="time is over"):
        world.service.plan(OLD, NEW)


# -- beginning --------------------------------------------------------------------------------


def test_a_roll_is_on_disk_when_it_has_begun_and_its_contracts_are_reserved(world):
    roll = world.service.start(world.service.plan(OLD, NEW))
    [path] = world.service.folder.glob("roll_*.json")
    assert RollFile(path).load().plan == roll.state.plan
    assert set(world.reserved) == {OLD, NEW}
    assert world.service.working_on(NEW) is roll and world.service.working_on(RB) is None


def test_a_contract_is_rolled_once_at_a_time(world):
    world.service.start(PLAN)
    with pytest.raises(OrderError, match="is being rolled already"):
        world.service.start(replace(PLAN, old=NEW, new="SHFE.cu2702"))


def test_nothing_is_rolled_while_the_broker_opens_nothing(world):
    world.risk.reduce("a limit")
    with pytest.raises(OrderError, match="state is REDUCING"):
        world.service.start(PLAN)
    assert world.service.rolls == [] and not list(world.service.folder.glob("*"))


def test_without_records_rolls_are_kept_beside_where_they_would_be(world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    world.records_folder = ""
    assert world.service.folder == tmp_path / "records" / "dual"


# -- taken up again ---------------------------------------------------------------------------


def test_what_an_earlier_program_has_left_goes_on(world):
    world.save(RollPhase.CLOSING)
    world.save(RollPhase.DONE)
    world.save(RollPhase.CHECKING, account="another's")
    world.service.load()
    [roll] = world.service.rolls
    assert roll.state.plan == PLAN and roll.phase is RollPhase.CHECKING
    world.service.load()
    assert len(world.service.rolls) == 1


def test_a_halted_roll_stays_halted(world):
    world.save(RollPhase.HALTED)
    world.service.load()
    assert world.service.rolls[0].halted


def test_a_file_that_cannot_be_read_stops_the_start(world):
    world.save().path.write_text("{", encoding="utf-8")
    with pytest.raises(JournalError, match="roll_SHFE"):
        world.service.load()


def test_a_new_roll_does_not_begin_before_the_old_ones_are_known(world):
    world.save(RollPhase.CHECKING)
    with pytest.raises(OrderError, match="is being rolled already"):
        world.service.start(PLAN)


def test_before_the_broker_has_begun_no_roll_goes_on(world):
    rounds = []
    world.service.rolls.append(SimpleNamespace(on_round=lambda: rounds.append(1)))
    world.begun = False
    world.service.on_round()
    assert rounds == []
    world.begun = True
    world.service.on_round()
    assert rounds == [1]


# -- what it would cost -----------------------------------------------------------------------


def test_an_estimate_has_the_books_of_both_contracts_and_sends_nothing(world):
    report = world.service.estimate(PLAN)
    assert report.fees == 40.0
    assert report.slippage == pytest.approx(2 * 10.0 * 5 * 5)
    assert not list(world.service.folder.glob("*"))
