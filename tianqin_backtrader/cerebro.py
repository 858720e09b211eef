"""``WarmUpCerebro``: a Cerebro whose strategies begin with the first live bar."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import backtrader as bt
from backtrader.linebuffer import LineBuffer
from backtrader.lineiterator import MultiCoupler

from .datafeed import Dailyfeed, MinutesThenTicks, Mydatafeed, Tickfeed
from .feeds.bar_feeds import LiveFeed
from .feeds.session_timers import SessionTimer
from .feeds.warm_up import Sorting, begin, compute, lines_of, pass_round, pass_rounds, place

logger = logging.getLogger(__name__)

#: Feeds whose history can be loaded as a whole; a class of the user may load in its own way.
_OWN = (Mydatafeed, Dailyfeed, Tickfeed, MinutesThenTicks)
#: The lines of a strategy's indicators that were computed at once, by the indicator's ``id``.
_Computed: TypeAlias = Mapping[int, Sequence[LineBuffer]]


class WarmUpCerebro(bt.Cerebro):
    """Cerebro for live feeds with much history, which is only to warm up the indicators.

    The strategies' ``next`` and ``prenext`` are not called for bars of history, nor are timers,
    analyzers, observers or writers. The first call is ``nextstart`` with the first live bar, or
    ``prenext`` if the history is too short. From then on everything is as in ``bt.Cerebro``:
    values of feeds and indicators, also of the past, ``len``, statuses and notifications. Only
    observers have no values (nan) in history.

    Indicators of Backtrader are computed over the whole history at once, which is several times
    faster than bar by bar. Where that would give other values, indicators are computed bar by bar,
    and the log says which and why.

    It takes the arguments of ``bt.Cerebro``. Without live feeds it is a ``bt.Cerebro``.

    Attributes:
        bar_by_bar: After the start of a run: the indicators that were computed bar by bar over the
            history, by the names of their classes, and why. ``"the history"`` stands for all of
            them, ``"timers"`` for timers that need it.

    >>> from tianqin_backtrader import WarmUpCerebro
    >>> cerebro = WarmUpCerebro(stdstats=False)
    """

    bar_by_bar: Mapping[str, str] = MappingProxyType({})
    #: The live feeds of the run.
    _live_feeds: Sequence[LiveFeed] = ()
    #: Whether bars of history were to be delivered when this round began.
    _warms_up = False

    def _runnext(self, runstrats: list[bt.Strategy]) -> None:
        self._warm_up(runstrats, self._obstacle())
        super()._runnext(runstrats)

    def _runnext_old(self, runstrats: list[bt.Strategy]) -> None:
        self._warm_up(runstrats, "is counted by the first feed, because of oldsync")
        super()._runnext_old(runstrats)

    # -- the history --------------------------------------------------------------------------

    def _warm_up(self, strategies: list[bt.Strategy], obstacle: str) -> None:
        """Compute what can be computed at once; the rounds of history do the rest, if any."""
        self.bar_by_bar = {}
        self._live_feeds = [feed for feed in self.datas if isinstance(feed, LiveFeed)]
        self._warms_up = any(feed.owes_history for feed in self._live_feeds)
        if not self._warms_up:
            return
        if obstacle:
            self._tell({"the history": obstacle})
            for strategy in strategies:
                self._silence(strategy, {})
            return
        self._storenotify()  # as before the first bar of history
        self._datanotify()
        if not self._event_stop:
            self._load_whole(strategies)

    def _obstacle(self) -> str:
        """Return why the history of the feeds cannot be loaded as a whole, "" if it can."""
        if self._exactbars:
            return "is not kept, because of exactbars"
        for feed in self.datas:
            if type(feed) not in _OWN:
                return (
                    f"is interleaved with {feed._name}, which is not a feed as the store makes it"
                )
            if feed._filters:
                return f"of {feed._name} is filtered, resampled or replayed"
            if feed.history_end > feed.todate:
                return f"of {feed._name} goes beyond its todate"
        return ""

    def _load_whole(self, strategies: list[bt.Strategy]) -> None:
        stamps = {id(feed): feed.load_history() for feed in self.datas}
        rounds = sorted({stamp for one in stamps.values() for stamp in one})
        slow: dict[str, str] = {}
        computed = []
        for strategy in strategies:
            done, left = _compute_at_once(strategy, Sorting(stamps))
            computed.append(done)
            slow |= left
        if self._has_timers_by_feeds():
            slow["timers"] = "ask a feed for the end of its day"
        if slow:
            self._tell(slow)
            for feed in self.datas:
                feed.unload_history()
            for strategy, done in zip(strategies, computed, strict=True):
                self._silence(strategy, done)
            return
        self._jump(strategies, computed, rounds)

    def _tell(self, slow: Mapping[str, str]) -> None:
        self.bar_by_bar = slow
        logger.info(
            "the warm-up goes bar by bar through the history, without calling next(): %s",
            "; ".join(f"{name} {why}" for name, why in slow.items()),
        )

    def _jump(
        self, strategies: list[bt.Strategy], computed: list[_Computed], rounds: list[float]
    ) -> None:
        """Let everything stand behind the history; all indicators have their values."""
        for done in computed:
            for lines in done.values():
                place(lines, lines[0].buflen())
        for feed in self.datas:
            place(feed.lines, feed.buflen())
        for strategy in strategies:
            pass_rounds(strategy, rounds)
            self._silence(strategy, {})
        for timer in (*self._timers, *self._timerscheat):
            for stamp in rounds:
                timer.check(stamp)  # a time that has passed is not for the first live bar
        for feed in self.datas:
            feed.finish_history()
        self._brokernotify()  # as with the first bar of history
        for strategy in strategies:
            strategy.clear()
        self._warms_up = False

    def _has_timers_by_feeds(self) -> bool:
        """Whether a timer asks a feed for the end of its day, in every round anew."""
        self._live_feeds[0].let_timers_know()
        timers = (*self._timers, *self._timerscheat)
        return any(one._isdata and not isinstance(one, SessionTimer) for one in timers)

    # -- rounds -------------------------------------------------------------------------------

    def _silence(self, strategy: bt.Strategy, computed: _Computed) -> None:
        """Keep a strategy's methods from being called before the first round with a live bar."""

        def next_round() -> None:
            if self._in_history():
                pass_round(strategy, computed)
                return
            del strategy._next
            begin(strategy)

        strategy._next = next_round

    def _in_history(self) -> bool:
        """Whether this round delivers history only."""
        return self._warms_up and not any(
            len(feed) and not feed.history_phase for feed in self._live_feeds
        )

    def _storenotify(self) -> None:
        super()._storenotify()  # the first thing in a round
        if self._warms_up:
            self._warms_up = any(feed.owes_history for feed in self._live_feeds)

    def _check_timers(self, runstrats: list[bt.Strategy], dt0: float, cheat: bool = False) -> None:
        if not self._in_history():
            super()._check_timers(runstrats, dt0, cheat=cheat)
            return
        for timer in self._timerscheat if cheat else self._timers:
            timer.check(dt0)

    def _next_writers(self, runstrats: list[bt.Strategy]) -> None:
        if not self._in_history():
            super()._next_writers(runstrats)


def _compute_at_once(strategy: bt.Strategy, sorting: Sorting) -> tuple[_Computed, dict[str, str]]:
    """Compute the indicators for which that is possible.

    Returns:
        Their lines, which stand before the first bar; the other indicators and why.
    """
    computed: dict[int, list[LineBuffer]] = {}
    left: dict[str, str] = {}
    for indicator in strategy.getindicators():
        if why := sorting.obstacle(indicator):
            coupler = isinstance(indicator, MultiCoupler)  # of a class with a number
            left.setdefault("LinesCoupler" if coupler else type(indicator).__name__, why)
            continue
        if sorting.bars(indicator):
            compute(indicator)
        computed[id(indicator)] = lines_of(indicator)
    return computed, left
