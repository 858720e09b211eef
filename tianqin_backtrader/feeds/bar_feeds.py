"""``BarFeed``: base of live and recorded feeds; ``LiveFeed``: the feed that the loop fills."""

from __future__ import annotations

import logging
from array import array
from collections import deque
from collections.abc import Sequence
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import backtrader as bt

from ..core.clock import MINUTE, NEVER, from_ns, to_backtrader
from ..core.model import NAN, Bar
from ..core.ports import OfChart
from ..errors import ConfigError
from ..gateway.liveness import GRACE
from .live_bars import Certificate, LiveBars, Newest
from .live_ticks import LiveTicks
from .resampling import DayClone, DayReplayer, DayResampler, NotCounted
from .session_timers import follow_sessions

if TYPE_CHECKING:
    from ..store import MyStore

logger = logging.getLogger(__name__)

#: What is not final this long after the end of its market will never be.
AFTERWARDS = MINUTE
#: Rows that the client keeps of each series, and rows between two releases.
ROWS_KEPT, RELEASE_AFTER = 600, 200
#: The fields of a bar by the names of lines.
_FIELDS = {
    **{name: name for name in ("open", "high", "low", "close", "volume")},
    "openinterest": "close_oi",
    "bid_price": "bid_price1",
    "ask_price": "ask_price1",
    "bid_volume": "bid_volume1",
    "ask_volume": "ask_volume1",
    "bid_price2": "bid_price2",
    "ask_price2": "ask_price2",
}
#: The error message if a timezone is given.
BEIJING_TIME = "bars are stamped in Beijing time: leave tz away"


class BarFeed(bt.feed.DataBase):
    """A feed whose bars carry the order book: what live and recorded feeds have in common."""

    lines: Any = ("bid_price", "ask_price", "bid_volume", "ask_volume", "bid_price2", "ask_price2")
    linealias = (
        ("bid_price", "bid_price1"),
        ("ask_price", "ask_price1"),
        ("bid_volume", "bid_volume1"),
        ("ask_volume", "ask_volume1"),
    )

    #: The Cerebro it was added to; Backtrader's name.
    _env: Any = None
    _timers_know = False
    resampling = NotCounted()

    @property
    def heard_until(self) -> int:
        """Until when every tick has been delivered, nanoseconds; 0 for feeds of bars."""
        return 0

    def __len__(self) -> int:
        """As in Backtrader, which asks every feed several times a round, by four calls each."""
        bars: int = self.lines.lines[0].lencount
        return bars

    def qbuffer(self, savemem: int = 0, replaying: bool = False) -> None:
        """Set the buffers, as in Backtrader; resamplers need one more value."""
        super().qbuffer(savemem=savemem, replaying=replaying or bool(self._filters))

    def clone(self, **kwargs: Any) -> Any:
        """Return a feed of the same bars, for a second use in the run."""
        make: Any = DayClone
        return make(dataname=self, **kwargs)

    def resample(self, **kwargs: Any) -> None:
        """Resample as in Backtrader, but by sessions."""
        self.addfilter(DayResampler, **kwargs)

    def replay(self, **kwargs: Any) -> None:
        """Replay as in Backtrader, but by sessions."""
        self.addfilter(DayReplayer, **kwargs)

    def start(self) -> None:
        """Begin a run; called by Cerebro.

        Raises:
            ConfigError: ``Cerebro(tz=...)`` was given, which would shift the strategies' times.
        """
        super().start()
        self._timers_know = False
        if self._env is not None and self._env.p.tz is not None:
            raise ConfigError(BEIJING_TIME)

    # Cerebro starts timers after feeds. In each round it calls one of these two, before timers.

    def do_qcheck(self, onoff: bool, qlapse: float) -> None:
        """As in Backtrader."""
        if not self._timers_know:
            self.let_timers_know()
        self._qcheck = max(0.0, self.p.qcheck - qlapse) if onoff else 0.0

    def advance_peek(self) -> float:
        """As in Backtrader."""
        if not self._timers_know:
            self.let_timers_know()
        return float(super().advance_peek())

    def let_timers_know(self) -> None:
        """Make the timers of this run use the sessions of our feeds; they must have started."""
        self._timers_know = True
        follow_sessions(self._env, (BarFeed, DayClone))

    def get_notifications(self) -> Any:
        """As in Backtrader, which calls it twice a round."""
        return super().get_notifications() if self.notifs else ()

    def _must_be_beijing_time(self) -> None:
        """Refuse ``tz`` and ``tzinput``: Backtrader would shift the timestamps.

        Raises:
            ConfigError: It was given.
        """
        if self.p.tz is not None or self.p.tzinput is not None:
            raise ConfigError(BEIJING_TIME)

    # Backtrader makes room for a bar, writes and reads it by several calls for each line. A feed of
    # ours has thirteen lines, and an order may wait for the bar.

    def forward(self, value: float = NAN, size: int = 1) -> None:
        """Make room for bars, as in Backtrader."""
        if size != 1:
            super().forward(value, size)
            return
        for line in self.lines.lines:
            if line.mode == line.UnBounded:
                line._idx += 1
                line.lencount += 1
                line.array.append(value)
            else:
                line.forward(value)

    @cached_property
    def _cells(self) -> list[tuple[Any, int]]:
        """Each line that is one of a bar's fields, and the field's place in the bar."""
        places = {name: Bar._fields.index(field) for name, field in _FIELDS.items()}
        named = zip(self.getlinealiases(), self.lines.lines, strict=True)
        return [(line, places[name]) for name, line in named if name in places]

    def _write(self, bar: Bar) -> None:
        self.lines.datetime[0] = to_backtrader(bar.end)
        for line, place in self._cells:
            if line.bindings:
                line[0] = bar[place]
            else:
                line.array[line._idx] = bar[place]

    @cached_property
    def _ticked(self) -> list[tuple[str, Any]]:
        """The names of Backtrader's attributes of the newest values, each with its line."""
        named = zip(self.getlinealiases(), self.lines.lines, strict=True)
        return [(f"tick_{name}", line) for name, line in named if name != "datetime"]

    def _tick_fill(self, force: bool = False) -> None:
        """Set ``tick_close`` and the like, as in Backtrader."""
        first, _ = self._ticked[0]
        if force or getattr(self, first, None) is None:
            for name, line in self._ticked:
                setattr(self, name, line.array[line._idx])
            self.tick_last = getattr(self, first)

    def _write_all(self, bars: Sequence[Bar]) -> None:
        """Write bars into the empty lines, which stand at the last one then."""
        if not bars:
            return
        columns = dict(zip(Bar._fields, zip(*bars, strict=True), strict=False))
        for name, line in zip(self.getlinealiases(), self.lines, strict=True):
            if name == "datetime":
                values = array("d", map(to_backtrader, columns["end"]))
            elif name in _FIELDS:
                values = array("d", columns[_FIELDS[name]])
            else:  # a line of the user's own class
                values = array("d", [NAN]) * len(bars)
            line.array[0:0] = values  # behind them is the room that Cerebro's ``lookahead`` wants
            line.idx, line.lencount = len(bars) - 1, len(bars)


