"""A roll whose file cannot be written, and one that is dropped; without an exchange."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from tianqin_backtrader.errors import IllegalTransition, JournalError, OrderError
from tianqin_backtrader.rolling import roll as roll_module
from tianqin_backtrader.rolling.ports import RollPorts
from tianqin_backtrader.rolling.roll import Roll
from tianqin_backtrader.rolling.roll_service import RollService
from tianqin_backtrader.rolling.roll_state import RollPhase, RollPlan, RollState, Side

OLD, NEW = "SHFE.cu2612", "SHFE.cu2701"
SERVICE = "tianqin_backtrader.rolling.roll_service"
PLAN = RollPlan(OLD, NEW, Side.LONG, 5, 5, 0, 1, 50.0, 300.0)


class File:
    """A disk that may be full."""

    def __init__(self):
        self.full, self.kept = False, None

    def save(self, state):
        if self.full:
            raise JournalError("roll.json", "cannot be written: no space left")
        self.kept = state


class Leg:
    """A leg that has sent one order, which lives until it is stopped."""

    def __init__(self, *, sends="o1"):
        self.order_ids, self.reference, self.phase = [sends], 78000.0, RollPhase.CLOSING
        self.done = self.refused = self.broken_off = self.stopped = False
        self.waited_ns = self.traded = 0
        self.left = 1

    def on_round(self):
        return True

    def stop(self):
        self.stopped = True


class World:
    """A roll of five lots."""

    def __init__(self, phase=RollPhase.CHECKING, **fields):
        self.told, self.exposed, self.file = [], [], File()
        self.reserved, self.orders = {}, {}
        self.context, self.trading, self.broker = MagicMock(), MagicMock(), MagicMock()
        self.context.now_ns.return_value = 7
        self.context.instrument.return_value = SimpleNamespace(volume_multiple=5, price_tick=10.0)
        self.trading.fills.return_value = []
        self.trading.orders.return_value = self.orders
        self.context.notify = lambda text, **words: self.told.append(text)
        self.context.announce = lambda logger, level, text, **words: self.told.append(text)
        self.context.exposed = lambda symbol, n, text: self.exposed.append((symbol, n))
        link = MagicMock(trading_up=True)
        self.ports = RollPorts(self.context, self.trading, MagicMock(), link, self.broker)
        self.exits = MagicMock()
        self.exits.fills.return_value = {}
        self.exits.meet = self.exits.on_round = lambda state, **how: state
        self.exits.fired.return_value = False
        self.exits.leave.return_value = 0
        broker = self.broker
        broker.exit_carrier.return_value = self.exits
        broker.get_order.return_value = None
        broker.reserve = lambda symbol, reason: self.reserved.__setitem__(symbol, reason)
        self.roll = Roll(self.ports, RollState(PLAN, 0, phase=phase, **fields), self.file)

    def alarms(self):
        return [text for text in self.told if "HALTED" in text]


@pytest.fixture
def wall(monkeypatch):
    """This machine's seconds."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(roll_module, "monotonic", lambda: clock.now)
    return clock


# -- a full disk ------------------------------------------------------------------------------


def test_an_order_that_the_file_does_not_know_is_withdrawn_and_the_roll_halts(wall):
    world = World(RollPhase.CLOSING)
    leg = world.roll.leg = Leg()
    world.file.full = True
    world.roll.on_round()
    assert world.roll.halted and leg.stopped and world.roll.leg is None
    assert world.roll.state.order_ids == ("o1",)
    [alarm] = world.alarms()
    assert "no space left" in alarm
    assert "HALTED" in world.reserved[OLD] and "HALTED" in world.reserved[NEW]


def test_the_state_is_written_when_there_is_room_again(wall):
    world = World(RollPhase.CLOSING)
    world.roll.leg = Leg()
    world.file.full = True
    world.roll.on_round()
    world.file.full = False
    world.roll.on_round()
    assert world.file.kept is None
    wall.now += roll_module.WRITE_AGAIN
    world.roll.on_round()
    assert world.file.kept == world.roll.state
    assert world.file.kept.phase is RollPhase.HALTED and world.file.kept.order_ids == ("o1",)
    assert len(world.alarms()) == 1
    world.roll.resume()
    assert world.roll.phase is RollPhase.CHECKING


