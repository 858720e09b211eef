"""Ctrl-C in a loop that drives a client."""

import os
import signal

import pytest

from tianqin_backtrader.gateway.event_loop import ClientLoop


def interrupt_this_process():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def loop():
    loop = ClientLoop()
    yield loop
    loop.end()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_comes_between_two_callbacks(loop):
    seen = []

    def callback():
        interrupt_this_process()
        seen.append("whole")

    loop.call_soon(callback)
    with pytest.raises(KeyboardInterrupt), loop.whole_callbacks:
        loop.run_forever()
    assert seen == ["whole"]


def test_it_wakes_a_loop_that_waits(loop):
    loop.call_later(60, loop.stop)
    with pytest.raises(KeyboardInterrupt), loop.whole_callbacks:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        before = signal.signal(signal.SIGALRM, lambda *_: interrupt_this_process())
        try:
            loop.run_forever()
        finally:
            signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("error", [None, ValueError])
def test_one_outside_of_callbacks_comes_at_the_end_of_the_block(loop, error):
    seen = []
    with pytest.raises(KeyboardInterrupt), loop.whole_callbacks:
        interrupt_this_process()
        seen.append("whole")
        if error is not None:
            raise error
    assert seen == ["whole"]


def test_a_second_one_comes_at_once(loop):
    with pytest.raises(KeyboardInterrupt), loop.whole_callbacks:
        interrupt_this_process()
        interrupt_this_process()
        pytest.fail("the second one was put off")


def test_handlers_of_the_users_own_are_left_alone(loop):
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append("mine"))
    try:
        with loop.whole_callbacks:
            interrupt_this_process()
            assert seen == ["mine"]
    finally:
        signal.signal(signal.SIGINT, before)
