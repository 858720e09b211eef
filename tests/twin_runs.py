"""The same run twice: in ``bt.Cerebro``, and in ``WarmUpCerebro``."""

import backtrader as bt

from tianqin_backtrader import WarmUpCerebro


def lines_within(one):
    """The lines of an indicator, and of those in it."""
    found = list(getattr(one.lines, "lines", one.lines))
    if hasattr(one, "_lineiterators"):
        for nested in one._lineiterators[bt.Indicator._ltype]:
            found += lines_within(nested)
    return found


class Noting(bt.Strategy):
    """Notes what it is called for, and what it sees with live bars.

    ``make`` gets the strategy in ``__init__`` and returns indicators.
    """

    params = (("make", lambda strategy: []), ("back", 20))

    def __init__(self):
        self.made = self.p.make(self)
        self.calls, self.rows, self.statuses, self.fired = [], [], [], []

    def prenext(self):
        self.note("prenext")

    def nextstart(self):
        self.note("nextstart")

    def next(self):
        self.note("next")

    def note(self, name):
        feeds = [data for data in self.datas if hasattr(data, "history_phase")]
        in_history = not any(len(one) and not one.history_phase for one in feeds)
        self.calls.append((name, in_history))
        if in_history:
            return
        lines = [line for one in (*self.datas, *self.made, self) for line in lines_within(one)]
        self.rows.append(
            [
                [len(self), self.datetime.datetime()],
                [(len(one), getattr(one, "tick_close", None)) for one in self.datas],
                [one.history_phase for one in feeds],
                [one.store.in_history for one in feeds if hasattr(one, "store")],
                [(len(line), self.latest(line)) for line in lines],
            ]
        )

    def latest(self, line):
        return tuple(line.get(size=min(self.p.back, line.idx + 1)))

    def notify_data(self, data, status, *args, **kwargs):
        self.statuses.append((data._name, data._getstatusname(status), len(data)))

    def notify_timer(self, timer, when, *args, **kwargs):
        self.fired.append((when, self.datas[0].history_phase))

    def live_calls(self):
        return [name for name, in_history in self.calls if not in_history]


def run_once(store, kind, feeds, strategies, prepare=None, options=None, **run):
    """Run strategies, given as (class, params), over the feeds that ``feeds(store)`` makes."""
    cerebro = kind(**{"stdstats": False, **(options or {})})
    cerebro.setbroker(store.getbroker())
    for feed in feeds(store):
        cerebro.adddata(feed)
    for strategy, params in strategies:
        cerebro.addstrategy(strategy, **params)
    if prepare is not None:
        prepare(cerebro)
    return cerebro, cerebro.run(**run)


def twins(sandbox, market, feeds, *strategies, **how):
    """The plain and the warm run of one market.

    Returns:
        Pairs of strategies (plain, warm), and the warm Cerebro.
    """
    done = []
    for kind in (bt.Cerebro, WarmUpCerebro):
        store = sandbox(**market)
        cerebro, ran = run_once(store, kind, feeds, strategies, **how)
        store.close()
        done.append(ran)
    return list(zip(*done, strict=True)), cerebro


def assert_equal_lives(plain, warm, least=10):
    """From the first live bar on, both see the same; the warm one has seen nothing before."""
    assert len(warm.rows) >= least
    assert len(warm.rows) == len(warm.calls)
    assert list(map(repr, warm.rows)) == list(map(repr, plain.rows))  # nan is equal to nan
    called, expected = warm.live_calls(), plain.live_calls()
    if expected[0] == "next":  # it had its nextstart in history
        expected[0] = "nextstart"
    assert called == expected


def assert_equal_pasts(plain, warm):
    """Every line has the same values from the first bar of history to the last live one."""
    for one, other in zip(
        (*plain.datas, *plain.made, plain), (*warm.datas, *warm.made, warm), strict=True
    ):
        pairs = zip(lines_within(one), lines_within(other), strict=True)
        for number, (line, twin) in enumerate(pairs):
            assert (line.idx, len(line)) == (twin.idx, len(twin))
            place = type(one).__name__, number
            assert (place, repr(line.array)) == (place, repr(twin.array))
