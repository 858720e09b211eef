"""Sieves of ticks for tests that have no clock."""

from tianqin_backtrader.core.clock import Phase
from tianqin_backtrader.feeds.tick_sieve import TickSieve


class AnyTime:
    """Believes every stamp, up to a last one."""

    trusted = True

    def __init__(self, last=1 << 62):
        self.last = last

    def now_ns(self):
        return self.last

    def believes(self, ns, phase=None):
        return ns <= self.last

    def arrival_ns(self):
        return 0


def always(ns):
    """A contract that trades by day and night."""
    return Phase.TRADING


def all_that_can_be(symbol):
    """One that believes every stamp, in one trading day."""
    return TickSieve(symbol, AnyTime(), lambda *_: True, always)
