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
    from .gateway.logging_fix import restore_logging

    restore_logging()

if TYPE_CHECKING:
    from . import errors as errors
    from . import session_calendar as session_calendar
    from .account.sizers import MaxLots as MaxLots
    from .broker import MyBroker as MyBroker
    from .cerebro import WarmUpCerebro as WarmUpCerebro
    from .config.settings import Settings as Settings
    from .datafeed import Dailyfeed as Dailyfeed
    from .datafeed import Mydatafeed as Mydatafeed
    from .datafeed import Tickfeed as Tickfeed
    from .monitoring.log_files import log_to as log_to
    from .performance_tracker import PerformanceTracker as PerformanceTracker
    from .recording.recorded_data import RecordedData as RecordedData
    from .risk.limits import RiskLimits as RiskLimits
    from .rolling.roll_manager import RollManager as RollManager
    from .store import MyStore as MyStore

__version__ = "0.1.0"

_HOMES = {
    "MyStore": ".store",
    "Mydatafeed": ".datafeed",
    "Dailyfeed": ".datafeed",
    "Tickfeed": ".datafeed",
    "MyBroker": ".broker",
    "RecordedData": ".recording.recorded_data",
    "PerformanceTracker": ".performance_tracker",
    "log_to": ".monitoring.log_files",
    "RiskLimits": ".risk.limits",
    "RollManager": ".rolling.roll_manager",
    "Settings": ".config.settings",
    "MaxLots": ".account.sizers",
    "WarmUpCerebro": ".cerebro",
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
    "WarmUpCerebro",
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
