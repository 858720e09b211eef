"""What a recorder records, requests and gives up in a round; without a server."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from manual_clock import ManualClock

from tianqin_backtrader.core.clock import MINUTE, SECOND, Machine, MarketClock, live_on, to_ns
from tianqin_backtrader.core.context import Context
from tianqin_backtrader.core.model import Instrument
from tianqin_backtrader.errors import ConfigError, JournalError, UnknownSymbol
from tianqin_backtrader.gateway.liveness import AFTERWARDS
from tianqin_backtrader.monitoring.observers import Observers
from tianqin_backtrader.session_calendar import CALENDAR

pytest.importorskip("pyarrow")
from tianqin_backtrader.recording.parquet_files import RecordingFiles
from tianqin_backtrader.recording.ports import RecorderPorts
from tianqin_backtrader.recording.recorder import ANSWER_TIMEOUT, Recorder
from tianqin_backtrader.recording.tracks import MINUTES, TICKS

CU = "SHFE.cu2612"
TODAY = "2026-11-10"
MORNING = to_ns(datetime(2026, 11, 10, 10))
SPECIFICATION = Instrument(CU, "FUTURE", "SHFE", "cu", 10.0, 0, 5, False, None)


class Series:
    """Rows of a contract by id, as far as they have arrived."""

    def __init__(self, symbol, seconds):
        self.symbol, self.seconds, self.rows_by_id = symbol, seconds, {}
        self.ready, self.left_id = True, 0

    @property
    def last_id(self):
        return max(self.rows_by_id, default=-1)

    def put(self, row_id, stamp):
        self.rows_by_id[row_id] = stamp

    def rows(self, first, last, fields):
        found = self.rows_by_id.items()
        values = (1.0,) * (len(fields) - 1)
        return [(one, at, *values) for one, at in sorted(found) if first <= one <= last]


class World(Machine):
    """A session with a contract, and its recorder."""

    def __init__(self, path):
        self.path, self.seconds, self.over, self.pumps = path, 0.0, False, 0
        self.wall = ManualClock(MORNING)
        clock = MarketClock(self.wall)
        clock.join(MORNING)
        contracts = SimpleNamespace(at_hand={}, get_list=self._specifications)
        self.context = Context(clock, CALENDAR, contracts, Observers())
        self.charts, self.asked, self.dropped = {}, [], []
        self.answer, self.questions = None, []
        self.link = SimpleNamespace(sessions=1)
        self.recorder = None

    def record(self):
        self.gateway = SimpleNamespace(charts=self, queries=self, connected=True)
        ports = RecorderPorts(self.context, self.gateway, self.link, self)
        self.recorder = Recorder(ports, [CU], self.path)
        return self.recorder

    def _specifications(self, symbols):
        unknown = [one for one in symbols if one != CU]
        if unknown:
            raise UnknownSymbol(unknown[0], "no such contract")
        return [SPECIFICATION for _ in symbols]

    # -- the ports ----------------------------------------------------------------------------

    @property
    def market_over(self):
        return self.over

    def alive_at(self, symbol):
        return self.wall.now_ns() + (AFTERWARDS if self.over else 0)

    def pump(self, timeout):
        self.pumps += 1
        self.recorder.take()
        self.over = self.pumps > 3

    def series(self, symbol, seconds, width):
        return self.charts.setdefault(seconds, Series(symbol, seconds))

    def older(self, series, first_id, width):
        asked = Series(series.symbol, series.seconds)
        asked.ready = False
        self.asked.append((series.seconds, first_id, width, asked))
        return asked

    def drop(self, older):
        self.dropped.append(older)

    def release(self, series, keep):
        pass

    def forget(self, series, first, last):
        pass

    def ask_instruments(self, symbols):
        self.questions.append(symbols)
        return lambda: self.answer

    # -- the machine --------------------------------------------------------------------------

    def monotonic(self):
        return self.seconds

    def pass_time(self, seconds):
        self.seconds += seconds
        self.wall.advance_to(self.wall.now_ns() + int(seconds * SECOND))

    def tick(self, row_id, after=0.0):
        self.charts[0].put(row_id, MORNING + int(after * SECOND))


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    live_on(made)
    yield made
    live_on(None)
    if made.recorder is not None:
        made.recorder.close()


def recorded(world, kind):
    rows = RecordingFiles(world.path).read(kind, CU, TODAY).to_pylist()
    return [row["id"] for row in rows]


def test_what_comes_first_may_be_old_and_sets_no_clock_what_follows_does(world):
    recorder = world.record()
    world.tick(0)
    assert recorder.take() == []
    world.pass_time(1.0)
    world.tick(1, after=0.5)
    world.tick(2, after=1.0)
    assert recorder.take() == [(CU, MORNING + SECOND)]
    assert recorder.rows_written == 3


def test_a_tick_is_taken_once(world):
    recorder = world.record()
    for row_id in range(3):
        world.tick(row_id)
    recorder.take()
    assert recorder.take() == [] and recorder.rows_written == 3
    recorder.close()
    assert recorded(world, TICKS) == [0, 1, 2]


def test_a_running_minute_is_taken_when_its_end_is_proved(world):
    recorder = world.record()
    world.charts[60].put(0, MORNING - MINUTE)
    world.charts[60].put(1, MORNING)
    recorder.take()
    assert recorder.dues[1] == (CU, MORNING + 2 * MINUTE)
    world.pass_time(121.0)
    recorder.take()
    recorder.close()
    assert recorded(world, MINUTES) == [0, 1]


def test_a_hole_is_asked_for_and_filled_with_what_comes(world):
    recorder = world.record()
    world.tick(0)
    recorder.take()
    for row_id in (4, 5):
        world.tick(row_id)
    world.charts[0].left_id = 4
    recorder.take()
    recorder.take()
    [(seconds, first, width, asked)] = [one for one in world.asked if one[0] == 0]
    assert (seconds, first, width) == (0, 1, 3)
    assert recorder.holes() == [("ticks", CU, 1, 3)]
    for row_id in (1, 2, 3):
        asked.put(row_id, MORNING)
    asked.ready = True
    recorder.take()
    assert recorder.holes() == [] and world.dropped == [asked]
    recorder.close()
    assert recorded(world, TICKS) == [0, 1, 2, 3, 4, 5]


def test_a_question_without_an_answer_is_given_up_and_asked_again(world):
    recorder = world.record()
    world.tick(0)
    recorder.take()
    world.tick(3)
    world.charts[0].left_id = 3
    recorder.take()
    recorder.take()
    world.pass_time(ANSWER_TIMEOUT + 1)
    recorder.take()
    assert len(world.dropped) == 1
    recorder.take()
    assert [one[1] for one in world.asked if one[0] == 0] == [1, 1]


def test_a_contract_s_specification_is_asked_for_once_a_day(world):
    recorder = world.record()
    world.tick(0)
    recorder.take()
    world.tick(1)
    recorder.take()
    assert world.questions == [[CU]]
    world.answer = {CU: SPECIFICATION}
    recorder.take()
    world.tick(2)
    recorder.take()
    assert world.questions == [[CU]]
    recorder.close()
    assert RecordingFiles(world.path).instrument(TICKS, CU, TODAY)["volume_multiple"] == 5


def test_a_new_session_is_asked_again_what_the_old_one_has_not_said(world):
    recorder = world.record()
    world.tick(0)
    recorder.take()
    world.link.sessions = 2
    world.tick(1)
    recorder.take()
    assert world.questions == [[CU], [CU]]


def test_nobody_is_asked_while_there_is_no_session(world):
    recorder = world.record()
    world.gateway.connected = False
    world.tick(0)
    recorder.take()
    assert world.questions == [] and recorder.rows_written == 1


def test_a_recording_that_fails_is_told_and_ends_no_run(world):
    recorder = world.record()
    world.tick(9)
    recorder.take()
    recorder.close()
    world.recorder = None
    world.charts.clear()
    again = world.record()
    world.tick(3)
    assert again.take() == []
    assert "it is another market's" in again.failed
    [(text, _, _)] = world.context.unsaid
    assert text.startswith("the recording has stopped: ConfigError")
    world.tick(4)
    assert again.take() == [] and again.rows_written == 0


def test_a_day_that_is_over_goes_into_files_by_itself(world):
    recorder = world.record()
    world.tick(0)
    recorder.take()
    world.pass_time(timedelta(hours=11, minutes=1).seconds)
    recorder.take()
    assert recorded(world, TICKS) == [0]


def test_to_record_and_do_nothing_else_ends_with_the_market(world):
    recorder = world.record()
    world.answer = {CU: SPECIFICATION}
    world.tick(0)
    world.charts[60].put(0, MORNING - MINUTE)
    world.charts[86400].put(0, to_ns(datetime(2026, 11, 9)))
    recorder.run(stopped=lambda: world.pumps > 20)
    assert recorder.complete and world.over and world.pumps < 20


def test_to_record_and_do_nothing_else_says_why_it_cannot_go_on(world):
    recorder = world.record()
    recorder.failed = "disk full"
    with pytest.raises(JournalError, match="the recording has stopped: disk full"):
        recorder.run()


def test_nothing_is_recorded_of_nothing_and_of_what_does_not_exist(world):
    ports = RecorderPorts(world.context, None, world.link, world)
    with pytest.raises(ConfigError, match="at least one contract"):
        Recorder(ports, [], world.path)
    with pytest.raises(UnknownSymbol):
        Recorder(ports, "SHFE.xx9999", world.path)
    assert list(world.path.iterdir()) == []


def test_two_recorders_do_not_share_a_folder(world):
    recorder = world.record()
    with pytest.raises(JournalError, match="another program"):
        world.record()
    world.recorder = recorder
