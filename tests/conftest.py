"""What tests share. End-to-end: the real tqsdk over real sockets, against the embedded exchange."""

import gc
import os
import signal

import backtrader as bt
import pytest
from hypothesis import settings
from warm_sandboxes import WarmStarts, can_follow_processes

from tianqin_backtrader import MyStore
from tianqin_backtrader.sandbox import embedded

# One commit, one result; ``--hypothesis-profile default`` searches anew.
settings.register_profile("main", derandomize=True)
settings.load_profile("main")

#: Seconds for a test on a clock that both sides share: days pass no faster than they both wait.
SILENT_TIMEOUT = 360
#: A clock that both share leaves tqsdk its 60 seconds divided by this for an answer.
FASTEST = 30


def pytest_xdist_auto_num_workers():
    """``-n auto``: twice as many as there are cores, as end-to-end tests wait now and then."""
    return (os.cpu_count() or 1) * 2


def pytest_addoption(parser):
    parser.addoption(
        "--world", choices=("told", "silent"), default="told",
        help="whether sandboxes tell the market's time",
    )  # fmt: skip


def pytest_generate_tests(metafunc):
    """Worlds and counters of tests.

    Tests with the mark ``both_worlds`` run in both, whatever the option says, and those that are
    parametrized by ``world`` where they say. Tests of a module with ``AT_COUNTERS`` run at the
    first of them, and at all with the mark ``every_counter``; the others are for the slow runs.
    """
    counters = getattr(metafunc.module, "AT_COUNTERS", ())
    if counters and "counter" in metafunc.fixturenames:
        always = metafunc.definition.get_closest_marker("every_counter")
        marks = () if always else (pytest.mark.slow,)
        others = [pytest.param(name, marks=marks) for name in counters[1:]]
        metafunc.parametrize("counter", [counters[0], *others], indirect=True)
    own = any("world" in one.args[0] for one in metafunc.definition.iter_markers("parametrize"))
    if "world" in metafunc.fixturenames and not own:
        if metafunc.definition.get_closest_marker("both_worlds"):
            metafunc.parametrize("world", ["told", "silent"], indirect=True)
        elif metafunc.config.getoption("--world") == "silent":
            metafunc.parametrize("world", ["silent"], indirect=True)


def pytest_collection_modifyitems(items):
    """Tests that need to be told the time say why; others have more of it where nobody tells it."""
    for item in items:
        if _world_of(item) != "silent":
            continue
        why = item.get_closest_marker("told_time")
        if why is not None:
            item.add_marker(pytest.mark.skip(reason=why.args[0]))
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SILENT_TIMEOUT))


def pytest_collection_finish():
    """What is collected is garbage in no test: a quarter of a test's time went into looking."""
    gc.collect()
    gc.freeze()


def _world_of(item):
    return item.callspec.params.get("world") if hasattr(item, "callspec") else None


@pytest.fixture
def world(request):
    """``told``: sandboxes tell the market's time; ``silent``: they do not, as the real TianQin."""
    return getattr(request, "param", "told")


@pytest.fixture
def tells_time(world):
    """The option of that name, for sandboxes that a test makes itself."""
    return world == "told"


@pytest.fixture(scope="session", autouse=True)
def warm_sandboxes():
    """Sandboxes of this process are forks of one that has imported everything."""
    if not can_follow_processes():
        yield
        return
    starts = WarmStarts()
    real, embedded.subprocess = embedded.subprocess, starts
    yield
    embedded.subprocess = real
    starts.close()


@pytest.fixture(autouse=True)
def signals_as_they_were():
    """A test that leaves a handler behind would end another one."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Records of one test are none of another's."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def hurried_questions(monkeypatch):
    """A machine that runs tests side by side may answer later than any server does."""
    monkeypatch.setattr("tianqin_backtrader.store.HURRIED", 10.0)


@pytest.fixture
def counter(request):
    """The counter of the test's sandboxes: the one that its module names, or each of them."""
    return getattr(request, "param", getattr(request.module, "COUNTER", "kq"))


@pytest.fixture
def sandbox(counter, tells_time):
    """Make stores on sandboxes of the test's counter; all are closed at the end."""
    stores = []

    def make(**options):
        options = {"counter": counter, "tells_time": tells_time} | options
        if not options["tells_time"] and (options.get("speed") or 0) > FASTEST:
            options["speed"] = None
        store = MyStore.sandbox(**options)
        stores.append(store)
        return store

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def run():
    """Run a strategy over feeds of a store and return it."""

    def run(store, strategy, *feeds, **params):
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker())
        for feed in feeds:
            cerebro.adddata(feed)
        cerebro.addstrategy(strategy, **params)
        [done] = cerebro.run()
        return done

    return run


@pytest.fixture
def untested_tqsdk(monkeypatch):
    """A version of TqSdk whose inner parts are not known."""
    for module in ("client", "gateway"):
        monkeypatch.setattr(f"tianqin_backtrader.gateway.{module}.TESTED", False)
