"""Connections with long latencies, also of connections that are made meanwhile."""

import backtrader as bt
import pytest
from official_bars import assert_all_official

from tianqin_backtrader.gateway.gateway import Gateway

THIN, BUSY = "SHFE.cu2704", "SHFE.cu2612"
DAY = "2026-11-10"


class Keep(bt.Strategy):
    """Keeps the bars and the statuses of the feed until a time."""

    params = dict(until="")

    def __init__(self):
        self.bars, self.told = {self.data._name: []}, []

    def notify_data(self, data, status, *args, **kwargs):
        self.told.append(data._getstatusname(status))

    def next(self):
        data, lines = self.data, ("open", "high", "low", "close", "volume", "openinterest")
        now = data.datetime.datetime(0).replace(microsecond=0)
        prices = [getattr(data, name)[0] for name in lines]
        self.bars[data._name].append((now, *prices, data.history_phase))
        if f"{now:%H:%M}" >= self.p.until:
            self.env.runstop()


def kept(sandbox, run, symbol, start, until, *faults):
    """Make a run with faults at these times; check that all bars are official."""
    script = [
        {"at": {"time": f"{DAY} {time}"}, "fault": name, **params} for time, name, params in faults
    ]
    store = sandbox(start=f"{DAY} {start}", tells_time=False, script=script)
    feed = store.getdata(symbol, lookback=10, night_start=False)
    strategy = run(store, Keep, feed, until=until)
    assert_all_official(store, strategy)
    return store, strategy


def late(time, seconds):
    """A fault: from ``time`` on everything takes ``seconds`` in each direction."""
    return time, "latency", {"seconds": seconds, "later": True}


@pytest.mark.parametrize(
    ("start", "until", "told"),
    [
        pytest.param("10:10:10", "10:33", ["LIVE", "CLOSED", "LIVE"], id="a break"),
        pytest.param("11:20:10", "11:30", ["LIVE"], id="a close"),
    ],
)
def test_a_thin_contract_on_a_line_late_by_three_seconds_each_way_keeps_its_session(
    sandbox, run, start, until, told
):
    store, strategy = kept(sandbox, run, THIN, start, until, late(f"{start[:5]}:30", 3.0))
    assert strategy.told == ["DELAYED", *told]
    while store.certificate()[THIN].pending and until == "11:30":  # the last one is compared, too
        store.pump(0.5)
    assert (store.reconnector.sessions, store.reconnector.losses) == (1, 0)
    assert store.reconnector.answers > 10  # without ticks bars are proved by answers


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [10.0, 30.0])
def test_a_line_that_is_too_late_is_said_to_be_lost_and_no_bar_is(
    sandbox, run, monkeypatch, seconds
):
    """tqsdk drops a connection without a pong within 20 s; new ones are as late until 10:08.

    Each probe takes half a second of real time; otherwise the run would take minutes.
    """
    probe = Gateway.probe
    monkeypatch.setattr(Gateway, "probe", lambda gateway, patience: probe(gateway, 0.5))
    faults = late("10:06:30", seconds), late("10:08:00", 0.0)
    store, strategy = kept(sandbox, run, BUSY, "10:05:10", "10:10", *faults)
    assert strategy.told == ["DELAYED", "LIVE", "DISCONNECTED", "LIVE"]
    assert store.reconnector.sessions == 2


@pytest.mark.slow
def test_a_line_that_is_late_and_is_dropped_comes_back(sandbox, run):
    """A session begins with several packs in turn, each of which takes six seconds."""
    faults = late("10:06:30", 3.0), ("10:08:20", "drop", {"conn": "all"})
    store, strategy = kept(sandbox, run, BUSY, "10:05:10", "10:13", *faults)
    assert strategy.told == ["DELAYED", "LIVE", "DISCONNECTED", "LIVE"]
    assert 2 <= store.reconnector.sessions <= 5
