"""The ticks of contracts, as their quotes show them.

A quote has less to merge than a series of ticks, which gets a whole row for every tick. But it has
no history and no ids: of ticks that come in one pack it shows only the last. And it begins with one
that may have come hours ago.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING

from tqsdk.diff import _get_obj

from ..core.clock import to_ns
from ..core.model import OLD_TICK, Tick
from .client import TESTED

if TYPE_CHECKING:
    from .current_session import CurrentSession

#: Ticks that are kept for a feed that does not take them, as between two runs.
KEPT = 1_000
#: Newest ticks among which one with an earlier stamp is a repetition: a server may repeat a pack.
REPEATED = 100
#: The fields of a ``Tick`` behind its id and its time.
_FIELDS = itemgetter(*Tick._fields[2:])
#: A change of one of these is a tick.
_SHOWN = frozenset({"datetime", *Tick._fields[2:]})


class QuoteTicks:
    """The ticks of one contract that its quote has shown.

    Args:
        symbol: The contract.
    """

    #: A contract that has not traded today may have no quote for hours: nothing waits for it.
    ready = True

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self._quote: dict[str, object] = {}
        self._newest: Tick | None = None
        self._source: Mapping[str, object] | None = None
        self._ticks: deque[Tick] = deque(maxlen=KEPT)
        self._stamps: deque[tuple[int, int]] = deque(maxlen=REPEATED)
        # Changes wait until somebody asks, which may be after an order has been sent.
        self._changes: deque[Mapping[str, object]] = deque()

    def begin(self, quote: Mapping[str, object], *, noted: bool) -> None:
        """Begin with the quote of a new session.

        Args:
            quote: Its fields, always the newest.
            noted: Whether every change will be passed to ``note``; otherwise only what is there
                when ticks are taken is seen.
        """
        self._quote, self._newest = dict(quote), None
        self._source = None if noted else quote
        for kept in (self._ticks, self._stamps, self._changes):
            kept.clear()
        self._look()

    def note(self, changes: Mapping[str, object]) -> None:
        """Note fields that have changed."""
        self._changes.append(changes)
        if len(self._changes) > KEPT:
            self._follow()

    def _look(self) -> None:
        quote, written = self._quote, str(self._quote["datetime"])
        if written:
            at = to_ns(datetime.fromisoformat(written))
            tick = Tick(OLD_TICK if self._newest is None else 0, at, *_FIELDS(quote))
            stamp = at, tick.volume
            if self._newest is not None and at < self._newest.time and stamp in self._stamps:
                return
            self._stamps.append(stamp)
            self._newest = tick
            self._ticks.append(tick)

    def _follow(self) -> None:
        source, shown = self._source, self._quote
        if source is not None and any(source[key] != shown[key] for key in ("datetime", "volume")):
            self.note(source)
        while self._changes:
            changes = self._changes.popleft()
            shown.update(changes)
            if not _SHOWN.isdisjoint(changes):
                self._look()

    def newest(self) -> Tick | None:
        """The newest tick, None if none has come in this session."""
        self._follow()
        return self._newest

    def take(self) -> Sequence[Tick]:
        """Return the ticks since the last call, the oldest first."""
        self._follow()
        if not self._ticks:
            return ()
        ticks = list(self._ticks)
        self._ticks.clear()
        return ticks


class QuoteBook:
    """Those of all feeds of a session; they stay the same objects over its renewals.

    Args:
        session: The current session.
    """

    def __init__(self, session: CurrentSession) -> None:
        self._session = session
        self._all: list[QuoteTicks] = []

    def of(self, symbol: str) -> QuoteTicks:
        """Subscribe to a contract's quote; returns at once.

        Returns:
            The ticks for one feed: what it takes, another feed of the contract gets, too.
        """
        made = QuoteTicks(symbol)
        self._subscribe([made])
        self._all.append(made)
        return made

    def renew(self) -> None:
        """Subscribe to all of them again, from a new client."""
        if self._all:
            self._subscribe(self._all)

    def _subscribe(self, ticks: Sequence[QuoteTicks]) -> None:
        """Subscribe without a query of each contract, which ``get_quote`` makes."""
        api = self._session.api
        for one in ticks:
            prototype = api._prototype["quotes"]["#"]
            quote = _get_obj(api._data, ["quotes", one.symbol], prototype)
            one.begin(quote.__dict__, noted=TESTED)
            api.news.quotes.setdefault(one.symbol, []).append(one.note)
        wanted = api._requests["quotes"] | {one.symbol for one in ticks}
        if wanted != api._requests["quotes"]:
            api._requests["quotes"] = wanted
            api._send_pack({"aid": "subscribe_quote", "ins_list": ",".join(wanted)})
