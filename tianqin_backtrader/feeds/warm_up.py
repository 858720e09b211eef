"""Indicators over the whole history at once, where that gives what bar by bar gives.

Backtrader's indicators have two ways of computing: ``next`` for one bar, and ``once`` for all bars
at once, several times faster. A live run uses ``next`` alone. ``Sorting`` tells which indicators of
a strategy may use ``once`` for the bars of history and continue with ``next``: afterwards every
value, and everything the indicator remembers, must be what ``next`` alone would have given.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence

import backtrader as bt
from backtrader.feed import AbstractDataBase
from backtrader.functions import CmpEx, Reduce
from backtrader.indicator import Indicator
from backtrader.indicators.basicops import BaseApplyN, ReduceN
from backtrader.linebuffer import LineActions, LineBuffer, _LineForward
from backtrader.lineiterator import LineIterator, MultiCoupler, SingleCoupler
from backtrader.lineroot import LineRoot
from backtrader.lineseries import LineSeriesStub

#: Where Backtrader's own indicators and operations on lines are. TA-Lib's are not among them: what
#: they compute at once is not what they compute over the last bars.
_OF_BACKTRADER = ("backtrader.indicators.", "backtrader.linebuffer", "backtrader.functions")
#: Parts of indicators that need every bar in its turn, and why.
_ONE_BY_ONE = (
    ((_LineForward,), "writes into bars of the past"),
    ((SingleCoupler, MultiCoupler), "follows the bars of another feed"),
    ((CmpEx,), "computes other values at once than bar by bar"),
    ((ReduceN, Reduce), "calls a function of the program"),
)
#: Attributes that lead from an indicator to its strategy, and not to what it reads.
_UPWARDS = ("_owner", "owner")


class Sorting:
    """Sorts a strategy's indicators: those that can be computed at once, and the others.

    They must be asked about in the order in which they were made: one that reads another that
    is computed bar by bar is computed bar by bar, too.

    Args:
        stamps: The timestamps of each feed's history, by the feed's ``id``.
    """

    def __init__(self, stamps: Mapping[int, Sequence[float]]) -> None:
        self._stamps = stamps
        self._rounds = len({stamp for one in stamps.values() for stamp in one})
        #: What can be computed at once, and feeds -> the feeds it reads, all by ``id``.
        self._known = {feed: frozenset((feed,)) for feed in stamps}

    def obstacle(self, indicator: Indicator) -> str:
        """Return why an indicator must be computed bar by bar, "" if it need not be."""
        members = list(family(indicator))
        inside = {id(member) for member in members}
        feeds: set[int] = set()
        for member in members:
            if found := _oddity(member, inside):
                return found
            for origin in map(id, map(_origin, _inputs(member))):
                if origin not in inside and origin not in self._known:
                    return "reads what is not known at once"
                feeds |= self._known.get(origin, frozenset())
        if found := self._unevenness(members, feeds):
            return found
        self._known |= dict.fromkeys(inside, frozenset(feeds))
        return ""

    def bars(self, indicator: Indicator) -> int:
        """Return how many bars of history an indicator that can be computed at once has."""
        feeds = self._known[id(indicator)]
        return len(self._stamps[next(iter(feeds))])

    def _unevenness(self, members: list[Indicator], feeds: set[int]) -> str:
        """Return why the bars of the feeds do not allow it."""
        if not feeds:
            return "reads no feed"
        first, *others = (self._stamps[feed] for feed in feeds)
        if any(other != first for other in others):
            return "reads feeds with different timestamps"
        if not len(first):
            return ""
        if any(member._minperiod > len(first) for member in members):
            return "needs more bars than there are"
        # Backtrader calls ``next`` in rounds of other feeds again: what an indicator counts itself
        # is counted twice then.
        if len(first) < self._rounds and any(map(_loops, members)):
            return "may count rounds of other feeds"
        return ""


def family(indicator: Indicator) -> Iterator[Indicator]:
    """Yield an indicator and all that are nested in it."""
    yield indicator
    if isinstance(indicator, LineIterator):
        for nested in indicator._lineiterators[LineIterator.IndType]:
            yield from family(nested)


def lines_of(indicator: Indicator) -> list[LineBuffer]:
    """Return the lines of an indicator and of all that are nested in it."""
    found: list[LineBuffer] = []
    for member in family(indicator):
        found += getattr(member.lines, "lines", member.lines)
    return found


def compute(indicator: Indicator) -> None:
    """Compute an indicator over all loaded bars; its lines stand before the first one then."""
    indicator._once()
    place(lines_of(indicator), 0)


def place(lines: Sequence[LineBuffer], bars: int) -> None:
    """Let lines stand at a bar: 0 is before the first one."""
    for line in lines:
        line.idx, line.lencount = bars - 1, bars


def pass_round(strategy: bt.Strategy, computed: Mapping[int, Sequence[LineBuffer]]) -> None:
    """Do what Backtrader does in a round with a bar, without the strategy's methods.

    Args:
        strategy: Its observers get no values, and its analyzers are not called.
        computed: The lines of indicators that were computed at once, by the indicator's ``id``.
    """
    strategy._clk_update()
    for indicator in strategy._lineiterators[LineIterator.IndType]:
        lines = computed.get(id(indicator))
        if lines is None:
            indicator._next()
        elif len(indicator._clock) > len(indicator):
            for line in lines:
                line.advance()
    for observer in strategy.getobservers():
        observer._clk_update()
    strategy.clear()


def pass_rounds(strategy: bt.Strategy, stamps: Sequence[float]) -> None:
    """Let a strategy stand behind rounds that it does not see.

    Args:
        strategy: All of its indicators stand there already.
        stamps: The rounds' timestamps.
    """
    strategy.forward(size=len(stamps))
    strategy.lines.datetime.array[: len(stamps)] = array("d", stamps)
    strategy._dlens = [len(data) for data in strategy.datas]
    for observer in strategy.getobservers():
        observer.forward(size=len(observer._clock) - len(observer))


def begin(strategy: bt.Strategy) -> None:
    """Do what Backtrader does in a round with a bar; it is the first one that the strategy sees.

    If its indicators have their values, this is the round for ``nextstart``.
    """
    status = strategy._getminperstatus
    strategy._getminperstatus = lambda: max(0, status())
    strategy._next()
    del strategy._getminperstatus


def _oddity(member: Indicator, inside: set[int]) -> str:
    """Return why a part of an indicator must be computed bar by bar, "" if it need not be."""
    kind = type(member)
    for kinds, why in _ONE_BY_ONE:
        if isinstance(member, kinds):
            return why
    functions = [kind, member.p.func] if isinstance(member, BaseApplyN) else [kind]
    for one in functions:
        if not str(getattr(one, "__module__", "")).startswith(_OF_BACKTRADER):
            return f"is not Backtrader's own ({one.__name__})"
    if getattr(kind, "_nextforce", False):
        return "demands it"
    lines = getattr(member.lines, "lines", member.lines)
    if any(id(bound._owner) not in inside for line in lines for bound in line.bindings):
        return "sets a line of something else"
    # ``once`` that calls ``next`` moves what it reads itself: each line must be moved once.
    if _loops(member) and (len(member.datas) > 1 or isinstance(member.data, Indicator)):
        return "is computed bar by bar by Backtrader, too"
    return ""


def _loops(member: Indicator) -> bool:
    """Whether Backtrader computes it at once by calling ``next`` for each bar."""
    return getattr(type(member), "once", None) is Indicator.once_via_next


def _inputs(member: Indicator) -> Iterator[LineRoot]:
    """Yield all lines that an indicator or an operation on lines knows of."""
    held = [value for name, value in vars(member).items() if name not in _UPWARDS]
    if isinstance(member, LineIterator):
        held += member.p._getvalues()
    for value in held:
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, LineRoot):
                yield one


def _origin(line: LineRoot) -> LineRoot:
    """Return what computes a line: a feed, an indicator or an operation on lines."""
    if isinstance(line, LineSeriesStub):
        line = line.lines[0]
    whole = isinstance(line, LineActions | LineIterator | AbstractDataBase)
    return line if whole else line._owner
