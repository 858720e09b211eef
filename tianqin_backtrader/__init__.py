"""Backtrader strategies on the Chinese futures exchanges, through TianQin (TqSdk).

>>> from tianqin_backtrader import MyStore, Mydatafeed, MyBroker, session_calendar

Names are loaded when they are first used, so that the embedded exchange
(``python -m tianqin_backtrader.sandbox``) starts without Backtrader and TqSdk.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if "shinny_structlog" in sys.modules:  # tqsdk was imported first
    from .plain_logging import restore_logging

    restore_logging()

if TYPE_CHECKING:
    from . import errors as errors
    from . import session_calendar as session_calendar
    from .broker import MyBroker as MyBroker
    from .dailyfeed import Dailyfeed as Dailyfeed
    from .datafeed import Mydatafeed as Mydatafeed
    from .log_files import log_to as log_to
    from .performance_tracker import PerformanceTracker as PerformanceTracker
    from .recorded_data import RecordedData as RecordedData
    from .risk_limits import RiskLimits as RiskLimits
    from .roll_manager import RollManager as RollManager
    from .settings import Settings as Settings
    from .sizers import MaxLots as MaxLots
    from .store import MyStore as MyStore
    from .tickfeed import Tickfeed as Tickfeed

__version__ = "0.1.0"

_HOMES = {
    "MyStore": ".store",
    "Mydatafeed": ".datafeed",
    "Dailyfeed": ".dailyfeed",
    "Tickfeed": ".tickfeed",
    "MyBroker": ".broker",
    "RecordedData": ".recorded_data",
    "PerformanceTracker": ".performance_tracker",
    "log_to": ".log_files",
    "RiskLimits": ".risk_limits",
    "RollManager": ".roll_manager",
    "Settings": ".settings",
    "MaxLots": ".sizers",
}
_MODULES = ("errors", "session_calendar")

__all__ = [
    "Dailyfeed",
    "MaxLots",
    "MyBroker",
    "MyStore",
    "Mydatafeed",
    "PerformanceTracker",
    "RecordedData",
    "RiskLimits",
    "RollManager",
    "Settings",
    "Tickfeed",
    "errors",
    "log_to",
    "session_calendar",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
