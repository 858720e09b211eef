"""Deletes old values of Backtrader's lines: its own ``exactbars`` fails with several feeds.

Indices are relative to the newest value, so the oldest values of every line can be deleted as long
as more are kept than anything looks back. Lengths (``len(data)``) still count all bars.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import ConfigError

#: Limit of indicators on indicators on ...
_LONGEST_CHAIN = 50


def keep_latest(strategies: Iterable[Any], feed: Any, keep: int) -> None:
    """Check with a run's first bar that enough bars are kept, and trim at some later ones.

    It is called with every new bar.

    Args:
        strategies, feed, keep: As in ``trim_run``.

    Raises:
        ConfigError: With the first bar, if an indicator needs more bars than are kept: it would be
            wrong without notice.
    """
    place = feed.lines.datetime.idx
    if place == 0:
        for strategy in strategies:
            must_suffice(strategy, feed, keep)
    elif place >= 2 * keep:
        trim_run(strategies, feed, keep)


def must_suffice(strategy: Any, feed: Any, keep: int) -> None:
    """Check that enough bars are kept for a strategy's indicators.

    Raises:
        ConfigError: An indicator needs more bars of the feed than are kept.
    """
    for data, needed in zip(strategy.datas, strategy._minperiods, strict=False):
        if data is feed and needed > keep:
            raise ConfigError(
                f"keep_bars={keep} of {feed._name} is too few: the strategy's indicators need "
                f"{needed} bars of it"
            )


def trim_run(strategies: Iterable[Any], feed: Any, keep: int) -> None:
    """Trim a feed and the lines that advance with it.

    Args:
        strategies: Those of the run. Their own lines are trimmed if all their feeds are.
        feed: The feed, or a clone; its ``trimmed`` is increased.
        keep: Values kept of every line.
    """
    feed.trimmed += trim(feed, keep)
    for strategy in strategies:
        kept = [int(getattr(data, "keep_bars", None) or 0) for data in strategy.datas]
        for one in _movers(strategy, feed):
            trim(one, keep)
        if all(kept):  # 0: a feed that keeps all
            trim(strategy, max(kept))
            for observer in strategy.getobservers():
                trim(observer, max(kept))


def level(strategies: Iterable[Any]) -> None:
    """Make the remaining lines begin together at the end of a run, for ``cerebro.plot``.

    It assumes that the first values of a feed and of its indicators are of one bar, and that no
    feed begins before the strategy.
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
    """Delete all but the newest ``keep`` values of an object's lines; return how many."""
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
    """Return the feed at the end of a chain of clocks; single lines continue with their owner."""
    for _ in range(_LONGEST_CHAIN):
        if one is None or hasattr(one, "_load"):
            break
        clock = getattr(one, "_clock", None)  # not ``or``: the truth value of lines is a line
        one = clock if clock is not None else getattr(one, "_owner", None)
    return one
