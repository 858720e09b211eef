"""How many modules are passed on the ways of a tick and of an order, in a real run.

``python -m pytest -m bench -s tests/bench/test_path_length.py`` prints the figures: modules of the
library, and how often the running one changes (a call into another, and the way back from it).
"""

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import backtrader as bt
import pytest

import tianqin_backtrader
from tianqin_backtrader import MyStore
from tianqin_backtrader.gateway.gateway import Gateway
from tianqin_backtrader.gateway.trading import Trading

HERE = str(Path(tianqin_backtrader.__file__).parent)
CU = "SHFE.cu2612"
#: Way -> modules and changes that it is to have at most.
ALLOWED = {
    "a tick that closes a minute": (17, 150),
    "buy() to insert_order": (14, 150),
    "a report to notify_order": (15, 150),
}


class Way:
    """Follows what runs from a moment on."""

    def __init__(self) -> None:
        self.on = False
        self.found: dict[str, list[tuple[int, int]]] = {}
        self._stack: list[str] = []
        self._modules: Counter[str] = Counter()
        self._changes = 0

    def begin(self) -> None:
        self._modules.clear()
        self._changes, self._at, self.on = 0, "", True

    def end(self, name: str) -> None:
        if self.on:
            self.found.setdefault(name, []).append((len(self._modules), self._changes))
        self.on = False

    def hook(self, frame: FrameType, event: str, _: Any) -> None:
        if not self.on or event not in ("call", "return"):
            return
        running = frame if event == "call" else frame.f_back
        while running is not None and not running.f_code.co_filename.startswith(HERE):
            running = running.f_back
        if running is None:
            return
        module = running.f_code.co_filename
        self._modules[module] += 1
        if module != self._at:
            self._changes += 1
            self._at = module


WAY = Way()


class Trader(bt.Strategy):
    def __init__(self) -> None:
        self.bars = 0
        WAY.begin()

    def next(self) -> None:
        WAY.end("a tick that closes a minute")
        self.bars += 1
        if self.bars % 3 == 0:
            WAY.begin()
            self.buy(size=1)
            WAY.on = False
        if self.bars >= 30:
            self.env.runstop()

    def notify_order(self, order: Any) -> None:
        if order.status == bt.Order.Completed:
            WAY.end("a report to notify_order")


@pytest.mark.bench
def test_ways_are_short(monkeypatch):
    insert, new_reports, pump = Trading.insert_order, Trading.new_reports, Gateway.pump

    def inserted(self, *args, **kwargs):
        WAY.end("buy() to insert_order")
        return insert(self, *args, **kwargs)

    def reported(self):
        reports = new_reports(self)
        if any(type(one).__name__ == "Fill" for one in reports):
            WAY.begin()
        return reports

    def pumped(self, timeout):
        news = pump(self, timeout)
        WAY.begin()  # what comes of this wait
        return news

    monkeypatch.setattr(Trading, "insert_order", inserted)
    monkeypatch.setattr(Trading, "new_reports", reported)
    monkeypatch.setattr(Gateway, "pump", pumped)
    with MyStore.sandbox(start="2026-11-10 09:31:00") as store:
        cerebro = bt.Cerebro()
        cerebro.setbroker(store.getbroker())
        cerebro.adddata(store.getdata(CU))
        cerebro.addstrategy(Trader)
        sys.setprofile(WAY.hook)
        try:
            cerebro.run()
        finally:
            sys.setprofile(None)
    long = []
    for name, (modules, changes) in ALLOWED.items():
        found = sorted(WAY.found[name])
        median = found[len(found) // 2]
        print(f"{name}: {median[0]} modules, {median[1]} changes (median of {len(found)})")
        if median[0] > modules or median[1] > changes:
            long.append(name)
    assert not long
