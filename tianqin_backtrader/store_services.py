"""``StoreServices``: what a store can do beside delivering bars and taking orders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .alert_settings import AlertSettings
from .alerts import Alerts
from .clock import SECOND, MarketClock, from_ns
from .datafeed import Mydatafeed
from .errors import ConfigError
from .feed_names import named
from .health import Health
from .live_bars import Certificate
from .live_page import LivePage
from .market_hours import MarketHours
from .monitoring import Monitoring
from .recorder import Recorder
from .roll import Roll
from .roll_desk import PATIENCE, RollDesk
from .store_reconnect import Reconnector


class StoreServices:
    """Rolls, recordings, alerts, monitoring; a part of ``MyStore``."""

    clock: MarketClock
    feeds: list[Mydatafeed]
    recorder: Recorder | None
    reconnector: Reconnector
    _hours: MarketHours
    _rolls: RollDesk

    if TYPE_CHECKING:  # of ``MyStore``

        def getbroker(self) -> Any: ...
        def _must_be_open(self) -> None: ...

    def roll(
        self,
        old: str,
        new: str,
        lots: int | None = None,
        *,
        side: str | None = None,
        slice_lots: int = 1,
        max_slippage: float | None = None,
        patience: float = PATIENCE,
    ) -> Roll:
        """Move lots to another contract of the product (移仓换月), while the run goes on.

        A slice is closed in the old contract, then as many lots are opened in the new one, until
        all are moved. Each step is on disk, in ``records/<strategy_name>/``, before it is taken;
        a program that is started again goes on with it.

        Stops, targets and groups of them go along: each stays alive for the lots that are still in
        the old contract, and a new order stands for those that have arrived, its prices shifted by
        the difference of both middles (bid and ask) when the roll began, in whole ticks. Orders
        that may open are withdrawn, and refused on both contracts until it is over.

        What goes wrong ends in HALTED: the log has an ERROR, ``notify_store`` is told, and the roll
        sends nothing until ``roll.resume()`` or ``roll.drop()``. Until then both contracts take
        exits only. Stops and targets stay, and other contracts trade on.

        Args:
            old, new: Symbols.
            lots: How many; None for all that the account holds.
            side: ``"long"`` or ``"short"``; needed where both are held.
            slice_lots: Lots that are in neither contract at a time, at most; more where the new
                contract opens no fewer.
            max_slippage: Quote units an order may be worse than the middle at the beginning of
                its leg; default 20 price ticks.
            patience: Seconds of trading time that a leg may take.

        Raises:
            OrderError: It cannot be: no such lots, two products, one of them is being rolled, fewer
                lots than the new contract opens, an order that cannot go along, the broker only
                reduces or is halted.
            UnknownSymbol: No such contract.
            JournalError: It cannot be written down; nothing was sent.
        """
        self.getbroker()
        plan = self._rolls.plan(old, new, lots, side, slice_lots, max_slippage, patience)
        return self._rolls.start(plan)

    @property
    def rolls(self) -> RollDesk:
        """The rolls of this session, and those taken up from an earlier one."""
        self.getbroker()
        return self._rolls

    def record(self, instruments: Iterable[str], path: str | Path) -> Recorder:
        """Record ticks and official minute and day bars to Parquet files while the store works.

        Args:
            instruments: ``["SHFE.cu2612", "DCE.m2701"]``.
            path: The recording's folder; it may hold earlier days, and is carried on.

        Raises:
            ConfigError: pyarrow is missing, or the store records already.
            UnknownSymbol: No such contract; TianQin was asked.
            JournalError: The folder cannot be written, or another program records into it.
        """
        self._must_be_open()
        if self.recorder is not None and not self.recorder.closed:
            raise ConfigError("this store records already: name all contracts at once")
        self.recorder = Recorder(self, instruments, path)
        return self.recorder

    def certificate(self) -> dict[str, Certificate]:
        """How the live bars delivered so far compare with the official ones.

        Returns:
            ``live_bars.Certificate`` by name of the feed, a second feed of a contract with its
            length behind the name, ``"SHFE.cu2612 day"``: counts of bars, ticks that were left out
            (``ignored``), equal bars at the end of history (``seam``), and the newest
            ``differences``. Each bar that was ``delivered`` is in ``equal``, ``repaired``,
            ``corrected``, ``missing`` or ``pending``; so are other bars at the end of history, and
            in ``missing`` bars that were left out. Of tick feeds: ticks, and those that never came
            (``missing``).

        Source: TianQin's own kline serial, row by id.
        """
        return {name: feed.certificate() for name, feed in named(self.feeds).items()}

    def health(self) -> Health:
        """How the session is now: one frozen ``health.Health``; asks nobody, raises nothing."""
        link, now = self.reconnector, self.clock.now_ns()
        stamps = {name: feed.last_tick for name, feed in named(self.feeds).items()}
        newest = max(stamps.values(), default=0)
        return Health(
            market_data_up=link.market_data_up,
            trading_up=link.trading_up,
            state=str(link.state),
            last_data={name: from_ns(ns) if ns else None for name, ns in stamps.items()},
            last_ok=link.last_ok,
            backoff=link.backoff,
            reconnects_today=link.reconnects_today,
            last_error=link.last_error,
            next_boundary=self._hours.boundary,
            no_trading=link.no_trading,
            lag=(now - newest) / SECOND if newest else float("nan"),
        )

    def alerts(self, *urls: str, **settings: Any) -> Alerts:
        """Tell what happens to DingTalk, WeCom, Feishu, Telegram, by mail, to any webhook.

        Args:
            urls: As apprise writes them; see ``AlertSettings``.
            settings: As of ``AlertSettings``: ``events``, ``link_lost_after``, ...

        Raises:
            ConfigError: A URL or a setting is not understood, or apprise is missing.
        """
        return Alerts(self, AlertSettings(urls=urls, **settings))

    def monitor(self, port: int = 0) -> Monitoring:
        """Serve ``/health`` (JSON) and ``/metrics`` (Prometheus) on 127.0.0.1.

        Args:
            port: 0 takes a free one; ``url`` of what is returned says which.

        Raises:
            ConfigError: The port is taken, or prometheus_client is missing.
        """
        return Monitoring(self, port)

    def serve(self, port: int = 0, token: str | None = None) -> LivePage:
        """Show this store in a browser on this machine; ``url`` of what is returned says where.

        Args:
            port: 0 takes a free one.
            token: Whoever gives it there may halt and flatten; None: nobody.

        Raises:
            ConfigError: The port is taken, or the token is shorter than 12 characters.
        """
        return LivePage(self, port, token)
