"""The parts of a session that a recording needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..contracts.instrument_provider import Answer
from ..core.context import Context
from ..core.ports import ChartPort


class Questions(Protocol):
    """Today's specifications, requested in the background; ``Queries``."""

    def ask_instruments(self, symbols: list[str]) -> Answer: ...


class RecorderGateway(ChartPort, Protocol):
    """Rows of ticks and bars, and their requests; ``Gateway``."""

    @property
    def connected(self) -> bool: ...
    @property
    def queries(self) -> Questions: ...


class SessionCount(Protocol):
    """Counts the sessions; ``Reconnector``."""

    sessions: int


class Waits(Protocol):
    """Waits for the server, and knows what has arrived; ``MyStore``."""

    @property
    def market_over(self) -> bool: ...
    def alive_at(self, symbol: str) -> int: ...
    def pump(self, timeout: float) -> None: ...


@dataclass(frozen=True, slots=True)
class RecorderPorts:
    """All parts.

    Attributes:
        context: Time, calendar, contracts and ``notify_store``.
        gateway: Returns rows.
        link: Tells when there is another session.
        waits: Waits for the server.
    """

    context: Context
    gateway: RecorderGateway
    link: SessionCount
    waits: Waits
