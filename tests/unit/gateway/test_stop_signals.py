"""What each signal ends, and who keeps a handler."""

import os
import signal

import pytest

from tianqin_backtrader.gateway.event_loop import ClientLoop
from tianqin_backtrader.gateway.stop_signals import StopSignals, callers


class Run:
    """A run that can be asked to end."""

    def __init__(self, goes_on=True):
        self.goes_on, self.asked = goes_on, 0

    def stop(self):
        self.asked += 1
        return self.goes_on


@pytest.fixture
def signals():
    made = []

    def make(run):
        made.append(StopSignals(run.stop))
        made[-1].install()
        return made[-1]

    yield make
    for one in made:
        one.restore()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def send(number):
    os.kill(os.getpid(), number)


def test_the_first_one_asks_the_run_to_end_and_leaves_with_it(signals):
    run = Run()
    stops = signals(run)
    send(signal.SIGTERM)
    assert (run.asked, stops.came) == (1, "SIGTERM")
    with pytest.raises(SystemExit) as left:
        stops.run_ended()
    assert left.value.code == 0


def test_ctrl_c_leaves_by_keyboard_interrupt(signals):
    stops = signals(Run())
    send(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        stops.run_ended()
    assert stops.came == "Ctrl-C"


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_second_one_and_one_without_a_run_come_at_once(signals, goes_on):
    signals(Run(goes_on))
    if goes_on:
        send(signal.SIGTERM)
    with pytest.raises(SystemExit) as left:
        send(signal.SIGTERM)
    assert left.value.code == 143


def test_without_a_signal_a_run_ends_and_begins_as_ever(signals):
    stops = signals(Run())
    stops.run_ended()
    stops.run_begins()
    assert stops.came == ""


def test_no_run_begins_after_one_that_came_too_late_for_the_last(signals):
    stops = signals(Run())
    send(signal.SIGTERM)
    with pytest.raises(SystemExit):
        stops.run_begins()
    stops.run_begins()  # the program has caught it and goes on
    assert stops.came == ""


def test_handlers_of_the_programs_own_are_left_alone(signals):
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("mine"))
    try:
        stops = signals(Run())
        send(signal.SIGTERM)
        stops.restore()
        send(signal.SIGTERM)
        assert (seen, stops.came) == (["mine", "mine"], "")
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_handler_that_was_set_meanwhile_stays(signals):
    stops = signals(Run())
    mine = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert mine == stops.handle
    stops.restore()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_loop_ends_its_callback_first(signals, number, error):
    stops, seen, loop = signals(Run(goes_on=False)), [], ClientLoop()

    def callback():
        send(number)
        seen.append("whole")

    loop.call_soon(callback)
    with pytest.raises(error), loop.whole_callbacks:
        loop.run_forever()
    loop.end()
    assert seen == ["whole"]
    assert signal.getsignal(number) == stops.handle


def test_a_loop_ends_its_callback_first_where_another_has_set_pythons_handler(signals):
    """As Jupyter does for each cell."""
    stops, seen, loop = signals(Run(goes_on=False)), [], ClientLoop()
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def callback():
        send(signal.SIGINT)
        seen.append("whole")

    loop.call_soon(callback)
    with pytest.raises(KeyboardInterrupt), loop.whole_callbacks:
        loop.run_forever()
    loop.end()
    assert seen == ["whole"] and not stops.came
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_that_ends_in_order_does_not_disturb_the_loop(signals):
    run, loop = Run(), ClientLoop()
    signals(run)
    loop.call_soon(send, signal.SIGTERM)
    loop.call_later(0.05, loop.stop)
    with loop.whole_callbacks:
        loop.run_forever()
    loop.end()
    assert run.asked == 1


def test_of_two_stores_a_run_of_either_ends_with_the_signal(signals):
    first, second = signals(Run()), signals(Run())
    send(signal.SIGTERM)
    assert (first.came, second.came) == ("SIGTERM", "SIGTERM")
    with pytest.raises(SystemExit):
        second.run_ended()
    first.run_ended()  # it is left once


def test_callers_are_found_on_the_stack():
    class Cerebro:
        def run(self, inner=None):
            return inner.run() if inner else [*callers(Cerebro.run.__code__)]

    one, two = Cerebro(), Cerebro()
    assert one.run(two) == [two, one]
    assert list(callers(Cerebro.run.__code__)) == []
