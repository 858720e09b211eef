"""Lets Backtrader forget old values of lines: its own ``exactbars`` fails with several feeds.

Indices are relative to the newest value, so the oldest ones of every line can go, as long as more
is kept than anything looks back. Lengths (``len(data)``) count on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import ConfigError

#: Indicators on indicators on ...
_LONGEST_CHAIN = 50


def keep_latest(strategies: Iterable[Any], feed: Any, keep: int) -> None:
    """Called with every new bar: see that the bars kept suffice, then trim now and then.

    Args:
        strategies, feed, keep: As of ``trim_run``.

    Raises:
        ConfigError: With the first bar, when an indicator needs more bars than are kept: it would
            be wrong without a word.
    """
    place = feed.lines.datetime.idx
    if place == 0:
        for strategy in strategies:
            _must_suffice(strategy, feed, keep)
    elif place >= 2 * keep:
        trim_run(strategies, feed, keep)


def _must_suffice(strategy: Any, feed: Any, keep: int) -> None:
    for data, needed in zip(strategy.datas, strategy._minperiods, strict=False):
        if data is feed and needed > keep:
            raise ConfigError(
                f"keep_bars={keep} of {feed._name} is too few: the strategy's indicators need "
                f"{needed} bars of it"
            )


def trim_run(strategies: Iterable[Any], feed: Any, keep: int) -> None:
    """Trim a feed and all that moves with it.

    Args:
        strategies: Those of the run. Their own lines go when all of their feeds keep less than
            everything.
        feed: The feed, or a clone; its ``trimmed`` is counted up.
        keep: Values kept of every line.
    """
    feed.trimmed += trim(feed, keep)
    for strategy in strategies:
        kept = [int(getattr(data, "keep_bars", None) or 0) for data in strategy.datas]
        for one in _movers(strategy, feed):
            trim(one, keep)
        if all(kept):  # 0 keeps everything
            trim(strategy, max(kept))
            for observer in strategy.getobservers():
                trim(observer, max(kept))


def level(strategies: Iterable[Any]) -> None:
    """At the end of a run: bring what is left of lines to one beginning, for ``cerebro.plot``.

    It takes it that the first values of a feed and of its indicators are of one bar, and that no
    feed begins before the strategy does.
    """
    for strategy in strategies:
        if not len(strategy) or not any(getattr(data, "trimmed", 0) for data in strategy.datas):
            continue
        begin = strategy.lines.datetime.array[0]
        for data in strategy.datas:
            stamps = data.lines.datetime
            kept = sum(1 for stamp in stamps.array[: stamps.idx + 1] if stamp >= begin)
            went = trim(data, kept)
            if hasattr(data, "trimmed"):
                data.trimmed += went
            for one in _movers(strategy, data):
                trim(one, kept)


def trim(owner: Any, keep: int) -> int:
    """Delete all but the newest ``keep`` values of an object's lines; returns how many went."""
    too_many = 0
    lines = getattr(owner.lines, "lines", owner.lines)
    for line in lines:
        too_many = line.idx + 1 - keep
        if too_many > 0:
            del line.array[:too_many]
            line.idx -= too_many
    return max(too_many, 0)


def _movers(owner: Any, feed: Any) -> Iterator[Any]:
    """Indicators and operations on lines, nested ones included, whose clock is the feed."""
    for kind, iterators in owner._lineiterators.items():
        if kind == owner.ObsType:
            continue
        for one in iterators:
            if _clock_of(one) is feed:
                yield one
            if hasattr(one, "_lineiterators"):
                yield from _movers(one, feed)


def _clock_of(one: Any) -> Any:
    """The feed at the end of a chain of clocks; single lines lead on by their owner."""
    for _ in range(_LONGEST_CHAIN):
        if one is None or hasattr(one, "_load"):
            break
        clock = getattr(one, "_clock", None)  # never as a truth value: lines make lines of it
        one = clock if clock is not None else getattr(one, "_owner", None)
    return one
