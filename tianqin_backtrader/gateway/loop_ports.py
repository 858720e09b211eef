"""The parts of session, feeds and account that a round of the loop uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from ..core.context import Context
from ..core.model import Fill, Notice, OrderReport
from .refusal_notices import RefusalNotices


class LoopRolls(Protocol):
    """Rolls from one contract to the next; ``RollService``."""

    @property
    def rolls(self) -> Sequence[object]: ...
    def on_round(self) -> None: ...


class LoopReports(Protocol):
    """The exchange's reports on orders; ``Trading``."""

    def changed(self) -> bool: ...
    def new_reports(self) -> list[OrderReport | Fill]: ...
    def sent_together(self) -> AbstractContextManager[None]: ...


class LoopGateway(Protocol):
    """The session; ``Gateway``."""

    #: The number of its connections.
    links: int
    history_over: bool

    @property
    def told_now(self) -> int | None: ...
    @property
    def trading(self) -> LoopReports: ...
    def ask(self) -> Callable[[], bool]: ...
    def pump(self, timeout: float) -> bool: ...
    def take_news(self) -> set[str] | None: ...


class LoopLink(Protocol):
    """Keeps the session alive during waits; ``Reconnector``."""

    sessions: int
    losses: int
    kept: int
    answers: int
    last_error: str
    refusals: RefusalNotices

    trading_up: bool
    counter_words: str

    def wait(self, deadline: float) -> bool: ...
    def heard(self) -> None: ...
    def doubt(self) -> bool: ...
    def take_notices(self) -> list[Notice]: ...


class Hours(Protocol):
    """The trading hours of the subscribed contracts; ``MarketHours``."""

    @property
    def trading(self) -> bool: ...
    @property
    def boundary(self) -> datetime | None: ...


class Specifications(Protocol):
    """Specifications that are renewed in the background; ``InstrumentProvider``."""

    day: date | None
    due: bool
    wanted: set[str]

    def follow(self) -> None: ...
    def ask(self) -> None: ...


class LoopFeed(Protocol):
    """A live feed; ``LiveFeed``."""

    symbol: str
    DISCONNECTED: int
    #: Whether strategies see every tick.
    delivers_ticks: bool

    #: Everything up to this instant is complete; no due is earlier than that one, nanoseconds.
    complete_until: int
    first_due: int
    #: Whether a bar may be there to be delivered, and whether one was delivered too early.
    waits: bool
    put_back: bool

    @property
    def dues(self) -> tuple[int, ...]: ...
    @property
    def has_history(self) -> bool: ...
    @property
    def current(self) -> bool: ...
    @property
    def finished(self) -> bool: ...
    def has_bar(self, horizon: int) -> bool: ...
    def take(self) -> int: ...
    def on_round(self, alive_at: int, *, over: bool, came: bool) -> None: ...
    def put_notification(self, status: int) -> None: ...


class LoopBroker(Protocol):
    """Handles the exchange's reports on orders; ``MyBroker``."""

    @property
    def has_news(self) -> bool: ...
    def take_reports(self, reports: list[OrderReport | Fill]) -> None: ...
    def follow_session(self, session: int, link: LoopLink, /) -> None: ...
    def heard(self) -> None: ...


class LoopRecorder(Protocol):
    """Records market data; ``Recorder``."""

    @property
    def dues(self) -> list[tuple[str, int]]: ...
    def take(self) -> list[tuple[str, int]]: ...


class Listeners(Protocol):
    """Observers of the session; ``Observers``."""

    @property
    def listening(self) -> Sequence[object]: ...
    def round(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LoopPorts:
    """All parts.

    Attributes:
        context: Time, calendar and ``notify_store``.
        gateway: The session.
        link: Keeps it alive.
        hours: The trading hours of the subscribed contracts.
        instruments: Specifications.
        feeds: The feeds of the run.
        listeners: Called at the end of each round.
        keepers: Called in every round, once there is a broker.
    """

    context: Context
    gateway: LoopGateway
    link: LoopLink
    hours: Hours
    instruments: Specifications
    feeds: Sequence[LoopFeed]
    listeners: Listeners
    keepers: Sequence[Callable[[], None]]
