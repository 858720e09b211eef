"""``Monitoring``: a session's health as JSON, and metrics for Prometheus, on a local port.

    store.monitor(9101)        # http://127.0.0.1:9101/health and /metrics

The store's thread publishes a frozen ``Snapshot`` a few times a second; HTTP threads read that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..core.clock import monotonic
from ..core.json_values import Json
from ..errors import ConfigError
from ..gateway.supervisor import State
from .http_server import Answer, LocalServer, Site
from .observers import Observer
from .ports import OrderView
from .session_view import SessionView
from .snapshot import Snapshot, plain, plain_fields, take_snapshot

if TYPE_CHECKING:
    from prometheus_client import Metric

#: Seconds between two snapshots.
PUBLISH_EVERY = 0.25
_STATES = tuple(map(str, State))
_RISK = ("ACTIVE", "REDUCING", "HALTED")


class Publisher(Observer):
    """Takes snapshots of a session in its own thread.

    Args:
        view: The session.

    Attributes:
        latest: The newest snapshot; any thread may read it.
    """

    def __init__(self, view: SessionView) -> None:
        self._view = view
        self._counts = {"rounds": 0, "orders": 0, "rejected": 0, "fills": 0}
        self._seen: dict[int, int] = {}  # reported fills of unfinished orders
        self.latest: Snapshot = take_snapshot(view, monotonic(), self._counts)
        view.observers.add(self)

    def round(self) -> None:
        """Publish if it is time."""
        self._counts["rounds"] += 1
        now = monotonic()
        if now - self.latest.taken >= PUBLISH_EVERY:
            self.publish(now)

    def publish(self, now: float) -> None:
        """Take a snapshot now."""
        self.latest = take_snapshot(self._view, now, self._counts)

    def order(self, order: OrderView) -> None:
        """Count the changes of an order."""
        counts = self._counts
        if order.ref not in self._seen:
            counts["orders"] += 1
        fills = sum(len(leg.fills) for leg in order.legs)
        counts["fills"] += fills - self._seen.get(order.ref, 0)
        counts["rejected"] += order.status in (order.Rejected, order.Margin)
        self._seen[order.ref] = fills


class Monitoring(Publisher):
    """Serves ``/health`` and ``/metrics`` on 127.0.0.1; created by ``store.monitor``.

    Args:
        view: The session.
        port: The port; 0 takes any free one.

    Attributes:
        url: The address.

    Raises:
        ConfigError: The port is in use, or prometheus_client is missing.
    """

    def __init__(self, view: SessionView, port: int = 0) -> None:
        super().__init__(view)
        try:
            pages = {"/health": health_page(self), "/metrics": metrics_page(self)}
            self._server = LocalServer(Site(pages, {}, {}), port)
        except ConfigError:
            view.observers.remove(self)
            raise
        self.url = self._server.url

    def close(self) -> None:
        """Stop serving."""
        self._view.observers.remove(self)
        self._server.close()

    closed = close


def health_page(publisher: Publisher) -> Callable[[], Answer]:
    """The health of the latest snapshot, as JSON."""
    return lambda: Answer.json(health_of(publisher.latest, monotonic()))


def metrics_page(publisher: Publisher) -> Callable[[], Answer]:
    """The metrics of the latest snapshot, for Prometheus.

    Raises:
        ConfigError: prometheus_client is missing.
    """
    try:
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
    except ImportError as error:
        raise ConfigError(
            "monitoring needs prometheus_client: pip install prometheus_client"
        ) from error
    registry = CollectorRegistry()
    registry.register(_Collector(publisher))
    return lambda: Answer(generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4)


def health_of(snapshot: Snapshot, now: float) -> dict[str, Json]:
    """``store.health()`` as JSON, with risk, account and the age of the snapshot in seconds."""
    return {
        "at": plain(snapshot.at),
        "age": round(max(0.0, now - snapshot.taken), 3),
        "strategy": snapshot.strategy,
        "trading": snapshot.trading,
        **plain_fields(snapshot.health),
        "risk_state": snapshot.risk_state,
        "risk_reason": snapshot.risk_reason,
        "account": plain(snapshot.account),
        "positions": plain(snapshot.positions),
        "bars": plain(snapshot.bars),
        "counts": plain(snapshot.counts),
    }


class _Collector:
    """Converts snapshots to Prometheus metrics."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def describe(self) -> list[Metric]:
        """Nothing: metrics are known only when collected."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics of the newest snapshot."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        now = self._publisher.latest
        health = now.health
        gauges = {
            "market_data_up": ("Whether ticks can arrive", health.market_data_up),
            "trading_up": ("Whether orders can be sent", health.trading_up),
            "market_trading": ("Whether a subscribed contract trades", now.trading),
            "reconnects_today": ("New sessions since 21:20", health.reconnects_today),
            "lag_seconds": ("Age of the newest tick by the exchange's clock", health.lag),
            "snapshot_age_seconds": (
                "Time since the store's thread last published",
                max(0.0, monotonic() - now.taken),
            ),
        } | {f"account_{name}_yuan": (name, value) for name, value in now.account.items()}
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"tianqin_{name}", text, value=float(value))
        for name, states, state in (
            ("link_state", _STATES, health.state),
            ("risk_state", _RISK, now.risk_state),
        ):
            family = GaugeMetricFamily(f"tianqin_{name}", "1 for the state", labels=["state"])
            for one in states:
                family.add_metric([one], float(one == state))
            yield family
        lots = GaugeMetricFamily("tianqin_position_lots", "Lots", labels=["symbol", "side"])
        for held in now.positions:
            lots.add_metric([held.symbol, held.side], held.lots)
        yield lots
        bars = GaugeMetricFamily(
            "tianqin_bars", "Live bars against the official ones", labels=["feed", "result"]
        )
        for feed, counts in now.bars.items():
            for result, count in counts.items():
                bars.add_metric([feed, result], count)
        yield bars
        for name, count in now.counts.items():
            yield CounterMetricFamily(f"tianqin_{name}", f"{name} so far", value=count)