def test_exits_follow_their_lots_while_the_disk_is_full(wall):
    """Their new shares are in memory; the roll halts before it sends anything more."""
    world = World()
    world.exits.on_round = lambda state, **how: RollState(PLAN, 0, gap=10.0, given_up=1)
    world.file.full = True
    world.roll.on_round()
    assert world.roll.state.given_up == 1 and world.roll.halted
    world.roll.on_round()
    assert len(world.alarms()) == 1


def test_a_roll_that_has_moved_all_is_done_with_a_full_disk(wall):
    world = World(order_ids=("o1",))
    world.broker.get_account_position = lambda symbol: {"pos_long": 5 * (symbol == NEW)}
    world.exits.going_out.return_value = []
    world.ports.link.sessions = world.roll._session
    world.roll._held = (0, 5)
    world.file.full = True
    world.roll.on_round()
    assert world.roll.done and world.reserved == {OLD: None, NEW: None}
    world.roll.on_round()
    world.file.full = False
    wall.now += roll_module.WRITE_AGAIN
    world.roll.on_round()
    assert world.file.kept.phase is RollPhase.DONE


def test_what_its_owner_decides_is_not_done_where_it_cannot_be_written(wall):
    world = World(RollPhase.HALTED)
    world.file.full = True
    for decide in (world.roll.resume, world.roll.drop):
        with pytest.raises(JournalError, match="no space left"):
            decide()
        assert world.roll.halted
    assert not world.exits.leave.called and world.reserved == {}


def test_a_new_roll_that_cannot_be_written_is_not_begun(wall, monkeypatch):
    world = World()
    world.broker.risk.state = "ACTIVE"
    monkeypatch.setattr(f"{SERVICE}.RollFile.of", lambda *of: world.file)
    monkeypatch.setattr(f"{SERVICE}.roll_files", lambda folder: [])
    service = RollService(world.ports)
    service._loaded = True
    monkeypatch.setattr(f"{SERVICE}.GuardState", SimpleNamespace(ACTIVE="ACTIVE"))
    monkeypatch.setattr(RollService, "folder", "records")
    world.file.full = True
    with pytest.raises(JournalError):
        service.start(PLAN)
    assert service.rolls == [] and world.reserved == {}
    assert not world.broker.drop_target.called
    assert not world.exits.withdraw_entries.called


# -- its owner drops it -----------------------------------------------------------------------


def test_a_roll_is_not_dropped_while_one_of_its_orders_lives(wall):
    world = World(RollPhase.HALTED, order_ids=("o1", "o2"))
    world.orders["o2"] = SimpleNamespace(status="ALIVE")
    with pytest.raises(OrderError, match=r"order o2 of the roll of .* is still working"):
        world.roll.drop()
    assert world.roll.halted
    world.orders["o2"].status = "FINISHED"
    known = MagicMock()
    world.broker.get_order = {"o2": known}.get  # of this program: not all of it is told yet
    known.alive.return_value = True
    with pytest.raises(OrderError, match="still working"):
        world.roll.drop()
    known.alive.return_value = False
    world.roll.drop()
    assert world.roll.phase is RollPhase.DROPPED and world.reserved == {OLD: None, NEW: None}


def test_lots_between_the_contracts_are_told_when_it_is_dropped(wall):
    world = World(RollPhase.HALTED)
    world.exits.leave.return_value = 2
    world.roll.drop()
    assert world.exposed == [(OLD, 2)]
    [told] = world.told
    assert told == f"2 lots of {OLD} were closed and not opened in {NEW}: the roll is dropped"


def test_a_roll_that_is_over_is_not_dropped_again(wall):
    world = World(RollPhase.HALTED)
    world.roll.drop()
    with pytest.raises(IllegalTransition):
        world.roll.drop()