class LiveFeed(BarFeed):
    """The store's side of ``Mydatafeed``."""

    #: TianQin's bars; for ticks, their series.
    _klines: Any
    #: Knows the newest tick.
    _newest: Newest
    #: All series that are requested for it, the one with the most rows first.
    _charts: tuple[OfChart, ...]

    CORRECTED = len(BarFeed._NOTIFNAMES)
    CLOSED = CORRECTED + 1
    MAIN_CHANGED = CLOSED + 1
    _NOTIFNAMES: ClassVar = [*BarFeed._NOTIFNAMES, "CORRECTED", "CLOSED", "MAIN_CHANGED"]

    #: Whether strategies see every tick: such a feed comes first.
    delivers_ticks = False
    #: The end of the last bar of history, as Backtrader's number; 0 without history.
    history_end = 0.0
    #: Backtrader sets it only when a feed starts; the connection may be lost before that.
    _laststatus: int = BarFeed.CONNECTED

    def __init__(self) -> None:
        self.store: MyStore = self.p.store
        self._loop = self.store.loop
        self.symbol: str = self.p.dataname
        self._history: deque[Bar] = deque()
        self._live: LiveBars | LiveTicks | None = None
        self._last_tick = self._released_at = 0
        # From the last round: until when nothing can be missing, and whether the market, or the
        # contract, has ended.
        self._alive_at, self._market_over, self._over = 0, False, False
        self._ended = False  # the contract's end was notified
        #: When the contract's trading ends for good, nanoseconds.
        self._ends = NEVER
        #: What the loop reads of every feed in every round; see ``_look_up``.
        self.complete_until = self.first_due = NEVER
        self.waits, self.put_back = True, False

    def _look_up(self) -> None:
        """Look up what the loop reads in every round, after anything that may have changed it."""
        live = self._live
        if live is None:
            self.complete_until = self.first_due = NEVER
            self.waits = True
            return
        until = live.complete_until
        self.complete_until = until if until <= self._ends else NEVER
        self.first_due = min(self.dues)
        self.waits = bool(self._history or live.ready or self.put_back or self._over)

    @property
    def dues(self) -> tuple[int, ...]:
        """The instants to wait for: of the running bar, an official bar and the contract's end."""
        if self._live is None:
            return ()
        close = self._live.next_close
        return (
            close if close <= self._ends else NEVER,
            self._live.next_final,
            self._ends + AFTERWARDS,
        )

    @property
    def has_history(self) -> bool:
        """Whether history is still to be delivered."""
        return bool(self._history)

    @property
    def owes_history(self) -> bool:
        """Whether Cerebro still has to take bars of history, also one that it has put back."""
        if self._history or self._barstack:
            return True
        return self.put_back and bool(self.lines.datetime[1] <= self.history_end)

    @property
    def finished(self) -> bool:
        """Whether no bar will come any more because the market or the contract has ended."""
        if self._ended:  # also while a new session has no data yet
            return True
        return bool(self._over and self.current and self._live is not None and not self._live.ready)

    @property
    def current(self) -> bool:
        """Whether everything the server has has arrived, also in a new session."""
        return bool(self._klines.ready and self._newest.ready)

    def has_bar(self, horizon: int) -> bool:
        """Whether a live bar that ends by ``horizon`` is ready, and history is delivered."""
        if self._history or self._live is None:
            return False
        found = self._live.has_bar(horizon)
        if self._live.left_out:
            self._tell_left_out(self._live.take_left_out())
            self._look_up()
        return found

    def _tell_left_out(self, bars: list[Bar]) -> None:
        text = (
            f"{self.symbol}: {len(bars)} bars from {from_ns(bars[0].start)} to "
            f"{from_ns(bars[-1].end)} are left out: TianQin no longer sends bars of that age"
        )
        logger.error("%s", text)
        self.store.put_notification(text, bars=tuple(bars))

    @property
    def running_day(self) -> date:
        """The trading day of the next bar; ``date.min`` for ticks, where it is not known."""
        return self._live.running_day if isinstance(self._live, LiveBars) else date.min

    def take(self) -> int:
        """Take the ticks or bars that have come since the last call.

        Returns:
            The newest tick's timestamp, nanoseconds, 0 if there was none.
        """
        newest = self._live.take() if self._live is not None else 0
        self._last_tick = newest or self._last_tick
        return newest

    def on_round(self, alive_at: int, *, over: bool, came: bool) -> None:
        """Complete the bars that have ended, and compare those that were delivered.

        Args:
            alive_at: Until when the contract's data are complete, nanoseconds.
            over: Whether a market of finitely many days has ended, and all its data have arrived.
            came: Whether the contract may have new ticks or bars; if not, and nothing is due, there
                is nothing to do.
        """
        self._alive_at = alive_at
        if not came and alive_at < self.first_due and over is self._market_over:
            return
        self._market_over = over
        self._over = over or alive_at > self._ends + AFTERWARDS
        if self._live is None:
            return
        if self._klines.ready:
            self._live.flush(min(alive_at - GRACE, self._ends))
        self._compare(self._live)
        if self._charts[0].last_id - self._released_at >= RELEASE_AFTER:
            self._release(self._live)
        self._look_up()

    def _compare(self, live: LiveBars | LiveTicks) -> None:
        """Report differences from the official bars that have become final."""
        for found in live.check(self._alive_at):
            logger.warning("%s differs from the official bar: %s", self.symbol, found)
            self.notifs.append((self.CORRECTED, (), {"difference": found}))
            self.store.observers.difference(found)

    def certificate(self) -> Certificate:
        """Return how the live bars delivered so far compare with the official ones."""
        return self._live.certificate() if self._live is not None else Certificate()

    def _release(self, live: LiveBars | LiveTicks) -> None:
        """Let the client drop rows that have been delivered."""
        if live.ready:
            return  # after a long absence older official bars are still to be delivered
        self._released_at = self._charts[0].last_id
        for series in self._charts:
            self.store.gateway.charts.release(series, ROWS_KEPT)

    @property
    def last_tick(self) -> int:
        """The timestamp of the newest live tick, nanoseconds, 0 before the first."""
        return self._last_tick

    @property
    def last_price(self) -> float:
        """The last price of the newest valid tick; nan before the first, also of a session."""
        if not self._last_tick or self._live is None or self._klines.last_id < 0:
            return NAN
        return self._live.last_price

    @property
    def ticks_taken(self) -> int:
        """Live ticks so far; of feeds of bars, those that the quote has shown."""
        return self._live.ticks_taken if self._live is not None else 0
