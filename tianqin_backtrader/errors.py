"""The error tree: all exceptions that this library raises deliberately.

::

    TianqinError
    ├── ConfigError(ValueError)      a parameter is wrong; raised before any connection
    ├── LinkError
    │   ├── LoginRefused             the server refused the login: never retried
    │   │   └── TradingLoginRefused  the broker's counter refused the login
    │   ├── LinkLost                 the connection is gone
    │   │   └── CounterAway          the broker's counter accepts no logins now
    │   └── LinkTimeout              no answer in time
    ├── StoreClosed                  the store was closed and cannot be used again
    ├── OrderError
    │   ├── UnknownSymbol            no such contract, or an expired one
    │   ├── IllegalTransition        a report that is impossible in the order's state
    │   ├── VolumeOutOfRange         lots that are not whole, not positive, or too many
    │   ├── PriceOutOfRange          a price beyond the day's limits
    │   └── RiskRefused              an order beyond a limit set by its owner
    ├── CalendarError(ValueError)
    │   └── CalendarOutOfRange       beyond the years whose holidays are known
    ├── StartRefused                 account and records differ without explanation
    ├── JournalError                 the records cannot be written or read: send no orders
    └── SandboxError                 the embedded exchange did not start or refused a request
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .core.login_words import Refusal


class TianqinError(Exception):
    """Base of all errors of this library."""


class ConfigError(TianqinError, ValueError):
    """A parameter is wrong. Nothing has been connected or sent."""


class LinkError(TianqinError):
    """Base of errors of the connection to TianQin."""


class LoginRefused(LinkError):
    """The server refused the user or the password; trying again would not help."""


class TradingLoginRefused(LoginRefused):
    """The counter of the broker, or of the paper account, refused the login.

    Attributes:
        refusal: A ``login_words.Refusal``: the counter's ``words`` and ``code``, and ``why``.
    """

    def __init__(self, refusal: Refusal) -> None:
        number = f" ({refusal.code})" if refusal.code else ""
        super().__init__(
            f"the trading login was refused: {refusal.words}{number}. {refusal.advice}"
        )
        self.refusal = refusal


class LinkLost(LinkError):
    """The connection is lost."""


class CounterAway(LinkLost):
    """The counter of the broker, or of the paper account, is up but accepts no logins now.

    Attributes:
        refusal: As for ``TradingLoginRefused``.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"the counter accepts no logins: {refusal.words}. {refusal.advice}")
        self.refusal = refusal


class LinkTimeout(LinkError):
    """The server did not answer in time."""


class StoreClosed(TianqinError):
    """The store was closed; make a new one."""


class OrderError(TianqinError):
    """An order that is not possible."""


class UnknownSymbol(OrderError):
    """There is no such contract, or it no longer trades.

    Attributes:
        symbol: The symbol that was given.
    """

    def __init__(self, symbol: str, message: str) -> None:
        super().__init__(message)
        self.symbol = symbol


class NotKnownYet(OrderError):
    """An order needs data that the market has not sent yet; they are requested, not waited for."""


class IllegalTransition(OrderError):
    """A report that does not fit the order's state; the state is unchanged."""


class VolumeOutOfRange(OrderError):
    """Lots that are not a whole positive number, or more than allowed."""


class LotsGone(VolumeOutOfRange):
    """The lots that an order was going to close are no longer there."""


class PriceOutOfRange(OrderError):
    """A price beyond the day's limits."""


class RiskRefused(OrderError):
    """An order beyond a limit of ``RiskLimits``; it was not sent.

    Attributes:
        limit: The limit's name.
        allowed: The limit's value.
        value: The value that the order would reach.
    """

    def __init__(self, limit: str, allowed: object, value: object, text: str) -> None:
        super().__init__(f"{limit} is {allowed}: {text}")
        self.limit = limit
        self.allowed = allowed
        self.value = value


class CalendarError(TianqinError, ValueError):
    """A question that the trading calendar cannot answer."""


class CalendarOutOfRange(CalendarError):
    """The day is beyond the years whose holidays are known."""


class JournalError(TianqinError):
    """The records cannot be written or read. An order that is not recorded must not be sent.

    Attributes:
        path: The file.
    """

    def __init__(self, path: object, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class StartRefused(TianqinError):
    """Journal and account differ without explanation; nothing was sent.

    ``words`` replace the message if there is another reason.

    Attributes:
        differences: Rows (symbol, side, lots by the journal, lots on the account).
    """

    def __init__(
        self, path: object, differences: list[tuple[str, str, int, int]], words: str = ""
    ) -> None:
        head = f"{'contract':<16} {'side':<6} {'journal':>8} {'account':>8} {'difference':>11}"
        rows = [
            f"{symbol:<16} {side:<6} {ours:>8} {theirs:>8} {theirs - ours:>+11}"
            for symbol, side, ours, theirs in differences
        ]
        table = "\n".join(["", head, *rows, ""])
        super().__init__(
            words
            or f"the account holds lots that neither the records ({path}) nor its trades of today "
            f"explain:\n{table}\nFind out why (another program, manual trades while this one "
            "was not running?), then start with getbroker(accept_differences=True)"
        )
        self.differences = differences


class SandboxError(TianqinError):
    """The embedded exchange did not start, or refused a request."""
