"""Names of feeds: bars, certificates and charts are told apart by them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import backtrader as bt

from .errors import ConfigError

_UNITS = {bt.TimeFrame.Ticks: "ticks", bt.TimeFrame.Minutes: "m", bt.TimeFrame.Days: "d"}


def name_apart(feed: Any, others: Iterable[Any]) -> None:
    """Give a feed another name where one with other bars has it: ``"SHFE.cu2612 1d"``.

    Feeds of equal bars may share their name.

    Raises:
        ConfigError: The name was asked for.
    """
    taken = {other._name for other in others if _bars(other) != _bars(feed)}
    if feed._name not in taken:
        return
    if feed.p.name:
        raise ConfigError(f"{feed._name!r} is the name of another feed: choose another one")
    unit = _UNITS[feed.p.timeframe]
    length = unit if feed.p.timeframe == bt.TimeFrame.Ticks else f"{feed.p.compression}{unit}"
    feed._name = f"{feed._name} {length}" + (f" {feed.p.adjust}" if feed.p.adjust else "")


def _bars(feed: Any) -> tuple[Any, ...]:
    return feed.symbol, feed.p.timeframe, feed.p.compression, feed.p.adjust
