"""The parts of a session that a recording needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..contracts.instrument_provider import Answer
from ..core.context import Context
from ..core.ports import ChartPort


class Questions(Protocol):
    """Specifications of today, asked for beside the run; ``Queries``."""

    def ask_instruments(self, symbols: list[str]) -> Answer: ...


class RecorderGateway(ChartPort, Protocol):
    """Rows of ticks and bars, and who is asked; ``Gateway``."""

    @property
    def connected(self) -> bool: ...
    @property
    def queries(self) -> Questions: ...


class SessionCount(Protocol):
    """How many sessions there have been; ``Reconnector``."""

    sessions: int


class Waits(Protocol):
    """Waits for the server, and knows what has come; ``EventLoop``."""

    @property
    def market_over(self) -> bool: ...
    def alive_at(self, symbol: str) -> int: ...
    def pump(self, timeout: float) -> None: ...


@dataclass(frozen=True, slots=True)
class RecorderPorts:
    """All of it.

    Attributes:
        context: Time, calendar, contracts, and the way to ``notify_store``.
        gateway: Gives rows.
        link: Says that there is another session.
        waits: For the server.
    """

    context: Context
    gateway: RecorderGateway
    link: SessionCount
    waits: Waits
