"""What can be made to go wrong, when, and how often it has.

A fault is named and has parameters; a script says when it comes. This module knows what is
possible and keeps the books; the engine does the harm.
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

#: Every fault with its parameters and their defaults; ``None`` is "must be given or unused".
FAULTS: dict[str, dict[str, Any]] = {
    "drop": {**_CONN, "how": "abrupt"},
    "cut": dict(_CONN),
    "refuse": {**_CONN, "seconds": None, "attempts": None, "status": 503},
    # later: connections that come afterwards are frozen, too, until thaw or the seconds are over.
    "freeze": {**_CONN, "seconds": None, "later": False},
    "thaw": dict(_CONN),
    "delay": {**_CONN, "seconds": 0.0},
    # Both ways, and nothing overtakes; ``over``: it grows for so many seconds and shrinks again;
    # later: connections that come afterwards are late, too, until another one says otherwise.
    "latency": {**_CONN, "seconds": 0.0, "jitter": 0.0, "over": None, "later": False},
    # The programs that live on the sandbox's clock do nothing (SIGSTOP); time goes on.
    "stop_program": {"seconds": 5.0},
    "repeat": {"conn": "md"},
    "batch": {"steps": 10},
    "refuse_token": {"attempts": 1, "status": 401},
    # Every answer of the login server, from now on; 0 ends it, and lets those go that wait.
    "slow_login": {"seconds": 10.0},
    # What TianQin says of a user from now on: days until the end (below 0: it was), permissions.
    "licence": {"days": 9999, "features": None},
    # By how many seconds the server's own clock, which dates its answers, is ahead.
    "clock": {"offset": 0.0},
    "reject_order": {"user": None, "message": "CTP:综合交易平台：系统繁忙", "count": 1},
    "advance": {"seconds": None, "to": None, "steps": None},
    "fill_away": {**_CONN, "seconds": None, "to": None, "steps": None},
    # The price of a future goes to its limit now and stays, nobody on the other side of the book,
    # for so many seconds of market time or to the end of the trading day; symbol must be given.
    "limit_up": {"symbol": None, "seconds": None},
    "limit_down": {"symbol": None, "seconds": None},
    # Live tick rows of the open md connections, of a symbol or of every one; bars and quotes stay
    # right, and ids go on. hole: the next rows are lost. shuffle: so many rows each come after
    # their next one, which is a pack later where packs hold one tick.
    "hole": {"symbol": None, "count": 1},
    "shuffle": {"symbol": None, "count": 1},
    # A tick that cannot be, behind the newest one and of this moment, in the rows of ticks and in
    # the quotes of the open md connections: the newest one's, with the fields that are given, and
    # stamped so many seconds ahead, or at a market time. Bars, the book and orders know nothing
    # of it. symbol must be given.
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
    # What happens at the counter. The code and the words are those of the counter behind the
    # gateway; of which user, None is of anybody.
    "refuse_login": {"user": None, "code": 3, "message": "CTP:不合法的登录", "count": 1},
    "password_change": {"user": None, "count": 1},
    "second_login": {"user": None},
    "front_lost": {"seconds": 10.0, "notice": False},
    "swallow_order": {"user": None, "count": 1},
    "swallow_cancel": {"user": None, "count": 1},
    "refuse_by_notice": {"user": None, "code": 333, "message": "当前时间不支持下单!", "count": 1},
    "late_positions": {"user": None, "seconds": 2.0, "count": 1},
    "forget_order_ids": {"user": None},
    # What another terminal does; without a price an order takes what there is, and a trade is at
    # the last one.
    "foreign_order": {**_OTHER_HAND, "trade_first": False},
    "foreign_trade": dict(_OTHER_HAND),
}
_CONNS = ("md", "td", "all")


class FaultError(ValueError):
    """No such fault, or it cannot have such a parameter."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault with all its parameters."""

    name: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault and when it is due: at a count of market steps or at a market time (ns)."""

    fault: Fault
    step: int | None = None
    time_ns: int | None = None

    def is_due(self, steps: int, now_ns: int) -> bool:
        """Whether the moment has come."""
        if self.step is not None:
            return steps >= self.step
        return self.time_ns is not None and now_ns >= self.time_ns


def make_fault(name: str, params: Mapping[str, Any]) -> Fault:
    """A fault with defaults filled in.

    Raises:
        FaultError: Unknown name or parameter, or a value that cannot be.

    >>> make_fault("drop", {"conn": "md"}).params
    {'conn': 'md', 'how': 'abrupt'}
    """
    if name not in FAULTS:
        raise FaultError(f"no fault {name!r}; there are {', '.join(sorted(FAULTS))}")
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
            raise FaultError(f"{number} must be a number from 0 on, not {value!r}")
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
        raise FaultError(f"volume must be a whole number from 1 on, not {full['volume']!r}")


def market_time(text: str) -> int:
    """Nanoseconds of ``"2026-11-10 09:30:00"``, Beijing time.

    Raises:
        FaultError: Not such a text.
    """
    try:
        return to_ns(datetime.fromisoformat(text))
    except (TypeError, ValueError) as error:
        raise FaultError(f"{text!r} is no time; expected 2026-11-10 09:30:00") from error


def parse_script(script: Iterable[Mapping[str, Any]]) -> list[Planned]:
    """A script's entries: ``{"at": {"step": 5}, "fault": "drop", "conn": "md"}``.

    Raises:
        FaultError: An entry is not understood; says which.
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
    """What is planned, what is on, and what has been.

    Attributes:
        refusals: By connection kind (``md``, ``td``).
        refused_tokens: How many token requests are still to be refused.
        token_status: The HTTP status that they get.
        login_seconds: By how much every answer of the login server comes later.
        slow_logins: Those that wait for it.
        frozen: Connection kinds whose new connections are frozen.
        late: Connection kinds whose new connections are late, and how.
        licence_days, features: What is said of every user; None is the default.
        clock_offset: Seconds by which the server's clock is ahead.
        latencies: How many lines have had one.
        counts: How often each fault has come.
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
        """The planned faults whose moment has come, once."""
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
        """The HTTP status an attempt to connect gets; ``None`` if it may."""
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
        """Let every answer of the login server come so much later; 0 lets those go that wait."""
        self.login_seconds = seconds
        if not seconds:
            for waiting in self.slow_logins:
                waiting.set()

    def picture(self) -> dict[str, Any]:
        """For the state: counts, refusals that hold, and how much is still planned."""
        return {
            "counts": dict(self.counts),
            "planned": len(self.planned),
            "refusing": sorted(self.refusals),
            "refused_tokens": self.refused_tokens,
            "slow_logins": len(self.slow_logins),
        }


def kinds(conn: str) -> tuple[str, ...]:
    """``all`` -> md and td."""
    return ("md", "td") if conn == "all" else (conn,)
