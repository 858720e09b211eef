"""The faults: names, parameters, when they are due, and how often each has occurred.

A script says when a fault occurs. This module defines the possible faults and counts them;
``fault_runner`` carries them out.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..core.clock import to_ns

_CONN = {"conn": "all"}
_OTHER_HAND: dict[str, Any] = {
    "user": None, "symbol": None, "direction": "BUY", "offset": "OPEN", "volume": 1, "price": None,
}  # fmt: skip

#: Every fault with its parameters and defaults; ``None``: the parameter is required or unused.
FAULTS: dict[str, dict[str, Any]] = {
    "drop": {**_CONN, "how": "abrupt"},
    "cut": dict(_CONN),
    "refuse": {**_CONN, "seconds": None, "attempts": None, "status": 503},
    # later: later connections are frozen, too, until ``thaw`` or until the seconds are over.
    "freeze": {**_CONN, "seconds": None, "later": False},
    "thaw": dict(_CONN),
    "delay": {**_CONN, "seconds": 0.0},
    # Delays both directions without reordering. over: the latency grows for so many seconds and
    # shrinks again. later: later connections get the same latency until another ``latency``.
    "latency": {**_CONN, "seconds": 0.0, "jitter": 0.0, "over": None, "later": False},
    # Stops the programs that use the sandbox's clock, like SIGSTOP; time goes on.
    "stop_program": {"seconds": 5.0},
    "repeat": {"conn": "md"},
    "batch": {"steps": 10},
    "refuse_token": {"attempts": 1, "status": 401},
    # Delays every answer of the login server from now on; 0 ends it and sends the waiting answers.
    "slow_login": {"seconds": 10.0},
    # TianQin's data on a user from now on: days until the licence ends (negative: it has),
    # features.
    "licence": {"days": 9999, "features": None},
    # Seconds by which the server's own clock, which dates its answers, is ahead.
    "clock": {"offset": 0.0},
    "reject_order": {"user": None, "message": "CTP:综合交易平台：系统繁忙", "count": 1},
    "advance": {"seconds": None, "to": None, "steps": None},
    "fill_away": {**_CONN, "seconds": None, "to": None, "steps": None},
    # The price of a future goes to its limit now and stays there, with an empty opposite side of
    # the book, for so many seconds of market time or to the end of the trading day; needs a symbol.
    "limit_up": {"symbol": None, "seconds": None},
    "limit_down": {"symbol": None, "seconds": None},
    # Live tick rows of the open md connections, of one symbol or of all; bars and quotes stay
    # right, and ids continue. hole: the next rows are lost. shuffle: each of so many rows comes
    # after the row that follows it, which is one pack later if packs hold one tick.
    "hole": {"symbol": None, "count": 1},
    "shuffle": {"symbol": None, "count": 1},
    # What the next ticks change in bars of the open md connections comes with a later tick; the
    # quotes are ahead of them.
    "late_bars": {"symbol": None, "count": 1},
    # An impossible tick after the newest one, in the tick rows and quotes of the open md
    # connections: a copy of the newest tick with the given fields, at the present time, or stamped
    # so many seconds ahead, or at a market time. Bars, the order book and orders ignore it. It
    # needs a symbol.
    "odd_tick": {
        "symbol": None,
        "seconds": 0.0,
        "stamp": None,
        "last_price": None,
        "volume": None,
        "bid_price1": None,
        "ask_price1": None,
    },
    "cancel_away": {"conn": "td", "user": None, "order_id": None},
    # Faults of the counter. Code and words are those of the counter behind the gateway; user None
    # is any user.
    "refuse_login": {"user": None, "code": 3, "message": "CTP:不合法的登录", "count": 1},
    "password_change": {"user": None, "count": 1},
    "second_login": {"user": None},
    "front_lost": {"seconds": 10.0, "notice": False},
    "swallow_order": {"user": None, "count": 1},
    "swallow_cancel": {"user": None, "count": 1},
    "refuse_by_notice": {"user": None, "code": 333, "message": "当前时间不支持下单!", "count": 1},
    "late_positions": {"user": None, "seconds": 2.0, "count": 1},
    "forget_order_ids": {"user": None},
    # Actions of another terminal; without a price an order takes the opposite levels, and a trade
    # is at the last price.
    "foreign_order": {**_OTHER_HAND, "trade_first": False},
    "foreign_trade": dict(_OTHER_HAND),
}
_CONNS = ("md", "td", "all")


class FaultError(ValueError):
    """Unknown fault, or a parameter that it does not have."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault with all its parameters."""

    name: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault and when it is due: at a number of market steps or at a market time (ns)."""

    fault: Fault
    step: int | None = None
    time_ns: int | None = None

    def is_due(self, steps: int, now_ns: int) -> bool:
        """Whether the fault is due."""
        if self.step is not None:
            return steps >= self.step
        return self.time_ns is not None and now_ns >= self.time_ns


def make_fault(name: str, params: Mapping[str, Any]) -> Fault:
    """A fault with defaults filled in.

    Raises:
        FaultError: Unknown name or parameter, or an invalid value.

    >>> make_fault("drop", {"conn": "md"}).params
    {'conn': 'md', 'how': 'abrupt'}
    """
    if name not in FAULTS:
        raise FaultError(f"unknown fault {name!r}; the faults are {', '.join(sorted(FAULTS))}")
    unknown = params.keys() - FAULTS[name].keys()
    if unknown:
        possible = ", ".join(sorted(FAULTS[name])) or "none"
        raise FaultError(f"{name} has no parameter {sorted(unknown)}; it has {possible}")
    full = {**FAULTS[name], **params}
    if full.get("conn", "all") not in _CONNS:
        raise FaultError(f"conn must be one of {', '.join(_CONNS)}, not {full['conn']!r}")
    if full.get("how", "abrupt") not in ("abrupt", "clean"):
        raise FaultError(f"how must be abrupt or clean, not {full['how']!r}")
    if not isinstance(full.get("symbol", ""), str | None):
        raise FaultError(f"symbol must be a symbol, not {full['symbol']!r}")
    for number in ("seconds", "jitter", "over", "attempts", "steps", "count", "status"):
        value = full.get(number)
        if value is not None and (not isinstance(value, int | float) or value < 0):
            raise FaultError(f"{number} must be a number of at least 0, not {value!r}")
    if name in ("foreign_order", "foreign_trade"):
        _check_other_hand(full)
        return Fault(name, full)
    for number in ("days", "offset"):
        if not isinstance(full.get(number, 0), int | float):
            raise FaultError(f"{number} must be a number, not {full[number]!r}")
    return Fault(name, full)


def _check_other_hand(full: Mapping[str, Any]) -> None:
    if full["direction"] not in ("BUY", "SELL"):
        raise FaultError(f"direction must be BUY or SELL, not {full['direction']!r}")
    if full["offset"] not in ("OPEN", "CLOSE", "CLOSETODAY"):
        raise FaultError(f"offset must be OPEN, CLOSE or CLOSETODAY, not {full['offset']!r}")
    if not isinstance(full["volume"], int) or full["volume"] < 1:
        raise FaultError(f"volume must be a whole number of at least 1, not {full['volume']!r}")


def market_time(text: str) -> int:
    """Nanoseconds of ``"2026-11-10 09:30:00"``, Beijing time.

    Raises:
        FaultError: The text is not a time in that form.
    """
    try:
        return to_ns(datetime.fromisoformat(text))
    except (TypeError, ValueError) as error:
        raise FaultError(f"{text!r} is not a time; expected 2026-11-10 09:30:00") from error


def parse_script(script: Iterable[Mapping[str, Any]]) -> list[Planned]:
    """The entries of a script: ``{"at": {"step": 5}, "fault": "drop", "conn": "md"}``.

    Raises:
        FaultError: An entry is invalid; the message names it.
    """
    planned = []
    for number, entry in enumerate(script):
        try:
            rest = dict(entry)
            name, at = rest.pop("fault"), rest.pop("at")
            fault = make_fault(name, rest)
            if "step" in at:
                planned.append(Planned(fault, step=int(at["step"])))
            else:
                planned.append(Planned(fault, time_ns=market_time(at["time"])))
        except (KeyError, TypeError, ValueError) as error:
            raise FaultError(f"entry {number} of the script: {error}") from error
    return planned


@dataclass(slots=True)
class Refusal:
    """Connections of a kind are refused until a moment or for some attempts."""

    status: int
    until: float | None = None
    attempts: int | None = None

    def holds(self, monotonic: float) -> bool:
        """Whether the next attempt is refused; counts it."""
        if self.until is not None and monotonic < self.until:
            return True
        if self.attempts:
            self.attempts -= 1
            return True
        return False


@dataclass(slots=True)
class FaultBook:
    """The planned faults, those in effect, and counts of past ones.

    Attributes:
        refusals: By connection kind (``md``, ``td``).
        refused_tokens: How many token requests are still refused.
        token_status: The HTTP status of these refusals.
        login_seconds: Delay of every answer of the login server.
        slow_logins: The answers that are delayed.
        frozen: Connection kinds whose new connections are frozen.
        late: Latency parameters for new connections, by connection kind.
        licence_days, features: The licence of every user; None is the default.
        clock_offset: Seconds by which the server's clock is ahead.
        latencies: How many connections have had a latency.
        counts: How often each fault has occurred.
    """

    planned: list[Planned] = field(default_factory=list)
    refusals: dict[str, Refusal] = field(default_factory=dict)
    refused_tokens: int = 0
    token_status: int = 401
    login_seconds: float = 0.0
    slow_logins: set[asyncio.Event] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)
    late: dict[str, dict[str, Any]] = field(default_factory=dict)
    licence_days: float | None = None
    features: tuple[str, ...] | None = None
    clock_offset: float = 0.0
    latencies: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def take_due(self, steps: int, now_ns: int) -> list[Fault]:
        """The planned faults that are due, each once."""
        due = [entry.fault for entry in self.planned if entry.is_due(steps, now_ns)]
        if due:
            self.planned = [entry for entry in self.planned if not entry.is_due(steps, now_ns)]
        return due

    def refuse(self, kinds: Iterable[str], params: Mapping[str, Any], monotonic: float) -> None:
        """Refuse connections from now on."""
        seconds, attempts = params["seconds"], params["attempts"]
        if seconds is None and attempts is None:
            attempts = 1
        until = None if seconds is None else monotonic + seconds
        for kind in kinds:
            count = None if attempts is None else int(attempts)
            self.refusals[kind] = Refusal(int(params["status"]), until, count)

    def refused_status(self, kind: str, monotonic: float) -> int | None:
        """The HTTP status that refuses an attempt to connect; ``None`` if it is accepted."""
        refusal = self.refusals.get(kind)
        if refusal is None:
            return None
        if refusal.holds(monotonic):
            return refusal.status
        del self.refusals[kind]
        return None

    def refuses_token(self) -> bool:
        """Whether this token request is refused; counts it."""
        if self.refused_tokens <= 0:
            return False
        self.refused_tokens -= 1
        return True

    def slow_down_logins(self, seconds: float) -> None:
        """Delay every answer of the login server by so much; 0 sends the waiting ones."""
        self.login_seconds = seconds
        if not seconds:
            for waiting in self.slow_logins:
                waiting.set()

    def picture(self) -> dict[str, Any]:
        """For the state: counts, refusals in effect, and the number of planned faults."""
        return {
            "counts": dict(self.counts),
            "planned": len(self.planned),
            "refusing": sorted(self.refusals),
            "refused_tokens": self.refused_tokens,
            "slow_logins": len(self.slow_logins),
        }


def kinds(conn: str) -> tuple[str, ...]:
    """``all`` stands for md and td."""
    return ("md", "td") if conn == "all" else (conn,)
